"""One HTTP request for a part of a file, and everything a server may do instead of answering it.

urllib3 takes a seventh of httpx's processor time for a gigabyte here; see decision 0013.
"""

import os
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from ...words import time_text
from ..errors import SourceFailed
from ..settings import Manners

if TYPE_CHECKING:
    import urllib3

REQUESTS_PER_MINUTE = {"zenodo.org": 50}
"""Hosts that say how many requests a guest may make; Zenodo allows 60."""
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5
BUSY = {429, 503}
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "BeamHub (reference data)"}


class Interrupted(Exception):  # noqa: N818
    """A request failed in a way that may pass; the text says how.

    Parameters
    ----------
    message : str
        What happened, without a full stop.
    lasting : bool
        Whether it will hardly pass by itself within minutes.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class Cancelled(Exception):  # noqa: N818
    """Whoever wanted the data no longer does."""


class Moved(Exception):  # noqa: N818
    """The file at the server is not the one that the download began with."""


class NothingThere(Moved):
    """The server has no byte where it was asked to begin (HTTP 416).

    Parameters
    ----------
    message : str
        What happened.
    total : int or None
        The file's size, where the server says so.
    """

    def __init__(self, message: str, total: int | None) -> None:
        super().__init__(message)
        self.total = total


@dataclass(frozen=True)
class Head:
    """What an answer says before its body.

    Parameters
    ----------
    start : int
        Where in the file the body begins, bytes.
    total : int or None
        Size of the whole file, bytes.
    tag : str or None
        What changes with the file: a strong ETag, else the date of its last change.
    partial : bool
        Whether the server gave the part that was asked for (206) and not everything (200).
    """

    start: int
    total: int | None
    tag: str | None
    partial: bool


class Host:
    """What all connections to one server keep to."""

    def __init__(self, name: str, manners: Manners) -> None:
        self.name = name
        self._manners = manners
        self._slots = threading.BoundedSemaphore(manners.connections)
        self._lock = threading.Lock()
        self._not_before = 0.0
        self._recent: deque[float] = deque()
        self.per_minute = REQUESTS_PER_MINUTE.get(name)

    @contextmanager
    def turn(self, given_up: Callable[[], bool]) -> Iterator[None]:
        """Wait until one more request is welcome; hold a connection meanwhile.

        Raises
        ------
        Cancelled
            Nobody wants it any more.
        """
        with self._slots:
            while not given_up() and (pause := self._pause()) > 0:
                time.sleep(min(pause, 0.1))
            if given_up():
                raise Cancelled
            yield

    def _pause(self) -> float:
        with self._lock:
            now = time.monotonic()
            while self._recent and now - self._recent[0] > 60:
                self._recent.popleft()
            if now < self._not_before:
                return self._not_before - now
            if self.per_minute and len(self._recent) >= self.per_minute:
                return 60 - (now - self._recent[0])
            self._recent.append(now)
            return 0

    @property
    def waits_s(self) -> float:
        """How long the server has asked everybody to wait from now on."""
        return max(0.0, self._not_before - time.monotonic())

    def wait(self, seconds: float) -> None:
        """Let nobody ask before `seconds` have passed.

        Raises
        ------
        SourceFailed
            That is longer than anybody wants to wait.
        """
        if seconds > self._manners.longest_wait_s:
            raise SourceFailed(
                f"{self.name} is busy and asks to come back in {time_text(seconds)}. "
                "What has arrived is kept; try again then."
            )
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)


class HttpClient:
    """Connections to any number of servers, kept and used again.

    Parameters
    ----------
    manners : Manners
        How to treat servers.

    Attributes
    ----------
    stopped : threading.Event
        Set once nothing more is wanted.
    """

    def __init__(self, manners: Manners) -> None:
        self.manners = manners
        self.stopped = threading.Event()
        self._open: set[urllib3.BaseHTTPResponse] = set()
        self._hosts: dict[str, Host] = {}
        self._pools: dict[str, urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def host(self, url: str) -> Host:
        """Return what is kept about the server of `url`."""
        name = name_of(url)
        with self._lock:
            return self._hosts.setdefault(name, Host(name, self.manners))

    def stop(self) -> None:
        """Let whoever waits for a server wait no longer."""
        self.stopped.set()
        with self._lock:
            for response in self._open:
                cut(response)

    def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            pool.clear()

    @contextmanager
    def get(
        self,
        url: str,
        start: int,
        stop: int | None,
        tag: str | None = None,
        given_up: Callable[[], bool] | None = None,
        name: str = "",
    ) -> Iterator[tuple[Head, "urllib3.BaseHTTPResponse"]]:
        """Ask for the bytes from `start` to before `stop` of a file, None for its end.

        Parameters
        ----------
        url : str
            The file.
        start, stop : int, int or None
            Bytes; 0 and None ask for everything, without a range.
        tag : str, optional
            The file's tag when the download began.
        given_up : callable, optional
            Returns whether the bytes are no longer wanted, while a turn is waited for.
        name : str, optional
            What the file is called where it is declared: the address may not tell.

        Yields
        ------
        Head, response
            The body not yet read.

        Raises
        ------
        Interrupted
            Asking again may help.
        Moved
            The file has changed since the download began.
        SourceFailed
            This address doesn't give the file.
        Cancelled
            Nobody wants it any more.
        """
        import urllib3

        host = self.host(url)
        given_up = given_up or self.stopped.is_set
        with host.turn(given_up):
            try:
                response, place = self._ask(url, start, stop, tag)
            except urllib3.exceptions.HTTPError as error:
                raise Interrupted(network_words(host.name, error), lasting=True) from None
            try:
                with self._lock:
                    self._open.add(response)
                if given_up():
                    raise Cancelled
                refuse_status(response, self.host(place), host)
                refuse_encoding(response, place, name)
                head = read_head(response, start, host.name)
                if tag and head.tag and head.tag != tag:
                    raise Moved(f"{host.name} now has another version of the file")
                yield head, response
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise Interrupted(network_words(host.name, error)) from None
            finally:
                with self._lock:
                    self._open.discard(response)
                finish(response)

    def _ask(
        self, url: str, start: int, stop: int | None, tag: str | None
    ) -> tuple["urllib3.BaseHTTPResponse", str]:
        """Return the answer and where it came from, redirects followed."""
        headers = dict(HEADERS)
        if start or stop is not None:
            last = "" if stop is None else str(stop - 1)
            headers["Range"] = f"bytes={start}-{last}"
            if tag:
                headers["If-Range"] = tag
        place = url
        for _ in range(MOST_REDIRECTS + 1):
            response = self._pool(place).urlopen(
                "GET", place, headers=headers, preload_content=False, redirect=False, retries=False
            )
            if response.status not in REDIRECTS:
                return response, place
            response.drain_conn()
            response.release_conn()
            place = redirected(place, in_ascii(response.headers.get("Location", "")))
        raise SourceFailed(f"{self.host(url).name} sends from one address to the next without end.")

    def _pool(self, url: str) -> "urllib3.PoolManager":
        """Return the connections to use: direct ones, or those through the site's proxy."""
        parts = urlsplit(url)
        proxies = getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all")
        if not proxy or proxy_bypass(parts.hostname or ""):
            proxy = ""
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = make_pool(proxy, self.manners)
            return self._pools[proxy]


