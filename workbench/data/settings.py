"""Where this process looks for data and how it behaves, read from its environment once."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..here import setting


@dataclass(frozen=True)
class Manners:
    """How to treat other people's servers.

    Parameters
    ----------
    connections : int
        The most at once to one host.
    window_bytes : int
        The most to hold in memory while parts wait for those before them.
    timeout_s : float
        A connection that says nothing for so long is given up.
    tries : int
        How often in a row a request may fail without a byte gained.
    pause_s : float
        Before the second try; it doubles from one to the next.
    longest_wait_s : float
        A server that asks for a longer pause is left alone.
    """

    connections: int = 8
    window_bytes: int = 64 << 20
    timeout_s: float = 30
    tries: int = 8
    pause_s: float = 0.5
    longest_wait_s: float = 600


@dataclass(frozen=True)
class Settings:
    """The places of one site.

    Parameters
    ----------
    roots : tuple of Path
        Folders with data sets that are used in place.
    cache : Path
        Where what is fetched is kept, shared or one's own.
    mirrors : tuple of str
        Addresses (https, http or file) of folders made by ``beamhub data mirror``.
    quota_bytes : int or None
        What the cache may hold.
    manners : Manners
        How to treat servers.
    """

    cache: Path
    roots: tuple[Path, ...] = ()
    mirrors: tuple[str, ...] = ()
    quota_bytes: int | None = None
    manners: Manners = field(default_factory=Manners)


def settings() -> Settings:
    """Return what the launch, or the person who set the environment, asks for."""
    quota = setting("DATA_QUOTA_GB")
    shared = setting("DATA_CACHE")
    return Settings(
        cache=Path(shared) if shared else own_cache(),
        roots=tuple(Path(p) for p in setting("DATA_ROOTS").split(os.pathsep) if p),
        mirrors=tuple(setting("DATA_MIRRORS").split()),
        quota_bytes=round(float(quota) * 1e9) if quota else None,
    )


def own_cache() -> Path:
    """Return the folder for data that only this account uses."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "beamhub" / "data"
