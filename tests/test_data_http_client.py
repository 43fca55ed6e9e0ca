"""One request: what a server may answer, and the sentence that it becomes."""

import base64
import datetime
import http.client
import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from tests.data_helpers import QUICK, noise, without_proxies
from tests.data_server import Behaviour, DataServer
from workbench.data.errors import SourceFailed
from workbench.data.settings import Manners
from workbench.data.transfer.http_client import (
    Cancelled,
    Head,
    HttpClient,
    Interrupted,
    Moved,
    retry_after,
)
from workbench.manifest import DataFile

FILE = noise(100_000)
PASSWORD = "hunter2-Xq9"


@pytest.fixture(autouse=True)
def _direct(monkeypatch):
    without_proxies(monkeypatch)


@pytest.fixture
def server() -> Iterator[DataServer]:
    with DataServer({"a.bin": FILE}) as running:
        yield running


@pytest.fixture
def client() -> Iterator[HttpClient]:
    made = HttpClient(QUICK)
    yield made
    made.close()


def got(
    client: HttpClient, url: str, start: int = 0, stop: int | None = None, tag: str | None = None
):
    with client.get(url, start, stop, tag) as (head, response):
        return head, response.read(decode_content=False)


def said(client: HttpClient, url: str, kind: type[Exception] = SourceFailed, **asked) -> str:
    with pytest.raises(kind) as caught:
        got(client, url, **asked)
    assert PASSWORD not in repr(caught.value)
    return str(caught.value)


def host(server: DataServer) -> str:
    return f"127.0.0.1:{server.port}"


def test_a_whole_file_is_asked_for_without_a_range(server, client):
    head, data = got(client, server.url("a.bin"))
    assert (head, data) == (Head(0, 100_000, server.etag("a.bin"), partial=False), FILE)
    [request] = server.requests
    assert request.range is None
    assert request.headers["accept-encoding"] == "identity"
    assert "authorization" not in request.headers
    assert "cookie" not in request.headers


def test_a_part_is_asked_for_and_only_of_the_same_version(server, client):
    tag = server.etag("a.bin")
    head, data = got(client, server.url("a.bin"), 10, 20, tag)
    assert (head, data) == (Head(10, 100_000, tag, partial=True), FILE[10:20])
    [request] = server.requests
    assert request.range == (10, 19)
    assert request.headers["if-range"] == tag


def test_a_version_is_known_by_its_date_where_the_tag_is_weak(server, client):
    server.behave("a.bin", Behaviour(etag='W/"1"'))
    head, _ = got(client, server.url("a.bin"), 10, 20)
    assert head.tag == "Mon, 01 Jan 2024 00:00:00 GMT"
    assert got(client, server.url("a.bin"), 10, 20, head.tag)[1] == FILE[10:20]
    server.behave("a.bin", Behaviour(etag=None, last_modified=None))
    assert got(client, server.url("a.bin"))[0].tag is None


@pytest.mark.parametrize("tag", ['"another"', "Tue, 02 Jan 2024 00:00:00 GMT"])
def test_another_version_is_never_given_out(server, client, tag):
    text = said(client, server.url("a.bin"), Moved, start=10, stop=20, tag=tag)
    assert text == f"{host(server)} now has another version of the file"


def test_a_file_that_is_shorter_than_what_is_here_has_changed(server, client):
    text = said(client, server.url("a.bin"), Moved, start=200_000)
    assert text == f"the file at {host(server)} is shorter than what has arrived already"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "asks for a log-in (HTTP 401)."),
        (403, "does not allow it (HTTP 403)."),
        (404, "does not have the file (HTTP 404)."),
        (407, "is behind a proxy that asks for a log-in (HTTP 407)."),
        (410, "no longer has the file (HTTP 410)."),
        (418, "refuses (HTTP 418)."),
    ],
)
def test_an_answer_that_will_not_change_ends_it(server, client, status, text):
    server.behave("a.bin", Behaviour(status=status))
    assert said(client, server.url("a.bin")) == f"{host(server)} {text}"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (408, "has a problem of its own (HTTP 408)"),
        (429, "is busy (HTTP 429)"),
        (500, "has a problem of its own (HTTP 500)"),
        (502, "has a problem of its own (HTTP 502)"),
        (503, "is busy (HTTP 503)"),
    ],
)
def test_an_answer_that_may_change_can_be_asked_for_again(server, client, status, text):
    server.behave("a.bin", [Behaviour(status=status), Behaviour()])
    assert said(client, server.url("a.bin"), Interrupted) == f"{host(server)} {text}"
    assert got(client, server.url("a.bin"))[1] == FILE


