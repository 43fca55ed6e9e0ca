"""From a wish to a running server: the link, the question, the wait, the failure."""

import asyncio

from jupyterhub.handlers.pages import SpawnPendingHandler
from jupyterhub.utils import url_path_join
from tornado import web
from tornado.httputil import url_concat

from spawners import Launch

from ..launching import holding_of, standing_of
from ..plan import OPTIONS, Asked, Refused, ask, plan
from .base import AboutAServer, Page
from .usecases import use_case_names


class Open(Page):
    """``/hub/open/<use case>?notebook=...&size=...``: the link for papers and course pages.

    It goes straight to a server that runs. It asks once before it starts a new one, so that a page
    elsewhere can't start servers in a reader's name.
    """

    @web.authenticated
    async def get(self, name: str) -> None:
        """Go to the running server, or ask whether to start one."""
        spawner = self.current_user.spawners.get(name)
        try:
            asked, launch = self.planned(name, self.request.query_arguments)
        except Refused as refusal:
            if refusal.reason == "licence" and spawner is not None and spawner.ready:
                # Its user took an acceptance back; what runs goes on until it's stopped.
                self.redirect(self.server_page(name))
                return
            await self.show_refusal(refusal)
            return
        if spawner is not None and spawner.ready:
            self.redirect(self.server_page(name, launch.start_page))
        elif spawner is not None and spawner.active:
            self.redirect(self.pending_page(name, launch.start_page))
        else:
            use_case = self.deployment.use_cases[name]
            await self.show("open.html", **await use_case_names(self, use_case, asked))

    @web.authenticated
    async def post(self, name: str) -> None:
        """Start the server and show how that goes."""
        try:
            asked, launch = self.planned(name, self.request.body_arguments)
        except Refused as refusal:
            await self.show_refusal(refusal)
            return
        spawner = self.current_user.spawners.get(name)
        if spawner is None or not spawner.active:
            await self.begin(name, asked)
        self.redirect(self.pending_page(name, launch.start_page))

    def planned(self, name: str, arguments: dict[str, list[bytes]]) -> tuple[Asked, Launch]:
        """Return what the user asked for and its launch, or refuse before anything is started."""
        sent = {
            key: [value.decode("utf-8", "replace") for value in values]
            for key, values in arguments.items()
            if key != "_xsrf"  # JupyterHub's own
        }
        asked = ask(sent)
        deployment = self.deployment
        return asked, plan(
            name,
            asked,
            use_cases=deployment.use_cases,
            site=deployment.site,
            user=self.current_user.name,
            holding=holding_of(self.current_user, deployment, besides=name),
            standing=standing_of(self.current_user, deployment),
        )

    async def begin(self, name: str, asked: Asked) -> None:
        """Start the server; a start that failed, however soon, is told by the pending page."""
        user = self.current_user
        title = self.deployment.use_cases[name].manifest.title
        spawner = user.get_or_create_spawner(name, title, replace_failed=True)
        if spawner._spawn_future and spawner._spawn_future.done():
            spawner._spawn_future = None
        options = {key: getattr(asked, key) for key in OPTIONS if getattr(asked, key)}
        start = asyncio.ensure_future(self.spawn_single_user(user, name, title, options=options))
        await asyncio.wait([start], timeout=1)
        if start.done() and not start.cancelled() and (error := start.exception()):
            if not spawner._failed:  # it wasn't even begun: too many at once, for example
                raise error
            self.log.warning("%s did not start: %s", spawner._log_name, error)

    def pending_page(self, name: str, page: str) -> str:
        """Return the address of the page to wait at, which goes on to `page` when all is ready."""
        user = self.current_user
        url = url_path_join(self.hub.base_url, "spawn-pending", user.escaped_name, name)
        return str(url_concat(url, {"next": self.server_page(name, page)}))


class Pending(AboutAServer, SpawnPendingHandler):
    """JupyterHub's page of a server that starts, stops or failed."""


class ToOpen(Page):
    """JupyterHub's own address to start a server: goes to ours, which asks first."""

    @web.authenticated
    def get(self, user_name: str = "", server_name: str = "") -> None:
        """Go to the question, or to the catalogue."""
        if user_name and user_name != self.current_user.name:
            raise web.HTTPError(403, "Servers are started by those who use them, nobody else.")
        if server_name in self.deployment.use_cases:
            self.redirect(url_path_join(self.hub.base_url, "open", server_name))
        else:
            self.redirect(url_path_join(self.hub.base_url, "usecases"))

    @web.authenticated
    async def post(self, user_name: str = "", server_name: str = "") -> None:
        """Refuse: a form of ours never sends anything here."""
        del user_name
        await self.show_refusal(
            Refused(
                f"Servers are started from a use case's page, not here ({server_name}).",
                reason="option",
            )
        )


HANDLERS = [
    (r"/open/([^/]+)", Open),
    (r"/spawn", ToOpen),
    (r"/spawn/([^/]+)", ToOpen),
    (r"/spawn/([^/]+)/([^/]*)", ToOpen),
    (r"/spawn-pending/([^/]+)", Pending),
    (r"/spawn-pending/([^/]+)/([^/]+)", Pending),
]
