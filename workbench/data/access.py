"""What notebooks call: fetch and status."""

import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import overload

from ..used import Handed, remember
from .availability import Offer, listing, offer
from .cache import Cache
from .cache_records import Entry
from .catalogue import Known, find, known_sets
from .display import shown
from .errors import DataError, Refused
from .fetch_job import Fetch
from .linking import link_into
from .progress import Progress
from .settings import Settings, own_cache, settings
from .use_marks import Use


class Files(Sequence[Path]):
    """The files of a data set, in the order of their names; they can be read, not changed.

    While this object lives, nobody prunes them from the cache.

    Parameters
    ----------
    known : Known
        Which data set.
    folder : Path
        Where its files lie.
    names : iterable of str
        Their names below it.
    source : str
        Where they came from, in words.
    sums : dict of str to str, optional
        Names to SHA-256, of files that have been compared with it.
    """

    def __init__(
        self,
        known: Known,
        folder: Path,
        names: Iterable[str],
        source: str,
        sums: Mapping[str, str] | None = None,
    ) -> None:
        self.label = known.label
        self.folder = folder
        self.source = source
        self.simulated = known.data.source_kind.seeded
        self._known, self._data = known, known.data
        self._names = sorted(names)
        self._sums = sums or {}

    @overload
    def __getitem__(self, key: int | str) -> Path: ...
    @overload
    def __getitem__(self, key: slice) -> list[Path]: ...
    def __getitem__(self, key: int | str | slice) -> Path | list[Path]:
        """Return a file by its number or its name, or several by a slice.

        Raises
        ------
        KeyError
            The data set has no file of that name.
        """
        if isinstance(key, str):
            if key not in self._names:
                near = ", ".join(self._names[:8])
                raise KeyError(f"{self.label} has no file '{key}'; there are {near}")
            return self.folder / key
        if isinstance(key, slice):
            return [self.folder / name for name in self._names[key]]
        return self.folder / self._names[key]

    def __len__(self) -> int:
        return len(self._names)

    def remember(self) -> None:
        """Note that this process has used them."""
        sums = {name: self._sums.get(name, "") for name in self._names}
        known = self._known
        remember(Handed(known.use_case, known.name, self._data, self.folder, sums))

    @property
    def origin(self) -> str:
        """What the data are and where they came from, in a sentence or two for a reader."""
        if self.simulated:
            how = f"Simulated on the spot from seed {self._data.seed}: no network was needed."
            return f"{self._data.title}.\n{how}"
        about = f", described at {self._data.url}" if self._data.url else ""
        return f"{self._data.title}.\nMeasured{about}; these files: {self.source}."

    def __repr__(self) -> str:
        files = "1 file" if len(self) == 1 else f"{len(self)} files"
        return f"<{self.label}: {files} in {self.folder}, {self.source}>"


@dataclass(frozen=True)
class Row:
    """One data set and what would serve it."""

    known: Known
    offer: Offer

    @property
    def texts(self) -> tuple[str, str, str, str]:
        """Name, title, where from, cost."""
        return self.known.label, self.known.data.title, self.offer.where, self.offer.cost


