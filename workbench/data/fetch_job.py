"""Fetch one data set: the first source that delivers, one process for all who wait."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from ..hashing import sha256_of
from ..manifest import DataFile
from .availability import host_of
from .cache import Cache
from .cache_records import Entry
from .catalogue import Known
from .errors import DataError, Refused, SourceFailed, WrongContents
from .file_source import Changed, Errand, Source
from .generators import generate
from .mirror_listing import Mirrors
from .progress import Progress
from .settings import Settings
from .transfer.download import SMALL
from .transfer.http_client import Cancelled, HttpClient
from .transfer.receive import receive
from .transfer.staging import Arrived, Staging
from .untrusted_files import remove_own

ROUNDS = 3
"""How often a file is begun again that changes at its server while it is fetched."""
POLL_S = 0.2
TOLD = {
    "source": str,
    "done_bytes": int,
    "total_bytes": int,
    "rate": float,
    "note": str,
    "files": int,
}
"""Of a fetch's state, what others are told, and what kind of value each is."""


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
    """

    def __init__(
        self,
        known: Known,
        settings: Settings,
        cache: Cache,
        *,
        unverified: bool,
        progress: Progress,
    ) -> None:
        self.known, self.settings, self.cache = known, settings, cache
        self.unverified, self.progress = unverified, progress
        self.cancelled = threading.Event()
        self._client: HttpClient | None = None
        self._verified = True
        self._listed = False
        self._source = ""

    def cancel(self) -> None:
        """End it soon; what has arrived is kept."""
        self.cancelled.set()
        if self._client is not None:
            self._client.stop()

    def run(self) -> Entry:
        """Return the data set, fetched by this process or by another.

        Raises
        ------
        DataError
            It can't be had; the text says why, from each source.
        Cancelled
            It was cancelled.
        """
        if (entry := self._found()) is not None:
            return entry
        lease = self.cache.lease(self.known)
        lease.tell(self._about)
        try:
            while (entry := self._found()) is None and not lease.take():
                self.progress.say(**believable(lease.told()))
                if self.cancelled.wait(POLL_S):
                    raise Cancelled
            return entry or self._found() or self._bring()
        finally:
            lease.release()

    def _found(self) -> Entry | None:
        return self.cache.find(self.known, unverified=self.unverified)

    def _about(self) -> dict[str, Any]:
        """Return what others are told while this process fetches."""
        state = self.progress.state
        return {name: getattr(state, name) for name in TOLD}

    def _bring(self) -> Entry:
        """Bring the data set and publish it."""
        self.progress.say(done_bytes=0, rate=0.0, files=0)
        try:
            if self.known.data.source_kind.seeded:
                staging = self._staging()
                self._simulate(staging)
            else:
                staging = self._fetched()
            return self.cache.publish(self.known, staging, self._source, verified=self._verified)
        except OSError as problem:
            raise DataError(
                f"{self.known.label} could not be written to {self.cache.root} "
                f"({problem.strerror or problem}). What has arrived is kept."
            ) from None

    def _staging(self) -> Staging:
        """Return where this account gathers the data set, with what earlier tries have left."""
        folder = self.cache.own_folder(self.known)
        work = folder.with_name(f"{folder.name}.work")
        if not work.exists():
            # What lies there was published once and can't be used: it isn't whole.
            self.cache.unpublish(self.known)
        staging = Staging(folder, work, self._arrived)
        for done in staging.done.values():
            self._arrived(done)
        return staging

    def _arrived(self, file: Arrived) -> None:
        """Count a file that is complete and verified."""
        del file
        self.progress.arrived()

    # ------------------------------------------------------------------ simulated

    def _simulate(self, staging: Staging) -> None:
        """Run the manifest's generator and take what it makes."""
        self._source = f"{self.known.data.generator}, seed {self.known.data.seed}"
        self.progress.say(note="computing it")
        scratch = staging.part("x").parent
        remove_own(scratch)
        scratch.mkdir()
        generate(self.known, scratch)
        for name in self.known.data.makes:
            if not (scratch / name).is_file():
                raise DataError(f"The generator of {self.known.label} made no file '{name}'.")
            staging.accept(name, sha256_of(scratch / name))

    # ------------------------------------------------------------------ fetched

    def _fetched(self) -> Staging:
        """Return everything, fetched with the site's mirrors first."""
        with self._connections() as client:
            files = self._wanted(client)
            try:
                return self._download(files, client)
            except DataError as problem:
                direct = self._direct()
                if isinstance(problem, Refused) or direct is None:
                    raise
                files = direct
        # A mirror has a list and not what is in it.
        with self._connections() as client:
            self.progress.say(done_bytes=0, files=0)
            return self._download(files, client)

    @contextmanager
    def _connections(self) -> Iterator[HttpClient]:
        self._client = client = HttpClient(self.settings.manners)
        try:
            if self.cancelled.is_set():
                raise Cancelled
            yield client
        finally:
            client.stop()
            client.close()

    def _download(self, files: list[DataFile], client: HttpClient) -> Staging:
        """Fetch small files side by side, then the large ones, each by many connections."""
        staging = self._staging()
        try:
            self._fill(files, self._errand(staging, client, len(files)))
        except Refused:
            staging.discard()
            raise
        return staging

    def _errand(self, staging: Staging, client: HttpClient, count: int) -> Errand:
        quota = self.settings.quota_bytes
        return Errand(staging, client, self.cache, quota, self.progress, self.cancelled, count)

    def _fill(self, files: list[DataFile], errand: Errand) -> None:
        staging = errand.staging
        left = (f for f in files if f.name not in staging.finished)
        room = sum(max(0, (f.size_bytes or 0) - staging.here(f.name)) for f in left)
        self.cache.make_room(room, self.settings.quota_bytes)
        small = [f for f in files if (f.size_bytes or SMALL + 1) <= SMALL and not f.unpack]
        with ThreadPoolExecutor(self.settings.manners.connections) as hands:
            tasks = [hands.submit(self._file, f, errand) for f in small]
            try:
                for task in tasks:
                    task.result()
            except BaseException:
                errand.client.stop()
                hands.shutdown(wait=False, cancel_futures=True)
                raise
        for file in files:
            if file not in small:
                self._file(file, errand)

    def _wanted(self, client: HttpClient) -> list[DataFile]:
        """Return the files to fetch with all their addresses, the site's mirrors first."""
        files = []
        mirrors = Mirrors(self.settings.mirrors, client)
        for file in self.known.data.files:
            mirrored = mirrors.listed(self.known, file)
            self._listed = self._listed or bool(mirrored)
            files += mirrored or [mirrors.beside(self.known, file)]
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

    def _direct(self) -> list[DataFile] | None:
        """Return the files as the publisher has them, None where that is no other way."""
        if not self._listed:
            return None
        mirrors = Mirrors(self.settings.mirrors)
        direct = [mirrors.beside(self.known, file) for file in self.known.data.files]
        self._verified = all(f.sha256 != "unknown" or f.md5 for f in direct)
        return direct if self._verified or self.unverified else None

    def _file(self, file: DataFile, errand: Errand) -> None:
        """Bring one file from the first address that delivers it."""
        staging = errand.staging
        if file.name in staging.finished:
            self.progress.here(file.size_bytes or 0)
            self.progress.learn(file.name, file.size_bytes or 0, errand.count)
            return
        reasons = []
        for url in map(str, file.urls):
            try:
                self._file_from(url, file, errand)
            except SourceFailed as problem:
                text, host = str(problem), host_of(url)
                named = text.casefold().startswith(host.casefold())
                reasons.append(f"  {text}" if named else f"  {host}: {text}")
            else:
                staging.finish(file.name)
                self._source = host_of(url)
                return
        self.progress.say(note="")
        raise DataError(self._failure(file, reasons, staging))

    def _failure(self, file: DataFile, reasons: list[str], staging: Staging) -> str:
        tried = "\n".join(reasons) or "  there is no address to fetch it from."
        kept = "What has arrived is kept; the next try goes on from there."
        parts = [p for p in staging.work.glob("pa*/**/*") if p.is_file() and p.stat().st_size]
        kept = kept if staging.done or parts else ""
        after = f"{kept}{self._twin()}".strip()
        return f"{file.name} of {self.known.label} could not be had.\n{tried}\n{after}".strip()

    def _twin(self) -> str:
        twin = self.known.data.twin
        return f' Without it, the simulated data.fetch("{twin}") can stand in.' if twin else ""

    def _file_from(self, url: str, file: DataFile, errand: Errand) -> None:
        """Bring one file from one address, begun again where it changes on the way."""
        for turn in range(ROUNDS):
            source = Source(url, file, errand)
            try:
                receive(file, errand.staging, source.open_at)
            except SourceFailed as problem:
                self.progress.here(-source.counted)
                if not isinstance(problem, WrongContents):
                    raise
                source.forget()
                if isinstance(problem, Changed):
                    errand.staging.drop(file.name)
                    if turn == ROUNDS - 1:
                        raise SourceFailed(f"{problem}, again and again.") from None
                elif not source.resumed:
                    raise
            else:
                source.forget()
                return
        raise WrongContents(f"{file.name} came damaged several times.")


def believable(told: dict[str, Any]) -> dict[str, Any]:
    """Return what another process tells of its state, as far as it can be shown."""
    found: dict[str, Any] = {}
    for name, kind in TOLD.items():
        value: Any = told.get(name)
        if type(value) is kind and can_be_shown(value):
            found[name] = value
    return found


def can_be_shown(value: Any) -> bool:
    """Return whether a value is a text without control characters, or an amount."""
    return value.isprintable() if isinstance(value, str) else 0 <= value < float("inf")
