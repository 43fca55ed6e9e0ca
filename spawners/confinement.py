"""What keeps a local server's processes within it: its walls, limits, and an end that takes all.

Walls are put up by the server's own process, before it gives up root's rights; see
`spawners.confine`. What this machine can't give is told, or refused, as the site says.
"""

import errno
import json
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from . import child_processes, confine
from .confine import NOTHING as EMPTY
from .confine import OWN_TEMPORARY, Walls
from .control_groups import (
    Group,
    GroupError,
    Trees,
    folders_of,
    own_trees,
    prepare,
    servers_in,
)

PLACE = Path("/var/tmp")  # noqa: S108 - in a folder that only root may enter
"""Where servers have what they see in place of temporary folders: on a disk, as those are."""
CLOSED = ("/run/user", "/run/dbus")
"""Where programs ask systemd to start others for them, which no limit of a server's would hold."""
TRIAL_S = 60
GROUPS = {
    "memory": "Memory is limited for a server as a whole",
    "pids": "Processes are limited for a server as a whole",
    "cpu": "Cores are limited for a server as a whole",
    "io": "Reading and writing of disks is limited for a server as a whole",
}
WALLS = {
    "temporary": "Each server has a temporary folder of its own",
    "devices": "Servers see no devices but those that all programs need, and GPUs",
    "hidden": "Servers don't see other accounts' processes",
    "privileges": "Programs that run as another account, such as sudo, give servers no rights",
}
SENTENCES = {**GROUPS, **WALLS}
"""What a server's confinement consists of, by its parts."""
IN_TEMPORARY = re.compile(r"(?:/var)?/tmp/[^:\s\"',]+")


@dataclass(frozen=True)
class Offer:
    """What this machine can give.

    Parameters
    ----------
    trees : Trees
        Control groups in which servers' own are made; empty where there are none.
    lacking : dict of str to str
        Why parts of the confinement can't be had, by their names in `SENTENCES`.
    """

    trees: Trees
    lacking: Mapping[str, str]

    def has(self, part: str) -> bool:
        """Return whether it can give a part."""
        return part not in self.lacking


NOTHING = Offer(Trees(), dict.fromkeys(SENTENCES, "the site's profile leaves it off"))
ORDINARY = Offer(Trees(), dict.fromkeys(SENTENCES, "the portal was started by an ordinary account"))


@cache
def offer() -> Offer:
    """Return what this machine can give, found by trying it once."""
    lacking = {name: why for name, why in tried_walls().items() if why}
    try:
        trees = own_trees()
        prepare(trees)
    except GroupError as error:
        trees, why = Trees(), str(error)
    except OSError as error:
        trees, why = Trees(), f"control groups can't be read: {error.strerror}"
    else:
        why = "this machine doesn't offer that control group to the portal"
    lacking |= {name: why for name in GROUPS if name not in trees.limits}
    return Offer(trees, lacking)


def tried_walls() -> dict[str, str]:
    """Return why walls can't be had here, by their names; empty for those that can."""
    with tempfile.TemporaryDirectory(prefix="beamhub-walls-") as folder:
        make_folders(Path(folder))
        command = [sys.executable, "-I", "-S", confine.__file__, folder]
        try:
            done = child_processes.run(command, capture_output=True, timeout=TRIAL_S)
            return dict(json.loads(done.stdout))
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return dict.fromkeys(WALLS, "trying it failed")


def told(found: Offer, unwanted: Collection[str] = ()) -> list[str]:
    """Return each part of the confinement that can't be had, and why, a sentence each.

    Parameters
    ----------
    found : Offer
        What the machine can give.
    unwanted : collection of str
        Parts that nobody asks for, by their names in `SENTENCES`.
    """
    lacking = {name: why for name, why in found.lacking.items() if name not in unwanted}
    return [f"Not here: {SENTENCES[name].lower()} ({why})." for name, why in lacking.items()]


def make_folders(folder: Path) -> None:
    """Make what a server has in place of temporary folders, and one for its devices."""
    for name in OWN_TEMPORARY.values():
        (folder / name).mkdir()
        (folder / name).chmod(0o1777)
    # Where X servers put their sockets: made by root, so that nobody else's rights are asked for.
    sockets = folder / "tmp/.X11-unix"
    sockets.mkdir()
    sockets.chmod(0o1777)
    (folder / "dev").mkdir()
    (folder / EMPTY).mkdir(mode=0o555)


