"""Control groups of servers: limits of a whole server, and its end, whatever it has started.

Both versions: where the machine has version 2 alone, and where each kind of limit has a tree of
its own.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

CONTROLLERS = ("memory", "pids", "cpu", "io")
VERSION_1 = {"blkio": "io"}
"""What version 1 calls otherwise."""
UNIFIED = "unified"
"""Names the tree of version 2."""
PORTAL = "beamhub-portal"
"""The group into which a portal moves itself, since version 2 has processes only in the leaves."""
PERIOD_US = 100_000
KILL_S = 10.0
DISKS = Path("/sys/block")
NO_DISKS = ("loop", "ram", "zram")
"""What lies there too: files and memory, whose limits are those of what they lie in."""
SYSTEMD = Path("/run/systemd/system")
DELEGATED = ("trusted.delegate", "user.delegate")
"""How systemd marks a group that it leaves to the service in it."""
NO_DELEGATION = "systemd keeps them for itself: run the portal as its service with Delegate=yes"


class GroupError(Exception):
    """There are no control groups to be had; the text is for the administrator."""


@dataclass(frozen=True)
class Trees:
    """Where this process's control groups lie.

    Parameters
    ----------
    limits : dict of str to Path
        The folder of this process's group, for each kind of limit.
    unified : Path or None
        Its group's folder in the tree of version 2; None where there is none.
    """

    limits: dict[str, Path] = field(default_factory=dict)
    unified: Path | None = None

    @property
    def folders(self) -> list[Path]:
        """Each of the folders once."""
        found = [*self.limits.values(), *([self.unified] if self.unified else [])]
        return list(dict.fromkeys(found))


def own_trees(proc: Path = Path("/proc/self")) -> Trees:
    """Return where the groups of this process are, from what the kernel tells of it."""
    mounts = dict(mounted((proc / "mountinfo").read_text(encoding="utf-8")))
    limits: dict[str, Path] = {}
    unified = None
    for line in (proc / "cgroup").read_text(encoding="utf-8").splitlines():
        number, names, path = line.split(":", 2)
        for given in [UNIFIED] if number == "0" else names.split(","):
            name = VERSION_1.get(given, given)
            if name not in mounts:
                continue
            root, point = mounts[name]
            inside = os.path.relpath(path, root)
            folder = point if inside.startswith("..") else point / inside
            if name == UNIFIED:
                unified = folder.parent if folder.name == PORTAL else folder
            elif name in CONTROLLERS:
                limits[name] = folder
    if unified:
        offered = (unified / "cgroup.controllers").read_text(encoding="ascii").split()
        limits |= {name: unified for name in offered if name in CONTROLLERS}
    return Trees(limits, unified)


def mounted(mountinfo: str) -> Iterator[tuple[str, tuple[str, Path]]]:
    """Yield each mounted tree's name, with the group that is its root here and its place."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            yield UNIFIED, (root, Path(point))
        elif kind == "cgroup":
            names = (VERSION_1.get(name, name) for name in options.split(","))
            yield from ((name, (root, Path(point))) for name in names)


def prepare(trees: Trees) -> None:
    """Make this process's groups ready to hold others.

    Raises
    ------
    GroupError
        They can't be.
    """
    if not trees.limits:
        raise GroupError("this machine shows no control groups to the portal")
    if SYSTEMD.is_dir() and not all(map(delegated, trees.folders)):
        raise GroupError(NO_DELEGATION)
    try:
        if trees.unified in trees.limits.values():
            assert trees.unified is not None
            move_into_leaf(trees.unified)
            wanted = [f"+{name}" for name, at in trees.limits.items() if at == trees.unified]
            write(trees.unified / "cgroup.subtree_control", " ".join(wanted))
    except OSError as error:
        raise GroupError(f"control groups can't be changed: {error.strerror}") from None


def move_into_leaf(group: Path) -> None:
    """Move the processes of a group into one below it, unless it is the root of all."""
    if not (group / "cgroup.type").exists():
        return
    leaf = group / PORTAL
    leaf.mkdir(exist_ok=True)
    for pid in (group / "cgroup.procs").read_text(encoding="ascii").split():
        with suppress(ProcessLookupError):
            write(leaf / "cgroup.procs", pid)


def delegated(folder: Path) -> bool:
    """Return whether systemd leaves a group to the service in it."""
    for name in DELEGATED:
        with suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def write(path: Path, text: str) -> None:
    """Write to a file of the kernel's."""
    path.write_text(text, encoding="ascii")


