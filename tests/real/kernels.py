"""Run code in a kernel of a user's server, as JupyterLab does."""

import json
import time
import uuid
from ssl import SSLContext
from typing import Protocol

import httpx
from portals import PATIENCE_S
from websockets.sync.client import ClientConnection, connect


class Address(Protocol):
    """What has the address of a portal."""

    url: str


def execute_request(code: str) -> dict:
    """Return a message of Jupyter's protocol that runs code."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "s"}
    header |= {"username": "ada", "version": "5.3", "date": "2026-01-01T00:00:00Z"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    empty: dict = {}
    return {
        "header": header,
        "parent_header": empty,
        "metadata": empty,
        "content": content,
        "channel": "shell",
    }


def socket_to(
    portal: Address, client: httpx.Client, address: str, trusted: SSLContext | None = None
) -> ClientConnection:
    """Open a socket as a page of the portal does, with its user's cookies."""
    cookies = "; ".join(f"{c.name}={c.value}" for c in client.cookies.jar)
    headers = {"Cookie": cookies, "Origin": portal.url}
    url = portal.url.replace("http", "ws") + address
    # It's answered when the kernel is: by far not at once where many begin on few cores.
    return connect(
        url, additional_headers=headers, max_size=None, ssl=trusted, open_timeout=PATIENCE_S
    )


class Kernel:
    """A Python kernel of a running server."""

    def __init__(
        self,
        portal: Address,
        client: httpx.Client,
        server: str,
        trusted: SSLContext | None = None,
        notebook: str = "",
    ) -> None:
        self.portal, self.client, self.base, self.trusted = portal, client, server, trusted
        token = {"X-XSRFToken": client.cookies.get("_xsrf", path=server) or ""}
        kernel = {"name": "python3"}
        if notebook:  # as JupyterLab begins the kernel of one
            name = notebook.rpartition("/")[2]
            asked = {"path": notebook, "name": name, "type": "notebook", "kernel": kernel}
            made = client.post(f"{server}api/sessions", headers=token, json=asked)
        else:
            made = client.post(f"{server}api/kernels", headers=token, json=kernel)
        assert made.status_code == 201, made.text
        self.id = (made.json()["kernel"] if notebook else made.json())["id"]

    def run(self, code: str, seconds: float = PATIENCE_S) -> str:
        """Return what the code prints; an exception's name and text where it raises one."""
        address = f"{self.base}api/kernels/{self.id}/channels"
        request = execute_request(code)
        mine = request["header"]["msg_id"]
        said: list[str] = []
        with socket_to(self.portal, self.client, address, self.trusted) as channel:
            channel.send(json.dumps(request))
            while True:
                message = json.loads(channel.recv(timeout=seconds))
                if message["parent_header"].get("msg_id") != mine:
                    continue
                content = message["content"]
                if message["msg_type"] == "stream":
                    said.append(content["text"])
                elif message["msg_type"] == "error":
                    said.append(f"{content['ename']}: {content['evalue']}")
                elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                    return "".join(said)


def in_a_terminal(portal: Address, client: httpx.Client, server: str, command: str) -> str:
    """Return what a command says in a terminal of JupyterLab."""
    token = {"X-XSRFToken": client.cookies.get("_xsrf", path=server) or ""}
    name = client.post(f"{server}api/terminals", headers=token).json()["name"]
    said = ""
    with socket_to(portal, client, f"{server}terminals/websocket/{name}") as channel:
        channel.send(json.dumps(["stdin", f"{command}; echo the-'end'\r"]))
        end = time.monotonic() + PATIENCE_S
        while "the-end" not in said and time.monotonic() < end:
            kind, *rest = json.loads(channel.recv(timeout=PATIENCE_S))
            said += rest[0] if kind == "stdout" else ""
    client.delete(f"{server}api/terminals/{name}", headers=token)
    return said
