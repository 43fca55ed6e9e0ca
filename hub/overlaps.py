"""Folders that a site shows to servers, and what must not lie in, over or below one another.

Of a folder that can only be read, nothing may be reachable by a mount that can be written, neither
where servers see it nor where it really lies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from spawners import Mount

HOME = Path("/home/jovyan")
OWN = (HOME, Path("/tmp"))  # noqa: S108
"""What a server in a container has for itself."""
SYSTEM = tuple(
    Path("/") / place
    for place in (
        *(
            "bin",
            "boot",
            "dev",
            "etc",
            "lib",
            "lib32",
            "lib64",
            "proc",
            "root",
            "run",
            "sbin",
            "sys",
        ),
        *("usr/bin", "usr/lib", "usr/local/bin", "usr/local/lib", "usr/sbin", "usr/share"),
        *("opt/beamhub", "opt/venv", "var/lib/extrausers", "var/run"),
    )
)
"""Where an image has what it runs."""


@dataclass(frozen=True)
class Shown:
    """A folder that servers see.

    Parameters
    ----------
    key : str
        What names it in the profile.
    mount : Mount
        Where it lies and where it's seen.
    """

    key: str
    mount: Mount


def problems(shown: Sequence[Shown], *, volumes: str = "") -> Iterator[str]:
    """Yield what is wrong with the folders that servers in containers see, a sentence each.

    Parameters
    ----------
    shown : sequence of Shown
        All of them.
    volumes : str, optional
        What the names of users' own volumes begin with; empty where there are none.
    """
    for one in shown:
        yield from badly_placed(one)
        if volumes and str(one.mount.source).startswith(volumes):
            yield f"{one.key}: the volume {one.mount.source} can be a user's own home"
    for one, other in combinations(shown, 2):
        yield from clash(one, other)


def badly_placed(one: Shown) -> Iterator[str]:
    """Yield where a folder would cover what a server needs, or be covered by its user."""
    target = one.mount.target
    for place in OWN:
        if related(target, place):
            yield (
                f"{one.key}: servers have a {place} of their own, so nothing can be shown at "
                f"{target}: choose another target, for example /data"
            )
    for place in SYSTEM:
        if related(target, place):
            yield (
                f"{one.key}: shown at {target}, it would hide or change what images have in "
                f"{place}: choose another target, for example /data"
            )


def clash(one: Shown, other: Shown) -> Iterator[str]:
    """Yield why two folders can't both be shown."""
    a, b = one.mount, other.mount
    if a.target == b.target and one.key != other.key and a != b:
        yield f"{one.key} and {other.key} are both shown at {a.target}: keep one of them"
    elif a.read_only != b.read_only:
        closed, writable = (one, other) if a.read_only else (other, one)
        if related(a.target, b.target):
            yield (
                f"{writable.key}, which can be written, is shown at {writable.mount.target}, and "
                f"{closed.key}, which must only be read, at {closed.mount.target}: keep them apart"
            )
        elif related(real(a.source), real(b.source)):
            yield (
                f"{writable.key} lets servers write in {writable.mount.source}, and with it in "
                f"{closed.mount.source} of {closed.key}, which must only be read: keep them apart"
            )


def related(one: Path, other: Path) -> bool:
    """Return whether two paths are the same, or one lies in the other."""
    return one.is_relative_to(other) or other.is_relative_to(one)


def real(source: Path) -> Path:
    """Return where a folder really lies, as far as that can be told from here.

    A volume's name stays what it is.
    """
    return source.resolve() if source.is_absolute() else source
