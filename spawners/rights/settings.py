"""What root tells the helper at its start, before there is a hub: the hub has no say in it."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..confinement import Offer
from ..control_groups import Trees


@dataclass(frozen=True)
class Part:
    """A part of the portal that the hub can have started.

    Parameters
    ----------
    command : list of str
        The program, by its full path, and its first arguments.
    account : int
        The number of the account that it is, without any rights; 0 where it is root's.
    arguments : str
        What else the hub may give it. ``none``; the name of a ``person``, who has an account; of
        ``anybody``, who may have none; of a ``use case``, which becomes its folder; or, for an
        account without rights alone, ``any``.
    files : list of str
        What it gets to read though its account can't, see `start_unprivileged`.
    variables : list of str
        The names of what the hub may tell it.
    inherits : bool
        Whether it's told what all children of root's are, see `child_processes`.
    stays : bool
        Whether it goes on when the portal is killed.
    note : str
        A file of root's in which its number is kept; empty for none.
    umask : int
        What nobody else gets of the files that it makes.
    """

    command: list[str]
    account: int = 0
    arguments: Literal["none", "person", "anybody", "use case", "any"] = "none"
    files: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    inherits: bool = False
    stays: bool = False
    note: str = ""
    umask: int = 0o077


@dataclass(frozen=True)
class Settings:
    """One portal, as far as its helper has to know it.

    Parameters
    ----------
    hub : int
        The number of the hub's process, a child of the helper's.
    state : str
        The state folder.
    sockets : str
        The folder of the sockets, taken away at the end where nothing is left in it.
    portal : str
        What tells this portal from others.
    accounts, umask : str
        See `LocalBackend`.
    confined : bool
        Whether servers are confined.
    limits, unified, lacking : dict of str to str, str, dict of str to str
        What the machine can give for that, see `confinement.Offer`.
    memory_max_bytes, cores_max, processes_max : int, float, int
        The most that a server may have.
    disk_bytes_s : int or None
        See `control_groups.Group.make`.
    forkserver : bool
        See `LocalBackend`.
    named : list of str
        Texts that name what servers must be able to read, see `confinement.confined`.
    use_cases : dict of str to str
        The folder of each use case.
    parts : dict of str to Part
        What else the hub can have started.
    """

    hub: int
    state: str
    sockets: str
    portal: str
    accounts: str
    umask: str
    confined: bool
    limits: dict[str, str]
    unified: str
    lacking: dict[str, str]
    memory_max_bytes: int
    cores_max: float
    processes_max: int
    disk_bytes_s: int | None
    forkserver: bool
    named: list[str]
    use_cases: dict[str, str]
    parts: dict[str, Part]

    @property
    def folder(self) -> Path:
        """The state folder."""
        return Path(self.state)

    @property
    def offer(self) -> Offer:
        """What the machine can give to confine servers."""
        limits = {name: Path(folder) for name, folder in self.limits.items()}
        return Offer(Trees(limits, Path(self.unified) if self.unified else None), self.lacking)

    def handed(self) -> int:
        """Return an open file with all of it, which the helper inherits."""
        file = os.memfd_create("settings", 0)
        with os.fdopen(os.dup(file), "w", encoding="utf-8") as text:
            json.dump(asdict(self), text)
        return file

    @classmethod
    def taken(cls, file: int) -> "Settings":
        """Return what such a file says."""
        os.lseek(file, 0, os.SEEK_SET)
        with os.fdopen(file, encoding="utf-8") as text:
            said: dict[str, Any] = json.load(text)
        parts = {name: Part(**part) for name, part in said.pop("parts").items()}
        return cls(**said, parts=parts)
