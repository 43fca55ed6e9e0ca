"""Pages of servers that don't run, or don't answer: what happened, in a sentence."""

import time
from typing import Any

from jupyterhub.handlers.base import UserUrlHandler
from jupyterhub.handlers.pages import ProxyErrorHandler
from tornado.ioloop import IOLoop

from .base import AboutAServer

LOOK_AGAIN_S = 5
"""Nobody can make the hub look at a server more often, by asking for its pages."""


class Gone(AboutAServer, UserUrlHandler):
    """A page inside a server that isn't running: why it ended, and how to open it again."""


class Unreachable(AboutAServer, ProxyErrorHandler):
    """What the proxy shows where a server doesn't answer: the hub looks at it at once.

    The proxy sends no cookie along, so the page tells nothing that only the server's user may know.
    """

    async def get(self, status_code: str) -> None:
        """Look at the server, and say that it doesn't answer."""
        if status_code != "503":
            await super().get(status_code)
            return
        spawner = self.spawner_of(self.get_argument("url", ""))
        if spawner is not None:
            self.look_at(spawner)
        self.set_status(503)
        self.finish(
            await self.render_template(
                "unreachable.html", silence=getattr(spawner, "silence", ""), known=spawner
            )
        )

    def spawner_of(self, url: str) -> Any:
        """Return the server that a page belongs to, None where it's no running server's."""
        parts = url.split("/")
        if len(parts) < 4 or parts[1] != "user":
            return None
        user = self.find_user(parts[2])
        spawner = user.spawners.get(parts[3]) if user else None
        return spawner if spawner is not None and spawner.ready else None

    def look_at(self, spawner: Any) -> None:
        """Let the hub find out whether a server still runs, beside answering."""
        now = time.monotonic()
        if now - getattr(spawner, "looked_at", -LOOK_AGAIN_S) >= LOOK_AGAIN_S:
            spawner.looked_at = now
            IOLoop.current().add_callback(spawner.poll_and_notify)


HANDLERS = [
    (r"/user/(?P<user_name>[^/]+)(?P<user_path>/.*)?", Gone),
    (r"/error/(\d+)", Unreachable),
]
