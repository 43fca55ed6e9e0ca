"""A server's address of the user's folder of its use case, as one archive to take home.

An extension of Jupyter's server, switched on by `workbench.start`. Nothing is written: the archive
is made while it is sent, so a full disk or a large folder is no obstacle.
"""

import asyncio
from html import escape
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.iostream import StreamClosedError

from .here import setting
from .packing import archive
from .tutorials import own_folder

PAGE = r"beamhub/folder"
ARCHIVE = r"beamhub/folder\.zip"


class FolderArchive(JupyterHandler):
    """``beamhub/folder.zip``: the archive."""

    @web.authenticated
    async def get(self) -> None:
        """Send it, made in a thread beside all else that the server does."""
        folder = own_folder(setting("USE_CASE"))
        self.set_header("Content-Type", "application/zip")
        self.set_header("Content-Disposition", f'attachment; filename="{folder.name}.zip"')
        pieces = archive(folder)
        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                self.write(piece)
                await self.flush()
        except StreamClosedError:
            return


class FolderPage(JupyterHandler):
    """``beamhub/folder``: a page that begins the download, and stays when that has begun."""

    @web.authenticated
    def get(self) -> None:
        """Show it."""
        name = escape(setting("USE_CASE"))
        self.finish(
            f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Your folder {name}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="1; url=folder.zip"></head>
<body><main><h1>Your folder is on its way</h1>
<p>Your browser downloads <code>{name}.zip</code>: all your files of this use case, as they are
saved. If it doesn't, <a href="folder.zip">download it here</a>.</p>
<p><a href="../lab">Open JupyterLab</a></p></main></body></html>
"""
        )


def _load_jupyter_server_extension(server: Any) -> None:
    """Add the addresses to the server."""
    base = server.web_app.settings["base_url"]
    handlers = {PAGE: FolderPage, ARCHIVE: FolderArchive}
    added = [(url_path_join(base, address), handler) for address, handler in handlers.items()]
    server.web_app.add_handlers(".*$", added)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "workbench.folder"}]
