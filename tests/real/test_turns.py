"""Starts that wait for their turn: where they are, who comes next, and a hub that is killed."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path

import httpx
import pytest
from portals import PATIENCE_S, RunningPortal, xsrf

from hub.turns import STOPPED

pytestmark = [pytest.mark.portal, pytest.mark.slow]

PROFILE = "extends: laptop\ntitle: One at a time\nlimits: {starts_max: 1}\n"


@pytest.fixture
def portal(
    state_folder: Callable[[], Path], tmp_path: Path
) -> Iterator[Callable[..., RunningPortal]]:
    """Starts portals of one state folder, at most one server of which starts at a time."""
    profile = tmp_path / "one.yaml"
    profile.write_text(PROFILE)
    state = state_folder()
    portals: list[RunningPortal] = []

    def start(port: int | None = None) -> RunningPortal:
        portals.append(RunningPortal(state, str(profile), port=port))
        return portals[-1]

    yield start
    for running in portals:
        running.stop()


PLACES = {"Yours starts next": 1, "1 other starts before yours": 2}
"""How far behind two starts are that wait for another."""


def ask(client: httpx.Client) -> str:
    """Ask for a server, and return the message of the page that its user then sees."""
    token = xsrf(client.get("/hub/open/pyfai").text)
    return message(client.post("/hub/open/pyfai", data={"_xsrf": token, "size": "small"}))


def message(answer: httpx.Response) -> str:
    """Return what the page of a start says; nothing if that is over."""
    found = re.search(r'id="message"[^>]*>([^<]*)', answer.text)
    return found[1] if found else ""


def until_open(client: httpx.Client) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + PATIENCE_S
    while "/user/" not in (answer := client.get("/hub/open/pyfai")).url.path:
        assert time.monotonic() < end, answer.text
        time.sleep(0.2)


def test_starts_wait_for_their_turn_and_a_killed_hub_says_so(
    portal: Callable[..., RunningPortal],
) -> None:
    first = portal()
    clients = {name: first.login(name) for name in ("ada", "bob", "cyd")}
    with ThreadPoolExecutor(len(clients)) as together:
        told = dict(zip(clients, together.map(ask, clients.values()), strict=True))
    # The pages come after a second: the first may be up by then, and the second begin.
    last = max(told, key=lambda name: PLACES.get(told[name], 0))
    assert told[last] in PLACES, told
    first.hub.kill()
    first.process.wait(PATIENCE_S)
    again = portal(first.port)
    clients = {name: again.client(client.cookies) for name, client in clients.items()}
    end = time.monotonic() + PATIENCE_S
    while STOPPED not in unescape((page := clients[last].get(f"/user/{last}/pyfai/")).text):
        assert time.monotonic() < end, page.text
        time.sleep(0.2)
    with ThreadPoolExecutor(2) as together:
        two = [clients.pop(last), clients.popitem()[1]]
        list(together.map(ask, two))
    for client in two:
        until_open(client)
