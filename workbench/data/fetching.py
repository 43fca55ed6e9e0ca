"""Fetch one data set: the first source that delivers, one process for all who wait."""

import importlib.util
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from ..manifest import DataFile
from .box import Arrived, Box, remove_tree, sha256_of
from .cache import Cache, Entry
from .catalogue import Known
from .download import SMALL, Download
from .errors import DataError, Refused, SourceFailed, WrongContents
from .intake import receive
from .places import (
    LISTING,
    checked_listing,
    host_of,
    local_chunks,
    local_path,
    mirror_url,
    remember_rate,
)
from .progress import Progress
from .settings import Settings
from .wire import Moved, Wire

ROUNDS = 3
"""How often a file is begun again that changes at its server while it is fetched."""
POLL_S = 0.2
TOLD = ("source", "done_bytes", "total_bytes", "rate", "note", "files")
Listener = Callable[[Path], None]


class Cancelled(Exception):  # noqa: N818
    """Whoever wanted the data no longer does."""


class Fetch:
    """One data set on its way into the cache.

    Parameters
    ----------
    known : Known
        Which.
    settings : Settings
        The places of the site.
    cache : Cache
        Where it goes.
    unverified : bool
        Whether files without a published checksum are wanted all the same.
    progress : Progress
        Told everything.
    arrived : callable
        Called with the path of every file that is complete and verified.
    """

    def __init__(
        self,
        known: Known,
        settings: Settings,
        cache: Cache,
        *,
        unverified: bool,
        progress: Progress,
        arrived: Listener = lambda path: None,
    ) -> None:
        self.known, self.settings, self.cache = known, settings, cache
        self.unverified, self.progress, self._arrived = unverified, progress, arrived
        self.cancelled = threading.Event()
        self._seen: set[Path] = set()
        self._verified = True
        self._source = ""

    def run(self) -> Entry:
        """Return the data set, fetched by this process or by another.

        Raises
        ------
        DataError
            It can't be had; the text says why, from each source.
        """
        lease = self.cache.lease(self.known)
        while True:
            entry = self.cache.find(self.known, unverified=self.unverified)
            if entry is not None:
                for file in entry.record.files:
                    self._tell(entry.folder / file.name)
                return entry
            if lease.take():
                break
            self._follow(lease.told())
            if self.cancelled.wait(POLL_S):
                raise Cancelled
        lease.tell(self._about)
        try:
            entry = self.cache.find(self.known, unverified=self.unverified)
            return entry or self._bring()
        finally:
            lease.release()

    def _about(self) -> dict[str, Any]:
        """Return what others are told while this process fetches."""
        state = self.progress.state
        folder = self.cache.own_folder(self.known).name
        return {"folder": folder} | {name: getattr(state, name) for name in TOLD}

    def _follow(self, told: dict[str, Any]) -> None:
        """Take over what the process that fetches tells."""
        known = {k: told[k] for k in TOLD if isinstance(told.get(k), int | float | str)}
        if known:
            self.progress.say(**known)
        folder = self.cache.growing_folder(self.known, told.get("folder"))
        if folder is not None:
            for name in sorted(expected_names(self.known)):
                if (folder / name).is_file():
                    self._tell(folder / name)

    def _tell(self, path: Path) -> None:
        if path not in self._seen:
            self._seen.add(path)
            self._arrived(path)

    def _bring(self) -> Entry:
        """Bring the data set and publish it."""
        self.progress.say(done_bytes=0, rate=0.0, files=0)
        wire = Wire(self.settings.manners)
        try:
            files = self._wanted(wire)
            box = self._box()
            try:
                if self.known.data.source == "simulated":
                    self._simulate(box)
                else:
                    self._download(files, box, wire)
            except Refused:
                box.discard()
                raise
            return self.cache.publish(self.known, box, self._source, verified=self._verified)
        except OSError as problem:
            raise DataError(
                f"{self.known.label} could not be written to {self.cache.root} "
                f"({problem.strerror or problem}). What has arrived is kept."
            ) from None
        except BaseException:
            self.cancelled.set()
            raise
        finally:
            wire.close()

    def _box(self) -> Box:
        """Return where this account gathers the data set, with what earlier tries have left."""
        folder = self.cache.own_folder(self.known)
        work = folder.with_name(f"{folder.name}.work")
        if not work.exists():
            # What lies there was published once and can't be used: it isn't whole.
            folder.with_name(f"{folder.name}.json").unlink(missing_ok=True)
            remove_tree(folder)
        tell = self._in_the_box(folder)
        box = Box(folder, work, tell)
        for done in box.done.values():
            tell(done)
        return box

    def _in_the_box(self, folder: Path) -> Callable[[Arrived], None]:
        def tell(file: Arrived) -> None:
            self.progress.arrived()
            self._tell(folder / file.name)

        return tell

    # ------------------------------------------------------------------ simulated

    def _simulate(self, box: Box) -> None:
        """Run the manifest's generator and take what it makes."""
        self._source = f"{self.known.data.generator}, seed {self.known.data.seed}"
        self.progress.say(note="computing it")
        scratch = box.part("x").parent
        remove_tree(scratch)
        scratch.mkdir()
        generate(self.known, scratch)
        for name in self.known.data.makes:
            if not (scratch / name).is_file():
                raise DataError(f"The generator of {self.known.label} made no file '{name}'.")
            box.accept(name, sha256_of(scratch / name))

    # ------------------------------------------------------------------ fetched

    def _download(self, files: list[DataFile], box: Box, wire: Wire) -> None:
        """Fetch small files side by side, then the large ones, each by many connections."""
        room = sum(f.size_bytes or 0 for f in files if f.name not in box.finished)
        self.cache.make_room(room, self.settings.quota_bytes)
        small = [f for f in files if (f.size_bytes or SMALL + 1) <= SMALL and not f.unpack]
        with ThreadPoolExecutor(self.settings.manners.connections) as hands:
            tasks = [hands.submit(self._file, f, box, wire, len(files)) for f in small]
            try:
                for task in tasks:
                    task.result()
            except BaseException:
                self.cancelled.set()
                raise
        for file in files:
            if file not in small:
                self._file(file, box, wire, len(files))

    def _wanted(self, wire: Wire) -> list[DataFile]:
        """Return the files to fetch with all their addresses, the site's mirrors first."""
        files = []
        for file in self.known.data.files:
            mirrored = self._mirrored(file, wire)
            files += mirrored if mirrored is not None else [self._with_mirrors(file)]
        missing = [f.name for f in files if f.sha256 == "unknown" and not f.md5]
        self._verified = not missing
        if missing and not self.unverified:
            raise Refused(
                f"Nobody has published a checksum of {', '.join(missing[:3])}"
                f"{' and others' if len(missing) > 3 else ''}, so that a damaged or changed file "
                f"could not be told from the right one. If you want {self.known.label} all the "
                f'same, say so by its name: data.fetch("{self.known.name}", '
                f'unverified="{self.known.name}").{self._twin()}'
            )
        return files

    def _with_mirrors(self, file: DataFile) -> DataFile:
        mirrors = [mirror_url(m, self.known, file.name) for m in self.settings.mirrors]
        urls = [*mirrors, *map(str, file.urls)]
        return file.model_copy(update={"urls": urls})

    def _mirrored(self, file: DataFile, wire: Wire) -> list[DataFile] | None:
        """Return what a mirror lists for a declared file that has no checksum or is an archive."""
        if file.sha256 != "unknown" and not file.unpack:
            return None
        declared = self.known.contents(file)
        for mirror in self.settings.mirrors:
            listed = read_mirror(mirror, self.known, wire)
            found = [f for f in listed if f["of"] == file.name]
            if declared and declared != {f["name"]: f["sha256"] for f in found}:
                continue
            if found:
                return [
                    DataFile.model_construct(  # checked by `checked_listing`
                        name=f["name"],
                        urls=[mirror_url(mirror, self.known, f["name"])],  # type: ignore[list-item]
                        size_bytes=f["size_bytes"],
                        sha256=f["sha256"],
                        md5=None,
                        unpack=False,
                        contents=None,
                    )
                    for f in found
                ]
        return None

    def _file(self, file: DataFile, box: Box, wire: Wire, count: int) -> None:
        """Bring one file from the first address that delivers it."""
        if file.name in box.finished:
            self.progress.here(file.size_bytes or 0)
            self.progress.learn(file.name, file.size_bytes or 0, count)
            return
        reasons = []
        for url in map(str, file.urls):
            try:
                self._file_from(url, file, box, wire, count)
            except SourceFailed as problem:
                reasons.append(f"  {host_of(url)}: {problem}")
            else:
                box.finish(file.name)
                return
        self.progress.say(note="")
        raise DataError(self._failure(file, reasons))

    def _failure(self, file: DataFile, reasons: list[str]) -> str:
        tried = "\n".join(reasons) or "  there is no address to fetch it from."
        return (
            f"{file.name} of {self.known.label} could not be had.\n{tried}\n"
            f"What has arrived is kept; the next try goes on from there.{self._twin()}"
        )

    def _twin(self) -> str:
        twin = self.known.data.twin
        return f' Without it, the simulated data.fetch("{twin}") can stand in.' if twin else ""

    def _file_from(self, url: str, file: DataFile, box: Box, wire: Wire, count: int) -> None:
        """Bring one file from one address, begun again where it changes on the way."""
        contents = self.known.contents(file)
        for turn in range(ROUNDS):
            source = Source(url, file, box, wire, self, count)
            try:
                receive(file, box, source.open_at, contents)
            except Moved as problem:
                source.forget()
                if turn == ROUNDS - 1:
                    raise SourceFailed(f"{problem}, again and again.") from None
            except WrongContents:
                source.forget()
                if not source.resumed:
                    raise
            else:
                source.forget()
                return
        raise WrongContents(f"{file.name} came damaged several times.")


