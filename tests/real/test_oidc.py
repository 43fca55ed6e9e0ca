"""Log-in at a real OpenID Connect provider: who comes in, who stays, and what faults look like."""

import asyncio
import html
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psutil
import pytest
from oidc import FORM, SECRET, Provider, at_the_provider, sign_in
from playwright.sync_api import expect
from portals import BEAMHUB, PATIENCE_S, RunningPortal, shot, violations, xsrf

from hub.cli.check import login_findings
from hub.deployment import load_deployment
from hub.names import Names
from hub.oidc.discovery import discover
from hub.oidc.fetching import Fetcher, ProviderError

pytestmark = [pytest.mark.portal]

DOWN = "is not possible right now"
"""What pages say of a provider that does not answer."""

SITE = """
extends: laptop
title: Portal with a provider
contact: helpdesk@example.org
login:
  kind: oidc
  name: your facility account
  issuer: {issuer}
  client_id: beamhub
  client_secret: {{file: {secret}}}
  allowed_groups: [scientists]
  admin_groups: [chiefs]
  scopes: [openid, profile, email, offline_access]
  identity_providers: {{claim: home, allowed: [desy.de, esrf.fr]}}
  refresh_min: 0.01
  timeout_s: 2
programs:
  ccp4: {{source: /opt/ccp4, vouched_groups: [mx], by_declaration: false}}
"""
ADA = {"preferred_username": "ada", "groups": ["scientists", "mx"], "home": "desy.de"}
CHIEF = {"preferred_username": "chief", "groups": ["scientists", "chiefs"], "home": "esrf.fr"}
ACCOUNTS = {
    "s-ada": ADA,
    "s-other-ada": {**ADA, "preferred_username": "Ada"},
    "s-chief": CHIEF,
    "s-guest": {**ADA, "preferred_username": "guest", "groups": ["guests"]},
    "s-stranger": {**CHIEF, "preferred_username": "stranger", "home": "desy.de.example.org"},
    "s-text": {**ADA, "preferred_username": "text", "groups": "scientists"},
    "s-nobody": {"groups": ["scientists"], "home": "desy.de"},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def door(
    provider: Provider, state_folder: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningPortal]:
    """A portal that was started while the provider was down."""
    folder = tmp_path_factory.mktemp("door")
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    site = folder / "door.yaml"
    site.write_text(SITE.format(issuer=provider.issuer, secret=secret))
    provider.set(down=True)
    running = RunningPortal(state_folder(), str(site))
    provider.register(running.url)
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def as_it_should_be(provider: Provider, door: RunningPortal) -> None:
    """Before each test: the provider is there, knows its people and the portal, has the time."""
    provider.set(accounts=ACCOUNTS, clock_s=0, delay_s=0, down=False, userinfo=None)
    provider.register(door.url)


def who(client: httpx.Client) -> dict:
    """Return what the portal knows of who has logged in."""
    return client.get("/hub/api/user").json()


def beamhub(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BEAMHUB, *arguments], capture_output=True, text=True)


def descendants(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def until(found: Callable[[], Any]) -> Any:
    """Return what is found, as soon as it is."""
    end = time.monotonic() + PATIENCE_S
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.3)
    return value


def said(page: httpx.Response) -> str:
    """Return the sentence of a page that refuses a log-in."""
    found = re.search(r'role="alert">([^<]*)<', page.text)
    assert found, page.text
    assert "helpdesk@example.org" in page.text
    assert "Traceback" not in page.text
    return html.unescape(found[1])


def is_at_log_in(page: httpx.Response) -> bool:
    return page.url.path == "/hub/login"


