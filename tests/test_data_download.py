"""One file: in order, complete and by no more connections than are worth it, whatever happens."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data_helpers import MB, QUICK, noise, sha256, without_proxies
from tests.data_server import Behaviour, DataServer
from workbench.data.errors import SourceFailed
from workbench.data.settings import Manners
from workbench.data.transfer import download as module
from workbench.data.transfer.download import Download, Pace, Window
from workbench.data.transfer.http_client import Cancelled, HttpClient, Moved

SMALL = noise(300_000)
LARGE = noise(10 * MB)
IMPATIENT = Manners(pause_s=0.02, timeout_s=0.3, tries=3)


@pytest.fixture(autouse=True)
def _direct(monkeypatch):
    without_proxies(monkeypatch)


@pytest.fixture
def server() -> Iterator[DataServer]:
    with DataServer({"small": SMALL, "large": LARGE}) as running:
        yield running


@pytest.fixture
def client() -> Iterator[HttpClient]:
    made = HttpClient(QUICK)
    yield made
    made.close()


def brought(download: Download) -> bytes:
    return b"".join(download)


def reason(download: Download, kind: type[Exception] = SourceFailed) -> str:
    with pytest.raises(kind) as caught:
        brought(download)
    return str(caught.value)


def name(server: DataServer) -> str:
    return f"127.0.0.1:{server.port}"


HARMLESS = {
    "good": Behaviour(),
    "ignores ranges": Behaviour(ignore_ranges=True),
    "gives everything instead of a later part": Behaviour(full_for_range=True),
    "does not say that it knows ranges": Behaviour(no_accept_ranges=True),
    "in pieces without a length": Behaviour(no_content_length="chunked"),
    "without a length": Behaviour(no_content_length="close"),
    "without a tag": Behaviour(etag=None),
    "with a weak tag": Behaviour(etag='W/"1"'),
    "without any sign of its version": Behaviour(etag=None, last_modified=None),
    "closes every connection": Behaviour(close=True),
    "is slow to begin": Behaviour(slow_first_byte=0.05),
}


@pytest.mark.parametrize("declared", [True, False], ids=["size declared", "size unknown"])
@pytest.mark.parametrize("file", ["small", "large"])
@pytest.mark.parametrize("behaviour", HARMLESS.values(), ids=HARMLESS)
def test_a_file_comes_from_every_kind_of_server(server, client, file, behaviour, declared):
    data = {"small": SMALL, "large": LARGE}[file]
    server.behave(file, behaviour)
    download = Download(client, server.url(file), len(data) if declared else None)
    assert brought(download) == data
    assert download.position == len(data)


@pytest.mark.parametrize("start", [1, 123_457, 299_999, 300_000])
@pytest.mark.parametrize("behaviour", HARMLESS.values(), ids=HARMLESS)
def test_a_file_goes_on_from_any_byte(server, client, behaviour, start):
    server.behave("small", behaviour)
    assert brought(Download(client, server.url("small"), 300_000, start)) == SMALL[start:]


TROUBLE = {
    "ends too early": Behaviour(truncate_after=70_001),
    "ends at once": Behaviour(truncate_after=0),
    "is reset": Behaviour(reset_after=70_001),
    "is reset before its answer": Behaviour(reset_after=-1),
    "stops": Behaviour(stall_after=70_001),
    "has an error": Behaviour(status=500),
    "is busy": Behaviour(status=503),
    "says too short a length": Behaviour(wrong_length=-100),
    "ends too early, by its own length": Behaviour(wrong_length=100),
}


@pytest.mark.parametrize("file", ["small", "large"])
@pytest.mark.parametrize("behaviour", TROUBLE.values(), ids=TROUBLE)
def test_what_passes_is_overcome(server, file, behaviour):
    data = {"small": SMALL, "large": LARGE}[file]
    client = HttpClient(Manners(pause_s=0.02, timeout_s=0.5))
    if behaviour.wrong_length:
        behaviour = Behaviour(wrong_length=behaviour.wrong_length, ignore_ranges=False)
        planned = [behaviour, Behaviour()]
        size = None if file == "small" else len(data)
    else:
        planned, size = [behaviour, Behaviour(), behaviour, Behaviour()], len(data)
    server.behave(file, planned)
    assert brought(Download(client, server.url(file), size)) == data
    client.close()


CUTS = [0, 1, 511, 512, 65_536, 150_000, 299_998, 299_999]
KINDS = [("truncate_after", cut) for cut in CUTS] + [("reset_after", cut) for cut in CUTS]


@pytest.mark.parametrize(("kind", "cut"), [*KINDS, ("stall_after", 1), ("stall_after", 150_000)])
def test_nothing_that_came_before_a_break_is_asked_for_again(server, kind, cut):
    client = HttpClient(Manners(pause_s=0.01, timeout_s=1))
    server.behave("small", [Behaviour(**{kind: cut}), Behaviour()])
    assert brought(Download(client, server.url("small"), 300_000)) == SMALL
    # One that stalled is noted when the server sees that nobody waits any more, maybe as the last.
    end = time.monotonic() + 60
    while len(server.requests) < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    sent = [((r.range or (0, None))[0], r.bytes_sent) for r in server.requests]
    assert len(sent) == 2 and (cut, 300_000 - cut) in sent
    client.close()


@pytest.mark.parametrize(("file", "size"), [("small", 300_000), ("large", 10 * MB)])
def test_what_has_come_is_handed_on_before_the_rest_has(server, file, size):
    client = HttpClient(Manners(timeout_s=30))
    go_on = threading.Event()
    server.behave(file, Behaviour(stall_after=70_001, until=go_on))
    chunks = iter(Download(client, server.url(file), size))
    begun = b""
    while len(begun) < 70_001:
        begun += next(chunks)
    assert len(begun) == 70_001
    go_on.set()
    assert len(b"".join(chunks)) == size - 70_001
    client.close()


def test_a_server_that_breaks_off_again_and_again_gets_there(server, client):
    server.behave("small", Behaviour(reset_after=10_000))
    assert brought(Download(client, server.url("small"), 300_000)) == SMALL
    assert server.count() == 30
    assert server.bytes_sent() <= 310_000


REFUSED = {
    "401": (Behaviour(status=401), "asks for a log-in (HTTP 401)."),
    "403": (Behaviour(status=403), "does not allow it (HTTP 403)."),
    "404": (Behaviour(status=404), "does not have the file (HTTP 404)."),
    "410": (Behaviour(status=410), "no longer has the file (HTTP 410)."),
    "500": (Behaviour(status=500), "has a problem of its own (HTTP 500)."),
    "503": (Behaviour(status=503), "is busy (HTTP 503)."),
    "429": (Behaviour(status=429), "is busy (HTTP 429)."),
    "page": (Behaviour(html=True), "answered with a web page instead of the file"),
    "gzip": (Behaviour(content_encoding="gzip"), "compresses the file on the way"),
    "loop": (Behaviour(redirect="/small"), "sends from one address to the next without end."),
    "scheme": (Behaviour(redirect="ftp://x/y"), "an address that is not one of the web."),
    "nothing": (Behaviour(truncate_after=0), "ended the connection too early."),
    "silence": (Behaviour(stall_after=0), "stopped sending."),
    "another size": (Behaviour(content=b"x" * 299_999), "offers 299999 bytes where 300000 are"),
    "wrong length": (Behaviour(wrong_length=7), "offers 300007 bytes where 300000 are declared"),
    "too much": (
        Behaviour(content=b"x" * 300_001, no_content_length="chunked"),
        "sends more than 300000 bytes: that is another file.",
    ),
}


@pytest.mark.parametrize(("behaviour", "text"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_pass_is_said(server, behaviour, text):
    client = HttpClient(IMPATIENT)
    server.behave("small", behaviour)
    download = Download(client, server.url("small"), 300_000)
    said = reason(download)
    assert said.startswith(name(server))
    assert text in said
    assert server.count() <= 6
    client.close()


def test_a_server_that_is_not_there_is_soon_given_up(client):
    with DataServer() as gone:
        url = gone.url("small")
    text = reason(Download(client, url, 300_000))
    assert text == f"127.0.0.1:{gone.port} can't be reached."


def test_another_size_is_refused_before_anything_is_read(server, client):
    server.put("large", noise(12 * MB))
    server.behave("large", Behaviour(stall_after=0))
    text = reason(Download(client, server.url("large"), len(LARGE)))
    assert text == (
        f"{name(server)} offers 12000000 bytes where 10000000 are declared: that is another "
        "file, or a page that says why there is none."
    )


@pytest.mark.parametrize("wrong", ["bytes 7-1000000/10000000", "bytes */10000000", "x"])
def test_a_wrong_part_is_refused(server, client, wrong):
    server.behave("large", Behaviour(wrong_content_range=wrong))
    text = reason(Download(client, server.url("large"), len(LARGE)))
    assert text == f"{name(server)} sent another part of the file than was asked for."


def test_a_part_that_is_longer_than_was_asked_for_is_cut(server, client):
    hook = {1: (0, 4_999_999)}

    def wider(request):
        return Behaviour(wrong_content_range=hook.pop(len(server.requests) + 1, None))

    server.before_response = wider
    assert brought(Download(client, server.url("large"), len(LARGE))) == LARGE


@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(etag=None), Behaviour(etag='W/"a"')])
def test_a_file_that_changes_on_the_way_is_never_mixed_with_the_one_before(server, behaviour):
    client = HttpClient(IMPATIENT)
    cut = Behaviour(truncate_after=100_000, etag=behaviour.etag)
    changed = Behaviour(content=noise(300_000, 1), etag=behaviour.etag)
    server.behave("small", [cut, changed])
    download = Download(client, server.url("small"), 300_000)
    text = reason(download, Moved)
    assert text == f"{name(server)} now has another version of the file"
    assert download.position == 100_000
    client.close()


def test_a_large_file_that_changes_on_the_way_is_noticed(server, client):
    server.behave("large", [Behaviour()] * 3 + [Behaviour(content=noise(10 * MB, 1))])
    got = []
    with pytest.raises(Moved):
        got.extend(Download(client, server.url("large"), len(LARGE)))
    assert LARGE.startswith(b"".join(got))


def test_what_is_shorter_than_what_is_here_has_changed(server, client):
    text = reason(Download(client, server.url("small"), None, 400_000), Moved)
    assert text == f"the file at {name(server)} is shorter than what has arrived already"


def test_a_download_that_is_complete_asks_for_nothing(server, client):
    assert brought(Download(client, server.url("small"), 300_000, 300_000)) == b""
    assert server.count() == 0


# ---------------------------------------------------------------------- many connections


def test_a_small_file_comes_by_one_request(server, client):
    brought(Download(client, server.url("small"), 300_000))
    [request] = server.requests
    assert request.range is None


def test_a_server_that_is_fast_by_one_connection_is_not_asked_by_many(server):
    client = HttpClient(QUICK)
    assert brought(Download(client, server.url("large"), len(LARGE))) == LARGE
    assert server.most_at_once <= 4
    assert server.count() <= 16
    assert server.bytes_sent() == len(LARGE)
    client.close()


@pytest.mark.parametrize("most", [1, 3, 8])
def test_connections_are_added_while_each_makes_it_faster_and_never_too_many(most):
    data = noise(10 * MB)
    client = HttpClient(Manners(connections=most, pause_s=0.02, timeout_s=5))
    with DataServer({"slow": data}, cap_bytes_s=6 * MB / most**0.5) as server:
        assert sha256(brought(Download(client, server.url("slow"), len(data)))) == sha256(data)
        assert min(most, 3) <= server.most_at_once <= most
        assert server.connections <= most
        assert server.count() <= 16
        assert server.bytes_sent() == len(data)
    client.close()


def test_a_server_that_counts_requests_is_asked_for_long_parts_by_few(server):
    data = noise(12 * MB)
    client = HttpClient(QUICK)
    with DataServer({"slow": data}, cap_bytes_s=10 * MB) as slow:
        client.host(slow.url()).per_minute = 1000
        assert sha256(brought(Download(client, slow.url("slow"), len(data)))) == sha256(data)
        assert slow.count() <= 2
        assert slow.most_at_once <= 2
    client.close()


def test_a_server_that_allows_few_connections_is_still_served_from():
    data = noise(12 * MB)
    client = HttpClient(Manners(pause_s=0.05, timeout_s=2))
    limits = {"cap_bytes_s": 5 * MB, "max_connections_per_client": 2}
    with DataServer({"slow": data}, **limits) as server:
        assert sha256(brought(Download(client, server.url("slow"), len(data)))) == sha256(data)
        assert server.bytes_sent("slow") - 20_000 <= len(data)
    client.close()


def test_a_server_that_goes_away_for_a_moment_is_waited_for_by_all():
    data = noise(12 * MB)
    client = HttpClient(Manners(pause_s=0.05, timeout_s=2, tries=5))
    trouble = threading.Event()
    with DataServer({"slow": data}, cap_bytes_s=3 * MB) as server:

        def refuse(request):
            return Behaviour(status=503) if trouble.is_set() else None

        def hook(request):
            if len(server.in_flight) >= 4 and not trouble.is_set():
                trouble.set()
                threading.Timer(0.3, trouble.clear).start()
                server.before_response = refuse
            return

        server.before_response = hook
        assert sha256(brought(Download(client, server.url("slow"), len(data)))) == sha256(data)
    client.close()


def test_a_pause_that_the_server_asks_for_is_kept_by_all_connections():
    data = noise(12 * MB)
    client = HttpClient(Manners(timeout_s=5))
    asked_at = []
    with DataServer({"slow": data}, cap_bytes_s=3 * MB) as server:

        def hook(request):
            if len(server.in_flight) >= 3 and not asked_at:
                asked_at.append(time.monotonic())
                return Behaviour(status=429, retry_after=1)
            return None

        server.before_response = hook
        assert sha256(brought(Download(client, server.url("slow"), len(data)))) == sha256(data)
        times = sorted(r.at for r in server.requests if r.at > asked_at[0])
        gaps = [later - sooner for sooner, later in zip([asked_at[0], *times], times, strict=False)]
        assert max(gaps) >= 0.85
        assert len(times) <= 16
        assert times[-1] - asked_at[0] >= 0.95
    client.close()


def test_a_date_to_come_back_at_is_kept(server, client):
    from email.utils import formatdate

    until = formatdate(time.time() + 2, usegmt=True)
    server.behave("small", [Behaviour(status=503, retry_after=until), Behaviour()])
    assert brought(Download(client, server.url("small"), 300_000)) == SMALL
    first, second = server.requests
    assert 0.9 <= second.at - first.at <= 4


def test_a_pause_that_is_too_long_is_refused_with_its_length(server, client):
    server.behave("large", Behaviour(status=429, retry_after=86_400))
    text = reason(Download(client, server.url("large"), len(LARGE)))
    assert text == (
        f"{name(server)} is busy and asks to come back in 24.0 h. What has arrived is kept; try "
        "again then."
    )
    assert server.count() <= 1


def test_what_waits_in_memory_is_bounded():
    data = noise(6 * MB)
    manners = Manners(connections=4, window_bytes=400_000, timeout_s=5)
    client = HttpClient(manners)
    with DataServer({"file": data}) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SMALL", 100_000)
        download = Download(client, server.url("file"), len(data))
        window = Window(download)
        window.wanted = window.pace.count = 4
        taken = most = 0
        for chunk in window.chunks():
            taken += len(chunk)
            most = max(most, window.waiting)
            assert window.waiting <= manners.window_bytes
            assert window.next_start - taken <= manners.window_bytes
            time.sleep(0.001)
        window.close()
        assert taken == len(data)
        assert most > 0
    client.close()


def test_a_reader_that_stops_stops_the_server(server):
    client = HttpClient(Manners(timeout_s=5, window_bytes=2 * MB))
    server.put("huge", noise(40 * MB))
    chunks = iter(Download(client, server.url("huge"), 40 * MB))
    next(chunks)
    chunks.close()
    time.sleep(0.2)
    before = server.count()
    time.sleep(0.2)
    assert server.count() == before
    assert server.in_flight == []
    assert server.bytes_sent() < 20 * MB
    assert [t for t in threading.enumerate() if t.name == "data-segment"] == []
    client.close()


@pytest.mark.parametrize("file", ["small", "large"])
@pytest.mark.parametrize("how", [{"stall_after": 100_000}, {"status": 429, "retry_after": 60}])
def test_a_download_that_waits_can_be_called_off(server, file, how):
    client = HttpClient(Manners(timeout_s=20))
    server.behave(file, Behaviour(**how))
    threading.Timer(0.2, client.stop).start()
    began = time.monotonic()
    size = {"small": len(SMALL), "large": len(LARGE)}[file]
    reason(Download(client, server.url(file), size), Cancelled)
    assert time.monotonic() - began < 5
    client.close()


ODD = st.sampled_from(
    [
        Behaviour(status=503),
        Behaviour(status=500),
        Behaviour(no_content_length="chunked"),
        Behaviour(slow_first_byte=0.01),
        Behaviour(close=True),
        Behaviour(wrong_length=-3),
    ]
) | st.builds(
    lambda kind, cut: Behaviour(**{kind: cut}),
    st.sampled_from(["truncate_after", "reset_after"]),
    st.integers(0, 60_000),
)
WHOLE = [Behaviour(ignore_ranges=True), Behaviour(full_for_range=True)]


@pytest.fixture(scope="module")
def shared():
    with DataServer() as running:
        yield running


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    size=st.integers(1, 200_000),
    start=st.integers(0, 200_000),
    limit=st.integers(1_000, 150_000),
    hands=st.integers(1, 8),
    odd=st.lists(ODD, max_size=6),
    last=st.sampled_from([Behaviour(), Behaviour(), *WHOLE]),
    declared=st.booleans(),
)
def test_bytes_come_in_order(shared, size, start, limit, hands, odd, last, declared):
    data = noise(size)
    start = min(start, size - 1)
    shared.put("odd", data)
    shared.behave("odd", [*odd, last])
    client = HttpClient(Manners(connections=hands, window_bytes=limit, pause_s=0.001, timeout_s=5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SMALL", 10_000)
        patch.setattr(module, "PROBE_S", 0.005)
        download = Download(client, shared.url("odd"), size if declared else None, start)
        got = b"".join(download)
    client.close()
    assert got == data[start:]
    assert download.position == size


# ---------------------------------------------------------------------- how many connections


class Race:
    """A clock and a server that brings so many bytes a second by so many connections."""

    def __init__(self, most: int, rate) -> None:
        self.now, self.received, self.rate = 0.0, 0, rate
        self.pace = Pace(most, lambda: self.now)

    def after(self, seconds: float = 0.25, *, crowded: bool = False) -> int:
        self.now += seconds
        self.received += round(seconds * self.rate(self.pace.count))
        return self.pace.connections(self.received, crowded=crowded)


def test_connections_are_doubled_while_that_is_worth_it_then_one_step_back():
    race = Race(16, lambda count: 1000 * min(count, 4))
    assert [race.after() for _ in range(5)] == [2, 4, 8, 4, 4]


def test_there_are_never_more_connections_than_allowed():
    race = Race(6, lambda count: 1000 * count)
    assert [race.after() for _ in range(5)] == [2, 4, 6, 6, 6]


def test_a_server_that_gives_the_same_to_one_gets_one():
    race = Race(8, lambda count: 1000)
    assert [race.after() for _ in range(4)] == [2, 1, 1, 1]


def test_it_is_tried_again_after_a_while():
    race = Race(8, lambda count: 1000)
    for _ in range(4):
        race.after()
    race.rate = lambda count: 1000 * count
    counts = [race.after() for _ in range(40)]
    assert counts[:15] == [1] * 15
    assert counts[-1] == 8


def test_nothing_is_learnt_before_the_first_byte_or_too_soon():
    race = Race(8, lambda count: 0)
    assert [race.after() for _ in range(9)] == [1] * 9
    race.rate = lambda count: 1000
    assert race.after(0.1) == 1
    assert race.after(0.25) == 2


def test_connections_are_not_added_where_the_reader_is_what_is_slow():
    race = Race(8, lambda count: 1000 * count)
    assert [race.after(crowded=True) for _ in range(3)] == [1] * 3


def test_a_server_that_refuses_more_is_left_with_what_it_serves():
    race = Race(8, lambda count: 1000 * count)
    race.after()
    race.after()
    assert race.pace.back_to(2) == 2
    assert [race.after() for _ in range(3)] == [2] * 3
    assert race.pace.back_to(5) == 2
    assert race.pace.back_to(0) == 1
