"""The bytes of one file in order, from as many connections as make it faster."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import SourceFailed
from .http_client import Cancelled, Head, HttpClient, Interrupted, NothingThere, cut, more_at_once

if TYPE_CHECKING:
    import urllib3

CHUNK = 512 << 10
SMALL = 8 << 20
"""A file up to this size, in bytes, comes by one request."""
LARGEST_SEGMENT = 64 << 20
SPARING = 2
PROBE_S = 0.25
WORTH_IT = 1.2
"""More connections are kept where they bring at least so many times the rate."""

Asking = AbstractContextManager[tuple[Head, "urllib3.BaseHTTPResponse"]]


class NoRanges(Exception):  # noqa: N818
    """The server gives everything or nothing."""


class Download:
    """Reads a file of a server from any byte on.

    Parameters
    ----------
    client : HttpClient
        The connections.
    url : str
        The file.
    size : int, optional
        What the manifest declares, bytes; another size is refused before anything is read.
    start : int, optional
        The first byte wanted.
    tag : str, optional
        The tag of what arrived before `start`.
    name : str, optional
        What the file is called where it is declared.

    Attributes
    ----------
    tag : str or None
        Known once the first byte has come.
    received : int
        Bytes that came over the network, those waiting for their turn included.
    """

    def __init__(
        self,
        client: HttpClient,
        url: str,
        size: int | None = None,
        start: int = 0,
        tag: str | None = None,
        name: str = "",
    ) -> None:
        self.client, self.url, self.size, self.tag, self.name = client, url, size, tag, name
        self.position = start
        self.received = 0
        self._window: Window | None = None

    def __iter__(self) -> Iterator[bytes]:
        """Yield the file's bytes in order, whatever happens on the way.

        Raises
        ------
        SourceFailed
            The server can't give the file; `position` says how far it came.
        Moved
            The file has changed since the download began.
        Cancelled
            The client was stopped.
        """
        if self.size is not None and self.position >= self.size:
            return
        if self.size is None or self.size - self.position > SMALL:
            try:
                yield from self._by_segments()
            except NoRanges:
                yield from self._as_a_whole()
        else:
            yield from self._as_a_whole()

    def _as_a_whole(self) -> Iterator[bytes]:
        """Yield from one request at a time; what a server repeats is passed over."""
        failures = Failures(self)
        while True:
            try:
                for chunk in self._rest():
                    self.position += len(chunk)
                    yield chunk
                return
            except NothingThere as problem:
                if problem.total != self.position:
                    raise
                self.size = problem.total
                return
            except Interrupted as problem:
                if self.client.stopped.is_set():
                    raise Cancelled from None
                pause = failures.pause_s(problem)
                self.client.stopped.wait(pause)

    def _rest(self) -> Iterator[bytes]:
        asking = self.client.get(self.url, self.position, None, self.tag, name=self.name)
        with asking as (head, response):
            self.check(head)
            repeated = self.position - head.start
            for data in pieces(response):
                self.received += len(data)
                chunk = data[repeated:]
                repeated -= min(repeated, len(data))
                if self.size is not None and self.position + len(chunk) > self.size:
                    raise SourceFailed(
                        f"{self.client.host(self.url).name} sends more than {self.size} bytes: "
                        "that is another file."
                    )
                if chunk:
                    yield chunk
        if self.size is not None and self.position < self.size:
            raise Interrupted(f"{self.client.host(self.url).name} ended the connection too early")

    def _by_segments(self) -> Iterator[bytes]:
        window = self._window = Window(self)
        try:
            yield from window.chunks()
        finally:
            self._window = None
            window.close()

    @property
    def arrived(self) -> int:
        """How much of the file has come, what waits for its turn included; bytes."""
        return self.position + (self._window.waiting if self._window else 0)

    def check(self, head: Head) -> None:
        """Refuse what isn't the file that was declared, and remember which one it is."""
        host = self.client.host(self.url).name
        if head.total is not None:
            if self.size is not None and head.total != self.size:
                raise SourceFailed(
                    f"{host} offers {head.total} bytes where {self.size} are declared: that is "
                    "another file, or a page that says why there is none."
                )
            self.size = head.total
        self.tag = self.tag or head.tag


class Failures:
    """How often one request has failed in a row, and when that is too often.

    Parameters
    ----------
    download : Download
        While other requests of it bring something, its server is not given up.
    """

    def __init__(self, download: Download) -> None:
        self._download = download
        self._futile = 0
        self._received = download.received

    def pause_s(self, problem: Interrupted) -> float:
        """Return how long to wait before the next try.

        Raises
        ------
        SourceFailed
            Nothing has come for too long.
        """
        received, manners = self._download.received, self._download.client.manners
        alive = received > self._received  # by this request or by another
        self._futile = 1 if alive else self._futile + 1
        self._received = received
        patience = 2 if problem.lasting and not received else manners.tries
        if self._futile >= patience:
            raise SourceFailed(f"{str(problem)[:1].upper()}{str(problem)[1:]}.") from None
        if self._download.client.host(self._download.url).waits_s:
            return 0.0
        return min(manners.pause_s * 2.0 ** (self._futile - 1), 30.0)


