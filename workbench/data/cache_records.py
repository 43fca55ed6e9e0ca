"""What the cache keeps of a data set beside its files, and how its parts are called."""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .catalogue import Known
from .transfer.staging import Arrived


@dataclass(frozen=True)
class Record:
    """One data set that is complete.

    Parameters
    ----------
    label : str
        Its full name.
    files : tuple of Arrived
        What it holds.
    source : str
        Where it came from.
    when : float
        When it was complete, seconds since 1970.
    verified : bool
        Whether every file was compared with a declared checksum.
    """

    label: str
    files: tuple[Arrived, ...]
    source: str
    when: float
    verified: bool


@dataclass(frozen=True)
class Entry:
    """A record and the folder that it is about."""

    folder: Path
    record: Record


@dataclass(frozen=True)
class Stored:
    """A data set that an account keeps here, as far as it can be told without trust.

    Parameters
    ----------
    account : int
        Whose it is.
    label : str
        Its full name.
    digest : str
        Which version of it.
    last : float
        When it was used last, seconds since 1970.
    """

    account: int
    label: str
    digest: str
    last: float

    @property
    def place(self) -> PurePosixPath:
        """Its folder's folder, below the cache."""
        return PurePosixPath(str(self.account), "sets", self.label)

    @property
    def mark(self) -> str:
        """The name of the files that say who uses it."""
        return mark_name(self.label, self.digest)


def record_of(text: bytes) -> Record | None:
    """Return a record that is well formed, however it came here."""
    try:
        about = json.loads(text)
        about["files"] = tuple(Arrived(**f) for f in about["files"])
        record = Record(**about)
        return record if sound(record) else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def sound(record: Record) -> bool:
    """Return whether a record says only what one says that `publish` wrote."""
    return (
        type(record.when) is float
        and type(record.verified) is bool
        and record.source.isprintable()
        and all("\0" not in f.name and inside(f.name) for f in record.files)
        and all(type(f.size_bytes) is int and type(f.sha256) is str for f in record.files)
    )


def inside(name: str) -> bool:
    """Return whether a name means a file below the folder it is relative to."""
    return bool(name) and not name.startswith("/") and not {"..", ".", ""} & {*name.split("/")}


def declared(known: Known) -> tuple[Arrived, ...]:
    """Return every file of a data set as it is declared; none where one can't be compared."""
    found = []
    for file in known.data.files:
        if file.unpack or file.size_bytes is None or file.sha256 == "unknown":
            return ()
        found.append(Arrived(file.name, file.size_bytes, file.sha256))
    return tuple(found)


def declared_sums(known: Known) -> dict[str, str]:
    """Return every file of a data set with its declared SHA-256; empty where one is not known."""
    found: dict[str, str] = {}
    for file in known.data.files:
        found[file.name] = "unknown" if file.unpack else file.sha256
    return {} if "unknown" in found.values() else found


def size_of(path: Path) -> int:
    """Return a file's size in bytes, -1 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def file_name(known: Known) -> str:
    """Return the name of a data set's file among those of all others."""
    return f"{known.use_case}.{known.name}.{known.digest}"


def mark_name(label: str, digest: str) -> str:
    """Return `file_name` of a data set by its full name and version."""
    return f"{label.replace('/', '.')}.{digest}"


def folder_name(account: int, known: Known) -> PurePosixPath:
    """Return where an account keeps a data set, below the cache."""
    return PurePosixPath(str(account), "sets", known.use_case, known.name, known.digest)
