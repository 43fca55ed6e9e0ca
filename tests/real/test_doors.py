"""A portal whose door is a directory: what people read there, who may what, who sees all."""

import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import ldap3
import pytest
import yaml
from cluster import wait_until
from playwright.sync_api import Browser, Page, expect
from portals import LOOKS, RunningPortal, shot, violations, xsrf
from slapd import BASE, PASSWORD, SEARCH, SEARCHERS_PASSWORD, Slapd

pytestmark = [pytest.mark.portal]

WRONG = "The name or the password is not right."
REASON = "The <b>node</b> needs a new disk & will be back at 5 % past noon."


@pytest.fixture(scope="module")
def beamline(slapd: Slapd, state_folder: Callable[[], Path]) -> Iterator[RunningPortal]:
    state = state_folder()
    secret = state / "ldap"
    secret.touch(mode=0o600)
    secret.write_text(SEARCHERS_PASSWORD)
    login = slapd.login(
        search={**SEARCH, "password": {"file": str(secret)}},
        groups={"base": f"ou=groups,{BASE}"},
        admin_groups=["beam"],
    )
    profile = state / "beamline.yaml"
    values = {
        "extends": "laptop",
        "title": "Beamline",
        "contact": "help@example.org",
        "login": login,
        "use_case_groups": {"pymca": ["staff"]},
        "sizes": {"large": {"groups": ["staff"]}},
    }
    profile.write_text(yaml.safe_dump(values))
    running = RunningPortal(state, str(profile))
    yield running
    running.stop()


def enter(portal: RunningPortal, name: str, password: str = PASSWORD) -> tuple[httpx.Client, str]:
    """Log in, or try to, and return what the page says."""
    client = portal.client()
    form = {"username": name, "password": password, "_xsrf": xsrf(client.get("/hub/login").text)}
    return client, client.post("/hub/login", data=form).text


@pytest.fixture(scope="module")
def ada(beamline: RunningPortal) -> httpx.Client:
    return enter(beamline, "ada")[0]


@pytest.fixture(scope="module")
def dorothy(beamline: RunningPortal) -> httpx.Client:
    return enter(beamline, "dorothy")[0]


class Eyes:
    """A browser that looks at pages as one user, in light or dark, narrow or wide."""

    def __init__(self, browser: Browser, scheme: str, width: int) -> None:
        self.name = f"{scheme}-{width}"
        self.context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 800}
        )

    def open(self, portal: RunningPortal, path: str, who: httpx.Client | None = None) -> Page:
        for cookie in who.cookies.jar if who else ():
            url = f"{portal.url}{cookie.path}"
            self.context.add_cookies(
                [{"name": cookie.name, "value": cookie.value or "", "url": url}]
            )
        page = self.context.new_page()
        page.goto(f"{portal.url}/{path}")
        return page

    def see(self, page: Page, name: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "sideways"
        shot(page, f"{name}-{self.name}")
        assert violations(page) == []


@pytest.fixture
def eyes(browser: Browser) -> Iterator[Callable[..., Eyes]]:
    opened: list[Eyes] = []

    def made(scheme: str = "light", width: int = 1280) -> Eyes:
        opened.append(Eyes(browser, scheme, width))
        return opened[-1]

    yield made
    for one in opened:
        one.context.close()


# At the door


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("ada", "wrong", WRONG),
        ("nobody-of-that-name", PASSWORD, WRONG),
        ("ada", "", WRONG),
        ("*", PASSWORD, WRONG),
        ("expired", PASSWORD, "Your account has expired. Ask help@example.org"),
        ("disabled", PASSWORD, "Your account is disabled."),
        ("reset", PASSWORD, "Your password must be changed first."),
        ("twin", PASSWORD, "More than one account is called so."),
        ("José", PASSWORD, "can&#39;t have a user named"),
    ],
)
def test_the_page_says_why_somebody_is_not_let_in(beamline, name, password, said):
    client, text = enter(beamline, name, password)
    assert said in text and "Invalid username" not in text
    assert client.get("/hub/home").url.path == "/hub/login"


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_the_log_in_page_keeps_what_was_typed(beamline, eyes, scheme, width):
    looking = eyes(scheme, width)
    page = looking.open(beamline, "hub/login")
    page.get_by_label("Name").fill("expired")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("Your account has expired.")
    expect(page.get_by_label("Name")).to_have_value("expired")
    looking.see(page, "login-refused")


