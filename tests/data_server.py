"""A real HTTP/1.1 server on the loopback that serves files and misbehaves on request.

In a test: ``with DataServer({"a.bin": b"..."}) as server: fetch(server.url("a.bin"))``.
In a process of its own: ``python tests/data_server.py FOLDER --cap-mb-s 25`` prints its port.
"""

import argparse
import gzip
import hashlib
import itertools
import os
import re
import select
import signal
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from fcntl import ioctl
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from termios import TIOCOUTQ
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

OWN = "the content's own"
BLOCK = 1 << 20
TAIL = 16 << 10  # sent once the request is recorded, so that a client never outruns the records
LONG_AGO = 1_704_067_200.0  # when bytes count as modified: on 1 January 2024


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How requests are answered; by default as a good server would.

    Numbers of bytes count the body. After -1 of them not even a status line has been sent.
    """

    content: bytes | Path | None = None  # served in the file's place
    etag: str | None = OWN  # verbatim, with its quotes; None sends none
    last_modified: str | None = OWN
    headers: Mapping[str, str] = field(default_factory=dict)  # sent as well, or in others' place

    status: int | None = None  # answers this at once, with `body`
    body: bytes | None = None
    retry_after: int | str | None = None
    redirect: str | None = None  # the Location, verbatim; with 302 unless `status` says otherwise
    html: bool | bytes = False  # answers 200 with a page

    ignore_ranges: bool = False
    full_for_range: bool = False  # ignores ranges that do not start at 0
    no_accept_ranges: bool = False
    ignore_conditions: bool = False  # If-Match, If-Range, If-Unmodified-Since
    wrong_content_range: tuple[int, int] | str | None = None  # first, last served; or only a header

    part_status: int = 206  # what an answer with a Content-Range has

    truncate_after: int | None = None
    reset_after: int | None = None
    stall_after: int | None = None
    until: threading.Event | None = None  # ends the stall; so does DataServer.release()
    corrupt_at: int | None = None  # the byte of the file to flip
    wrong_length: int = 0  # added to the true Content-Length
    no_content_length: Literal["chunked", "close"] | None = None
    content_encoding: Literal["gzip"] | None = None
    cap_bytes_s: float | None = None
    slow_first_byte: float = 0.0  # seconds before the status line
    close: bool = False  # says Connection: close, and does


@dataclass
class Request:
    """A request, as recorded once its answer is all but sent."""

    method: str
    path: str  # decoded, without its first slash
    target: str  # as received
    headers: dict[str, str]  # by lower-case name
    range: tuple[int, int | None] | None  # as asked: first and last byte, or (-length, None)
    connection: int  # counts from 1
    at: float
    status: int = 0
    bytes_sent: int = 0
    finished: float | None = None


@dataclass
class Content:
    data: bytes | Path
    size: int
    etag: str | None
    modified: str | None

    @classmethod
    def of(cls, data: bytes | Path, modified: float = LONG_AGO) -> "Content":
        if isinstance(data, bytes):
            etag = hashlib.blake2b(data, digest_size=8).hexdigest()
            return cls(data, len(data), f'"{etag}"', formatdate(modified, usegmt=True))
        stat = data.stat()
        modified = formatdate(stat.st_mtime, usegmt=True)
        return cls(data, stat.st_size, f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"', modified)


@dataclass
class Answer:
    status: int
    content: Content
    headers: dict[str, str]
    start: int = 0
    stop: int | None = None

    def __post_init__(self):
        self.stop = self.content.size if self.stop is None else self.stop


class Bucket:
    """Lets bytes through at a rate, and makes up for at most 50 ms of delay."""

    def __init__(self):
        self.due = 0.0
        self.lock = threading.Lock()

    def take(self, count: int, rate: float | None, stopping: threading.Event) -> None:
        if rate:
            with self.lock:
                now = time.monotonic()
                self.due = max(self.due, now - 0.05) + count / rate
                delay = self.due - now
            if delay > 0 and stopping.wait(delay):
                raise ConnectionAbortedError


def asked_range(value: str | None) -> tuple[int, int | None] | None:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", value or "")
    first, last = (int(part) if part else None for part in match.groups()) if match else (None,) * 2
    if first is None:
        return None if last is None else (-last, None)
    return None if last is not None and last < first else (first, last)


def has_gone(connection: socket.socket) -> bool:
    """Whether the other side has closed."""
    if connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    return bool(poll.poll(0))


def plain(status: int, body: bytes, kind: str = "text/plain", **headers: str) -> Answer:
    return Answer(status, Content(body, len(body), None, None), {"Content-Type": kind} | headers)


def conditions_hold(asked: Mapping[str, str], content: Content) -> bool:
    if "if-match" in asked:
        tags = [tag.strip() for tag in asked["if-match"].split(",")]
        strong = content.etag and not content.etag.startswith("W/")
        return tags == ["*"] or bool(strong and content.etag in tags)
    since = asked.get("if-unmodified-since")
    if since is None or content.modified is None:
        return True
    return parsedate_to_datetime(content.modified) <= parsedate_to_datetime(since)


def range_applies(request: Request, content: Content, behaviour: Behaviour) -> bool:
    if request.range is None or request.method != "GET" or behaviour.ignore_ranges:
        return False
    if behaviour.content_encoding or (behaviour.full_for_range and request.range[0]):
        return False
    wanted = request.headers.get("if-range")
    if wanted is None or behaviour.ignore_conditions:
        return True
    return not wanted.startswith("W/") and wanted in (content.etag, content.modified)


def described(content: Content, behaviour: Behaviour) -> Content:
    """The content with the validators and the encoding that the behaviour asks for."""
    etag = content.etag if behaviour.etag == OWN else behaviour.etag
    modified = content.modified if behaviour.last_modified == OWN else behaviour.last_modified
    if behaviour.content_encoding is None:
        return Content(content.data, content.size, etag, modified)
    data = content.data if isinstance(content.data, bytes) else content.data.read_bytes()
    packed = gzip.compress(data, compresslevel=1, mtime=0)
    return Content(packed, len(packed), etag and f"W/{etag.removeprefix('W/')}", modified)


def content_headers(content: Content, behaviour: Behaviour) -> dict[str, str]:
    headers = {"Content-Type": "application/octet-stream"}
    headers |= {"ETag": content.etag} if content.etag else {}
    headers |= {"Last-Modified": content.modified} if content.modified else {}
    if behaviour.content_encoding:
        return headers | {"Content-Encoding": behaviour.content_encoding}
    silent = behaviour.no_accept_ranges or behaviour.ignore_ranges
    return headers if silent else headers | {"Accept-Ranges": "bytes"}


def answer_in_part(
    request: Request, content: Content, behaviour: Behaviour, headers: dict[str, str]
) -> Answer:
    first, last = request.range or (0, None)
    first = max(0, content.size + first) if first < 0 else first
    if first >= content.size:
        return plain(416, b"", **{"Content-Range": f"bytes */{content.size}"})
    last = content.size - 1 if last is None else min(last, content.size - 1)
    wrong = behaviour.wrong_content_range
    if isinstance(wrong, tuple):
        first, last = wrong
    told = wrong if isinstance(wrong, str) else f"bytes {first}-{last}/{content.size}"
    return Answer(
        behaviour.part_status, content, headers | {"Content-Range": told}, first, last + 1
    )


def answer_whole_or_part(request: Request, content: Content, behaviour: Behaviour) -> Answer:
    content = described(content, behaviour)
    headers = content_headers(content, behaviour)
    if not (behaviour.ignore_conditions or conditions_hold(request.headers, content)):
        return plain(412, b"the file has changed\n")
    if range_applies(request, content, behaviour):
        return answer_in_part(request, content, behaviour, headers)
    return Answer(200, content, headers)


def answer_to(request: Request, content: Content | None, behaviour: Behaviour) -> Answer:
    if behaviour.redirect is not None:
        return plain(behaviour.status or 302, behaviour.body or b"", Location=behaviour.redirect)
    if behaviour.status:
        body = f"status {behaviour.status}\n".encode() if behaviour.body is None else behaviour.body
        return plain(behaviour.status, b"" if behaviour.status in (204, 304) else body)
    if behaviour.html:
        page = b"<!DOCTYPE html>\n<html><body><h1>Please log in</h1></body></html>\n"
        return plain(200, page if behaviour.html is True else behaviour.html, "text/html")
    if behaviour.content is not None:
        content = Content.of(behaviour.content, LONG_AGO + 86_400)
    if content is None:
        return plain(404, b"no such file\n")
    return answer_whole_or_part(request, content, behaviour)


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection; `server` is the DataServer."""

    protocol_version = "HTTP/1.1"
    server_version = "DataServer"
    disable_nagle_algorithm = True
    server: "DataServer"

    def setup(self):
        if self.server.tls:
            self.request = self.server.tls.wrap_socket(
                self.request, server_side=True, do_handshake_on_connect=False
            )
        self.number = self.server.joined(self.request, self.client_address[0])
        self.bucket = Bucket()
        self.cut_off = self.reset = False
        super().setup()

    def handle(self):
        if self.server.tls:
            self.request.do_handshake()
        self.refused = self.server.has_too_many(self.client_address[0], self.request)
        super().handle()

    def finish(self):
        with suppress(OSError):
            if self.reset:
                self.request.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            elif self.server.tls and not self.cut_off:
                self.request.settimeout(0.2)
                self.request.unwrap()
        super().finish()
        self.server.left(self.request)
        self.request.close()

    def log_message(self, *args):
        pass

    def do_GET(self):
        asked = {name.lower(): value for name, value in self.headers.items()}
        path = unquote(urlsplit(self.path).path).lstrip("/")
        wanted, now = asked_range(asked.get("range")), time.monotonic()
        request = Request(self.command, path, self.path, asked, wanted, self.number, now)
        self.sent = 0
        self.server.began(request)
        try:
            self.answer(request)
        except BaseException:
            self.close_connection = self.cut_off = True
            request.bytes_sent = self.sent
            raise
        finally:
            self.server.finished(request)

    def do_HEAD(self):
        self.do_GET()

    def answer(self, request: Request) -> None:
        if self.refused:
            behaviour = Behaviour(status=self.server.refusal, close=True)
        else:
            behaviour = self.server.behaviour_for(request)
            hook = self.server.before_response
            behaviour = (hook and hook(request)) or behaviour
        self.pause(behaviour.slow_first_byte)
        answer = answer_to(request, self.server.content(request.path), behaviour)
        length = 0 if request.method == "HEAD" else answer.stop - answer.start
        cuts = [behaviour.truncate_after, behaviour.reset_after]
        cut = min([length, *(cut for cut in cuts if cut is not None)])
        if cut >= 0:
            request.status = answer.status
            self.send_head(request, answer, behaviour, cut)
            with ExitStack() as stack:
                self.open(answer.content, stack)
                self.send_body(request, answer, behaviour, cut)
        self.end(request, behaviour, cut < length, cut)

    def send_head(
        self, request: Request, answer: Answer, behaviour: Behaviour, length: int
    ) -> None:
        self.send_response(answer.status)
        headers = dict(answer.headers)
        if behaviour.no_content_length == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        elif behaviour.no_content_length is None and answer.status not in (204, 304):
            headers["Content-Length"] = str(answer.stop - answer.start + behaviour.wrong_length)
        if behaviour.retry_after is not None:
            headers["Retry-After"] = str(behaviour.retry_after)
        if behaviour.close or behaviour.no_content_length == "close":
            headers["Connection"] = "close"
        for name, value in (headers | dict(behaviour.headers)).items():
            self.send_header(name, value)
        if not length and behaviour.stall_after != 0:
            self.server.finished(request)
        self.end_headers()

    def open(self, content: Content, stack: ExitStack) -> None:
        """Make the content ready to be sent."""
        self.view = self.file = None
        if isinstance(content.data, bytes):
            self.view = memoryview(content.data)
        else:
            self.file = os.open(content.data, os.O_RDONLY)
            stack.callback(os.close, self.file)

    def send_body(self, request: Request, answer: Answer, behaviour: Behaviour, cut: int) -> None:
        rate = behaviour.cap_bytes_s or self.server.cap_bytes_s
        slow = rate or self.server.total_cap_bytes_s
        stall = behaviour.stall_after if (behaviour.stall_after or 0) <= cut else None
        flip = None if behaviour.corrupt_at is None else behaviour.corrupt_at - answer.start
        record_at = max(cut - (1 if slow else TAIL), stall or 0, 0)
        marks = {0, cut, record_at, stall, flip, None if flip is None else flip + 1} - {None}
        marks = sorted(mark for mark in marks if 0 <= mark <= cut)
        for start, stop in itertools.pairwise([*marks, cut]):
            if start == stall:
                self.pause(None, behaviour.until)
            if start == record_at and cut:
                request.bytes_sent = cut
                self.server.finished(request)
            chunked = behaviour.no_content_length == "chunked"
            send = self.send_flipped if start == flip else self.send_block
            self.send_span(send, answer.start + start, answer.start + stop, rate, chunked)

    def send_span(
        self, send: Callable, start: int, stop: int, rate: float | None, chunked: bool
    ) -> None:
        cap = min(rate or BLOCK * 100, self.server.total_cap_bytes_s or BLOCK * 100)
        block = max(1, min(BLOCK, int(cap / 100)))
        while start < stop:
            count = min(block, stop - start)
            self.bucket.take(count, rate, self.server.stopping)
            self.server.bucket.take(count, self.server.total_cap_bytes_s, self.server.stopping)
            if chunked:
                self.request.sendall(f"{count:x}\r\n".encode())
            send(start, start + count)
            if chunked:
                self.request.sendall(b"\r\n")
            start += count

    def send_flipped(self, start: int, stop: int) -> None:
        byte = self.read(start, stop)[0]
        self.request.sendall(bytes([byte ^ 0xFF]))
        self.sent += 1

    def send_block(self, start: int, stop: int) -> None:
        while start < stop:
            if self.file is None or self.server.tls:
                data = self.read(start, stop)
                self.request.sendall(data)
                count = len(data)
            else:
                count = os.sendfile(self.request.fileno(), self.file, start, stop - start)
            if not count:
                raise ConnectionAbortedError("the file is shorter than it was")
            self.sent += count
            start += count

    def read(self, start: int, stop: int) -> bytes | memoryview:
        if self.file is None:
            return self.view[start:stop]
        return os.pread(self.file, stop - start, start)

    def end(self, request: Request, behaviour: Behaviour, cut_off: bool, cut: int) -> None:
        request.bytes_sent = self.sent
        self.server.finished(request)
        self.cut_off = cut_off
        self.reset = cut_off and behaviour.reset_after == cut
        lasting = not (cut_off or behaviour.wrong_length or behaviour.close)
        if not lasting or behaviour.no_content_length == "close":
            self.close_connection = True
        elif behaviour.no_content_length == "chunked" and request.method != "HEAD":
            self.request.sendall(b"0\r\n\r\n")
        if self.reset:
            self.wait_until_delivered()

    def wait_until_delivered(self) -> None:
        """A reset throws away what the other side has not received yet."""
        while struct.unpack("i", ioctl(self.request.fileno(), TIOCOUTQ, bytes(4)))[0]:
            self.pause(0.002)

    def pause(self, seconds: float | None, until: threading.Event | None = None) -> None:
        """Wait, for as long as the client does too; without seconds, until released."""
        ends = None if seconds is None else time.monotonic() + seconds
        while ends is None or time.monotonic() < ends:
            if ends is None and (self.server.released.is_set() or (until and until.is_set())):
                return
            if self.server.stopping.is_set() or has_gone(self.request):
                raise ConnectionAbortedError
            left = 0.01 if ends is None else max(0.0, min(0.01, ends - time.monotonic()))
            self.server.stopping.wait(left)


