"""Pages of servers that don't run, or don't answer: what happened, in a sentence."""

import time
from typing import Any
from urllib.parse import unquote

from jupyterhub.apihandlers.auth import OAuthAuthorizeHandler
from jupyterhub.handlers.base import UserUrlHandler
from jupyterhub.handlers.pages import ProxyErrorHandler
from oauthlib.common import Request
from tornado import web
from tornado.ioloop import IOLoop

from ..audit import emit, name_of
from .base import AboutAServer

SERVERS = "jupyterhub-user-"
FOUND = 302
"""What the names begin with by which users' servers are known to JupyterHub's OAuth."""
LOOK_AGAIN_S = 5
"""Nobody can make the hub look at a server more often, by asking for its pages."""


class Gone(AboutAServer, UserUrlHandler):
    """A page inside a server that isn't running: why it ended, and how to open it again."""


class Unreachable(AboutAServer, ProxyErrorHandler):
    """What the proxy shows where a server doesn't answer: the hub looks at it at once.

    The proxy sends no cookie along, so what it shows is the same for any address, whether or not
    there is such a user or server. The page then asks here by itself, with its reader's cookie, and
    who may use the server learns more.
    """

    async def get(self, status_code: str) -> None:
        """Look at the server, and say that it doesn't answer."""
        if status_code != "503":
            await super().get(status_code)
            return
        spawner = self.spawner_of(self.get_argument("url", ""))
        if spawner is not None:
            self.look_at(spawner)
        mine = spawner if spawner is not None and self.may_use(spawner) else None
        self.set_header("Cache-Control", "no-store")
        self.set_status(503)
        self.finish(
            await self.render_template(
                "unreachable.html", silence=getattr(mine, "silence", ""), known=mine
            )
        )

    def may_use(self, spawner: Any) -> bool:
        """Return whether the reader has the server, a share of it, or is an administrator."""
        if self.current_user is None:
            return False
        return bool(self.has_scope(f"access:servers!server={spawner.user.name}/{spawner.name}"))

    def spawner_of(self, url: str) -> Any:
        """Return the server that a page belongs to, None where it's no running server's."""
        parts = url.split("/")
        if len(parts) < 4 or parts[1] != "user":
            return None
        user = self.find_user(unquote(parts[2]))
        spawner = user.spawners.get(unquote(parts[3])) if user else None
        return spawner if spawner is not None and spawner.ready else None

    def look_at(self, spawner: Any) -> None:
        """Let the hub find out whether a server still runs, beside answering."""
        now = time.monotonic()
        if now - getattr(spawner, "looked_at", -LOOK_AGAIN_S) >= LOOK_AGAIN_S:
            spawner.looked_at = now
            IOLoop.current().add_callback(spawner.poll_and_notify)


class Authorize(OAuthAuthorizeHandler):
    """The way from a server's page to its user's log-in, which tells nobody else what there is."""

    async def prepare(self) -> None:
        """Answer for another's server as for one that isn't there, however it is asked for."""
        await super().prepare()
        name = self.client_name()
        if self.current_user is None or not name.startswith(SERVERS):
            return
        client = self.oauth_provider.fetch_by_client_id(name)
        server = client.spawner if client is not None else None
        if server is None or not self.get_scope_filter("access:servers")(server, kind="server"):
            raise web.HTTPError(403, "There is no such server, or it is not yours to use.")

    def send_oauth_response(self, headers: dict[str, str], body: str | None, status: int) -> None:
        """Let a browser in, asked before or not, and write down who came into whose server."""
        super().send_oauth_response(headers, body, status)
        client = self.oauth_provider.fetch_by_client_id(self.client_name())
        let_in = status == FOUND and "code=" in headers.get("Location", "")
        if let_in and client is not None and (server := client.spawner) is not None:
            names = {"username": server.user.name, "servername": server.name}
            emit(self.settings, "server", action="open", **names, by=name_of(self.current_user))

    def client_name(self) -> str:
        """Return which client JupyterHub's OAuth will take the request for.

        That reads a body of any type as a form, unlike Tornado, and it goes before the address.
        """
        try:
            return str(Request(*self.extract_oauth_params()).client_id or "")
        except ValueError:
            raise web.HTTPError(400, "This isn't a request of OAuth.") from None


HANDLERS = [
    (r"/api/oauth2/authorize", Authorize),
    (r"/user/(?P<user_name>[^/]+)(?P<user_path>/.*)?", Gone),
    (r"/error/(\d+)", Unreachable),
]
