"""How long a server has still: asked by the JupyterLab that runs in it."""

from typing import Any

from jupyterhub.utils import utcnow
from tornado import web

from ..cards import server_state
from ..walltime import grants_longer, seconds_left
from ..workshops.records import Records
from .base import Page, ending_of


class Lifetime(Page):
    """``/hub/lifetime/<use case>``: how long the user's own server has, or why it has ended.

    It's read from what the hub knows already: no question to a batch system comes of it.
    """

    async def get(self, name: str) -> None:
        """Answer with the server's state, as JSON."""
        user = self.current_user
        # Read by the user's own server too where that has a host name of its own, by no other's.
        origin = self.request.headers.get("Origin", "")
        if user is not None and origin and origin == user.host:
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Allow-Credentials", "true")
        self.set_header("Vary", "Origin")
        if user is None:
            raise web.HTTPError(403, "Log in to ask for your servers.")
        if name not in self.deployment.use_cases:
            raise web.HTTPError(404, "No such server is there.")
        spawner = user.spawners.get(name)
        self.set_header("Cache-Control", "no-store")
        if spawner is not None and spawner.active:
            self.finish(self.of_running(spawner))
        else:
            self.finish({"state": "ended", "why": ending_of(user, name)})

    def workshops(self, use_case: str) -> list[dict[str, Any]]:
        """Return what is told in JupyterLab of the workshops that the user is in now."""
        if self.deployment.site.workshops is None:
            return []
        user, records, now = self.current_user.name, Records(self.db), utcnow(with_tz=False)
        return [
            {
                "title": workshop.title,
                "page": f"join/{workshop.code}",
                "hand": user in records.hands(workshop.number),
                "message": workshop.message,
                "message_id": f"{workshop.number} {workshop.message_at}",
            }
            for workshop in records.joined_by(user)
            if workshop.use_case == use_case and workshop.state(now) == "running"
        ]

    def of_running(self, spawner: Any) -> dict[str, Any]:
        """Return what is told of a server that is there."""
        return {
            "state": server_state(spawner),
            "left_s": seconds_left(spawner, self.deployment, utcnow(with_tz=False)),
            "longer": grants_longer(spawner, self.deployment),
            "workshops": self.workshops(spawner.name),
        }


HANDLERS = [(r"/lifetime/([^/]+)", Lifetime)]
