"""Where a data set is, or where it would come from, and what that costs."""

import importlib.util
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from ..manifest import DataFile
from ..words import size_text, time_text
from .cache import Cache
from .cache_records import size_of
from .catalogue import Known
from .settings import Settings
from .untrusted_files import read_ordinary

LISTING = "beamhub-data.json"
"""In a mirror, beside a data set's files: what they are."""

LARGEST_LISTING = 64 << 20
"""Bytes."""

USUAL_RATE = 10e6
"""Bytes per second that a server is taken to bring as long as nothing was measured."""

Kind = Literal["root", "cache", "package", "simulated", "mirror", "publisher", "nowhere"]


@dataclass(frozen=True)
class Offer:
    """What would serve a data set, and its cost.

    Parameters
    ----------
    kind : str
        One of `Kind`.
    where : str
        In words.
    fetch_bytes : int or None
        What has to be fetched; 0 where nothing, None where nobody says.
    seconds : float or None
        How long that takes; None where nobody says how much it is.
    folder : Path or None
        The files, where they are here already.
    measured : bool
        Whether the time follows from what the source brought last; else `USUAL_RATE` is taken.
    """

    kind: Kind
    where: str
    fetch_bytes: int | None = 0
    seconds: float | None = 0
    folder: Path | None = None
    measured: bool = True

    @property
    def here(self) -> bool:
        """Whether nothing has to be done."""
        return self.folder is not None

    @property
    def cost(self) -> str:
        """The cost in words."""
        if self.here:
            return "nothing to fetch"
        if self.kind == "simulated":
            return f"computed in about {time_text(self.seconds)}" if self.seconds else "computed"
        if self.kind == "nowhere":
            return "can't be had here"
        amount = size_text(self.fetch_bytes)
        if self.fetch_bytes is None:
            return f"to fetch, {amount}"
        about = f", about {time_text(self.seconds)}" if self.seconds else ""
        if about and not self.measured:
            about += f" at {size_text(USUAL_RATE)}/s"
        return f"{amount} to fetch{about}"


def offer(known: Known, settings: Settings, cache: Cache | None) -> Offer:
    """Return what would serve a data set now; nothing is asked over a network.

    Parameters
    ----------
    known : Known
        Which.
    settings : Settings
        The places of the site.
    cache : Cache or None
        The cache, None where it can't be used.
    """
    for root in settings.roots:
        if (folder := in_root(known, root)) is not None:
            return Offer("root", f"at this site, in {folder}", folder=folder)
    if cache is not None and (found := cache.glance(known)) is not None:
        account, folder = found
        return Offer("cache", f"here, {whose(account, cache)}", folder=folder)
    if known.data.source == "package":
        folder = in_package(known)
        if folder is None:
            return Offer("nowhere", f"comes with {known.data.package}, which isn't installed here")
        return Offer("package", f"here, comes with {known.data.package}", folder=folder)
    if known.data.source == "simulated":
        return Offer("simulated", "made on the spot, with its truth", 0, known.data.about_s)
    rates = cache.rates() if cache else {}
    for mirror in settings.mirrors:
        return remote(known, "mirror", f"the site's mirror at {host_of(mirror)}", mirror, rates)
    urls = [str(url) for file in known.data.files for url in file.urls]
    if not urls:
        return Offer("nowhere", "nobody offers it at an address", None, None)
    return remote(known, "publisher", f"its publisher at {host_of(urls[0])}", urls[0], rates)


def whose(account: int, cache: Cache) -> str:
    """Return in words who has brought a data set into a cache."""
    if account == cache.account:
        return "fetched before"
    if account in cache.trust.owners:
        return "shared by all of this site"
    return "fetched by another account of this site"


def remote(known: Known, kind: Kind, where: str, url: str, rates: dict[str, float]) -> Offer:
    """Return the offer of a server, its time estimated from what it brought last."""
    rate = rates.get(host_of(url))
    size = known.size_bytes
    seconds = size / (rate or USUAL_RATE) if size else None
    return Offer(kind, where, size, seconds, measured=rate is not None)


def host_of(url: str) -> str:
    """Return the server of an address, or the path of a file."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path


def in_root(known: Known, root: Path) -> Path | None:
    """Return a data set's folder below one of the site's data roots, if all its files are there.

    Nothing is read: a root is the site's own, and ``beamhub data verify`` compares checksums.
    """
    folder = root / known.use_case / known.name
    if not folder.is_dir():
        return None
    listed = listing(folder)
    if listed:
        wanted = [(f["name"], f["size_bytes"]) for f in listed]
    elif any(f.unpack for f in known.data.files) or not known.data.files:
        return None
    else:
        wanted = [(f.name, f.size_bytes) for f in known.data.files]
    fits = all(
        (size_of(folder / name) == size) if size else (folder / name).is_file()
        for name, size in wanted
    )
    return folder if fits else None


def in_package(known: Known) -> Path | None:
    """Return where an installed package keeps the files of a data set."""
    try:
        found = importlib.util.find_spec(known.data.package or "")
    except (ImportError, ValueError):
        return None
    places = found.submodule_search_locations if found else None
    for place in places or []:
        folder = Path(place) / (known.data.folder or "")
        if all((folder / f.name).is_file() for f in known.data.files):
            return folder
    return None


def listing(folder: Path) -> list[dict[str, Any]]:
    """Return what a mirror's folder says that it holds; empty where it says nothing."""
    with suppress(OSError, ValueError):
        return checked_listing(read_ordinary(folder / LISTING, LARGEST_LISTING))
    return []


def checked_listing(text: bytes) -> list[dict[str, Any]]:
    """Return the files of a listing.

    Raises
    ------
    ValueError
        It isn't one.
    """
    about = json.loads(text)
    files = about.get("files") if isinstance(about, dict) else None
    if not isinstance(files, list):
        raise ValueError("no files")
    for file in files:
        if not isinstance(file, dict) or not isinstance(file.get("of"), str):
            raise ValueError("no file of a data set")
        size_bytes = file.setdefault("size_bytes", None) or None
        DataFile(name=file.get("name"), size_bytes=size_bytes, sha256=file.get("sha256"))
    return files


def mirror_url(mirror: str, known: Known, name: str) -> str:
    """Return the address of a file in a mirror."""
    return f"{mirror.rstrip('/')}/{known.use_case}/{known.name}/{quote(name)}"


def local_path(url: str) -> Path | None:
    """Return the path that a ``file:`` address means, None for another kind."""
    parts = urlsplit(url)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def local_chunks(path: Path, start: int) -> Iterator[bytes]:
    """Yield a local file from a byte on."""
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while data := file.read(1 << 20):
            yield data
