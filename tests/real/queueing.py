"""The ways of a user into a server that is a job."""

import re
import time

import httpx
from cluster import PATIENCE_S
from portals import xsrf


def begin(client: httpx.Client, **options: str) -> httpx.Response:
    """Ask for pyFAI as the form does, and return the page that follows."""
    page = client.get("/hub/open/pyfai")
    return client.post("/hub/open/pyfai", data={"_xsrf": xsrf(page.text), **options})


def outlook_of(client: httpx.Client, size: str) -> str:
    """Return what the page before a start tells of a size."""
    return str(client.get("/hub/outlook").json()[size]["text"])


def pending(user: str) -> str:
    return f"/hub/spawn-pending/{user}/pyfai"


def wait_for_page(client: httpx.Client, path: str, text: str | re.Pattern[str]) -> str:
    """Return a page once it says something."""
    wanted = re.compile(re.escape(text)) if isinstance(text, str) else text
    end = time.monotonic() + PATIENCE_S
    while not wanted.search(page := client.get(path).text):
        assert time.monotonic() < end, re.sub(r"<[^>]+>|\n\s*\n", "", page)
        time.sleep(0.5)
    return page


def wait_until_ended(client: httpx.Client, user: str, text: str) -> str:
    return wait_for_page(client, f"/user/{user}/pyfai/lab", text)


def answers(client: httpx.Client, user: str) -> bool:
    """Return whether a user who has just logged in reaches their server."""
    client.get(f"/user/{user}/pyfai/lab")
    return client.get(f"/user/{user}/pyfai/api/status").status_code == 200
