"""Where am I: site, use case, size, data."""

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path

PREFIX = "BEAMHUB_"


@dataclass(frozen=True)
class Here:
    """The place that a notebook runs in.

    Parameters
    ----------
    site, use_case, version, size : str
        As the portal names them; empty where no portal started this server.
    cores : int
        Processor cores that this process may use.
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
        cores=len(os.sched_getaffinity(0)),
        memory_gib=float(memory) if memory else None,
        gpus=int(setting("GPUS") or 0),
        data_roots=tuple(roots),
    )


def setting(name: str) -> str:
    """Return what the launch put into the environment under `name`, empty where it did not."""
    return os.environ.get(PREFIX + name, "")
