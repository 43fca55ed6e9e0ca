"""Where am I: site, use case, size, data."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

PREFIX = "BEAMHUB_"
GROUPS = Path("/proc/self/cgroup")
GROUPS_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Here:
    """The place that a notebook runs in.

    Parameters
    ----------
    site, use_case, version, size : str
        As the portal names them; empty where no portal started this server.
    cores : int
        Processor cores that this process may use: by affinity, and by the quota of its control
        groups, rounded up.
    memory_gib : float or None
        Memory that the launch granted, None where nothing limits it.
    gpus : int
        GPUs that the launch granted.
    data_roots : tuple of Path
        Folders of the site that hold reference data, in the order of searching.
    """

    site: str
    use_case: str
    version: str
    size: str
    cores: int
    memory_gib: float | None
    gpus: int
    data_roots: tuple[Path, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Return what a person wants to know, a label and a text each."""
        memory = "not limited" if self.memory_gib is None else f"{self.memory_gib:g} GiB"
        use_case = f"{self.use_case} {self.version}".strip()
        return [
            ("Site", self.site or "none: not started by a portal"),
            ("Use case", use_case or "none"),
            ("Size", self.size or "none"),
            ("Cores", str(self.cores)),
            ("Memory", memory),
            ("GPUs", str(self.gpus)),
            ("Data", ", ".join(map(str, self.data_roots)) or "no data folder of the site"),
        ]

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th scope='row'>{k}</th><td>{escape(v)}</td></tr>" for k, v in self.rows()
        )
        return f"<table><caption>Where this runs</caption>{cells}</table>"


def here() -> Here:
    """Return the place that this process runs in, read from its environment."""
    memory = setting("MEMORY_GIB")
    roots = [Path(root) for root in setting("DATA_ROOTS").split(os.pathsep) if root]
    return Here(
        site=setting("SITE"),
        use_case=setting("USE_CASE"),
        version=setting("USE_CASE_VERSION"),
        size=setting("SIZE"),
        cores=usable_cores(),
        memory_gib=float(memory) if memory else None,
        gpus=int(setting("GPUS") or 0),
        data_roots=tuple(roots),
    )


def setting(name: str) -> str:
    """Return what the launch put into the environment under `name`, empty where it did not."""
    return os.environ.get(PREFIX + name, "")


def usable_cores(groups: Path = GROUPS, root: Path = GROUPS_ROOT) -> int:
    """Return how many cores this process may use at once.

    Batch systems pin processes to cores; containers and Kubernetes grant a share of time, which the
    number of cores doesn't show.

    Parameters
    ----------
    groups : Path
        The kernel's list of this process's control groups.
    root : Path
        Where control groups are mounted.
    """
    pinned = len(os.sched_getaffinity(0))
    quota = min(quotas(groups, root), default=math.inf)
    return pinned if quota >= pinned else max(1, math.ceil(quota))


def quotas(groups: Path, root: Path) -> Iterator[float]:
    """Yield every limit on processor time that applies to this process, in cores.

    A group's limit holds for all groups below it. Inside a container the group's own path may not
    be there; its limit is then found at the top.
    """
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / controllers
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):
            yield from quota_of(top / folder)


def quota_of(folder: Path) -> Iterator[float]:
    """Yield the limit of one control group, of version 2 or 1; nothing where it has none."""
    try:
        if (folder / "cpu.max").exists():
            words = (folder / "cpu.max").read_text(encoding="utf-8").split()
        else:
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            words = [(folder / name).read_text(encoding="utf-8").strip() for name in names]
        quota, period = float(words[0].replace("max", "-1")), float(words[1])
    except (OSError, ValueError, IndexError):
        return
    if quota > 0 and period > 0:
        yield quota / period