def test_somebody_logs_in_at_a_portal_that_began_while_the_provider_was_down(door, provider):
    door.wait_for("Nobody can log in until that is mended")
    client, page = sign_in(door, "s-ada")
    assert page.url.path == "/hub/usecases", page.text
    found = who(client)
    assert (found["name"], found["admin"]) == ("ada", False)
    assert sorted(found["groups"]) == ["mx", "scientists"]
    [there] = [line for line in provider.seen if line.startswith("GET /auth?")][-1:]
    query = parse_qs(urlsplit(there.split()[1]).query)
    assert query["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= set(query)


def test_groups_decide_who_is_let_in_and_who_administers(door):
    client, _ = sign_in(door, "s-chief")
    assert who(client)["admin"] is True
    client, _ = sign_in(door, "s-text")
    assert who(client)["groups"] == ["scientists"]
    client, page = sign_in(door, "s-guest")
    assert page.status_code == 403
    assert "not among those who may use this portal" in said(page)
    assert is_at_log_in(client.get("/hub/home"))


def test_people_of_other_organisations_stay_outside_even_as_administrators(door):
    client, page = sign_in(door, "s-stranger")
    assert page.status_code == 403
    assert "for people of certain organisations" in said(page)
    assert is_at_log_in(client.get("/hub/home"))


def test_a_name_that_is_somebodys_is_not_anothers(door):
    """The attack: take a preferred_username that somebody has at the portal."""
    sign_in(door, "s-ada")
    client, page = sign_in(door, "s-other-ada")
    assert page.status_code == 403
    assert "belongs to somebody else here" in said(page)
    assert is_at_log_in(client.get("/hub/home"))


def test_a_person_whose_name_changes_stays_one(door, provider):
    sign_in(door, "s-ada")
    provider.set(accounts={**ACCOUNTS, "s-ada": {**ADA, "preferred_username": "ada.lovelace"}})
    client, _ = sign_in(door, "s-ada")
    assert who(client)["name"] == "ada"


def test_an_administrator_sees_and_releases_names(door):
    sign_in(door, "s-text")
    listed = beamhub("names", "list", f"--state={door.state}").stdout
    assert re.search(r"^text: s-text at http://127.0.0.1:\d+, since 20", listed, re.MULTILINE)
    assert beamhub("names", "release", "text", f"--state={door.state}").returncode == 0
    assert "text" not in [name for name, *_ in Names(door.state / "names.sqlite").all()]


def test_a_group_that_is_left_ends_rights_in_the_middle_of_a_session(door, provider):
    chief, _ = sign_in(door, "s-chief")
    ada, _ = sign_in(door, "s-ada")
    assert chief.get("/hub/admin").status_code == 200
    no_chief, no_ada = {**CHIEF, "groups": ["scientists"]}, {**ADA, "groups": ["guests"]}
    provider.set(accounts={**ACCOUNTS, "s-chief": no_chief, "s-ada": no_ada})
    until(lambda: chief.get("/hub/admin").status_code == 403)
    assert who(chief)["groups"] == ["scientists"]
    until(lambda: is_at_log_in(ada.get("/hub/home")))
    _, page = sign_in(door, "s-ada", ada, again="1")
    assert "not among those" in said(page)


def test_licences_that_a_group_vouches_for_end_with_it(door, provider):
    client, _ = sign_in(door, "s-ada")
    assert "vouches for your group mx" in client.get("/hub/usecases/crystfel").text
    provider.set(accounts={**ACCOUNTS, "s-ada": {**ADA, "groups": ["scientists"]}})
    until(lambda: "vouches for" not in client.get("/hub/usecases/crystfel").text)
    assert "For members of mx only" in client.get("/hub/usecases/crystfel").text


def test_a_session_that_ends_asks_to_log_in_and_comes_back(door, provider):
    client, _ = sign_in(door, "s-ada")
    provider.set(forget=True)
    page = until(lambda: (p := client.get("/hub/usecases/pyfai")) and is_at_log_in(p) and p)
    button = html.unescape(re.search(r'href="(/hub/oauth_login[^"]*)"', page.text)[1])
    page = client.get(button)
    page = client.post(page.url, data={"account": "s-ada"})
    assert page.url.path == "/hub/usecases/pyfai"


def test_a_form_that_is_sent_after_the_session_has_ended_asks_to_log_in(door, provider):
    client, _ = sign_in(door, "s-ada")
    form = client.get("/hub/open/pyfai")
    provider.set(forget=True)
    until(lambda: is_at_log_in(client.get("/hub/home")))
    page = client.post("/hub/open/pyfai", data={"_xsrf": xsrf(form.text), "size": "small"})
    assert page.status_code == 403
    assert "You are no longer logged in" in page.text
    assert "/hub/login?next=/hub/open/pyfai" in page.text


def test_while_the_provider_is_down_people_stay_and_are_told(door, provider):
    client, _ = sign_in(door, "s-ada")
    provider.set(down=True)
    page = until(lambda: (p := client.get("/hub/home")) and DOWN in p.text and p)
    assert page.url.path == "/hub/home"
    assert "You stay logged in" in page.text
    newcomer = door.client().get("/hub/oauth_login")
    assert newcomer.status_code == 503
    assert "doesn't answer as it should" in said(newcomer)
    provider.set(down=False)
    until(lambda: DOWN not in client.get("/hub/home").text)
    sign_in(door, "s-chief")


@pytest.mark.parametrize(("ahead_s", "minutes"), [(420, 7), (-420, 7)])
def test_clocks_that_are_minutes_apart_are_told(door, provider, ahead_s, minutes):
    provider.set(clock_s=ahead_s)
    _, page = sign_in(door, "s-ada")
    assert f"The clocks of this portal and of the provider are {minutes} min apart" in said(page)


def test_clocks_that_are_a_minute_apart_do_no_harm(door, provider):
    provider.set(clock_s=60)
    client, _ = sign_in(door, "s-ada")
    assert who(client)["name"] == "ada"


def test_a_provider_may_change_its_keys(door, provider):
    sign_in(door, "s-ada")
    provider.set(key=1)
    client, _ = sign_in(door, "s-ada")
    assert who(client)["name"] == "ada"


def test_a_missing_claim_is_told(door):
    _, page = sign_in(door, "s-nobody")
    assert "'preferred_username' is missing" in said(page)
    assert page.status_code == 403


def test_what_is_said_of_another_person_is_refused(door, provider):
    """The attack: userinfo about somebody else."""
    provider.set(userinfo={"sub": "s-chief", **ACCOUNTS["s-chief"]})
    client, page = sign_in(door, "s-ada")
    assert "two different things" in said(page)
    assert is_at_log_in(client.get("/hub/home"))


def test_who_cancels_is_told_so_and_not_in_the_providers_words(door):
    client = door.client()
    page = at_the_provider(client, next="/hub/about")
    page = client.post(page.url, data={"cancel": "yes"})
    assert page.status_code == 403
    assert "cancelled at the provider" in said(page)
    assert "<b>cancelled" not in html.unescape(page.text)
    assert "/hub/oauth_login?next=%2Fhub%2Fabout" in page.text


def callback_of(portal: RunningPortal, provider: Provider) -> tuple[httpx.Client, str]:
    """Return a browser's part just before it comes back from the provider, and the way back."""
    client = portal.client()
    page = at_the_provider(client)
    client.follow_redirects = False
    answer = client.post(page.url, data={"account": "s-ada"})
    while "/hub/oauth_callback" not in answer.headers["location"]:
        answer = client.get(answer.headers["location"])
    client.follow_redirects = True
    return client, answer.headers["location"]


def test_a_provider_that_hangs_does_not_hold_pages_for_ever(door, provider):
    stays, _ = sign_in(door, "s-chief")
    client, way_back = callback_of(door, provider)
    provider.set(delay_s=600)
    page = client.get(way_back)
    assert page.status_code == 503
    assert "doesn't answer as it should" in said(page)
    assert stays.get("/hub/home").url.path == "/hub/home"


def test_an_answer_counts_once_and_for_the_browser_that_asked(door, provider):
    """The attack: send somebody the way back of one's own log-in; use it twice; no state."""
    client, way_back = callback_of(door, provider)
    victim = door.client()
    assert "belongs to a log-in that has ended" in said(victim.get(way_back))
    at_the_provider(victim)
    assert "belongs to a log-in that has ended" in said(victim.get(way_back))
    cookies = dict(client.cookies)
    assert client.get(way_back).url.path == "/hub/usecases"
    assert "belongs to a log-in that has ended" in said(client.get(way_back))
    thief = door.client(httpx.Cookies({k: v for k, v in cookies.items() if "state" in k}))
    assert "used before" in said(thief.get(way_back))
    for query in (
        "",
        "?code=x",
        "?state=x&code=x",
        "?error=access_denied&error_description=Call+me",
    ):
        page = door.client().get(f"/hub/oauth_callback{query}")
        assert page.status_code == 400
        assert "belongs to a log-in that has ended" in said(page)
        assert "Call me" not in page.text


def test_a_wrong_secret_is_told_as_nobodys_fault_who_logs_in(door, provider):
    provider.register(door.url, client_secret="another")
    _, page = sign_in(door, "s-ada")
    assert "doesn't accept this portal" in said(page)
    assert page.status_code == 502


def test_log_out_ends_the_session_there_too_and_does_not_log_in_by_itself(door, provider):
    client, _ = sign_in(door, "s-ada")
    page = client.get("/hub/logout")
    assert page.url.path == "/session/end"
    action = re.search(r'action="([^"]+)"', page.text)[1]
    field = re.search(r'name="xsrf" value="([^"]+)"', page.text)[1]
    page = client.post(action, data={"xsrf": field, "logout": "yes"})
    assert page.url.path == "/hub/logged-out", page.text
    assert "You are logged out of this portal" in page.text
    assert is_at_log_in(client.get("/hub/home"))
    assert FORM.search(client.get("/hub/oauth_login").text)


def test_after_a_log_out_that_the_provider_missed_it_asks_again(door, provider):
    client, _ = sign_in(door, "s-ada")
    client.follow_redirects = False
    client.get("/hub/logout")
    client.follow_redirects = True
    page = client.get("/hub/logged-out")
    button = html.unescape(re.search(r'btn-lg" href="([^"]+)"', page.text)[1])
    assert FORM.search(client.get(button).text)


def test_no_secret_and_no_token_is_left_in_clear(door, provider):
    client, way_back = callback_of(door, provider)
    client.get(way_back)
    code = parse_qs(urlsplit(way_back).query)["code"][0]
    log = (door.state / "logs/portal.log").read_text()
    assert "User logged in: ada" in log
    tokens = provider.issued
    assert len(tokens) > 3
    kept = b"".join(p.read_bytes() for p in door.state.iterdir() if p.is_file())
    for secret in (SECRET, code, *tokens):
        assert secret not in log
        assert secret.encode() not in kept
    assert (door.state / "crypt_key").stat().st_mode & 0o777 == 0o600
    assert (door.state / "names.sqlite").stat().st_mode & 0o777 == 0o600
    for process in (psutil.Process(door.process.pid), *descendants(door.process.pid)):
        assert SECRET not in " ".join(process.cmdline())


def test_check_tries_what_needs_no_person(door, provider, capsys):
    deployment = load_deployment(str(door.process.args[2]), state=door.state)
    findings = lambda: " ".join(login_findings(deployment))  # noqa: E731
    address = "http://127.0.0.1:8000/hub/oauth_callback"
    assert f"refuses to send people back to the portal: register {address}" in findings()
    told = capsys.readouterr().out
    assert f"redirect address to register at the provider: {address}" in told
    assert "not tried: a log-in" in told
    provider.register("http://127.0.0.1:8000")
    assert findings() == ""
    provider.register("http://127.0.0.1:8000", client_secret="another")
    assert "doesn't accept the client 'beamhub'" in findings()
    provider.register("http://127.0.0.1:8000")
    provider.set(clock_s=600)
    assert "the provider's clock is 10 min ahead" in findings()
    provider.set(clock_s=0, scopes=["openid", "profile", "email"])
    assert "doesn't announce 'offline_access'" in findings()
    provider.set(down=True)
    assert "The login provider can't be reached" in findings()
    assert SECRET not in capsys.readouterr().out


def test_a_provider_with_an_authority_of_the_facilitys_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, *names]
    subprocess.run([*made, "-out", certificate], check=True, capture_output=True)
    running = Provider(key, certificate)
    try:
        fetch = lambda: asyncio.run(discover(running.issuer, Fetcher(PATIENCE_S)))  # noqa: E731
        with pytest.raises(ProviderError, match="certificate verify failed"):
            fetch()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert fetch().issuer == running.issuer
    finally:
        running.stop()