@dataclass(frozen=True)
class Group:
    """The control groups of one server.

    Parameters
    ----------
    trees : Trees
        Where this process's own are.
    portal : str
        What tells this portal from others.
    server : str
        What tells the server from others of the portal.
    """

    trees: Trees
    portal: str
    server: str

    @property
    def folders(self) -> list[Path]:
        """Its folder in each tree."""
        return [folder / self.server for folder in folders_of(self.trees, self.portal)]

    def make(
        self,
        *,
        memory_bytes: int,
        processes_max: int,
        cores: float,
        disk_bytes_s: int | None = None,
    ) -> None:
        """Make it, with its limits.

        Parameters
        ----------
        memory_bytes, processes_max, cores : int or float
            Of all its processes together.
        disk_bytes_s : int, optional
            Read from each disk in a second, and as much again written; None means any.

        Raises
        ------
        GroupError
            It can't be made.
        """
        limits = {
            "memory": ("memory.max", "memory.limit_in_bytes", str(memory_bytes)),
            "pids": ("pids.max", "pids.max", str(processes_max)),
            "cpu": ("cpu.max", "cpu.cfs_quota_us", str(round(cores * PERIOD_US))),
        }
        try:
            for folder in self.folders:
                folder.mkdir(parents=True, exist_ok=True)
            for name, (new, old, value) in limits.items():
                if name not in self.trees.limits:
                    continue
                self._hand_down(name)
                file = self.at(name) / new
                write(file if file.exists() else self.at(name) / old, value)
            self._forbid_swap(memory_bytes)
            if disk_bytes_s and "io" in self.trees.limits:
                self._limit_disks(disk_bytes_s)
        except OSError as error:
            raise GroupError(f"control groups can't be made: {error.strerror}") from None

    def _hand_down(self, controller: str) -> None:
        """Let it have a kind of limit, which version 2 hands down from group to group."""
        if self.trees.limits[controller] == self.trees.unified:
            write(self.at(controller).parent / "cgroup.subtree_control", f"+{controller}")

    def _limit_disks(self, bytes_s: int) -> None:
        """Limit reading and writing, for each disk of the machine."""
        self._hand_down("io")
        for disk in disks():
            if (self.at("io") / "io.max").exists():
                write(self.at("io") / "io.max", f"{disk} rbps={bytes_s} wbps={bytes_s}")
                continue
            for way in ("read", "write"):
                write(self.at("io") / f"blkio.throttle.{way}_bps_device", f"{disk} {bytes_s}")

    def _forbid_swap(self, memory_bytes: int) -> None:
        """Let memory be the machine's memory, where the kernel counts what is swapped out."""
        if "memory" in self.trees.limits:
            for name, value in (
                ("memory.swap.max", 0),
                ("memory.memsw.limit_in_bytes", memory_bytes),
            ):
                with suppress(OSError):
                    write(self.at("memory") / name, str(value))

    def at(self, controller: str) -> Path:
        """Return its folder in the tree of one kind of limit."""
        return folder_of(self.trees.limits[controller], self.portal) / self.server

    @property
    def processes(self) -> set[int]:
        """The numbers of the processes in it."""
        found: set[int] = set()
        for folder in self.folders:
            with suppress(OSError):
                found |= set(map(int, (folder / "cgroup.procs").read_text("ascii").split()))
        return found

    @property
    def memory_kills(self) -> int:
        """How many of its processes the kernel has ended because its memory was full."""
        if "memory" not in self.trees.limits:
            return 0
        for name in ("memory.events", "memory.oom_control"):
            with suppress(OSError, ValueError, KeyError):
                text = (self.at("memory") / name).read_text("ascii")
                return int(dict(line.split() for line in text.splitlines())["oom_kill"])
        return 0

    def end(self) -> int:
        """Kill all that is in it, take it away, and return how many processes there were."""
        found = self.processes
        deadline = time.monotonic() + KILL_S
        while self.processes and time.monotonic() < deadline:
            self._kill()
            time.sleep(0.02)
        for folder in self.folders:
            while folder.is_dir() and time.monotonic() < deadline:
                with suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.02)
        return len(found)

    def _kill(self) -> None:
        """Kill its processes, which can start no others meanwhile."""
        for folder in self.folders:
            for name, value in (("pids.max", "0"), ("cgroup.kill", "1")):
                with suppress(OSError):
                    if (folder / name).exists():
                        write(folder / name, value)
        for pid in self.processes:
            with suppress(ProcessLookupError):
                os.kill(pid, 9)


def disks(folder: Path = DISKS) -> list[str]:
    """Return the numbers of the machine's disks, ``<major>:<minor>`` each."""
    found = [path for path in sorted(folder.iterdir()) if not path.name.startswith(NO_DISKS)]
    # A drive without a medium has no size.
    there = [path for path in found if int((path / "size").read_text("ascii"))]
    return [(path / "dev").read_text("ascii").strip() for path in there]


def servers_in(trees: Trees, portal: str) -> set[str]:
    """Return which servers of a portal have groups."""
    return {
        path.name
        for folder in folders_of(trees, portal)
        if folder.is_dir()
        for path in folder.iterdir()
        if path.is_dir()
    }


def folders_of(trees: Trees, portal: str) -> list[Path]:
    """Return the folders in which the groups of a portal's servers lie."""
    return [folder_of(tree, portal) for tree in trees.folders]


def folder_of(tree: Path, portal: str) -> Path:
    """Return where the groups of a portal's servers lie in one tree."""
    return tree / f"beamhub-{portal}"
