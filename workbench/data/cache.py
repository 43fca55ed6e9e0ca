"""The folder in which what was fetched is kept, for one account or for a whole site.

::

    sets/<use case>/<data set>/<digest>.<account>/       the files, read-only
    sets/<use case>/<data set>/<digest>.<account>.json   what they are; once it is there, all are
    sets/<use case>/<data set>/<digest>.<account>.work/  parts, while it is being fetched
    held/<use case>.<data set>.<digest>                  who fetches it, and how far it is
    used/<use case>.<data set>.<digest>                  when it was used last, and by whom now

The digest is that of the declaration, so another checksum is another entry. Every account writes
only files of its own.
"""

import fcntl
import json
import os
import re
import shutil
import stat
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from ..words import size_text
from .box import Arrived, Box, remove_tree
from .catalogue import Known
from .errors import DataError
from .lease import Lease, open_for_all
from .trust import Trust

FOR_ALL = 0o1777
TOUCH_S = 60
ABANDONED_S = 14 * 86400
LARGEST_RECORD = 256 << 20
FOLDER_NAME = re.compile(r"[0-9a-f]{16}\.\d+")


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

    @property
    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(f.size_bytes for f in self.files)


@dataclass(frozen=True)
class Entry:
    """A record and the folder that it is about."""

    folder: Path
    record: Record


class Use:
    """Keeps a data set from being pruned while it is read.

    A lock of the file system says so on this machine; on others that share it without such locks
    the file's time does, which is renewed as long as this lives.

    Parameters
    ----------
    path : Path
        A file that all who share the cache can write.
    """

    def __init__(self, path: Path) -> None:
        self._stop = threading.Event()
        try:
            self._descriptor = open_for_all(path)
        except OSError:  # a cache that can only be read is pruned by nobody here
            self._descriptor = -1
            return
        with suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        renew = partial(renew_time, self._descriptor, self._stop)
        threading.Thread(target=renew, daemon=True, name="data-use").start()

    def close(self) -> None:
        """Say that it's no longer used."""
        self._stop.set()


def renew_time(descriptor: int, stop: threading.Event) -> None:
    """Set a file's time to now, again and again, and close it at the end."""
    while True:
        with suppress(OSError):
            os.utime(descriptor)
        if stop.wait(TOUCH_S):
            os.close(descriptor)
            return