class Source:
    """One address of one file, and what is remembered of it between tries."""

    def __init__(
        self, url: str, file: DataFile, box: Box, wire: Wire, fetch: Fetch, count: int
    ) -> None:
        self.url, self.file, self.box, self.wire, self.fetch = url, file, box, wire, fetch
        self.count = count
        self.resumed = False
        self._memory = box.work / f"{file.name.replace('/', '+')}.from"

    def forget(self) -> None:
        """Begin from nothing next time."""
        self._memory.unlink(missing_ok=True)

    def open_at(self, start: int) -> Iterator[bytes]:
        """Yield the file from a byte on, counted."""
        self.resumed = start > 0
        progress = self.fetch.progress
        progress.here(start)
        progress.say(source=host_of(self.url))
        self.fetch._source = host_of(self.url)
        path = local_path(self.url)
        if path is not None:
            yield from self._local(path, start)
            return
        began, before = time.monotonic(), progress.received
        download = Download(self.wire, self.url, self.file.size_bytes, start, self._tag(start))
        for chunk in download:
            if download.position <= start + len(chunk):
                self._begun(download)
            if self.fetch.cancelled.is_set():
                raise Cancelled
            progress.add(len(chunk))
            yield chunk
        seconds, received = time.monotonic() - began, progress.received - before
        if received > SMALL and seconds > 0:
            remember_rate(self.fetch.cache.root, host_of(self.url), received / seconds)

    def _local(self, path: Path, start: int) -> Iterator[bytes]:
        if not path.is_file():
            raise SourceFailed("it isn't there.")
        size = path.stat().st_size
        if self.file.size_bytes is not None and size != self.file.size_bytes:
            raise SourceFailed(f"it has {size} bytes there, not {self.file.size_bytes}.")
        self.fetch.progress.learn(self.file.name, size, self.count)
        for chunk in local_chunks(path, start):
            if self.fetch.cancelled.is_set():
                raise Cancelled
            self.fetch.progress.add(len(chunk))
            yield chunk

    def _tag(self, start: int) -> str | None:
        """Return which version of the file the bytes before `start` are of."""
        with suppress(OSError, ValueError):
            url, tag = json.loads(self._memory.read_text(encoding="utf-8"))
            if start and url == self.url:
                return str(tag) if tag else None
        return None

    def _begun(self, download: Download) -> None:
        """Remember the version, once its first bytes are there."""
        self.fetch.progress.learn(self.file.name, download.size, self.count)
        if self.file.size_bytes is None and download.size:
            self.fetch.cache.make_room(
                download.size - download.position, self.fetch.settings.quota_bytes
            )
        self._memory.write_text(json.dumps([self.url, download.tag]), encoding="utf-8")