def test_a_web_page_is_not_taken_for_the_file(server, client):
    server.behave("a.bin", Behaviour(html=True))
    assert said(client, server.url("a.bin")) == (
        f"{host(server)} answered with a web page instead of the file: perhaps a log-in, or a "
        "notice that it is being repaired."
    )


def test_a_file_that_is_a_web_page_is_one(server, client):
    server.behave("report.html", Behaviour(html=b"<html></html>"))
    assert got(client, server.url("report.html"))[1] == b"<html></html>"


def test_a_file_that_is_compressed_on_the_way_is_refused(server, client):
    server.behave("a.bin", Behaviour(content_encoding="gzip"))
    assert said(client, server.url("a.bin")) == (
        f"{host(server)} compresses the file on the way although asked not to, so its checksum "
        "can't be compared."
    )


def test_a_packed_file_that_is_labelled_as_compressed_comes_as_it_is(server, client):
    server.put("a.tar.gz", FILE)
    server.behave("a.tar.gz", Behaviour(headers={"Content-Encoding": "gzip"}))
    assert got(client, server.url("a.tar.gz"))[1] == FILE


@pytest.mark.parametrize("wrong", [(11, 100), "bytes 11-19/100000", "nonsense", ""])
def test_another_part_than_was_asked_for_is_refused(server, client, wrong):
    server.behave("a.bin", Behaviour(wrong_content_range=wrong))
    text = said(client, server.url("a.bin"), start=10, stop=20)
    assert text == f"{host(server)} sent another part of the file than was asked for."


@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        (Behaviour(truncate_after=1000), "ended the connection too early"),
        (Behaviour(stall_after=1000), "stopped sending"),
        (Behaviour(stall_after=0), "stopped sending"),
        (Behaviour(slow_first_byte=5), "stopped sending"),
    ],
)
def test_an_answer_that_breaks_off_is_said_so(server, behaviour, text):
    client = HttpClient(Manners(timeout_s=0.3))
    server.behave("a.bin", behaviour)
    assert said(client, server.url("a.bin"), Interrupted) == f"{host(server)} {text}"
    client.close()


@pytest.mark.parametrize("behaviour", [Behaviour(reset_after=1000), Behaviour(truncate_after=-1)])
def test_a_broken_connection_is_said_so(server, client, behaviour):
    server.behave("a.bin", behaviour)
    text = said(client, server.url("a.bin"), Interrupted)
    assert text == f"the connection to {host(server)} broke"


def test_a_server_that_is_not_there_is_said_so(client):
    with DataServer() as gone:
        url = gone.url("a.bin")
    assert said(client, url, Interrupted) == f"{urlsplit(url).netloc} can't be reached"
    text = said(client, "http://nobody.invalid/a.bin", Interrupted)
    assert text == "there is no way to nobody.invalid: its name is not known here"


def test_redirects_are_followed_with_the_range(server, client):
    with DataServer() as first:
        first.behave("a.bin", Behaviour(redirect="/b.bin", status=301))
        first.behave("b.bin", Behaviour(redirect=server.url("a.bin"), status=307))
        assert got(client, first.url("a.bin"), 10, 20)[1] == FILE[10:20]
        assert [r.path for r in first.requests] == ["a.bin", "b.bin"]
        assert first.connections == 1


def test_redirects_without_end_are_refused(server, client):
    server.behave("a.bin", Behaviour(redirect="/a.bin"))
    text = said(client, server.url("a.bin"))
    assert text == f"{host(server)} sends from one address to the next without end."
    assert server.count() == 6


@pytest.mark.parametrize("target", ["ftp://example.org/a", "file:///etc/passwd", "data:,x"])
def test_a_redirect_to_something_else_than_the_web_is_refused(server, client, target):
    server.behave("a.bin", Behaviour(redirect=target))
    text = said(client, server.url("a.bin"))
    assert text == f"{host(server)} sends to an address that is not one of the web."


def test_a_redirect_to_an_address_with_a_password_is_refused(server, client):
    server.behave("a.bin", Behaviour(redirect=f"http://ada:{PASSWORD}@{host(server)}/b.bin"))
    text = said(client, server.url("a.bin"))
    assert text == f"{host(server)} sends to an address with a password in it: refused."


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(html=True),
        Behaviour(content_encoding="gzip"),
        Behaviour(redirect="ftp://x"),
        Behaviour(redirect="/a.bin"),
        Behaviour(status=404),
        Behaviour(status=503),
        Behaviour(truncate_after=9),
    ],
)
def test_a_password_in_an_address_is_never_repeated(server, client, behaviour):
    server.behave("a.bin", behaviour)
    url = f"http://ada:{PASSWORD}@{host(server)}/a.bin"
    assert host(server) in said(client, url, Exception)


