"""Starts that fail, and what their page says."""

import html
import time

import httpx
from portals import PATIENCE_S, xsrf


def failing_start(
    client: httpx.Client, use_case: str, user: str, seconds: float = PATIENCE_S
) -> str:
    """Return the text of the page that tells why a use case did not start."""
    page = client.get(f"/hub/open/{use_case}")
    answer = client.post(f"/hub/open/{use_case}", data={"_xsrf": xsrf(page.text), "size": "small"})
    assert "/spawn-pending/" in str(answer.url), answer.text
    end = time.monotonic() + seconds
    while "did not start" not in answer.text:
        assert time.monotonic() < end and "/lab" not in answer.url.path, answer.text
        time.sleep(0.5)
        answer = client.get(f"/hub/spawn-pending/{user}/{use_case}")
    return html.unescape(answer.text)
