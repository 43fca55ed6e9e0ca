"""A real OpenID Connect provider, and the ways of a person through it."""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
from portals import PATIENCE_S, RunningPortal, free_port

from hub.proxy import node

PROVIDER = Path(__file__).with_name("oidc_provider.mjs")
SECRET = "client-secret-Xq9-hunter2"
FORM = re.compile(r'<form method="post">')


class Provider:
    """npm's oidc-provider in a process of its own."""

    def __init__(self, *tls: Path) -> None:
        self.port = free_port()
        self.issuer = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        command = [node(), PROVIDER, str(self.port), str(self.port + 1), *tls]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def set(self, **state: Any) -> None:
        """Change what the provider is, or what is registered at it."""
        httpx.post(f"http://127.0.0.1:{self.port + 1}/", content=json.dumps(state), timeout=60)

    @property
    def issued(self) -> list[str]:
        """Every token that was given to the portal."""
        answer = httpx.get(f"http://127.0.0.1:{self.port + 1}/", timeout=60)
        return answer.json()["issued"]

    @property
    def seen(self) -> list[str]:
        """Every request that came, method and address."""
        answer = httpx.get(f"http://127.0.0.1:{self.port + 1}/", timeout=60)
        return answer.json()["seen"]

    def register(self, portal: str, **client: Any) -> None:
        """Register a portal as it says that it has to be."""
        self.set(
            client={
                "client_secret": SECRET,
                "redirect_uris": [f"{portal}/hub/oauth_callback"],
                "post_logout_redirect_uris": [f"{portal}/hub/logged-out"],
                **client,
            }
        )

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)
        if self.process.stdout:
            self.process.stdout.close()


def sign_in(
    portal: RunningPortal, account: str, client: httpx.Client | None = None, **query: str
) -> tuple[httpx.Client, httpx.Response]:
    """Log in at the provider, and return the browser's part and the last page."""
    client = client or portal.client()
    page = at_the_provider(client, **query)
    if FORM.search(page.text):
        page = client.post(page.url, data={"account": account})
    return client, page


def at_the_provider(client: httpx.Client, **query: str) -> httpx.Response:
    """Go to the provider, as soon as the portal has noticed that it's there."""
    end = time.monotonic() + PATIENCE_S
    while (page := client.get("/hub/oauth_login", params=query)).status_code == 503:
        assert time.monotonic() < end, page.text
        time.sleep(0.2)
    return page