def pieces(response: "urllib3.BaseHTTPResponse") -> Iterator[bytes]:
    """Yield a body as it comes, and what came before it broke; nothing waits for what follows."""
    waiting: list[bytes] = []
    size = 0
    try:
        while data := response.read1(CHUNK, decode_content=False):
            waiting.append(data)
            size += len(data)
            if size >= CHUNK or not more_at_once(response):
                yield b"".join(waiting)
                waiting, size = [], 0
    except Exception:
        if waiting:
            yield b"".join(waiting)
        raise
    if waiting:
        yield b"".join(waiting)


@dataclass
class Segment:
    """A part of the file on its way: bytes `start` to before `stop`."""

    start: int
    stop: int
    chunks: deque[bytes] = field(default_factory=deque)
    arrived: int = 0

    @property
    def complete(self) -> bool:
        """Whether all of it has come."""
        return self.start + self.arrived >= self.stop


class Window:
    """The part of the file that is on its way, over several connections at once.

    Segments are asked for in order and given out in order. What comes too early waits in memory,
    never more than the manners allow. Connections are added while each makes it faster. Only one
    window may be open to a host at a time: those waiting for room hold its connections.
    """

    def __init__(self, download: Download) -> None:
        self.download = download
        self.limit = download.client.manners.window_bytes
        self.segments: deque[Segment] = deque()
        self.next_start = download.position
        self.waiting = 0
        self.wanted = 1
        self.workers = 0
        self.closed = False
        self.problem: Exception | None = None
        # Where requests are counted, few connections with long parts bring the most.
        self.sparing = download.client.host(download.url).per_minute is not None
        self.pace = Pace(SPARING if self.sparing else download.client.manners.connections)
        self.change = threading.Condition()
        self._open: set[urllib3.BaseHTTPResponse] = set()
        self._threads: list[threading.Thread] = []

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in order."""
        self._start_workers()
        while (chunk := self._next_chunk()) is not None:
            self.download.position += len(chunk)
            yield chunk

    def close(self) -> None:
        """End all connections."""
        with self.change:
            self.closed = True
            self.change.notify_all()
            for response in self._open:
                cut(response)
        latest = time.monotonic() + self.download.client.manners.timeout_s
        for thread in self._threads:
            thread.join(max(0.0, latest - time.monotonic()))

    def _next_chunk(self) -> bytes | None:
        """Return the next bytes, None at the end of the file."""
        with self.change:
            while True:
                if self.segments and self.segments[0].chunks:
                    chunk = self.segments[0].chunks.popleft()
                    self.waiting -= len(chunk)
                    self.change.notify_all()
                    return chunk
                if self.segments and self.segments[0].complete:
                    self.segments.popleft()
                    self.change.notify_all()
                    continue
                if self.problem:
                    raise self.problem
                if not self.segments and self._at_the_end():
                    return None
                if self.download.client.stopped.is_set():
                    raise Cancelled
                self.change.wait(PROBE_S)
                self._tune()

    def _at_the_end(self) -> bool:
        size = self.download.size
        return size is not None and self.next_start >= size

    def _tune(self) -> None:
        """Take more connections, or fewer, by what the last moment has brought."""
        crowded = self.waiting > self.limit / 2
        wanted = self.pace.connections(self.download.received, crowded=crowded)
        if wanted != self.wanted:
            self.wanted = wanted
            self.change.notify_all()
        if self.workers < min(self.wanted, self._useful()):
            self._start_workers()

    def _useful(self) -> int:
        """Return how many connections have something to do; the first one learns the size."""
        size = self.download.size
        if size is None:
            return 1
        return self.workers + (1 if self.next_start < size else 0)

    def _start_workers(self) -> None:
        with self.change:  # or those that end at once would be replaced without end
            while not self.problem and self.workers < min(self.wanted, self._useful()):
                self.workers += 1
                thread = threading.Thread(target=self._work, daemon=True, name="data-segment")
                self._threads.append(thread)
                thread.start()

    def _work(self) -> None:
        """Fetch one segment after the other, until there is none or fewer hands are wanted."""
        try:
            while (segment := self._take()) is not None:
                self._fetch(segment)
        except Exception as problem:  # noqa: BLE001 - told by the thread that reads
            with self.change:
                self.problem = self.problem or problem
        finally:
            with self.change:
                self.workers -= 1
                self.change.notify_all()

    def _take(self) -> Segment | None:
        with self.change:
            while not self.closed and not self.problem and self.workers <= self.wanted:
                if self._at_the_end() or (self.download.size is None and self.segments):
                    return None
                length = self._segment_bytes()
                ahead = self.next_start - self.download.position
                if not self.segments or ahead + length <= self.limit:
                    stop = self.next_start + length
                    stop = min(stop, self.download.size or stop)
                    segment = Segment(self.next_start, stop)
                    self.segments.append(segment)
                    self.next_start = stop
                    return segment
                self.change.wait()
            return None

    def _segment_bytes(self) -> int:
        """Return how much to ask for at once: as few requests as all connections have work by."""
        most = min(LARGEST_SEGMENT, self.limit // (self.pace.most + 1))
        size = self.download.size
        if self.sparing:
            return most
        if size is None:
            return min(most, SMALL)
        return min(most, max(1 << 20, (size - self.download.position) // 16))

    def _fetch(self, segment: Segment) -> None:
        failures = Failures(self.download)
        while not segment.complete and not self.closed:
            before = segment.arrived
            try:
                start = segment.start + segment.arrived
                asking = self.download.client.get(
                    self.download.url,
                    start,
                    segment.stop,
                    self.download.tag,
                    self._given_up,
                    self.download.name,
                )
                self._receive(asking, segment)
                if segment.arrived == before:
                    host = self.download.client.host(self.download.url).name
                    raise Interrupted(f"{host} sent nothing")
            except NothingThere:
                if segment.start == 0:
                    raise NoRanges from None  # an empty file has no first byte to ask for
                raise
            except Interrupted as problem:
                if self._given_up():
                    return
                gained = segment.arrived > before
                pause = failures.pause_s(problem)
                with self.change:
                    if not gained and self._open:
                        # Others are served: perhaps that is all that the server allows.
                        self.wanted = self.pace.back_to(len(self._open))
                    self.change.wait_for(self._given_up, pause)

    def _given_up(self) -> bool:
        return self.closed or self.download.client.stopped.is_set()

    def _receive(self, asking: Asking, segment: Segment) -> None:
        with asking as (head, response):
            self._learn(head, segment)
            with self.change:
                self._open.add(response)
                if self.closed:
                    cut(response)
            try:
                for data in pieces(response):
                    room = segment.stop - segment.start - segment.arrived
                    self._put(segment, data[:room])
                    if self.closed or len(data) > room:
                        return
            finally:
                with self.change:
                    self._open.discard(response)

    def _learn(self, head: Head, segment: Segment) -> None:
        """Take from an answer what the others need to know."""
        with self.change:
            self.download.check(head)
            if not head.partial:
                raise NoRanges
            size = self.download.size
            if size is None:
                raise NoRanges
            if segment.stop > size:
                segment.stop = size
                self.next_start = min(self.next_start, size)
            self.change.notify_all()

    def _put(self, segment: Segment, data: bytes) -> None:
        """Add bytes that have come, once there is room; the first segment always has room."""
        with self.change:
            while (
                not self.closed
                and self.waiting + len(data) > self.limit
                and self.segments
                and self.segments[0] is not segment
            ):
                self.change.wait()
            segment.chunks.append(data)
            segment.arrived += len(data)
            self.waiting += len(data)
            self.download.received += len(data)
            self.change.notify_all()


class Pace:
    """How many connections are worth having, learnt from what each brought.

    Doubled while that brings `WORTH_IT` times the rate, else one step back; tried again later, as
    servers and networks change.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.count = 1
        self._clock = clock
        self._since, self._bytes = clock(), 0
        self._rate_before = 0.0
        self._settled_until = 0.0

    def connections(self, received: int, *, crowded: bool) -> int:
        """Return the number to use from now on.

        Parameters
        ----------
        received : int
            Bytes that have come so far, on all connections.
        crowded : bool
            Whether much of it waits: then the network isn't what is slow.
        """
        now = self._clock()
        if not received:
            self._since, self._bytes = now, 0
        if now - self._since < PROBE_S or now < self._settled_until:
            if now < self._settled_until:
                self._since, self._bytes = now, received
            return self.count
        rate = (received - self._bytes) / (now - self._since)
        self._since, self._bytes = now, received
        if crowded:
            self._settle(now)
        elif rate > WORTH_IT * self._rate_before and self.count < self.most:
            self._rate_before = rate
            self.count = min(self.most, self.count * 2)
        else:
            if self._rate_before and rate < WORTH_IT * self._rate_before:
                self.count = max(1, self.count // 2)
            self._settle(now)
        return self.count

    def back_to(self, count: int) -> int:
        """Use only `count` connections for now, and return that number."""
        self.count = max(1, min(count, self.count))
        self._settle(self._clock())
        return self.count

    def _settle(self, now: float) -> None:
        self._rate_before = 0.0
        self._settled_until = now + 20 * PROBE_S