class Status(Sequence[Row]):
    """Every data set known here, and what would serve it."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    @overload
    def __getitem__(self, key: int) -> Row: ...
    @overload
    def __getitem__(self, key: slice) -> list[Row]: ...
    def __getitem__(self, key: int | slice) -> Row | list[Row]:
        return self._rows[key]

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        width = max((len(r.known.label) for r in self._rows), default=0)
        return "\n".join(
            f"{label:{width}}  {where} ({cost})"
            for label, _, where, cost in (r.texts for r in self._rows)
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{word}</th>" for word in ("Data set", "What", "Where", "Cost"))
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row.texts) + "</tr>"
            for row in self._rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def fetch(
    name: str,
    *,
    unverified: str | None = None,
    seed: int | None = None,
    into: Path | str | None = None,
    progress: bool = True,
    places: Settings | None = None,
) -> Files:
    """Return the files of a data set, fetched where they aren't here yet.

    Parameters
    ----------
    name : str
        A data set of this use case, or ``use case/data set``.
    unverified : str, optional
        The data set's name once more: use it although nobody has published checksums of it.
    seed : int, optional
        Of a simulated data set, None means the manifest's; a measured one has none.
    into : path, optional
        A folder to have the files in as well, without a second copy of their contents.
    progress : bool
        Whether to show how far it is, if it takes long enough to be worth it.
    places : Settings, optional
        Where to look; None means what the launch says.

    Returns
    -------
    Files
        Their paths.

    Raises
    ------
    DataError
        It can't be had; the text says why, from each source, and what to do.
    """
    known = chosen(name, seed)
    places = places or settings()
    wanted, caches = consent(known, unverified), readable(places)
    files = at_hand(known, places, caches, unverified=wanted)
    if files is None:
        work = task(known, places, writable(places, caches), unverified=wanted)
        in_use = work.cache.use(known)
        try:
            with shown(work.progress, wanted=progress):
                files = files_of(known, work.run(), in_use)
        except BaseException:
            in_use.close()
            raise
    if into is not None:
        link_into(files, Path(into))
    files.remember()
    return files


def status(name: str | None = None, *, places: Settings | None = None) -> Status:
    """Return what would serve each data set now, and what that would cost.

    Parameters
    ----------
    name : str, optional
        Only this one.
    places : Settings, optional
        Where to look; None means what the launch says.
    """
    places = places or settings()
    sets, caches = known_sets() if name is None else [find(name)], readable(places)
    return Status([Row(known, best_offer(known, places, caches)) for known in sets])


def best_offer(known: Known, places: Settings, caches: list[Cache]) -> Offer:
    """Return what would serve a data set, looking into every cache that can be read."""
    offers = [offer(known, places, cache) for cache in caches]
    return next((o for o in offers if o.here), offers[0])


def chosen(name: str, seed: int | None) -> Known:
    """Return the data set that is meant."""
    known = find(name)
    if seed is None or not known.data.source_kind.seeded:
        return known
    return replace(known, data=known.data.model_copy(update={"seed": seed}))


def consent(known: Known, unverified: str | None) -> bool:
    """Return whether the caller wants this data set without checksums."""
    if unverified is not None and unverified not in known.names:
        raise Refused(f"'unverified' names '{unverified[:60]}', but {known.label} is asked for.")
    return unverified is not None


def at_hand(
    known: Known, places: Settings, caches: list[Cache], *, unverified: bool
) -> Files | None:
    """Return a data set that is here already, None where something has to be done."""
    first = best_offer(known, places, caches)
    if first.kind in ("root", "package") and first.folder is not None:
        return Files(known, first.folder, names_in(known, first), first.where)
    for cache in caches:
        in_use = cache.use(known)
        entry = cache.find(known, unverified=unverified)
        if entry is not None:
            return files_of(known, entry, in_use)
        in_use.close()
    if first.kind == "nowhere":
        raise DataError(f"{known.label} can't be had here: {first.where}.")
    return None


def names_in(known: Known, place: Offer) -> list[str]:
    """Return the names of the files in a folder that is used as it is."""
    assert place.folder is not None
    listed = listing(place.folder) if place.kind == "root" else []
    return [f["name"] for f in listed] or [f.name for f in known.data.files]


def files_of(known: Known, entry: Entry, in_use: Use) -> Files:
    """Return the files of a cache's entry, which stays in use as long as they live."""
    sums = {f.name: f.sha256 for f in entry.record.files}
    files = Files(known, entry.folder, sums, entry.record.source, sums)
    weakref.finalize(files, in_use.close)
    return files


def task(known: Known, places: Settings, cache: Cache, *, unverified: bool) -> Fetch:
    """Return the work that has to be done for a data set."""
    return Fetch(
        known,
        places,
        cache,
        unverified=unverified,
        progress=Progress(known.label, known.size_bytes),
    )


def readable(places: Settings) -> list[Cache]:
    """Return the caches to look into: the site's, and one's own where that can't be written."""
    found = Cache(places.cache, own_cache().parent)
    return [found] if found.writable else [found, Cache(own_cache(), own_cache().parent)]


def writable(places: Settings, caches: list[Cache]) -> Cache:
    """Return the first of a site's caches that this account can fetch into.

    Raises
    ------
    DataError
        There is none.
    """
    for cache in caches:
        if cache.writable:
            return cache
    raise DataError(
        f"Neither {places.cache} nor {own_cache()} can be written, so that there is no place for "
        "data. Is the home folder full? Else set BEAMHUB_DATA_CACHE to a folder of your own."
    )
