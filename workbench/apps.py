"""A server's addresses of programs with windows: each asks the desktop for one, and goes there.

An extension of Jupyter's server, switched on by `workbench.start`. Where an image has no desktop,
it says so.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from .desktop import wanted_folder
from .manifest import load_manifest
from .tutorials import NOTEBOOKS_VARIABLE

ADDRESS = r"beamhub/app/([a-z0-9-]+)"


class AppHandler(JupyterHandler):
    """``beamhub/app/<name>``: the window of one of the use case's programs."""

    @web.authenticated
    def get(self, name: str) -> None:
        """Ask the desktop for the program, and go there."""
        manifest = load_manifest(Path(os.environ[NOTEBOOKS_VARIABLE]))
        if name not in manifest.desktop_apps:
            there = ", ".join(manifest.desktop_apps) or "none"
            raise web.HTTPError(404, f"{manifest.title} has no program '{name}'. There is {there}.")
        if shutil.which("Xvnc") is None:
            raise web.HTTPError(404, "This server has no desktop: its image was made without one.")
        # A page elsewhere may show the desktop by a link of its own, but start nothing on it.
        if self.request.headers.get("Sec-Fetch-Site", "none") != "cross-site":
            (wanted_folder() / name).touch()
        self.redirect(url_path_join(self.base_url, "desktop/"))


def _load_jupyter_server_extension(server: Any) -> None:
    """Add the addresses to the server."""
    address = url_path_join(server.web_app.settings["base_url"], ADDRESS)
    server.web_app.add_handlers(".*$", [(address, AppHandler)])


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "workbench.apps"}]
