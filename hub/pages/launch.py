"""From a wish to a running server: the link, the question, the wait, the failure."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from jupyterhub.apihandlers.users import SpawnProgressAPIHandler
from jupyterhub.handlers.pages import SpawnPendingHandler
from jupyterhub.scopes import needs_scope
from jupyterhub.utils import iterate_until, url_path_join
from tornado import web
from tornado.httputil import url_concat

from spawners import Launch

from ..launching import requester_of
from ..plan import FOR_THE_NEXT, OPTIONS, Asked, ask, of_link
from ..refusal import Refused
from .base import AboutAServer, Page
from .usecases import use_case_names

CHECKED_S = 0.5


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
            asked, launch = self.planned(name, of_link(texts(self.request.query_arguments)))
        except Refused as refusal:
            if refusal.reason in FOR_THE_NEXT and spawner is not None and spawner.ready:
                # What runs goes on until it's stopped.
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
        if not await self.has_standing():
            return
        try:
            asked, launch = self.planned(name, texts(self.request.body_arguments))
        except Refused as refusal:
            await self.show_refusal(refusal)
            return
        spawner = self.current_user.spawners.get(name)
        if spawner is None or not spawner.active:
            await self.begin(name, asked)
        self.redirect(self.pending_page(name, launch.start_page))

    def planned(self, name: str, options: Mapping[str, list[str]]) -> tuple[Asked, Launch]:
        """Return what the user asked for and its launch, or refuse before anything is started."""
        asked = ask(options)
        requester = requester_of(self.current_user, self.deployment)
        return asked, self.deployment.plan_for(requester, name, asked)

    async def begin(self, name: str, asked: Asked) -> None:
        """Start the server; a start that failed, however soon, is told by the pending page."""
        user = self.current_user
        title = self.deployment.use_cases[name].manifest.title
        user.get_or_create_spawner(name, title, replace_failed=True)
        options = {key: getattr(asked, key) for key in OPTIONS if getattr(asked, key)}
        start = asyncio.ensure_future(self.spawn_single_user(user, name, title, options=options))
        await asyncio.wait([start], timeout=1)
        if start.done() and not start.cancelled() and (error := start.exception()):
            # Looked up only now: in the place of a spawner that has failed there is another.
            spawner = user.spawners.get(name)
            if spawner is None or not spawner._failed:
                raise error  # it wasn't even begun: too many at once, for example
            self.log.warning("%s did not start: %s", spawner._log_name, error)

    def pending_page(self, name: str, page: str) -> str:
        """Return the address of the page to wait at, which goes on to `page` when all is ready."""
        user = self.current_user
        url = url_path_join(self.hub.base_url, "spawn-pending", user.escaped_name, name)
        return str(url_concat(url, {"next": self.server_page(name, page)}))


def texts(arguments: Mapping[str, list[bytes]]) -> dict[str, list[str]]:
    """Return what came with a link or by a form, without JupyterHub's own."""
    return {
        key: [value.decode("utf-8", "replace") for value in values]
        for key, values in arguments.items()
        if key != "_xsrf"
    }


class Progress(SpawnProgressAPIHandler):
    """The steps of a start as they come, those too of one that a hub before this one began."""

    @needs_scope("read:servers")  # type: ignore[untyped-decorator]
    async def get(self, user_name: str, server_name: str = "") -> None:
        """Stream them, and whether it succeeded."""
        user = self.find_user(user_name)
        spawner = user.spawners.get(server_name) if user else None
        if spawner is None or spawner.pending != "check":
            await super().get(user_name, server_name)
            return
        self.set_header("Cache-Control", "no-cache")
        kept_open = asyncio.ensure_future(self.keepalive())
        checked = asyncio.ensure_future(until_checked(spawner))
        async with aclosing(iterate_until(checked, spawner.progress())) as events:
            async for event in events:
                await self.send_event(event)
        await checked
        kept_open.cancel()
        await self.send_event({"ready": True} if spawner.ready else {"failed": True})


async def until_checked(spawner: Any) -> None:
    """Wait until JupyterHub knows of a server it has found at its own start."""
    while spawner.pending == "check":  # noqa: ASYNC110 - JupyterHub tells nobody
        await asyncio.sleep(CHECKED_S)


class Pending(AboutAServer, SpawnPendingHandler):
    """JupyterHub's page of a server that starts, stops or failed."""

    async def get(self, user_name: str, server_name: str = "") -> None:
        """Show it; what was stopped before it ran has no page any more."""
        user = self.current_user
        mine = user is not None and user.name == user_name
        offered = server_name in self.settings["beamhub"].offered
        if mine and offered and server_name not in user.spawners:
            self.redirect(url_path_join(self.hub.base_url, "home"))
            return
        await super().get(user_name, server_name)


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
    (r"/api/users/([^/]+)/servers/([^/]*)/progress", Progress),
    (r"/open/([^/]+)", Open),
    (r"/spawn", ToOpen),
    (r"/spawn/([^/]+)", ToOpen),
    (r"/spawn/([^/]+)/([^/]*)", ToOpen),
    (r"/spawn-pending/([^/]+)", Pending),
    (r"/spawn-pending/([^/]+)/([^/]+)", Pending),
]