def test_a_manifest_can_not_hold_a_password():
    with pytest.raises(ValidationError, match="must not hold a user name or a password"):
        DataFile(name="a", urls=[f"https://ada:{PASSWORD}@example.org/a"], sha256="unknown")


# ---------------------------------------------------------------------- a server that is busy


def test_all_wait_where_a_server_asks_to(server, client):
    server.behave("a.bin", [Behaviour(status=429, retry_after=1), Behaviour()])
    said(client, server.url("a.bin"), Interrupted)
    assert got(client, server.url("a.bin"))[1] == FILE
    first, second = server.requests
    assert second.at - first.at >= 0.95


def test_a_server_behind_a_redirect_is_waited_for_too(server, client):
    with DataServer() as first:
        first.behave("a.bin", Behaviour(redirect=server.url("a.bin")))
        server.behave("a.bin", [Behaviour(status=503, retry_after=1), Behaviour()])
        assert said(client, first.url("a.bin"), Interrupted) == f"{host(server)} is busy (HTTP 503)"
        assert got(client, first.url("a.bin"))[1] == FILE
        assert first.requests[1].at - first.requests[0].at >= 0.95


def test_a_pause_that_is_too_long_is_not_waited_for(server, client):
    server.behave("a.bin", Behaviour(status=429, retry_after=7200))
    assert said(client, server.url("a.bin")) == (
        f"{host(server)} is busy and asks to come back in 2.0 h. What has arrived is kept; try "
        "again then."
    )
    server.behave("a.bin", Behaviour())
    assert got(client, server.url("a.bin"))[1] == FILE


def test_a_date_to_come_back_at_is_understood():
    assert retry_after("17") == 17
    assert retry_after(formatdate(time.time() + 100, usegmt=True)) == pytest.approx(100, abs=3)
    assert retry_after(formatdate(time.time() - 100, usegmt=True)) == 0
    assert [retry_after(text) for text in (None, "", "soon", "-5", "Wed, 99 Xyz 2024")] == [
        None
    ] * 5


def test_whoever_waits_for_a_busy_server_can_be_called_off(server, client):
    server.behave("a.bin", Behaviour(status=429, retry_after=60))
    said(client, server.url("a.bin"), Interrupted)
    began = time.monotonic()
    threading.Timer(0.1, client.stop).start()
    said(client, server.url("a.bin"), Cancelled)
    assert time.monotonic() - began < 5


def test_a_server_that_counts_requests_is_not_asked_more_often(server, client):
    client.host(server.url()).per_minute = 3
    client.host(server.url())._recent.extend([time.monotonic() - 59.5] * 2)
    for _ in range(3):
        got(client, server.url("a.bin"))
    times = [request.at for request in server.requests]
    assert times[1] - times[0] >= 0.3
    assert times[2] - times[1] < 0.3


def test_connections_are_used_again(server, client):
    for start in range(10):
        got(client, server.url("a.bin"), start)
    assert server.connections == 1


def test_an_open_connection_is_used_before_a_new_one(server, client):
    url = server.url("a.bin")
    with client.get(url, 0, None), client.get(url, 0, None) as (_, response):
        response.read(decode_content=False)
    assert server.connections == 2
    got(client, url)
    assert server.connections == 2


# ---------------------------------------------------------------------- certificates