@pytest.mark.slow
def test_servers_go_on_without_the_provider_and_after_the_session(door, provider):
    client, _ = sign_in(door, "s-ada")
    door.start_server(client, "pyfai", size="small")
    status = "/user/ada/pyfai/api/status"
    assert client.get(status).status_code == 200
    provider.set(down=True)
    until(lambda: "You stay logged in" in client.get("/hub/home").text)
    assert client.get(status).status_code == 200
    provider.set(down=False, forget=True)
    until(lambda: is_at_log_in(client.get("/hub/home")))
    assert client.get(status).status_code == 200
    sign_in(door, "s-ada", client)
    assert "/hub/stop/pyfai" in client.get("/hub/home").text
    door.stop_server(client, "pyfai")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_door_in_a_browser(door, provider, browser, theme):
    width = 1280 if theme == "light" else 390
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)
    context.set_default_timeout(PATIENCE_S * 1000)
    page = context.new_page()

    def seen(name: str, heading: str) -> None:
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        shot(page, f"oidc-{name}-{theme}")
        assert violations(page) == []

    page.goto(f"{door.url}/hub/usecases/pyfai")
    seen("log-in", "Log in")
    page.get_by_role("link", name="Log in with your facility account").click()
    page.get_by_label("Account").fill("s-guest")
    page.get_by_role("button", name="Sign in").click()
    seen("not-allowed", "The log-in failed")
    page.goto(f"{door.url}/hub/oauth_login?again=1&next=/hub/usecases/pyfai")
    page.get_by_role("button", name="Cancel").click()
    seen("cancelled", "The log-in failed")
    # The provider's own change of accounts isn't what is looked at here.
    provider.set(forget=True)
    page.get_by_role("link", name="Log in again").click()
    page.get_by_label("Account").fill("s-ada")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/hub/usecases/pyfai")
    provider.set(down=True)
    until(lambda: page.goto(f"{door.url}/hub/home") and page.get_by_text(DOWN).count())
    seen("provider-down", "Running")
    provider.set(down=False)
    until(lambda: page.goto(f"{door.url}/hub/home") and not page.get_by_text(DOWN).count())
    page.goto(f"{door.url}/hub/logout")
    page.get_by_role("button", name="Yes, sign me out").click()
    seen("logged-out", "You are logged out of this portal")
    context.close()