def test_however_a_name_is_typed_it_is_one_user(beamline):
    for name in ("ada", "ADA", " Ada ", "ada@example.org"):
        assert '<li class="nav-item nav-user">ada</li>' in enter(beamline, name)[1]


def test_a_directory_that_hangs_holds_nobody_else(beamline, slapd):
    client = beamline.client()
    token = xsrf(client.get("/hub/login").text)
    form = {"username": "lise", "password": PASSWORD, "_xsrf": token}
    others = beamline.client()
    assert slapd.process is not None
    slapd.process.send_signal(signal.SIGSTOP)
    waiting = threading.Thread(target=client.post, args=("/hub/login",), kwargs={"data": form})
    try:
        waiting.start()
        for _ in range(30):
            assert others.get("/hub/about").status_code == 200
        assert waiting.is_alive(), "the log-in ended, so that the hub may have waited with it"
    finally:
        slapd.process.send_signal(signal.SIGCONT)
        waiting.join()


def test_a_directory_that_is_down_is_told_and_ends_nobodys_work(beamline, slapd, dorothy):
    slapd.stop()
    try:
        _, text = enter(beamline, "ada")
        assert "The directory of accounts doesn&#39;t answer as it should" in text
        assert dorothy.get("/hub/home").status_code == 200
    finally:
        slapd.start()
    assert "nav-user" in enter(beamline, "ada")[1]


# Who may what


def rest_start(client: httpx.Client, user: str, use_case: str, **options: str) -> httpx.Response:
    token = client.cookies.get("_xsrf", path="/hub/") or ""
    return client.post(
        f"/hub/api/users/{user}/servers/{use_case}", json=options, headers={"X-XSRFToken": token}
    )


def test_what_is_for_members_is_shown_with_whom_to_ask(beamline, dorothy):
    page = dorothy.get("/hub/usecases/pymca").text
    assert "to members of staff only, and you are not one of them. Questions go to help@" in page
    assert "For members" in dorothy.get("/hub/usecases").text
    sizes = dorothy.get("/hub/open/pyfai").text
    assert "for members of staff; ask help@example.org" in sizes
    assert re.search(r'id="size-large"[^>]*disabled', sizes)
    assert dorothy.get("/hub/outlook").json().get("large", {"closed": True})["closed"] is True


@pytest.mark.parametrize(("use_case", "options"), [("pymca", {}), ("pyfai", {"size": "large"})])
def test_no_way_leads_past_the_groups(beamline, dorothy, use_case, options):
    token = xsrf(dorothy.get("/hub/open/pyfai").text)
    form = dorothy.post(f"/hub/open/{use_case}", data={"_xsrf": token, **options})
    assert "members of staff" in form.text and form.status_code in (403, 409)
    link = dorothy.get(f"/hub/open/{use_case}", params=options)
    assert "members of staff" in link.text
    answer = rest_start(dorothy, "dorothy", use_case, **options)
    assert answer.status_code in (403, 409) and "members of staff" in answer.text
    assert "Nothing of yours is running" in dorothy.get("/hub/home").text


def test_who_leaves_a_group_starts_nothing_of_it_any_more(beamline, slapd):
    lise, _ = enter(beamline, "lise")
    assert "you are not one of them" not in lise.get("/hub/usecases/pymca").text
    group = "cn=staff,ou=groups"
    member = f"uid=lise,ou=people,{BASE}"
    slapd.change(group, member=[(ldap3.MODIFY_REPLACE, [f"uid=nobody,{BASE}"])])
    try:
        answer = rest_start(lise, "lise", "pymca")
        assert answer.status_code == 403 and "members of staff only" in answer.text
    finally:
        slapd.change(group, member=[(ldap3.MODIFY_REPLACE, [member])])