class Cache:
    """One such folder.

    Parameters
    ----------
    root : Path
        Made where it isn't there yet.
    memory : Path
        A private folder of this account.

    Attributes
    ----------
    writable : bool
        Whether this account can add to it.
    shared : bool
        Whether others can.
    """

    def __init__(self, root: Path, memory: Path) -> None:
        self.root = root
        self.shared = False
        with suppress(OSError):
            root.mkdir(parents=True, exist_ok=True)
            self.shared = bool(root.stat().st_mode & stat.S_IWOTH)
            for name in ("sets", "held", "used"):
                self._folder(root / name)
        self.writable = all(os.access(root / n, os.W_OK) for n in ("sets", "held", "used"))
        self.trust = Trust(root, memory / "verified.json")

    def _folder(self, path: Path) -> Path:
        """Make a folder that everybody may add to where the cache is for everybody."""
        if not path.is_dir():
            path.mkdir(exist_ok=True)
            if self.shared:
                with suppress(PermissionError):
                    path.chmod(FOR_ALL)
        return path

    def place(self, known: Known) -> Path:
        """Return the folder of all versions of a data set."""
        use_case = self._folder(self.root / "sets" / known.use_case)
        return self._folder(use_case / known.name)

    def lease(self, known: Known) -> Lease:
        """Return the right to fetch a data set."""
        return Lease(self.root / "held" / file_name(known))

    def own_folder(self, known: Known) -> Path:
        """Return where this account puts a data set's files."""
        return self.place(known) / f"{known.digest}.{os.geteuid()}"

    def growing_folder(self, known: Known, name: object) -> Path | None:
        """Return the folder that a holder names, if it can be one of this data set."""
        if not isinstance(name, str) or not FOLDER_NAME.fullmatch(name):
            return None
        folder = self.place(known) / name
        return folder if folder.is_dir() and self._ours(folder) else None

    def find(self, known: Known, *, unverified: bool = False, read: bool = True) -> Entry | None:
        """Return a data set that is complete here and may be used.

        Parameters
        ----------
        known : Known
            Which.
        unverified : bool
            Whether one will do whose files nobody could compare with a checksum.
        read : bool
            Whether to read what another account has brought, to compare its checksums; without,
            the answer is quick and good enough to show.
        """
        place = self.root / "sets" / known.use_case / known.name
        for path in sorted(place.glob(f"{known.digest}.*.json")):
            entry = read_entry(path)
            if entry is None or not (entry.record.verified or unverified):
                continue
            with suppress(OSError):  # it is being removed, or not for us to read
                if self._usable(path, entry, known, read=read):
                    return entry
        return None

    def _usable(self, path: Path, entry: Entry, known: Known, *, read: bool) -> bool:
        if not read or self._ours(path, entry.folder):
            return all(
                size_of(entry.folder / f.name) == f.size_bytes for f in entry.record.files
            ) and bool(entry.record.files)
        declared = declared_sums(known)
        whole = {f.name for f in entry.record.files} == declared.keys()
        return bool(declared and whole) and all(
            (entry.folder / name).is_file() and self.trust.contents(entry.folder / name, sha256)
            for name, sha256 in declared.items()
        )

    def _ours(self, *paths: Path) -> bool:
        """Return whether only trusted accounts can have made or moved `paths`."""
        above = (self.root / "sets", *paths[0].parents[:2])
        return all(map(self.trust.owner, paths)) and all(map(self.trust.owns, above))

    def publish(self, known: Known, box: Box, source: str, *, verified: bool) -> Entry:
        """Make what is in the box known to everybody, in one step."""
        record = Record(
            known.label,
            tuple(sorted(box.done.values(), key=lambda a: a.name)),
            source,
            time.time(),
            verified,
        )
        for inner, _, _ in os.walk(box.folder):
            Path(inner).chmod(0o555)
        path = box.folder.with_name(f"{box.folder.name}.json")
        partial = box.work / "record"
        partial.write_text(json.dumps(asdict(record)), encoding="utf-8")
        partial.chmod(0o644)
        partial.replace(path)
        remove_tree(box.work)
        return Entry(box.folder, record)

    def use(self, known: Known) -> Use:
        """Say that a data set is used now, until the returned object is closed."""
        return Use(self.root / "used" / file_name(known))

    def entries(self) -> list[tuple[Entry, float]]:
        """Return what is complete here with the time of its last use, the oldest first."""
        found = []
        for path in (self.root / "sets").glob("*/*/*.json"):
            entry = read_entry(path)
            if entry is not None:
                used = self.root / "used" / used_name(path)
                last = used.stat().st_mtime if used.exists() else entry.record.when
                found.append((entry, last))
        return sorted(found, key=lambda pair: pair[1])

    def remove(self, entry: Entry) -> bool:
        """Remove an entry unless somebody uses it; return whether it is gone."""
        record = entry.folder.with_name(f"{entry.folder.name}.json")
        used = self.root / "used" / used_name(record)
        if used.exists() and time.time() - used.stat().st_mtime < 2 * TOUCH_S:
            return False
        try:
            descriptor = open_for_all(used)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            record.unlink()
            remove_tree(entry.folder)
            remove_tree(entry.folder.with_name(f"{entry.folder.name}.work"))
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return not entry.folder.exists()

    def remove_abandoned(self, older_s: float = ABANDONED_S) -> None:
        """Remove this account's parts of fetches that nobody has gone on with for so long."""
        for work in (self.root / "sets").glob(f"*/*/*.{os.geteuid()}.work"):
            with suppress(OSError):
                if time.time() - work.stat().st_mtime > older_s:
                    folder = work.with_name(work.name.removesuffix(".work"))
                    if not folder.with_name(f"{folder.name}.json").exists():
                        remove_tree(folder)
                    remove_tree(work)

    def size_bytes(self) -> int:
        """Return what everything here takes, parts included."""
        total = 0
        for folder, _, names in os.walk(self.root / "sets"):
            for name in names:
                with suppress(FileNotFoundError):
                    total += (Path(folder) / name).lstat().st_size
        return total

    def make_room(self, size_bytes: int, quota_bytes: int | None) -> None:
        """Prune by last use until `size_bytes` fit the quota and the disk.

        Raises
        ------
        DataError
            They don't, whatever is removed that may be.
        """
        self.remove_abandoned()
        for entry, _ in self.entries():
            if not self._lack(size_bytes, quota_bytes):
                return
            self.remove(entry)
        lack = self._lack(size_bytes, quota_bytes)
        if lack:
            raise DataError(
                f"{size_text(size_bytes)} are to be fetched into {self.root}, where "
                f"{size_text(lack)} are missing, and nothing is left there that nobody uses. "
                "'beamhub data status' shows what there is; 'beamhub data prune' removes it."
            )

    def _lack(self, size_bytes: int, quota_bytes: int | None) -> int:
        """Return how many bytes are missing."""
        lacking = size_bytes - shutil.disk_usage(self.root).free
        if quota_bytes is not None:
            lacking = max(lacking, size_bytes + self.size_bytes() - quota_bytes)
        return max(0, lacking)


def read_entry(path: Path) -> Entry | None:
    """Return a record that is well formed, however it came here."""
    folder = path.with_name(path.name.removesuffix(".json"))
    try:
        if not FOLDER_NAME.fullmatch(folder.name) or not stat.S_ISDIR(folder.lstat().st_mode):
            return None
        about = json.loads(read_plain(path))
        about["files"] = tuple(Arrived(**f) for f in about["files"])
        record = Record(**about)
        fits = record.label == f"{path.parents[1].name}/{path.parent.name}" and sound(record)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return Entry(folder, record) if fits else None


def read_plain(path: Path) -> bytes:
    """Return what an ordinary file holds; anything else, or a huge one, is refused.

    Raises
    ------
    OSError
        It is none, or can't be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST_RECORD:
            raise OSError("not a record")
        return file.read()


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


def declared_sums(known: Known) -> dict[str, str]:
    """Return every file of a data set with its declared SHA-256; empty where one is not known."""
    found: dict[str, str] = {}
    for file in known.data.files:
        if file.unpack:
            found |= known.contents(file) or {"": ""}
        else:
            found[file.name] = file.sha256
    return {} if {"", "unknown"}.intersection(found.values()) else found


def size_of(path: Path) -> int:
    """Return a file's size in bytes, -1 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def file_name(known: Known) -> str:
    """Return the name of a data set's file among those of all others."""
    return f"{known.use_case}.{known.name}.{known.digest}"


def used_name(record: Path) -> str:
    """Return `file_name` of the data set that a record is about."""
    digest = record.name.partition(".")[0]
    return f"{record.parents[1].name}.{record.parent.name}.{digest}"
