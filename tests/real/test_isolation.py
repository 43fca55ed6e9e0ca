"""Two users of one portal: neither reaches what is the other's."""

import os
import stat

import httpx
import pytest
from portals import RunningPortal, xsrf
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

pytestmark = [pytest.mark.portal, pytest.mark.slow]


@pytest.fixture(scope="module")
def ada(portal: RunningPortal) -> httpx.Client:
    client = portal.login("ada")
    portal.start_server(client, "pyfai", size="small")
    return client


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
