"""Two users of one portal: neither reaches what is the other's."""

import json
import os
import re
import stat
from collections.abc import Iterator
from urllib.parse import unquote

import httpx
import pytest
from jupyterhub import apihandlers, orm
from jupyterhub import handlers as pages
from kernels import Kernel
from portals import RunningPortal, xsrf
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from hub.pages import handlers

pytestmark = [pytest.mark.portal, pytest.mark.slow]


@pytest.fixture(scope="module")
def ada(portal: RunningPortal) -> Iterator[httpx.Client]:
    client = portal.login("ada")
    portal.start_server(client, "pyfai", size="small")
    yield client
    portal.stop_server(client, "pyfai")


@pytest.fixture(scope="module")
def eve(portal: RunningPortal) -> httpx.Client:
    return portal.login("eve")


@pytest.fixture(scope="module")
def token(portal: RunningPortal, eve: httpx.Client) -> str:
    """A token that eve made for herself."""
    cookie = eve.cookies.get("_xsrf", path="/hub/")
    answer = eve.post("/hub/api/users/eve/tokens", headers={"X-XSRFToken": cookie or ""})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


@pytest.fixture(scope="module")
def bob(portal: RunningPortal, ada: httpx.Client) -> httpx.Client:
    """Somebody who has a share of ada's server, as administrators can give one."""
    session = orm.new_session_factory(f"sqlite:///{portal.state}/portal.sqlite")()
    made = orm.User(name="bob")
    session.add(made)
    server = session.query(orm.User).filter_by(name="ada").one().orm_spawners["pyfai"]
    orm.Share.grant(session, server, made)
    session.close()
    session.get_bind().dispose()
    return portal.login("bob")


PLACES = [
    "/user/ada/pyfai/api/contents/",
    "/user/ada/pyfai/api/kernels",
    "/user/ada/pyfai/api/status",
    "/user/ada/pyfai/files/beamhub/pyfai/01_calibrate.ipynb",
    "/user/ada/pyfai/lab",
]


def test_the_owner_is_let_in(ada: httpx.Client) -> None:
    assert [ada.get(place).status_code for place in PLACES] == [200] * len(PLACES)


@pytest.mark.parametrize("place", PLACES)
def test_the_other_user_is_not(ada: httpx.Client, eve: httpx.Client, place: str) -> None:
    assert eve.get(place).status_code == 403


def test_who_has_a_share_of_a_server_is_asked_and_let_in(
    portal: RunningPortal, bob: httpx.Client
) -> None:
    question = bob.get("/user/ada/pyfai/lab")
    assert question.url.path == "/hub/api/oauth2/authorize", question.text
    scopes = re.findall(r'name="scopes" value="([^"]*)"', question.text)
    form = {"_xsrf": xsrf(question.text), "scopes": scopes}
    answer = bob.post(str(question.url), data=form)
    assert (answer.status_code, answer.url.path) == (200, "/user/ada/pyfai/lab")
    log = (portal.state / "logs/audit.jsonl").read_text(encoding="utf-8")
    opened = [event for event in map(json.loads, log.splitlines()) if event.get("action") == "open"]
    of_ada = {(e["by"], e["servername"]) for e in opened if e["username"] == "ada"}
    assert ("bob", "pyfai") in of_ada
    assert {by for by, _ in of_ada} <= {"ada", "bob"}


@pytest.mark.parametrize("place", PLACES)
def test_nor_with_a_token(portal: RunningPortal, ada: httpx.Client, token: str, place: str) -> None:
    headers = {"Authorization": f"token {token}"}
    assert httpx.get(portal.url + place, headers=headers).status_code == 403


def test_kernel_websocket(portal: RunningPortal, ada: httpx.Client, token: str) -> None:
    base = "/user/ada/pyfai/"
    header = {"X-XSRFToken": ada.cookies.get("_xsrf", path=base) or ""}
    kernel = ada.post(f"{base}api/kernels", headers=header, json={"name": "python3"})
    assert kernel.status_code == 201, kernel.text
    url = portal.url.replace("http", "ws") + f"{base}api/kernels/{kernel.json()['id']}/channels"
    with pytest.raises(InvalidStatus) as refused:
        connect(url, additional_headers={"Authorization": f"token {token}"})
    assert refused.value.response.status_code == 403


