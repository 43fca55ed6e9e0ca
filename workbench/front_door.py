"""The server's own address, which leads on to its page: for those who may use the server only.

Jupyter's leads everybody on, and so would tell strangers which notebook somebody has opened.
"""

from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from tornado import web


class FrontDoor(JupyterHandler):
    """Asks who comes before it tells the way."""

    @web.authenticated
    def get(self) -> None:
        """Go on to the page with which the server begins."""
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(self.settings["default_url"] + query)


def _load_jupyter_server_extension(server: Any) -> None:
    """Put it before Jupyter's own."""
    address = server.web_app.settings["base_url"].rstrip("/") + "/?"
    server.web_app.add_handlers(".*$", [(address, FrontDoor)])


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "workbench.front_door"}]
