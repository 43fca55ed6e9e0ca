"""The hub before anybody has logged in: what it takes, what it tells, and how often it answers."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
from playwright.sync_api import Browser, expect
from portals import BEAMHUB, PATIENCE_S, RunningPortal, shot, violations, xsrf

from hub.headers import ALWAYS
from hub.pages.tokens import LONGEST_NOTE, MOST_TOKENS
from hub.throttle import ADDRESS_BURST, ADDRESS_REFILL_S, PAIR_FREE

pytestmark = [pytest.mark.portal]

BODY_BYTES = 90 << 20
MOST_GROWTH_BYTES = 60 << 20
ATTACKS = [
    ("/hub/login", False),
    ("/hub/login", True),
    ("/hub/api/users", False),
    ("/hub/reproduce", False),
    ("/hub/reproduce", True),
]


def rss_bytes(portal: RunningPortal) -> int:
    return int(portal.hub.memory_info().rss)


def held_open(portal: RunningPortal, path: str, chunked: bool) -> socket.socket:
    """Send all of a large body but its end, as far as it is taken."""
    kind = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {BODY_BYTES}"
    block = b"x" * 65536
    piece = b"10000\r\n" + block + b"\r\n" if chunked else block
    connection = socket.create_connection(("127.0.0.1", portal.port), timeout=PATIENCE_S)
    with suppress(OSError):
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{kind}\r\n\r\n".encode())
        for _ in range(BODY_BYTES // len(block) - 1):
            connection.sendall(piece)
    return connection


def test_large_bodies_of_strangers_take_no_memory(portal: RunningPortal) -> None:
    """Five of 90 MB; on a portal without limits three of them took 476 MB."""
    before = rss_bytes(portal)
    connections = [held_open(portal, path, chunked) for path, chunked in ATTACKS]
    most = rss_bytes(portal)
    for connection in connections:
        with suppress(OSError):
            assert re.match(rb"HTTP/1.1 (4..|503) ", connection.recv(100))
        connection.close()
    assert max(most, rss_bytes(portal)) - before < MOST_GROWTH_BYTES
    assert portal.client().get("/hub/health").status_code == 200


def test_what_a_user_sends_that_is_too_large_is_told(portal: RunningPortal) -> None:
    client = portal.login("una")
    before = rss_bytes(portal)
    form = {"_xsrf": xsrf(client.get("/hub/reproduce").text)}
    shelf = portal.state / "reproduce"  # made with the first that anybody sends
    kept = set(shelf.glob("*"))
    answer = client.post(
        "/hub/reproduce", data=form, files={"archive": ("x.crate.zip", b"PK" * (30 << 20))}
    )
    assert (answer.status_code, "larger than 50 MB" in answer.text) == (400, True)
    assert rss_bytes(portal) - before < MOST_GROWTH_BYTES
    assert set(shelf.glob("*")) <= kept


ANSWERS = [
    "/hub/login",
    "/hub/about",
    "/hub/look.css",
    "/hub/logo",
    "/hub/beamhub/portal.css",
    "/hub/beamhub/none.css",
    "/hub/static/css/style.min.css",
    "/hub/api/",
    "/hub/api/user",
    "/hub/health",
    "/hub/metrics",
    "/hub/usecases",
    "/hub/token",
    "/hub/home",
    "/hub/nothing",
    "/hub/error/503",
    "/hub/error/404",
    "/hub/logout",
    "/user/nobody/pyfai/lab",
    "/nothing",
]


@pytest.mark.parametrize("logged_in", [False, True])
def test_every_answer_says_what_browsers_may_do_with_it(
    portal: RunningPortal, logged_in: bool
) -> None:
    client = portal.login("una") if logged_in else portal.client()
    for address in ANSWERS:
        for method in ("GET", "POST", "OPTIONS"):
            answer = client.request(method, address, follow_redirects=False)
            policy = answer.headers.get("content-security-policy", "")
            assert "default-src" in policy, (method, address, answer.status_code)
            assert "frame-ancestors 'none'" in policy, address
            assert "base-uri 'none'" in policy or "default-src 'none'" in policy, address
            for name, value in ALWAYS.items():
                assert answer.headers[name] == value, address
            assert "strict-transport-security" not in answer.headers, "there is no TLS here"


def test_a_log_in_cookie_is_this_portals_and_no_other_sites(portal: RunningPortal) -> None:
    client = portal.client()
    form = {"username": "una", "password": portal.code}
    form["_xsrf"] = xsrf(client.get("/hub/login").text)
    answer = client.post("/hub/login", data=form, follow_redirects=False)
    set_cookies = answer.headers.get_list("set-cookie")
    own = (portal.state / "identity").read_text()
    (login,) = (c for c in set_cookies if c.startswith(f"jupyterhub-hub-login-{own}="))
    assert {"HttpOnly", "Path=/hub/", "SameSite=Lax"} <= set(login.split("; "))
    assert all("SameSite=Lax" in cookie for cookie in set_cookies)


def test_metrics_are_for_those_who_may_read_them(portal: RunningPortal) -> None:
    assert portal.client().get("/hub/metrics").status_code == 403
    assert portal.login("una").get("/hub/metrics").status_code == 403


def test_a_token_ends_after_some_months(portal: RunningPortal) -> None:
    client = portal.login("una")
    header = {"X-XSRFToken": client.cookies.get("_xsrf", path="/hub/") or ""}
    answer = client.post("/hub/api/users/una/tokens", headers=header, json={"expires_in": 10**9})
    assert answer.status_code == 400, answer.text
    endless = client.post("/hub/api/users/una/tokens", headers=header, json={})
    assert endless.status_code == 201 and endless.json()["expires_at"], endless.text


def test_nobody_fills_the_portals_disk_with_tokens(portal: RunningPortal) -> None:
    client = portal.login("tom")
    header = {"X-XSRFToken": client.cookies.get("_xsrf", path="/hub/") or ""}

    def made(**body: object) -> httpx.Response:
        return client.post("/hub/api/users/tom/tokens", headers=header, json=body)

    assert made(note="x" * (LONGEST_NOTE + 1)).status_code == 400
    assert made(note=["x"]).status_code == 400
    first = made(note="x" * LONGEST_NOTE).json()["id"]
    assert [made().status_code for _ in range(MOST_TOKENS)] == [201] * (MOST_TOKENS - 1) + [400]
    assert "revoke some" in made().json()["message"]
    client.delete(f"/hub/api/users/tom/tokens/{first}", headers=header).raise_for_status()
    assert made().status_code == 201


def at(portal: RunningPortal, address: str) -> httpx.Client:
    """Return a client at another address of this machine."""
    client = httpx.Client(
        base_url=portal.url,
        transport=httpx.HTTPTransport(local_address=address),
        follow_redirects=True,
        timeout=PATIENCE_S,
        headers={"Sec-Fetch-Mode": "navigate"},
    )
    portal.clients.append(client)
    return client


def guess(client: httpx.Client, name: str, code: str = "wrong", **headers: str) -> httpx.Response:
    form = {"username": name, "password": code, "_xsrf": xsrf(client.get("/hub/login").text)}
    return client.post("/hub/login", data=form, headers=headers)


def events(portal: RunningPortal) -> list[dict]:
    return list(map(json.loads, (portal.state / "logs/audit.jsonl").read_text().splitlines()))


@pytest.fixture
def unblocked(portal: RunningPortal) -> Iterator[RunningPortal]:
    """The shared portal, in which everybody may try again afterwards."""
    yield portal
    subprocess.run([BEAMHUB, "unblock", f"--state={portal.state}"], check=True)


def test_guessing_becomes_slow_and_keeps_nobody_else_out(unblocked: RunningPortal) -> None:
    portal, name = unblocked, "victor"
    portal.login(name)
    thief = at(portal, "127.0.0.66")
    statuses = [guess(thief, name).status_code for _ in range(PAIR_FREE + 1)]
    assert statuses == [403] * PAIR_FREE + [429]
    # Neither the right code, nor a forged address, nor the REST interface is a way around.
    refused = guess(thief, name, portal.code)
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 0
    assert re.search(r"not looked at. Try again in \d+ s", refused.text)
    assert f'value="{name}"' in refused.text, "what was typed is lost"
    for header in ("X-Forwarded-For", "X-Real-Ip", "Forwarded"):
        forged = guess(thief, name, portal.code, **{header: "203.0.113.5"})
        assert forged.status_code == 429, header
    auth = {"auth": {"username": name, "password": portal.code}}
    assert thief.post(f"/hub/api/users/{name}/tokens", json=auth).status_code == 403
    # The owner of the name, elsewhere, is let in at once.
    owner = at(portal, "127.0.0.77")
    assert guess(owner, name, portal.code).url.path == "/hub/usecases"
    subprocess.run([BEAMHUB, "unblock", f"--state={portal.state}"], check=True)
    time.sleep(0.1)
    assert guess(thief, name).status_code == 403
    told = [e for e in events(portal) if e.get("address") == "127.0.0.66"]
    assert {(e["action"], e["username"]) for e in told} == {("failed", name), ("throttled", name)}


def test_many_names_from_one_address_are_slow_too(unblocked: RunningPortal) -> None:
    """122 tries a second were possible; each is another name, so no pair has many mistakes."""
    names = [f"n{n}" for n in range(ADDRESS_BURST + 15)]
    begun = time.monotonic()
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda name: guess(at(unblocked, "127.0.0.88"), name), names))
    looked_at = sum(answer.status_code == 403 for answer in answers)
    assert {answer.status_code for answer in answers} == {403, 429}
    assert looked_at <= ADDRESS_BURST + 1 + (time.monotonic() - begun) / ADDRESS_REFILL_S
    assert not {e["username"] for e in events(unblocked) if e.get("address") == "127.0.0.88"} - {""}


NEWLINE = 'eve\n{"action": "logged-in", "username": "admin"}'


def test_who_did_what_is_written_down_and_nobody_writes_more(portal: RunningPortal) -> None:
    code = portal.code
    client = at(portal, "127.0.0.99")
    guess(client, NEWLINE, code="my-secret-password")
    guess(client, "my-secret-password-in-the-wrong-field", code="x")
    portal.login("una")
    path = portal.state / "logs/audit.jsonl"
    text = path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert "my-secret" not in text and code not in text and '"admin"' not in text
    found = [e for e in events(portal) if e["__schema__"].endswith("/login")]
    assert found[-1]["action"] == "logged-in" and found[-1]["username"] == "una"
    assert [e["action"] for e in found if e["address"] == "127.0.0.99"] == ["failed"] * 2
    log = (portal.state / "logs/portal.log").read_text()
    assert code not in log and not re.search(r'^\{"action"', log, re.MULTILINE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_a_log_in_that_has_to_wait(
    unblocked: RunningPortal, browser: Browser, scheme: str
) -> None:
    client = unblocked.client()
    while guess(client, f"carol-{scheme}").status_code != 429:
        pass
    for width in (1280, 390):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page = context.new_page()
        page.goto(f"{unblocked.url}/hub/login")
        page.get_by_label("Name").fill(f"carol-{scheme}")
        alert = page.get_by_role("alert")
        for _ in range(PAIR_FREE):  # on a slow machine the first wait may be over by now
            page.get_by_label("Code").fill("wrong")
            with page.expect_navigation():
                page.get_by_role("button", name="Log in").click()
            if "is wrong" not in alert.inner_text():
                break
        expect(alert).to_contain_text("Try again in")
        assert page.get_by_label("Name").input_value() == f"carol-{scheme}"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shot(page, f"throttled-{scheme}-{width}")
        assert violations(page) == []
        context.close()