@dataclass(frozen=True)
class Confined:
    """One server's confinement.

    Parameters
    ----------
    walls : Walls
        What its process puts around itself.
    group : Group
        Its control groups.
    folder : Path
        What it has in place of temporary folders.
    """

    walls: Walls
    group: Group
    folder: Path

    def end(self) -> int:
        """Kill all that is in it, take away what it had, and return how many processes ran."""
        count = self.group.end()
        shutil.rmtree(self.folder, ignore_errors=True)
        return count


def name_of_start(server: str) -> str:
    """Return a name for a start of a server: starts are told apart by chance."""
    return f"{re.sub('[^A-Za-z0-9-]+', '-', server)}.{secrets.token_hex(4)}"


def confined(
    found: Offer,
    portal: str,
    name: str,
    *,
    memory_bytes: int,
    processes_max: int,
    cores: float,
    named: Iterable[str],
    disk_bytes_s: int | None = None,
) -> Confined:
    """Return the confinement of a server that is about to start.

    Parameters
    ----------
    found : Offer
        What the machine can give.
    portal : str
        What tells this portal from others.
    name : str
        What tells this start of the server from others of the portal, see `name_of_start`.
    memory_bytes, processes_max, cores : int or float
        Its limits.
    named : iterable of str
        Texts, such as the values of its variables, that name what it must be able to read.
    disk_bytes_s : int, optional
        Another limit, see `Group.make`.

    Raises
    ------
    GroupError
        Its control groups can't be made.
    """
    own = restored(found, portal, name)
    own.group.make(
        memory_bytes=memory_bytes,
        processes_max=processes_max,
        cores=cores,
        disk_bytes_s=disk_bytes_s,
    )
    root_alone(own.folder.parent)
    own.folder.mkdir(mode=0o700)
    make_folders(own.folder)
    walls = Walls(
        groups=tuple(map(str, own.group.folders)),
        folder=str(own.folder) if found.has("temporary") else "",
        closed=tuple(place for place in CLOSED if Path(place).is_dir()),
        kept=tuple(map(str, sorted(in_temporary(named)))),
        devices=found.has("devices") and found.has("temporary"),
        hidden=found.has("hidden"),
        privileges=found.has("privileges"),
    )
    return Confined(walls, own.group, own.folder)


def restored(found: Offer, portal: str, name: str) -> Confined:
    """Return the confinement of a server that runs."""
    return Confined(Walls(), Group(found.trees, portal, name), folder_of(portal) / name)


def folder_of(portal: str) -> Path:
    """Return where the servers of a portal have what they see as temporary folders."""
    return PLACE / f"beamhub-{portal}"


def clear(found: Offer, portal: str) -> None:
    """Take away what the confinements of a portal's servers lay in, where none is left in it."""
    for folder in (folder_of(portal), *folders_of(found.trees, portal)):
        with suppress(OSError):
            folder.rmdir()


def root_alone(folder: Path) -> None:
    """Make a folder that nobody else can enter, among those of others.

    Raises
    ------
    OSError
        Somebody else has made it.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o077:
        raise OSError(errno.EPERM, f"{folder} is not the portal's own")


def in_temporary(texts: Iterable[str]) -> set[Path]:
    """Return what texts name below the folders that a server has of its own, without what is in it.

    A socket may be made anew, so it is its folder that counts.
    """
    paths = {Path(path) for text in texts for path in IN_TEMPORARY.findall(unquote(text)) if path}
    found = set()
    for path in {*paths, *(p.resolve() for p in paths)}:
        there = next(p for p in (path, *path.parents) if p.exists())
        there = there if there.is_dir() else there.parent
        if str(there) not in OWN_TEMPORARY and IN_TEMPORARY.match(str(there)):
            found.add(there)
    return {path for path in found if not found & set(path.parents)}


def present(found: Offer, portal: str) -> set[str]:
    """Return the servers of a portal that have groups, or folders in place of temporary ones."""
    folder = folder_of(portal)
    # Root alone makes it; another's would be a folder of names that nobody looks at.
    there = folder.is_dir() and folder.lstat().st_uid == 0
    return servers_in(found.trees, portal) | {p.name for p in (folder.iterdir() if there else ())}