def make_pool(proxy: str, manners: Manners) -> "urllib3.PoolManager":
    """Return connections through `proxy`, or direct ones where it is empty."""
    import urllib3

    common: dict[str, Any] = {
        "maxsize": manners.connections,
        "timeout": urllib3.Timeout(connect=min(15, manners.timeout_s), read=manners.timeout_s),
        "ssl_context": trust(),
    }
    if not proxy:
        return urllib3.PoolManager(**common)
    address = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(address)
    headers = None
    if parts.username:
        who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=who)
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return urllib3.ProxyManager(address, proxy_headers=headers, **common)


def trust() -> ssl.SSLContext:
    """Return whom to trust: what the machine trusts, or the bundle that the site names.

    Raises
    ------
    SourceFailed
        That bundle can't be read.
    """
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        if bundle := os.environ.get(name):
            try:
                return context(bundle)
            except OSError:
                raise SourceFailed(
                    f"the certificates in {bundle}, which {name} names, can't be read."
                ) from None
    return context(None)


@cache
def context(bundle: str | None) -> ssl.SSLContext:
    """Return what trusts the authorities of a bundle, by default those of the machine."""
    return ssl.create_default_context(cafile=bundle)


def name_of(url: str) -> str:
    """Return the server of an address as people may see it."""
    return urlsplit(url).netloc.rpartition("@")[2]


def in_ascii(location: str) -> str:
    """Return an address in which a server has written UTF-8 as one has to write it."""
    return quote(location.encode("latin-1", "replace"), safe="%/:=&?~#+!$,;'@()*[]-._")


def redirected(place: str, location: str) -> str:
    """Return where a server sends us, if we may go there."""
    target = urlsplit(urljoin(place, location))
    here, name = urlsplit(place), name_of(place)
    if target.scheme not in ("http", "https"):
        raise SourceFailed(f"{name} sends to an address that is not one of the web.")
    if here.scheme == "https" and target.scheme != "https":
        raise SourceFailed(
            f"{name} sends from an encrypted address to one that isn't "
            f"({target.hostname}), where others could read along. That is refused."
        )
    if target.username or target.password:
        raise SourceFailed(f"{name} sends to an address with a password in it: refused.")
    return target.geturl()


