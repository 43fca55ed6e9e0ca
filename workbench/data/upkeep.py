"""Look after data that are here: verify, prune, make a mirror."""

import json
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic_write import atomic_write
from ..hashing import sha256_of
from ..manifest import DataFile
from .access import Files, fetch, readable
from .availability import LISTING, listing
from .cache_records import Stored, declared_sums, size_of
from .catalogue import Known, known_sets
from .errors import DataError
from .linking import link
from .settings import Settings, settings


@dataclass(frozen=True)
class Finding:
    """One file that was read again.

    Parameters
    ----------
    label : str
        The data set.
    path : Path
        The file.
    problem : str
        What is wrong with it, empty for nothing.
    """

    label: str
    path: Path
    problem: str


def verify(name: str = "", *, places: Settings | None = None) -> Iterator[Finding]:
    """Read every file that is here and compare its checksum.

    What other accounts have brought into a shared cache is left out: it is compared whenever
    somebody uses it.

    Parameters
    ----------
    name : str, optional
        Only this data set; empty means all.
    places : Settings, optional
        Where to look; None means what the launch says.

    Yields
    ------
    Finding
        One a file.
    """
    places = places or settings()
    sets = [known for known in known_sets() if not name or name in known.names]
    for known in sets:
        for root in places.roots:
            folder = root / known.use_case / known.name
            if folder.is_dir():
                yield from compare(known.label, folder, expected(known, folder))
    wanted = {name, *(known.label for known in sets)}
    for cache in readable(places):
        for entry in cache.entries():
            if not name or entry.record.label in wanted:
                sums = {f.name: f.sha256 for f in entry.record.files}
                yield from compare(entry.record.label, entry.folder, sums)


def labels(names: list[str]) -> set[str]:
    """Return the full names that the names of data sets may mean, known here or not."""
    return {*names, *(known.label for known in known_sets() if known.names & {*names})}


def expected(known: Known, folder: Path) -> dict[str, str]:
    """Return the checksums of a folder's files: the manifest's, else the folder's own listing's."""
    listed = {f["name"]: f["sha256"] for f in listing(folder)}
    return listed | declared_sums(known)


def compare(label: str, folder: Path, sums: dict[str, str]) -> Iterator[Finding]:
    """Yield a finding for each file of `sums`, name to SHA-256."""
    for name, sha256 in sorted(sums.items()):
        path = folder / name
        try:
            wrong = sha256_of(path) != sha256
        except FileNotFoundError:
            yield Finding(label, path, "is missing")
        except OSError as problem:
            yield Finding(label, path, f"can't be read: {problem.strerror}")
        else:
            yield Finding(label, path, "is not what it was: its checksum differs" if wrong else "")


def verify_mirror(folder: Path) -> Iterator[Finding]:
    """Read every file of a mirror and compare it with the mirror's own listings."""
    for path in sorted(folder.glob(f"*/*/{LISTING}")):
        label = f"{path.parents[1].name}/{path.parent.name}"
        files = listing(path.parent)
        if not files:
            yield Finding(label, path, "can't be read")
        yield from compare(label, path.parent, {f["name"]: f["sha256"] for f in files})


def prune(
    names: list[str] | None = None,
    *,
    unused_days: float | None = None,
    quota_bytes: int | None = None,
    places: Settings | None = None,
) -> Iterator[tuple[Stored, int, bool]]:
    """Remove data sets from the cache, never one that somebody is reading.

    Parameters
    ----------
    names : list of str, optional
        These.
    unused_days : float, optional
        Those that nobody has used for so long.
    quota_bytes : int, optional
        Those used longest ago, until the rest takes no more.
    places : Settings, optional
        Where to look; None means what the launch says.

    Yields
    ------
    Stored, int, bool
        What was to be removed, its size in bytes, and whether it is gone.
    """
    wanted = labels(names or [])
    for cache in readable(places or settings()):
        left = sum(cache.sizes().values())
        for stored in cache.stored():
            old = unused_days is not None and time.time() - stored.last > unused_days * 86400
            over = quota_bytes is not None and left > quota_bytes
            if stored.label in wanted or old or over:
                size = cache.size_of(stored)
                gone = cache.remove(stored)
                left -= size if gone else 0
                yield stored, size, gone


