"""Home: the user's running servers."""

import asyncio
from typing import Any

from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.utils import url_path_join, utcnow
from tornado import web

from ..audit import name_of, note_server
from ..cards import LABELS, server_state
from ..config import IDLE_CULLER
from ..launching import size_of
from ..plan import find
from ..refusal import Refused
from ..walltime import ends_at, unused_end
from .base import Page, ending_of
from .words import number_text

CANCEL_S = 10


class Home(Page):
    """What is running, since when, and until when."""

    @web.authenticated
    async def get(self) -> None:
        """Show the running servers."""
        user, deployment = self.current_user, self.deployment
        now = utcnow(with_tz=False)
        rows = [
            {
                "use_case": deployment.use_cases.get(spawner.name),
                "spawner": spawner,
                "size": deployment.site.sizes.get(size_of(spawner)),
                "end": ends_at(spawner, deployment),
                "unused_end": unused_end(spawner, deployment, now),
                "label": LABELS[server_state(spawner)],
            }
            for spawner in user.spawners.values()
            if spawner.active
        ]
        ended = {
            name: why
            for name in user.orm_user.orm_spawners
            if name in deployment.use_cases and (why := ending_of(user, name))
        }
        await self.show(
            "home.html",
            rows=rows,
            changing=any(self.is_changing(row) for row in rows),
            ended=ended,
            use_cases=deployment.use_cases,
            now=now,
        )

    def is_changing(self, row: dict[str, Any]) -> bool:
        """Return whether there will soon be something else to say of a server."""
        end_to_come = self.deployment.site.backend.ends_servers and row["end"] is None
        return bool(row["spawner"].pending) or end_to_come


class Stop(Page):
    """Stop one server of one's own, starting or running."""

    @web.authenticated
    async def get(self, name: str) -> None:
        """Ask, and say what is lost."""
        spawner = self.current_user.spawners.get(name)
        if spawner is None or not spawner.active:
            self.redirect(url_path_join(self.hub.base_url, "home"))
            return
        await self.show("stop.html", use_case=self.deployment.use_cases.get(name), server=name)

    @web.authenticated
    async def post(self, name: str) -> None:
        """Stop it, whatever it is doing."""
        user = self.current_user
        spawner = user.spawners.get(name)
        if spawner is not None and spawner.active:
            await end_server(self, user, spawner)
        self.redirect(url_path_join(self.hub.base_url, "home"))


async def end_server(page: Page, user: Any, spawner: Any) -> None:
    """Stop a server, whatever it is doing."""
    if spawner.pending == "stop":
        return
    note_server(spawner, "stop", by=page.current_user.name)
    if spawner.pending == "spawn":
        await cancel(spawner)
    if spawner.pending == "check":
        # Found again after a restart of the hub, which goes on waiting for it.
        await spawner.stop()
    if spawner.active and not spawner.pending:
        await page.stop_single_user(user, server_name=spawner.name)


async def cancel(spawner: Any) -> None:
    """End the start of a server, so that stopping it can follow."""
    start = spawner._spawn_future
    start.cancel()
    await asyncio.wait([start], timeout=CANCEL_S)
    # The callbacks of `start`, which clear the pending state, run in the loop's next turn.
    await asyncio.sleep(0)


class KnownServersOnly(UserServerAPIHandler):
    """JupyterHub's REST call to start a server: refuses names that aren't use cases at once.

    Without this, a refused name would stay behind as an entry in the database. Options come with
    the start and are planned there, so a server can't be given some, or another name, without one.
    """

    async def put(self, user_name: str, server_name: str) -> None:
        """Refuse to make a server without starting it."""
        del user_name, server_name
        raise web.HTTPError(405, "A server is made by starting it: send POST.")

    async def patch(self, user_name: str, server_name: str) -> None:
        """Refuse to change a server's options or name."""
        del user_name, server_name
        raise web.HTTPError(405, "A server's options come with its start: stop it, send POST.")

    async def delete(self, user_name: str, server_name: str = "") -> None:
        """Stop a server; where nobody used it for long, its user is told so later."""
        user = self.find_user(user_name)
        spawner = user.spawners.get(server_name) if user else None
        if spawner is not None and getattr(self.current_user, "name", "") == IDLE_CULLER:
            hours = number_text(self.settings["beamhub"].site.limits.idle_h)
            spawner.ending = f"It was stopped because nobody had used it for {hours} h."
        await super().delete(user_name, server_name)
        # Who may not has been refused by now.
        if spawner is not None:
            note_server(spawner, "stop", by=name_of(self.current_user))

    async def _check_named_server_request(
        self, user: Any, server_name: str, *args: Any, **kwargs: Any
    ) -> None:
        deployment = self.settings["beamhub"]
        try:
            find(server_name, deployment.use_cases, deployment.site)
        except Refused as refusal:
            raise web.HTTPError(refusal.status, refusal.message) from None
        await super()._check_named_server_request(user, server_name, *args, **kwargs)


HANDLERS = [
    (r"/home", Home),
    (r"/stop/([^/]+)", Stop),
    (r"/api/users/([^/]+)/servers/([^/]*)", KnownServersOnly),
]