def expected_names(known: Known) -> set[str]:
    """Return the files that a data set will have, as far as the manifest tells."""
    names = {*known.data.makes}
    for file in known.data.files:
        names |= known.contents(file).keys() if file.unpack else {file.name}
    return names


def read_mirror(mirror: str, known: Known, wire: Wire) -> list[dict[str, Any]]:
    """Return what a mirror says it has of a data set; empty where it says nothing."""
    url = mirror_url(mirror, known, LISTING)
    path = local_path(url)
    try:
        text = path.read_bytes() if path else b"".join(Download(wire, url))
        return checked_listing(text)
    except (OSError, ValueError, KeyError, TypeError, SourceFailed, Moved):
        return []


def generate(known: Known, folder: Path) -> None:
    """Make a simulated data set in `folder`.

    Raises
    ------
    DataError
        Its generator needs a package that isn't installed here.
    """
    module, _, function = (known.data.generator or "").partition(":")
    try:
        getattr(load_module(known.folder / f"{module}.py"), function)(folder, known.data.seed)
    except ModuleNotFoundError as problem:
        raise DataError(
            f"{known.label} is computed with {problem.name}, which isn't installed here. Fetch it "
            f"inside a server of the use case, where all that it needs is."
        ) from None


def load_module(path: Path) -> ModuleType:
    """Return a module of a use case's folder, beside which others of it can be imported."""
    name = f"beamhub_generator_{path.parent.name.replace('-', '_').replace('.', '_')}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module