def signed(folder: Path) -> tuple[Path, tuple[Path, Path]]:
    """A private authority's certificate, and one of 127.0.0.1 with its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def made(name, issuer, issuer_key, key, *extensions):
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False
            )
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(issuer_key, hashes.SHA256())

    def named(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    def usage(*, of_authority):
        other = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
        )
        other |= {"encipher_only": False, "decipher_only": False, "crl_sign": of_authority}
        return x509.KeyUsage(
            digital_signature=not of_authority, key_cert_sign=of_authority, **other
        )

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = made(
        named("Private authority"),
        named("Private authority"),
        authority_key,
        authority_key,
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (usage(of_authority=True), True),
    )
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = made(
        named("127.0.0.1"),
        named("Private authority"),
        authority_key,
        key,
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage(of_authority=False), True),
        (here, False),
    )
    pem = serialization.Encoding.PEM
    paths = [folder / name for name in ("authority.pem", "server.pem", "server.key")]
    paths[0].write_bytes(authority.public_bytes(pem))
    paths[1].write_bytes(leaf.public_bytes(pem))
    plain, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[2].write_bytes(key.private_bytes(pem, plain, none))
    return paths[0], (paths[1], paths[2])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return signed(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_private_authority_is_trusted_where_the_site_names_it(
    certificates, client, monkeypatch, name
):
    monkeypatch.setenv(name, str(certificates[0]))
    with DataServer({"a.bin": FILE}, tls=certificates[1]) as server:
        assert got(client, server.url("a.bin"), 10, 20)[1] == FILE[10:20]


def test_a_certificate_that_nobody_vouches_for_is_refused(certificates, client):
    with DataServer({"a.bin": FILE}, tls=certificates[1]) as server:
        text = said(client, server.url("a.bin"), Interrupted)
        assert server.requests == []
    assert text == (
        f"{host(server)} shows a certificate that this machine doesn't trust; a private authority "
        "is named by SSL_CERT_FILE"
    )


@pytest.mark.parametrize("damaged", [None, "this isn't a certificate"])
def test_certificates_that_can_not_be_read_are_named(client, monkeypatch, tmp_path, damaged):
    bundle = tmp_path / "authority.pem"
    if damaged:
        bundle.write_text(damaged)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    text = said(client, "https://127.0.0.1:1/a.bin")
    assert text == f"the certificates in {bundle}, which SSL_CERT_FILE names, can't be read."


def test_a_redirect_from_an_encrypted_address_to_another_is_refused(
    certificates, server, client, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
    with DataServer(tls=certificates[1]) as safe:
        safe.behave("a.bin", Behaviour(redirect=server.url("a.bin")))
        text = said(client, safe.url("a.bin"))
    assert text == (
        f"{host(safe)} sends from an encrypted address to one that isn't (127.0.0.1), where "
        "others could read along. That is refused."
    )
    assert server.requests == []


def test_a_stalled_encrypted_answer_can_be_called_off(certificates, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))
    client = HttpClient(Manners(timeout_s=20))
    with DataServer({"a.bin": FILE}, tls=certificates[1]) as server:
        server.behave("a.bin", Behaviour(stall_after=50_000))
        threading.Timer(0.2, client.stop).start()
        began = time.monotonic()
        said(client, server.url("a.bin"), Exception)
        assert time.monotonic() - began < 10
    client.close()


# ---------------------------------------------------------------------- proxies


class Proxy(BaseHTTPRequestHandler):
    """Forwards what is asked for by a whole address."""

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        wanted = self.server.wanted
        if wanted and self.headers.get("Proxy-Authorization") != wanted:
            self.send_error(407)
            return
        target = urlsplit(self.path)
        forward = http.client.HTTPConnection(target.hostname, target.port)
        headers = {k: v for k, v in self.headers.items() if not k.lower().startswith("proxy-")}
        forward.request("GET", target.path, headers=headers)
        answer = forward.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        forward.close()

    def log_message(self, *args):
        pass


@contextmanager
def proxy(wanted: str = "") -> Iterator[ThreadingHTTPServer]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    running.asked, running.wanted = [], wanted
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
def test_the_proxy_of_the_site_is_used(server, client, monkeypatch, variable):
    with proxy() as between:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{between.server_port}")
        assert got(client, server.url("a.bin"), 10, 20)[1] == FILE[10:20]
        assert [path for path, _ in between.asked] == [server.url("a.bin")]


def test_a_proxy_may_be_named_without_its_scheme(server, client, monkeypatch):
    with proxy() as between:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{between.server_port}")
        assert got(client, server.url("a.bin"))[1] == FILE
        assert len(between.asked) == 1


@pytest.mark.parametrize("hosts", ["127.0.0.1", "example.org,127.0.0.1", "*"])
def test_what_needs_no_proxy_is_asked_directly(server, client, monkeypatch, hosts):
    with proxy() as between:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{between.server_port}")
        monkeypatch.setenv("no_proxy", hosts)
        assert got(client, server.url("a.bin"))[1] == FILE
        assert between.asked == []


def test_a_proxy_gets_its_password_and_the_server_does_not(server, client, monkeypatch):
    word = base64.b64encode(f"ada:{PASSWORD}/@".encode()).decode()
    with proxy(f"Basic {word}") as between:
        address = f"http://ada:{PASSWORD}%2F%40@127.0.0.1:{between.server_port}"
        monkeypatch.setenv("http_proxy", address)
        assert got(client, server.url("a.bin"))[1] == FILE
        monkeypatch.setenv("http_proxy", f"http://ada:x{PASSWORD}@127.0.0.1:{between.server_port}")
        text = said(client, server.url("a.bin"))
        assert text.endswith("is behind a proxy that asks for a log-in (HTTP 407).")
    assert all("proxy-authorization" not in request.headers for request in server.requests)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_does_not_work_is_said_without_its_password(client, monkeypatch, scheme):
    with DataServer() as gone:
        pass
    monkeypatch.setenv("http_proxy", f"{scheme}://ada:{PASSWORD}@127.0.0.1:{gone.port}")
    text = said(client, "http://data.example.org/a.bin", Interrupted)
    assert text == "the proxy on the way to data.example.org can't be used"


def test_encryption_is_checked_by_default(client):
    from workbench.data.transfer.http_client import trust

    context = trust()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
