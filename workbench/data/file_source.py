"""One address of one file, read so that the next try can go on."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..manifest import DataFile
from .availability import (
    host_of,
    local_chunks,
    local_path,
)
from .cache import Cache
from .errors import SourceFailed, WrongContents
from .progress import Progress
from .transfer.download import SMALL, Download
from .transfer.http_client import Cancelled, HttpClient, Moved
from .transfer.staging import Staging


class Changed(WrongContents):
    """The file at the server is another one now; what came of the one before is worth nothing."""


@dataclass(frozen=True)
class Errand:
    """What all sources of one data set share while it is fetched.

    Parameters
    ----------
    staging : Staging
        Where files gather.
    client : HttpClient
        The connections.
    cache : Cache
        Makes room.
    quota_bytes : int or None
        What the cache may hold.
    progress : Progress
        Told what comes.
    cancelled : threading.Event
        Set once nobody wants it any more.
    count : int
        How many files there are.
    """

    staging: Staging
    client: HttpClient
    cache: Cache
    quota_bytes: int | None
    progress: Progress
    cancelled: threading.Event
    count: int


class Source:
    """One address of one file, and what is remembered of it between tries.

    Parameters
    ----------
    url : str
        The address.
    file : DataFile
        What is declared.
    errand : Errand
        What it is for.

    Attributes
    ----------
    counted : int
        Bytes that the progress was told of.
    resumed : bool
        Whether it went on from what was here.
    """

    def __init__(self, url: str, file: DataFile, errand: Errand) -> None:
        self.url, self.file, self.errand = url, file, errand
        self.counted = 0
        self.resumed = False
        self._memory = errand.staging.work / f"{file.name.replace('/', '+')}.from"

    def forget(self) -> None:
        """Begin from nothing next time."""
        self._memory.unlink(missing_ok=True)

    def open_at(self, start: int) -> Iterator[bytes]:
        """Yield the file from a byte on, counted."""
        self.resumed = start > 0
        self.errand.progress.here(start)
        self.counted += start
        self.errand.progress.say(source=host_of(self.url))
        path = local_path(self.url)
        if path is not None:
            yield from self._local(path, start)
            return
        began, received = time.monotonic(), 0
        size, tag = self.file.size_bytes, self._tag(start)
        download = Download(self.errand.client, self.url, size, start, tag, self.file.name)
        try:
            for chunk in download:
                if not received:
                    self._begun(download)
                received += len(chunk)
                self._count(download.arrived - self.counted)
                yield chunk
        except Moved as problem:
            raise Changed(str(problem)) from None
        seconds = time.monotonic() - began
        if received > SMALL and seconds > 0:
            self.errand.cache.remember_rate(host_of(self.url), received / seconds)

    def _count(self, size_bytes: int) -> None:
        """Tell the progress of bytes that have come, as long as anybody wants them."""
        if self.errand.cancelled.is_set():
            raise Cancelled
        self.counted += size_bytes
        self.errand.progress.add(size_bytes)

    def _local(self, path: Path, start: int) -> Iterator[bytes]:
        try:
            size = path.stat().st_size if path.is_file() else None
            if size is None:
                raise SourceFailed("it isn't there.")
            if self.file.size_bytes not in (None, size):
                raise SourceFailed(f"it has {size} bytes there, not {self.file.size_bytes}.")
            self.errand.progress.learn(self.file.name, size, self.errand.count)
            for chunk in local_chunks(path, start):
                self._count(len(chunk))
                yield chunk
        except OSError as problem:
            raise SourceFailed(f"it can't be read there ({problem.strerror}).") from None

    def _tag(self, start: int) -> str | None:
        """Return which version of the file the bytes before `start` are of."""
        with suppress(OSError, ValueError):
            url, tag = json.loads(self._memory.read_text(encoding="utf-8"))
            if start and url == self.url:
                return str(tag) if tag else None
        return None

    def _begun(self, download: Download) -> None:
        """Remember the version, once its first bytes are there."""
        self.errand.progress.learn(self.file.name, download.size, self.errand.count)
        if self.file.size_bytes is None and download.size:
            left = download.size - download.position
            self.errand.cache.make_room(left, self.errand.quota_bytes)
        self._memory.write_text(json.dumps([self.url, download.tag]), encoding="utf-8")