@pytest.mark.skipif(os.geteuid() != 0, reason="only root confines servers")
def test_a_server_is_confined(portal: RunningPortal, ada: httpx.Client, eve: httpx.Client) -> None:
    portal.start_server(eve, "pyfai", size="small")
    hers = Kernel(portal, eve, "/user/eve/pyfai/")
    mine = Kernel(portal, ada, "/user/ada/pyfai/")
    assert (
        mine.run("from pathlib import Path; print(Path('/tmp/mine').write_text('mine'))") == "4\n"
    )
    assert hers.run("from pathlib import Path; print(Path('/tmp/mine').exists())") == "False\n"
    assert (
        hers.run(
            "import os; print({os.stat(f'/proc/{p}').st_uid for p in os.listdir('/proc') "
            "if p.isdigit()} == {os.getuid()})"
        )
        == "True\n"
    )
    assert "NoNewPrivs:\t1" in hers.run("print(open('/proc/self/status').read())")
    assert "-pyfai." in hers.run("print(open('/proc/self/cgroup').read())")
    portal.stop_server(eve, "pyfai")


def test_hub_api(eve: httpx.Client, token: str, portal: RunningPortal) -> None:
    headers = {"Authorization": f"token {token}"}
    with httpx.Client(base_url=portal.url, headers=headers) as client:
        assert client.get("/hub/api/users/ada").status_code == 404
        assert client.post("/hub/api/users/ada/servers/pyfai").status_code in (403, 404)
        assert client.delete("/hub/api/users/ada/servers/pyfai").status_code in (403, 404)
        assert client.get("/hub/api/users").status_code == 403


def test_stop_is_only_for_ones_own(ada: httpx.Client, eve: httpx.Client) -> None:
    page = eve.get("/hub/open/pyfai")
    eve.post("/hub/stop/pyfai", data={"_xsrf": xsrf(page.text)})
    assert ada.get("/user/ada/pyfai/api/status").status_code == 200


def test_a_foreign_page_starts_and_stops_nothing(ada: httpx.Client) -> None:
    assert ada.post("/hub/open/pyfai", data={"size": "small"}).status_code == 403
    assert ada.post("/hub/stop/pyfai", data={}).status_code == 403
    assert ada.get("/user/ada/pyfai/api/status").status_code == 200


def test_homes_and_state_are_private(portal: RunningPortal, ada: httpx.Client) -> None:
    homes = portal.state / "homes"
    assert stat.S_IMODE((homes / "ada").stat().st_mode) == 0o700
    for secret in ("cookie_secret", "portal.sqlite", "logs/portal.log"):
        assert stat.S_IMODE((portal.state / secret).stat().st_mode) & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives each user an account of their own")
def test_servers_have_accounts_of_their_own(portal: RunningPortal, ada: httpx.Client) -> None:
    owner = (portal.state / "homes/ada").stat().st_uid
    assert owner not in (0, os.getuid())


GROUP = re.compile(r"\((?:\?P<\w+>)?[^()]*(?:\([^()]*\)[^()]*)*\)\??")
QUERIES = [
    "/error/503?url=/user/{user}/{server}/lab",
    "/error/404?url=/user/{user}/{server}/lab",
    "/user/{user}/{server}/lab",
    "/user/{user}/{server}/api/status",
    "/login?username={user}",
    "/login?next=/hub/user/{user}/{server}/lab",
    "/api/oauth2/authorize?client_id=jupyterhub-user-{user}-{server}&response_type=code"
    "&redirect_uri=/user/{user}/{server}/oauth_callback&state=x",
]
"""Addresses that name a user and a server elsewhere than in a part of their path."""
PROBES = [("noone", "nothing"), ("ada", "pymca")]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def addresses() -> list[str]:
    """Return all addresses of the hub that name somebody or something, as patterns."""
    found = [*pages.default_handlers, *apihandlers.default_handlers, *handlers()]
    patterns = [str(handler[0]) for handler in found if "(" in str(handler[0])]
    named = []
    for pattern in patterns:
        names = iter(["{user}", "{server}"])
        named.append(GROUP.sub(lambda _, names=names: next(names, "x"), pattern).rstrip("$"))
    named = [address.replace("{user}{server}", "{user}/{server}") for address in named]
    # Files, and our own addresses whose first name is a use case's, which everybody knows.
    own = ("/beamhub/", "/open/", "/stop/", "/usecases/", "/lifetime/", "/reproduce/", "/error/")
    return sorted({a for a in named if not a.startswith((*own, "/static/"))} | set(QUERIES))


