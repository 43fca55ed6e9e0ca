"""The folder in which what was fetched is kept, for one account or for a whole site.

::

    <account>/sets/<use case>/<data set>/<digest>/       the files, read-only
    <account>/sets/<use case>/<data set>/<digest>.json   what they are; once it is there, all are
    <account>/sets/<use case>/<data set>/<digest>.work/  parts, while it is being fetched
    <account>/held/<use case>.<data set>.<digest>        who fetches it, and how far it is
    <account>/used/<use case>.<data set>.<digest>        when this account used it last
    <account>/rates.json                                 how fast servers were

The digest is that of the declaration, so another checksum is another entry. Every account has a
folder of its number, which is its own: nobody else can write there. It writes nowhere else, and
reads what others have only as `untrusted_files` does.
"""

import fcntl
import json
import os
import re
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path, PurePosixPath

from ..atomic_write import atomic_write
from ..words import size_text
from .cache_records import (
    Entry,
    Record,
    Stored,
    declared,
    file_name,
    folder_name,
    mark_name,
    record_of,
    size_of,
)
from .catalogue import Known
from .errors import DataError
from .lease import ROOM, Lease, Told, line_of
from .transfer.staging import Staging
from .trust import Trust
from .untrusted_files import (
    MOST_NAMES,
    WRITABLE_BY_OTHERS,
    file_of,
    folder_of,
    names_in,
    read_of,
    remove_own,
    remove_tree,
    used_bytes,
)
from .use_marks import TOUCH_S, Use

ABANDONED_S = 14 * 86400
LARGEST_RECORD = 16 << 20
LARGEST_RATES = 64 << 10
MOST_ACCOUNTS = 10_000
SLOWEST = 256e3
"""Bytes per second: what another account fetches more slowly is no longer waited for."""
PATIENCE_S = 600
"""How long another account is waited for where the size isn't known; at least a minute else."""
RECORD_NAME = re.compile(r"[0-9a-f]{16}\.json")
ANOTHER = "another account of this site"


