"""A server that is told to end lets the browsers save what is open, then ends.

An extension of Jupyter's server, switched on by `workbench.start`. Text that nobody has saved is in
the browser alone, so only the browser can save it: each JupyterLab holds a socket here, is told of
the end by it, and closes it when it has saved.
"""

import asyncio
import signal
from contextlib import suppress
from typing import Any, ClassVar

from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.utils import url_path_join
from tornado.websocket import WebSocketClosedError, WebSocketHandler

ADDRESS = "beamhub/ending"
GRACE_S = 4.0
"""Backends wait five seconds or more before they kill a server that was told to end."""


class EndingSocket(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """``beamhub/ending``: one a JupyterLab; a message says that the server ends now."""

    there: "ClassVar[set[EndingSocket]]" = set()
    """Those that have something to save, perhaps."""
    over: ClassVar[bool] = False
    """Whether the end has begun, so that nobody new is waited for."""

    @ws_authenticated  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Open the socket of somebody who may use this server."""
        await super().get()

    def open(self, *args: str, **kwargs: str) -> None:
        """Count it among those to tell."""
        super().open(*args, **kwargs)
        if self.over:
            self.close()
        else:
            self.gone = asyncio.Event()
            self.there.add(self)

    def on_message(self, message: str | bytes) -> None:
        """Take no notice: nothing is to be said here."""

    def on_close(self) -> None:
        """Count on it no longer: it has saved, or is gone."""
        if self in self.there:
            self.there.discard(self)
            self.gone.set()
        super().on_close()

    async def tell(self) -> None:
        """Tell of the end, and wait until it's gone."""
        with suppress(WebSocketClosedError):
            await self.write_message("ending")
        await self.gone.wait()


async def let_save() -> None:
    """Tell all that the server ends, and wait until they have saved, but not for ever."""
    EndingSocket.over = True
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            await asyncio.gather(*(socket.tell() for socket in EndingSocket.there))


class Ending:
    """The end of a server, when it is told to.

    Parameters
    ----------
    server : jupyter_server.serverapp.ServerApp
        The server.
    """

    def __init__(self, server: Any) -> None:
        self.server = server
        self.task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin to end; a signal that comes again doesn't begin again."""
        if self.task is None:
            self.server.log.warning("Told to end: letting open documents be saved first")
            self.task = asyncio.create_task(self.end())

    async def end(self) -> None:
        """Let the browsers save, then stop as Jupyter's server does; kernels end with it."""
        try:
            await let_save()
        finally:
            self.server.stop(from_signal=True)


def _load_jupyter_server_extension(server: Any) -> None:
    """Add the address to the server, and take the signals that end it."""
    address = url_path_join(server.web_app.settings["base_url"], ADDRESS)
    server.web_app.add_handlers(".*$", [(address, EndingSocket)])
    ending = Ending(server)
    for number in (signal.SIGTERM, signal.SIGINT):
        server.io_loop.asyncio_loop.add_signal_handler(number, ending.begin)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "workbench.ending"}]