def answer_to(client: httpx.Client, method: str, address: str, user: str, server: str) -> str:
    """Return all of an answer that could tell something, with the names left out."""
    url = "/hub" + address.format(user=user, server=server)
    cookie = client.cookies.get("_xsrf", path="/hub/") or ""
    answer = client.request(method, url, headers={"X-XSRFToken": cookie}, follow_redirects=False)
    return told_by(answer, user, server)


def told_by(answer: httpx.Response, user: str, server: str) -> str:
    """Return what an answer tells, with the names left out, and what differs each time."""
    told = (answer.status_code, answer.headers.get("location"), answer.text)
    text = re.sub(
        r'name="_xsrf" value="[^"]*"|xsrf_token: "[^"]*"|state=[^&"]*', "", unquote(str(told))
    )
    for name, word in ((user, "USER"), (server, "SERVER")):
        text = re.sub(rf"(?<![a-z]){name}(?![a-z])", word, text)
    return text


@pytest.mark.parametrize("who", ["anonymous", "eve", "eve's token"])
def test_nobody_else_learns_who_there_is_and_what_runs(
    portal: RunningPortal, ada: httpx.Client, eve: httpx.Client, token: str, who: str
) -> None:
    """Each address of the hub answers the same for a user and a server that run, and for none."""
    client = portal.client() if who != "eve" else portal.client(eve.cookies)
    if who == "eve's token":
        client.headers["Authorization"] = f"token {token}"
    client.get("/hub/login")  # its cookies are there before the first answer
    told = []
    for address in addresses():
        for method in METHODS:
            running = answer_to(client, method, address, "ada", "pyfai")
            told += [
                f"{method} {address}: {running[:300]} but for {user}/{server} {other[:300]}"
                for user, server in PROBES
                if (other := answer_to(client, method, address, user, server)) != running
            ]
    assert told == []
    assert ada.get("/user/ada/pyfai/api/status").status_code == 200


@pytest.mark.parametrize("place", ["/user/ada/pyfai/", "/user/ada/pyfai"])
def test_a_server_tells_nobody_else_which_notebook_it_began_with(
    portal: RunningPortal, ada: httpx.Client, eve: httpx.Client, place: str
) -> None:
    for client in (portal.client(), portal.client(eve.cookies)):
        way = client.get(place, follow_redirects=False).headers["location"]
        if not place.endswith("/"):
            assert way == f"{place}/"
            way = client.get(way, follow_redirects=False).headers["location"]
        assert way.startswith("/hub/api/oauth2/authorize")
        assert "/lab" not in unquote(unquote(way))
    assert ada.get(place).url.path.startswith("/user/ada/pyfai/lab")


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("kind", [FORM, "text/plain", "application/json", ""])
@pytest.mark.parametrize("in_address", ["", "?client_id=jupyterhub-user-eve-pyfai", "?client_id=x"])
def test_nor_from_a_form_for_oauth(
    portal: RunningPortal, ada: httpx.Client, eve: httpx.Client, kind: str, in_address: str
) -> None:
    """JupyterHub reads such a form whatever its type says, and before the address."""
    cookie = eve.cookies.get("_xsrf", path="/hub/") or ""
    headers = {"X-XSRFToken": cookie, "Content-Type": kind}

    def told(user: str, server: str) -> str:
        name = f"jupyterhub-user-{user}-{server}"
        body = f"client_id={name}&response_type=code&redirect_uri=/user/{user}/{server}/&state=x"
        address = f"/hub/api/oauth2/authorize{in_address}"
        answer = eve.post(address, content=body, headers=headers, follow_redirects=False)
        return told_by(answer, user, server)

    running = told("ada", "pyfai")
    assert running.startswith("(403,") and "no such server, or it is not yours" in running
    assert [told(*probe) for probe in PROBES] == [running] * len(PROBES)


def test_the_owner_does_learn_that_it_runs(ada: httpx.Client, eve: httpx.Client) -> None:
    address = "/hub/error/503?url=/user/ada/pyfai/lab"
    assert "The portal is finding out why." in ada.get(address).text
    assert "The portal is finding out why." not in eve.get(address).text