def mirror(
    folder: Path,
    sets: list[Known],
    unverified: Collection[str] = (),
    *,
    places: Settings | None = None,
) -> Iterator[tuple[Known, Files | DataError]]:
    """Make a folder that a web server or a file system can serve to a site without internet.

    Each data set gets ``<use case>/<data set>/`` with its files, archives unpacked, and a listing
    with their checksums. What is there already is not fetched again.

    Parameters
    ----------
    folder : Path
        Made where it isn't there yet.
    sets : list of Known
        What to put there; simulated sets need no mirror and are left out.
    unverified : collection of str
        Data sets to take although nobody has published their checksums; the listing then holds
        those that they had.
    places : Settings, optional
        Where to look; None means what the launch says.

    Yields
    ------
    Known, Files or DataError
        One a data set: what it got, or why it could not.
    """
    for known in sets:
        if not known.data.source_kind.published:
            continue
        try:
            target = folder / known.use_case / known.name
            files = mirrored(known, target)
            if files is None:
                consent = known.label if known.names & {*unverified} else None
                files = fetch(known.label, unverified=consent, places=places)
                put_into_mirror(known, files, target)
            yield known, files
        except DataError as problem:
            yield known, problem


def mirrored(known: Known, folder: Path) -> Files | None:
    """Return a data set that a mirror has already, every file of it read and right."""
    names = {f["name"] for f in listing(folder)}
    sums = expected(known, folder)
    if not names or names != sums.keys():
        return None
    if any(finding.problem for finding in compare(known.label, folder, sums)):
        return None
    return Files(known, folder, names, "in the mirror already")


def put_into_mirror(known: Known, files: Files, folder: Path) -> None:
    """Put the files of a data set into a mirror with their listing, which comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    about: list[dict[str, Any]] = []
    right = expected(known, folder)
    for path in files:
        name = path.relative_to(files.folder).as_posix()
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        sha256 = sha256_of(path)
        if right.get(name, sha256) != sha256:
            raise DataError(
                f"{path} is not what it was: its checksum differs. Remove {known.label} with "
                "'beamhub data prune' and from the mirror, then try again."
            )
        if size_of(target) != size_of(path) or sha256_of(target) != sha256:
            target.unlink(missing_ok=True)
            place(path, target)
        about.append(
            {
                "name": name,
                "size_bytes": size_of(path),
                "sha256": sha256,
                "of": declared_file(known, name).name,
            }
        )
    text = json.dumps({"data_set": known.label, "doi": known.data.doi, "files": about}, indent=1)
    atomic_write(folder / LISTING, text.encode())
    (folder / LISTING).chmod(0o644)
    for path in (folder, *folder.parents[:2], *(p for p in folder.rglob("*") if p.is_dir())):
        with suppress(PermissionError):
            path.chmod(0o755)


def place(path: Path, target: Path) -> None:
    """Put one file into a mirror: a hard link where that can be, else a copy."""
    link(path, target)
    if target.is_symlink():
        target.unlink()
        shutil.copyfile(path, target)
        target.chmod(0o444)


def declared_file(known: Known, name: str) -> DataFile:
    """Return the declared file that `name` is, or came out of."""
    for file in known.data.files:
        if file.name == name:
            return file
    return next(file for file in known.data.files if file.unpack)


def sets_of(use_cases: list[str]) -> list[Known]:
    """Return the data sets of some use cases, of all where none is named.

    Raises
    ------
    DataError
        There is no use case of that name.
    """
    sets = known_sets()
    known = {k.use_case for k in sets}
    for name in use_cases:
        if name not in known:
            raise DataError(
                f"There is no use case '{name[:60]}' with data. There are "
                f"{', '.join(sorted(known))}."
            )
    return [k for k in sets if not use_cases or k.use_case in use_cases]