class Cache:
    """One such folder.

    Parameters
    ----------
    root : Path
        Made where it isn't there yet, once something is to be written.
    memory : Path
        A private folder of this account.
    """

    def __init__(self, root: Path, memory: Path) -> None:
        self.root = root
        self.account = os.geteuid()
        self.own = root / str(self.account)
        self.trust = Trust(root, memory / "verified.json")

    @property
    def writable(self) -> bool:
        """Whether this account can add to it; its folder is made where that is possible."""
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            make_folder(self.root)
            if not self._guarded():
                return False
            make_folder(self.own)
            with folder_of(self.root, str(self.account), self.account):
                for name in ("sets", "held", "used"):
                    make_folder(self.own / name)
        except OSError:
            return False
        return os.access(self.own, os.W_OK)

    def _guarded(self) -> bool:
        """Return whether no other account can put its own in this account's folder's place.

        Root writes only where no other account can move any of the folders above.
        """
        folders = [self.root.resolve()]
        if self.account == 0:
            folders += folders[0].parents
        found = [folder.stat() for folder in folders]
        if found[0].st_uid == self.account != 0 and not found[0].st_mode & stat.S_ISVTX:
            self.root.chmod(found[0].st_mode & 0o755)  # a umask may have let a group in
            return True
        closed = all(not s.st_mode & WRITABLE_BY_OTHERS or s.st_mode & stat.S_ISVTX for s in found)
        return closed and (self.account != 0 or all(s.st_uid == 0 for s in found))

    def accounts(self) -> list[int]:
        """Return who has a folder here: this account first, then those that are trusted."""
        try:
            with folder_of(self.root, "", self.account) as folder:
                names = names_in(folder, MOST_ACCOUNTS)
        except OSError:
            return []
        found = {int(n) for n in names if n.isascii() and n.isdigit() and n == str(int(n))}
        return [*self.trust.owners, *sorted(found.difference(self.trust.owners))]

    def place(self, known: Known) -> Path:
        """Return this account's folder of all versions of a data set, made where it is not there.

        Raises
        ------
        DataError
            This account has no folder here that is its own alone.
        """
        if not self.writable:
            raise DataError(
                f"Nothing is written to {self.root}: {self.own} can't be made, or is not this "
                "account's alone. Have that mended, or set BEAMHUB_DATA_CACHE to a folder of your "
                "own."
            )
        place = self.own / "sets" / known.use_case / known.name
        for folder in (place.parent, place):
            make_folder(folder)
        return place

    def lease(self, known: Known) -> Lease:
        """Return the right to fetch a data set."""
        self.place(known)
        name = file_name(known)
        patience_s = max(60.0, known.size_bytes / SLOWEST) if known.size_bytes else PATIENCE_S
        others = partial(self._told, known, name)
        path = self.own / "held" / name
        return Lease(path, others, account=self.account, patience_s=patience_s)

    def _told(self, known: Known, name: str) -> dict[int, Told]:
        """Return what other accounts tell of a fetch, those whose result could be used here."""
        found = {}
        comparable = bool(declared(known)) and self.account != 0
        for account in self.accounts():
            if account == self.account or not (comparable or account in self.trust.owners):
                continue
            with suppress(OSError), file_of(self.root, f"{account}/held/{name}", account) as file:
                found[account] = line_of(os.pread(file, ROOM, 0))
        return found

    def own_folder(self, known: Known) -> Path:
        """Return where this account puts a data set's files."""
        return self.place(known) / known.digest

    def find(self, known: Known, *, unverified: bool = False) -> Entry | None:
        """Return a data set that is complete here and may be used.

        What another account has brought is read, to compare its checksums.

        Parameters
        ----------
        known : Known
            Which.
        unverified : bool
            Whether one will do whose files nobody could compare with a checksum.
        """
        for account in self.accounts():
            with suppress(OSError):  # it is being removed, or not for us to read
                entry = None
                if account in self.trust.owners:
                    entry = self._trusted(account, known, unverified=unverified)
                elif self.account != 0:  # root reads no other account's files
                    entry = self._compared(account, known)
                if entry is not None:
                    return entry
        return None

    def glance(self, known: Known) -> tuple[int, Path] | None:
        """Return whose a data set here is, and its folder; quickly, and good enough to show."""
        for account in self.accounts():
            with suppress(OSError):
                if account not in self.trust.owners:
                    record = folder_name(account, known).with_suffix(".json")
                    with file_of(self.root, record, account):
                        if declared(known):
                            return account, self.root / folder_name(account, known)
                elif (entry := self._trusted(account, known, unverified=True)) is not None:
                    return account, entry.folder
        return None

    def _trusted(self, account: int, known: Known, *, unverified: bool) -> Entry | None:
        """Return what an account has that is taken at its word."""
        folder = folder_name(account, known)
        with folder_of(self.root, folder, account):
            record = self._record(folder, account)
        if record is None or record.label != known.label or not record.files:
            return None
        if not (record.verified or unverified):
            return None
        path = self.root / folder
        whole = all(size_of(path / f.name) == f.size_bytes for f in record.files)
        return Entry(path, record) if whole else None

    def _record(self, folder: PurePosixPath, account: int) -> Record | None:
        path = folder.with_suffix(".json")
        return record_of(read_of(self.root, path, account, LARGEST_RECORD))

    def _compared(self, account: int, known: Known) -> Entry | None:
        """Return what another account has, every file of it compared with what is declared."""
        folder, files = folder_name(account, known), declared(known)
        if not files:
            return None
        with file_of(self.root, folder.with_suffix(".json"), account) as record:
            when = os.fstat(record).st_mtime
        for file in files:
            with file_of(self.root, folder / file.name, account, file.size_bytes) as descriptor:
                if os.fstat(descriptor).st_size != file.size_bytes:
                    return None
                path = self.root / folder / file.name
                if not self.trust.contents(descriptor, path, file.sha256):
                    return None
        return Entry(self.root / folder, Record(known.label, files, ANOTHER, when, verified=True))

    def publish(self, known: Known, staging: Staging, source: str, *, verified: bool) -> Entry:
        """Make what has been staged in this account's folder known to everybody, in one step."""
        record = Record(
            known.label,
            tuple(sorted(staging.done.values(), key=lambda a: a.name)),
            source,
            time.time(),
            verified,
        )
        text = json.dumps(asdict(record))
        if len(text) > LARGEST_RECORD:
            raise DataError(f"{known.label} has too many files: {len(record.files)}.")
        for inner, _, _ in os.walk(staging.folder):
            Path(inner).chmod(0o555)
        path = staging.folder.with_name(f"{staging.folder.name}.json")
        unpublished = staging.work / "record"
        unpublished.write_text(text, encoding="utf-8")
        unpublished.chmod(0o644)
        unpublished.replace(path)
        remove_own(staging.work)
        return Entry(staging.folder, record)

    def unpublish(self, known: Known) -> None:
        """Remove what this account has of a data set, which can't be used."""
        folder = self.own_folder(known)
        folder.with_name(f"{folder.name}.json").unlink(missing_ok=True)
        if folder.exists():
            remove_own(folder)

    def use(self, known: Known) -> Use:
        """Say that a data set is used now, until the returned object is closed."""
        return Use(self.own / "used" / file_name(known) if self.writable else None)

    def stored(self) -> list[Stored]:
        """Return what is complete here, whoever has brought it, longest unused first."""
        accounts = self.accounts()
        marks = self._marks(accounts)
        found = [
            Stored(account, label, digest, marks.get(mark_name(label, digest), when))
            for account in accounts
            for label, digest, when in self._records(account)
        ]
        return sorted(found, key=lambda s: s.last)

    def _records(self, account: int) -> list[tuple[str, str, float]]:
        """Return the name and version of what an account has published, and when that was."""
        found = []
        for folder in self._set_folders(account):
            with suppress(OSError), folder_of(self.root, folder, account) as place:
                for name in filter(RECORD_NAME.fullmatch, names_in(place)):
                    about = os.stat(name, dir_fd=place, follow_symlinks=False)
                    if stat.S_ISREG(about.st_mode):
                        label = "/".join(folder.parts[2:])
                        found.append((label, name.removesuffix(".json"), about.st_mtime))
        return found[:MOST_NAMES]

    def _set_folders(self, account: int) -> list[PurePosixPath]:
        """Return the folders of data sets that an account has, the first thousand."""
        top = PurePosixPath(str(account), "sets")
        found: list[PurePosixPath] = []
        for use_case in self._names(top, account):
            if len(found) < MOST_NAMES and use_case.isprintable():
                names = self._names(top / use_case, account)
                found += [top / use_case / name for name in names if name.isprintable()]
        return found[:MOST_NAMES]

    def _names(self, folder: PurePosixPath, account: int) -> list[str]:
        with suppress(OSError), folder_of(self.root, folder, account) as descriptor:
            return names_in(descriptor)
        return []

    def size_of(self, stored: Stored) -> int:
        """Return what a data set takes on the disk, bytes."""
        folder = stored.place / stored.digest
        with suppress(OSError), folder_of(self.root, folder, stored.account) as descriptor:
            return used_bytes(descriptor)
        return 0

    def _marks(self, accounts: list[int]) -> dict[str, float]:
        """Return when each data set was used last, by the names of the marks."""
        found: dict[str, float] = {}
        for account in accounts:
            with suppress(OSError), folder_of(self.root, f"{account}/used", account) as folder:
                for name in names_in(folder):
                    with suppress(OSError):
                        last = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
                        found[name] = max(found.get(name, 0.0), min(last, time.time()))
        return found

    def entries(self) -> list[Entry]:
        """Return what is complete here and brought by an account that is trusted."""
        found = []
        for account in self.accounts():
            if account in self.trust.owners:
                for label, digest, _ in self._records(account):
                    folder = PurePosixPath(str(account), "sets", label, digest)
                    with suppress(OSError), folder_of(self.root, folder, account):
                        record = self._record(folder, account)
                        if record is not None and record.label == label:
                            found.append(Entry(self.root / folder, record))
        return found

    def remove(self, stored: Stored, *, used_by: tuple[int, ...] | None = None) -> bool:
        """Remove a data set unless somebody uses it; return whether it is gone.

        Root can remove everybody's, others their own.

        Parameters
        ----------
        stored : Stored
            Which.
        used_by : tuple of int, optional
            Only the use by these accounts counts, by default that by all.
        """
        if self.account not in (0, stored.account):
            return False
        if self.account == stored.account and not self.writable:
            return False
        for account in self.accounts() if used_by is None else used_by:
            if self._in_use(account, stored.mark):
                return False
        try:
            with folder_of(self.root, stored.place, stored.account) as folder:
                os.unlink(f"{stored.digest}.json", dir_fd=folder)
                for name in (stored.digest, f"{stored.digest}.work"):
                    with suppress(FileNotFoundError):
                        remove_tree(name, folder)
        except OSError:
            return False
        return True

    def _in_use(self, account: int, mark: str) -> bool:
        try:
            with file_of(self.root, f"{account}/used/{mark}", account) as descriptor:
                if abs(time.time() - os.fstat(descriptor).st_mtime) < 2 * TOUCH_S:
                    return True
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def remove_abandoned(self, older_s: float = ABANDONED_S) -> None:
        """Remove this account's parts of fetches that nobody has gone on with for so long."""
        for work in (self.own / "sets").glob("*/*/*.work"):
            with suppress(OSError):
                if time.time() - work.stat().st_mtime > older_s:
                    folder = work.with_name(work.name.removesuffix(".work"))
                    if not folder.with_name(f"{folder.name}.json").exists():
                        remove_own(folder)
                    remove_own(work)

    def sizes(self) -> dict[int, int]:
        """Return what each account's data take on the disk, bytes, parts included."""
        found = {}
        for account in self.accounts():
            with suppress(OSError), folder_of(self.root, f"{account}/sets", account) as folder:
                found[account] = used_bytes(folder)
        return found

    def make_room(self, size_bytes: int, quota_bytes: int | None) -> None:
        """Prune by last use until `size_bytes` fit the quota and the disk.

        What only others say that they use goes last: else one of them could keep everybody from
        fetching. They can go on reading what they have opened.

        Raises
        ------
        DataError
            They don't fit, whatever is removed that may be.
        """
        self.remove_abandoned()
        lack = self._lack(size_bytes, quota_bytes)
        for used_by in (None, (self.account,)):
            for stored in self.stored() if lack else ():
                if lack and (used_by is None or stored.account == self.account):
                    gone = self.remove(stored, used_by=used_by)
                    lack = self._lack(size_bytes, quota_bytes) if gone else lack
        if lack:
            raise DataError(
                f"{size_text(size_bytes)} are to be fetched into {self.root}, where "
                f"{size_text(lack)} are missing, and nothing is left there that nobody uses. "
                "'beamhub data status' shows what there is; 'beamhub data prune' removes it."
            )

    def _lack(self, size_bytes: int, quota_bytes: int | None) -> int:
        """Return how many bytes are missing.

        Where the quota is used up, an account may still hold its share of it, so that nobody can
        fill it for all others.
        """
        lacking = size_bytes - shutil.disk_usage(self.root).free
        if quota_bytes is not None:
            sizes = {account: size for account, size in self.sizes().items() if size}
            holders = sizes.keys() | {self.account}
            over = size_bytes + sum(sizes.values()) - quota_bytes
            over_share = size_bytes + sizes.get(self.account, 0) - quota_bytes // len(holders)
            lacking = max(lacking, min(over, over_share))
        return max(0, lacking)

    def rates(self) -> dict[str, float]:
        """Return how fast servers were for this account, bytes per second by host."""
        try:
            path = f"{self.account}/rates.json"
            found = json.loads(read_of(self.root, path, self.account, LARGEST_RATES))
            return {str(host): float(rate) for host, rate in found.items()}
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            return {}

    def remember_rate(self, host: str, rate: float) -> None:
        """Keep how fast a server was."""
        rates = self.rates() | {host: rate}
        with suppress(OSError):
            atomic_write(self.own / "rates.json", json.dumps(rates).encode())


def make_folder(path: Path) -> None:
    """Make a folder that others can read, whatever the umask is; one that is there stays."""
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(0o755)