def test_whose_account_is_closed_starts_nothing_any_more(beamline, slapd):
    who = "uid=until-9999,ou=people"
    client, _ = enter(beamline, "until-9999")
    made = client.post(
        "/hub/api/users/until-9999/tokens",
        headers={"X-XSRFToken": client.cookies.get("_xsrf", path="/hub/") or ""},
    )
    token = made.json()["token"]
    slapd.change(who, shadowExpire=[(ldap3.MODIFY_REPLACE, ["19000"])])
    try:
        answer = rest_start(client, "until-9999", "pyfai")
        assert answer.status_code == 403 and "has expired" in answer.text
        # JupyterHub itself lets tokens go on with what it knew at the last log-in.
        by_token = httpx.post(
            f"{beamline.url}/hub/api/users/until-9999/servers/pyfai",
            headers={"Authorization": f"token {token}"},
        )
        assert by_token.status_code == 403 and "has expired" in by_token.text
    finally:
        slapd.change(who, shadowExpire=[(ldap3.MODIFY_REPLACE, ["2932896"])])


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_pages_of_what_is_for_members(beamline, dorothy, eyes, scheme, width):
    looking = eyes(scheme, width)
    page = looking.open(beamline, "hub/usecases", dorothy)
    expect(page.get_by_text("For members")).to_be_visible()
    looking.see(page, "catalogue-members")
    page.goto(f"{beamline.url}/hub/open/pyfai")
    looking.see(page, "open-members")


# Administrators


def test_only_administrators_see_and_stop_all_servers(beamline, dorothy, ada):
    for path in ("servers", "servers/ada/pyfai/stop", "servers/dorothy/pyfai/stop"):
        assert dorothy.get(f"/hub/{path}").status_code == 403
    token = xsrf(dorothy.get("/hub/open/pyfai").text)
    form = {"_xsrf": token, "reason": "because"}
    for user in ("ada", "dorothy", "nobody"):
        answer = dorothy.post(f"/hub/servers/{user}/pyfai/stop", data=form)
        assert answer.status_code == 403
    assert beamline.client().get("/hub/servers").url.path == "/hub/login"
    assert "Nobody has a server right now." in ada.get("/hub/servers").text
    assert ada.get("/hub/servers/dorothy/pyfai/stop").status_code == 404
    assert "/hub/servers" not in dorothy.get("/hub/home").text


@pytest.mark.browser
def test_an_administrator_stops_a_server_and_its_user_reads_why(beamline, dorothy, ada, eyes):
    # It may be starting or running by now: both can be stopped.
    form = {"_xsrf": xsrf(dorothy.get("/hub/open/pyfai").text), "size": "small"}
    dorothy.post("/hub/open/pyfai", data=form)
    for scheme, width in LOOKS:
        looking = eyes(scheme, width)
        page = looking.open(beamline, "hub/servers?user=doro", ada)
        row = page.get_by_role("row").filter(has_text="dorothy")
        expect(row).to_contain_text("Small")
        looking.see(page, "servers")
        row.get_by_role("link", name="Stop").click()
        looking.see(page, "stop-one")
    stop = "/hub/servers/dorothy/pyfai/stop"
    token = xsrf(ada.get(stop).text)
    for reason, said in (("  ", "Say why"), ("a\nb", "on one line"), ("x" * 301, "300 characters")):
        refused = ada.post(stop, data={"_xsrf": token, "reason": reason})
        assert refused.status_code == 400 and said in refused.text
    assert ada.post(stop, data={"reason": REASON}).status_code == 403
    page.get_by_label("Reason, in a sentence").fill(REASON)
    page.get_by_role("button", name="Stop it").click()
    page.wait_for_url("**/hub/servers")
    why = f"An administrator stopped it: {REASON}"
    wait_until(lambda: dorothy.get("/hub/lifetime/pyfai").json()["state"] == "ended", "its end")
    hers = eyes()
    for path in ("hub/home", "user/dorothy/pyfai/lab"):
        expect(hers.open(beamline, path, dorothy).get_by_text(why)).to_be_visible()
    told = dorothy.get("/hub/lifetime/pyfai").json()
    assert told == {"state": "ended", "why": why}
    assert f"ada stopped the server pyfai of dorothy: {REASON!r}" in beamline.log()