def refuse_status(response: "urllib3.BaseHTTPResponse", host: Host, asked: Host) -> None:
    """Raise what an answer of `host` means that brings no data.

    Who asks to wait may be behind a redirect of `asked`, where all requests begin.
    """
    status = response.status
    if status in (200, 206):
        return
    if status in BUSY:
        pause = retry_after(response.headers.get("Retry-After"))
        if pause is not None:
            host.wait(pause)
            asked.wait(pause)
        raise Interrupted(f"{host.name} is busy (HTTP {status})")
    if status == 416:
        total = response.headers.get("Content-Range", "").rpartition("/")[2]
        text = f"the file at {host.name} is shorter than what has arrived already"
        raise NothingThere(text, int(total) if total.isdigit() else None)
    if status == 202:
        raise SourceFailed(
            f"{host.name} answers that the file is not ready, or asks to prove that a person asks "
            "(HTTP 202). Open its page in a browser, download the file there, and have it put into "
            "a data root of this site; or try again later."
        )
    if status >= 500 or status == 408:
        raise Interrupted(f"{host.name} has a problem of its own (HTTP {status})")
    meaning = {
        401: "asks for a log-in",
        403: "does not allow it",
        404: "does not have the file",
        407: "is behind a proxy that asks for a log-in",
        410: "no longer has the file",
    }
    raise SourceFailed(f"{host.name} {meaning.get(status, 'refuses')} (HTTP {status}).")


def refuse_encoding(response: "urllib3.BaseHTTPResponse", url: str, declared: str = "") -> None:
    """Raise where the server sends a web page, or changes the data on the way.

    A file that is compressed itself may be labelled as such by its server.
    """
    name = urlsplit(url).path.lower()
    names = (name, declared.lower())
    host = name_of(url)
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml") and not name.endswith((".html", ".htm")):
        raise SourceFailed(
            f"{host} answered with a web page instead of the file: perhaps a log-in, or a notice "
            "that it is being repaired."
        )
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    packed = any(n.endswith((".gz", ".tgz", ".bz2", ".xz")) for n in names)
    if encoding not in ("", "identity") and not packed:
        raise SourceFailed(
            f"{host} compresses the file on the way although asked not to, so its checksum can't "
            "be compared."
        )


def read_head(response: "urllib3.BaseHTTPResponse", start: int, host: str) -> Head:
    """Return what the answer says about its body."""
    headers = response.headers
    etag = headers.get("ETag", "")
    tag = etag if etag.startswith('"') else headers.get("Last-Modified")
    length = headers.get("Content-Length", "")
    span, _, total = headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    first = span.partition("-")[0]
    if response.status == 200 and not first.isdigit():
        return Head(0, int(length) if length.isdigit() else None, tag, partial=False)
    if not first.isdigit() or int(first) > start:
        raise SourceFailed(f"{host} sent another part of the file than was asked for.")
    whole = int(total) if total.isdigit() else None
    # What begins earlier than asked is passed over, as all of the file would be.
    return Head(int(first), whole, tag, partial=int(first) == start)


def retry_after(text: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks to wait, None where there is none."""
    if not text:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def finish(response: "urllib3.BaseHTTPResponse") -> None:
    """Give the connection back where the body was read to its end, else close it."""
    if getattr(response, "length_remaining", None) == 0:
        response.release_conn()
    else:
        # Not back to the others: it would be taken, and opened anew, before those that are open.
        response.close()


def network_words(host: str, error: Exception) -> str:
    """Return why a connection failed, in words."""
    text = f"{type(error).__name__} {error}"
    table = {
        "CERTIFICATE_VERIFY_FAILED": f"{host} shows a certificate that this machine doesn't trust; "
        "a private authority is named by SSL_CERT_FILE",
        "NameResolution": f"there is no way to {host}: its name is not known here",
        "Proxy": f"the proxy on the way to {host} can't be used",
        "ConnectTimeout": f"{host} can't be reached",
        "NewConnection": f"{host} can't be reached",
        "ReadTimeout": f"{host} stopped sending",
        "IncompleteRead": f"{host} ended the connection too early",
        "timed out": f"{host} stopped sending",
    }
    said = (words for sign, words in table.items() if sign in text)
    return next(said, f"the connection to {host} broke")


def cut(response: "urllib3.BaseHTTPResponse") -> None:
    """End a connection that another thread may be waiting on."""
    sock = socket_of(response)
    if sock is not None:
        try:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # that of TLS is not for two threads
        except OSError:
            return


def more_at_once(response: "urllib3.BaseHTTPResponse") -> bool:
    """Return whether more of a body can be read without waiting."""
    from urllib3.util.wait import wait_for_read

    sock = socket_of(response)
    return sock is not None and wait_for_read(sock, timeout=0)


def socket_of(response: "urllib3.BaseHTTPResponse") -> socket.socket | None:
    """Return what an answer comes through, None where it is complete or not known."""
    return getattr(getattr(response, "connection", None), "sock", None)
