"""What the site's mirrors offer of a data set."""

from collections.abc import Iterable
from typing import Any

from ..manifest import DataFile
from .availability import LARGEST_LISTING, LISTING, checked_listing, local_path, mirror_url
from .catalogue import Known
from .errors import SourceFailed
from .transfer.download import Download
from .transfer.http_client import HttpClient, Moved
from .untrusted_files import read_ordinary


class Mirrors:
    """Mirrors, each asked at most once for its listing.

    Parameters
    ----------
    addresses : iterable of str
        The mirrors, the nearest first.
    client : HttpClient, optional
        To ask them; without, none is asked.
    """

    def __init__(self, addresses: Iterable[str], client: HttpClient | None = None) -> None:
        self._addresses, self._client = tuple(addresses), client
        self._lists: dict[str, list[dict[str, Any]]] = {}

    def beside(self, known: Known, file: DataFile) -> DataFile:
        """Return a declared file with the mirrors' addresses before the publisher's."""
        mirrors = [mirror_url(address, known, file.name) for address in self._addresses]
        return file.model_copy(update={"urls": [*mirrors, *map(str, file.urls)]})

    def listed(self, known: Known, file: DataFile) -> list[DataFile]:
        """Return what a mirror lists for a file that has no checksum or is an archive.

        Another file needs no list: its checksum is declared.
        """
        if file.sha256 != "unknown" and not file.unpack:
            return []
        for address in self._addresses:
            found = [f for f in self._list(address, known) if f["of"] == file.name]
            if found:
                return [mirrored(mirror_url(address, known, f["name"]), f) for f in found]
        return []

    def _list(self, address: str, known: Known) -> list[dict[str, Any]]:
        """Return what a mirror says it has of a data set; empty where it says nothing."""
        if address not in self._lists:
            self._lists[address] = read_list(mirror_url(address, known, LISTING), self._client)
        return self._lists[address]


def mirrored(url: str, listed: dict[str, Any]) -> DataFile:
    """Return a file as a mirror lists it, which `checked_listing` has checked."""
    return DataFile.model_construct(
        name=listed["name"],
        urls=[url],  # type: ignore[list-item]
        size_bytes=listed["size_bytes"],
        sha256=listed["sha256"],
        md5=None,
        unpack=False,
    )


def read_list(url: str, client: HttpClient | None) -> list[dict[str, Any]]:
    """Return the files of a mirror's listing; empty where there is none to be had."""
    path = local_path(url)
    try:
        if path:
            return checked_listing(read_ordinary(path, LARGEST_LISTING))
        return checked_listing(b"".join(Download(client, url))) if client else []
    except (OSError, ValueError, KeyError, TypeError, SourceFailed, Moved):
        return []