class DataServer:
    """Serves files, given by name or found in a folder, from threads of this process."""

    def __init__(
        self,
        files: Mapping[str, bytes | Path] | None = None,
        *,
        folder: Path | None = None,
        port: int = 0,
        tls: tuple[str | Path, str | Path] | None = None,
        cap_bytes_s: float | None = None,  # of each connection
        total_cap_bytes_s: float | None = None,  # of all connections together
        max_connections_per_client: int | None = None,
        refusal: int = 503,  # the answer on connections beyond that
        before_response: Callable[[Request], Behaviour | None] | None = None,
    ):
        self.cap_bytes_s, self.total_cap_bytes_s = cap_bytes_s, total_cap_bytes_s
        self.max_connections_per_client, self.refusal = max_connections_per_client, refusal
        self.before_response = before_response
        self.folder = folder
        self.connections = self.most_at_once = 0
        self.errors: list[BaseException] = []  # of this server or of hooks; raised on leaving
        self.stopping, self.released = threading.Event(), threading.Event()
        self.bucket = Bucket()
        self._lock = threading.Lock()
        self._files: dict[str, bytes | Path | Content] = dict(files or {})
        self._behaviours: dict[tuple[str, str | None], list[Behaviour]] = {}
        self._done: list[Request] = []
        self._under_way: list[Request] = []
        self._open: dict[socket.socket, str] = {}
        self._threads: set[threading.Thread] = set()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self.tls:
            self.tls.load_cert_chain(*tls)
        self._listener = socket.create_server(("127.0.0.1", port), backlog=512)
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "DataServer":
        self._acceptor.start()
        return self

    def __exit__(self, kind, *_) -> None:
        self.close()
        if self.errors and kind is None:
            raise self.errors[0]

    def url(self, name: str = "") -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/{quote(name)}"

    def put(self, name: str, data: bytes | Path) -> None:
        """Add a file, or change it for good."""
        self._files[name] = data

    def etag(self, name: str) -> str | None:
        content = self.content(name)
        return content and content.etag

    def behave(
        self, name: str, behaviours: Behaviour | Sequence[Behaviour], method: str | None = None
    ) -> None:
        """Use these one request after the other, the last for all later ones; "*" is any file."""
        planned = [behaviours] if isinstance(behaviours, Behaviour) else list(behaviours)
        with self._lock:
            self._behaviours[name, method] = planned

    def release(self) -> None:
        """Let what stalls, now and later, go on."""
        self.released.set()

    @property
    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._done)

    @property
    def in_flight(self) -> list[Request]:
        with self._lock:
            return list(self._under_way)

    def of(self, name: str | None, method: str | None = None) -> list[Request]:
        """The finished requests for a file, or for any."""
        found = [each for each in self.requests if name is None or each.path == name]
        return [each for each in found if method is None or each.method == method]

    def count(self, method: str | None = None, name: str | None = None) -> int:
        return len(self.of(name, method))

    def bytes_sent(self, name: str | None = None) -> int:
        return sum(each.bytes_sent for each in self.of(name))

    def close(self) -> None:
        """Stop at once, whatever is under way."""
        self.stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        if self._acceptor.ident:
            self._acceptor.join()
        self._listener.close()
        with self._lock:
            for connection in self._open:
                self._hang_up(connection)
            threads = list(self._threads)
        for thread in threads:
            thread.join(10)
            if thread.is_alive():
                self.errors.append(RuntimeError("a hook of the data server does not return"))

    def _hang_up(self, connection: socket.socket) -> None:
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # an SSLSocket's own is not safe

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, address = self._listener.accept()
            except OSError:
                continue  # closing, or the client has gone already
            thread = threading.Thread(target=self._serve, args=(connection, address), daemon=True)
            with self._lock:
                self._threads.add(thread)
            thread.start()

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        try:
            with closing(connection):
                Handler(connection, address, self)
        except BaseException as error:  # noqa: BLE001 - a client may leave; others are for __exit__
            if not isinstance(error, OSError) or error.filename is not None:
                self.errors.append(error)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def joined(self, connection: socket.socket, client: str) -> int:
        """Count a connection, and number it."""
        with self._lock:
            self._open[connection] = client
            self.connections += 1
            if self.stopping.is_set():
                self._hang_up(connection)
            return self.connections

    def has_too_many(self, client: str, latest: socket.socket) -> bool:
        """Whether a client has too many connections, not counting any that it is closing."""
        most = self.max_connections_per_client
        ends = time.monotonic() + 0.05
        while most is not None and not self.stopping.wait(0.005):
            with self._lock:
                earlier = itertools.takewhile(lambda each: each is not latest, self._open)
                count = sum(self._open[each] == client and not has_gone(each) for each in earlier)
            if count < most or time.monotonic() > ends:
                return count >= most
        return False

    def left(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.pop(connection, None)

    def began(self, request: Request) -> None:
        with self._lock:
            self._under_way.append(request)
            self.most_at_once = max(self.most_at_once, len(self._under_way))

    def finished(self, request: Request) -> None:
        """Record a request, unless it has been already."""
        with self._lock:
            if request.finished is None:
                request.finished = time.monotonic()
                self._under_way = [each for each in self._under_way if each is not request]
                self._done.append(request)

    def behaviour_for(self, request: Request) -> Behaviour:
        with self._lock:
            for name in (request.path, "*"):
                for method in (request.method, None):
                    planned = self._behaviours.get((name, method))
                    if planned:
                        return planned.pop(0) if len(planned) > 1 else planned[0]
        return Behaviour()

    def content(self, name: str) -> Content | None:
        data = self._files.get(name)
        if isinstance(data, bytes):
            data = self._files[name] = Content.of(data)
        if data is None and self.folder is not None:
            data = (self.folder / name).resolve()
            data = data if data.is_relative_to(self.folder.resolve()) else None
        if isinstance(data, Path):
            return Content.of(data) if data.is_file() else None
        return data


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a folder; print the port first.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cap-mb-s", type=float, help="of each connection")
    parser.add_argument("--total-cap-mb-s", type=float, help="of all connections together")
    parser.add_argument("--first-byte-s", type=float, default=0.0)
    parser.add_argument("--max-connections", type=int)
    given = parser.parse_args()
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with DataServer(
        folder=given.folder,
        port=given.port,
        cap_bytes_s=given.cap_mb_s and given.cap_mb_s * 1e6,
        total_cap_bytes_s=given.total_cap_mb_s and given.total_cap_mb_s * 1e6,
        max_connections_per_client=given.max_connections,
    ) as server:
        server.behave("*", Behaviour(slow_first_byte=given.first_byte_s))
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
