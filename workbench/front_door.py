"""The server's own address, which leads on to its page: for those who may use the server only.

Jupyter's leads everybody on, and so would tell strangers which notebook somebody has opened.
"""

from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from tornado import web


class FrontDoor(JupyterHandler):
    """Asks who comes before it tells the way."""

    @web.authenticated
    def get(self) -> None:
        """Go on to the page with which the server begins."""
        self.lead_to(self.settings["default_url"])

    def lead_to(self, address: str) -> None:
        """Go on to an address, with what was asked for."""
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(address + query)


class WithoutSlash(FrontDoor):
    """Leads to the server's address: browsers show who they are below its slash only."""

    @allow_unauthenticated  # type: ignore[untyped-decorator]
    def get(self) -> None:
        """Go on to the same address with its slash."""
        self.lead_to(self.settings["base_url"])


def _load_jupyter_server_extension(server: Any) -> None:
    """Put it before Jupyter's own."""
    address = server.web_app.settings["base_url"].rstrip("/")
    handlers = [(address + "/", FrontDoor), *([(address, WithoutSlash)] if address else [])]
    server.web_app.add_handlers(".*$", handlers)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "workbench.front_door"}]
