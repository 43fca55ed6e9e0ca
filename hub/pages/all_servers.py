"""All servers of the portal, for its administrators: who has what; stopping one with a reason."""

from dataclasses import asdict
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode

from jupyterhub import orm
from jupyterhub.utils import url_path_join, utcnow
from tornado import web

from ..cards import LABELS, server_state
from ..launching import size_of
from ..overview import ORDERS, Server, View, shown, view
from ..refusal import Refused, quoted
from .base import Page
from .servers import end_server

SCOPES = ("admin:servers", "list:users")
REASON_LENGTH_MAX = 300
EMPTY_REASON = "Say why in a sentence: its user reads it, and nobody else can tell them."
LONG_REASON = f"Say it in {REASON_LENGTH_MAX} characters at most, on one line."


class ForAdministrators(Page):
    """A page for those who may list all users and stop all servers."""

    def prepare_scopes(self) -> None:
        """Refuse everybody else: what a user may do to their own servers doesn't count."""
        if not all(scope in self.expanded_scopes for scope in SCOPES):
            raise web.HTTPError(403, "All servers are shown to administrators only.")

    def running(self) -> list[Any]:
        """Return the spawners of all servers that are there."""
        rows = self.db.query(orm.User).join(orm.Spawner, orm.Spawner.user_id == orm.User.id)
        users = rows.filter(orm.Spawner.server_id.isnot(None)).distinct()
        return [
            spawner
            for row in users
            for spawner in self.users[row].spawners.values()
            if spawner.active
        ]

    def told_of(self, spawner: Any) -> Server:
        """Return what an administrator sees of a server."""
        use_case = self.deployment.use_cases.get(spawner.name)
        size = self.deployment.site.sizes.get(size_of(spawner))
        begun = self.begun(spawner)
        hours = (utcnow(with_tz=False) - begun).total_seconds() / 3600 if begun else None
        return Server(
            user=spawner.user.name,
            name=spawner.name,
            title=use_case.manifest.title if use_case else spawner.name,
            size=size.title if size else "",
            place=self.place(spawner),
            state=LABELS[server_state(spawner)],
            asked=spawner.orm_spawner.started,
            active=spawner.orm_spawner.last_activity,
            core_hours=max(0.0, hours) * size.cores if size and hours is not None else None,
        )

    def begun(self, spawner: Any) -> datetime | None:
        """Return since when a server has its cores, None where nobody knows or it hasn't yet."""
        if not spawner.ready:
            return None
        if not self.deployment.site.backend.ends_servers:
            started: datetime | None = spawner.orm_spawner.started
            return started
        # Waiting for a batch system's turn costs nothing.
        size = self.deployment.site.sizes.get(size_of(spawner))
        end: datetime | None = getattr(spawner, "ends_at", None)
        return end - timedelta(hours=size.walltime_h) if size and end else None

    def place(self, spawner: Any) -> str:
        """Return where a server runs: its machine's address, if it isn't on this one."""
        host = spawner.server.ip if spawner.server else ""
        try:
            elsewhere = bool(host) and not ip_address(host).is_loopback
        except ValueError:
            elsewhere = host != "localhost" and "/" not in host
        return host if elsewhere else self.deployment.site.backend.title

    def find(self, user_name: str, server: str) -> Any:
        """Return the spawner of a server, None where it isn't there any more."""
        user = self.find_user(user_name)
        spawner = user.spawners.get(server) if user else None
        return spawner if spawner is not None and spawner.active else None


class AllServers(ForAdministrators):
    """``/hub/servers``: every server, with its owner, size, age and cost."""

    @web.authenticated
    async def get(self) -> None:
        """Show a page of them."""
        self.prepare_scopes()
        arguments = {name: self.get_query_argument(name, "") for name in self.request.arguments}
        wanted = view(arguments)
        servers = [self.told_of(spawner) for spawner in self.running()]
        found = shown(servers, wanted)
        await self.show(
            "servers.html",
            shown=found,
            wanted=wanted,
            orders={name: heading for name, (heading, _, _) in ORDERS.items()},
            use_cases=self.deployment.use_cases,
            address=lambda **changes: self.address(wanted, **changes),
            now=utcnow(with_tz=False),
        )

    def address(self, wanted: View, **changes: Any) -> str:
        """Return the address of another view."""
        values = {**asdict(wanted), **changes}
        values["sort"] = values.pop("order")
        query = urlencode({name: value for name, value in values.items() if value})
        return f"{self.hub.base_url}servers?{query}"


class StopOne(ForAdministrators):
    """Stop anybody's server, with a reason that its user reads."""

    @web.authenticated
    async def get(self, user_name: str, server: str) -> None:
        """Ask, and say what is lost."""
        self.prepare_scopes()
        spawner = self.find(user_name, server)
        if spawner is None:
            await self.show_refusal(gone(user_name, server))
            return
        await self.show("stop_one.html", server=self.told_of(spawner), reason="", problem="")

    @web.authenticated
    async def post(self, user_name: str, server: str) -> None:
        """Stop it, if there is a reason."""
        self.prepare_scopes()
        spawner = self.find(user_name, server)
        if spawner is None:
            await self.show_refusal(gone(user_name, server))
            return
        reason = self.get_body_argument("reason", "")
        if problem := problem_of(reason):
            self.set_status(400)
            told = self.told_of(spawner)
            await self.show("stop_one.html", server=told, reason=reason, problem=problem)
            return
        spawner.ending = f"An administrator stopped it: {reason}"
        # The audit log has who stopped whose server, and never what somebody typed.
        name = self.current_user.name
        self.log.info("%s stopped the server %s of %s: %r", name, server, user_name, reason)
        await end_server(self, spawner.user, spawner)
        self.redirect(url_path_join(self.hub.base_url, "servers"), status=303)


def problem_of(reason: str) -> str:
    """Return what is wrong with a reason, empty for nothing."""
    if not reason.strip():
        return EMPTY_REASON
    if len(reason) > REASON_LENGTH_MAX or not reason.isprintable():
        return LONG_REASON
    return ""


def gone(user_name: str, server: str) -> Refused:
    """Return that there is nothing to stop."""
    return Refused(
        f"{quoted(user_name)} has no server {quoted(server)} that runs. It may just have ended.",
        reason="gone",
        status=404,
    )


HANDLERS = [
    (r"/servers", AllServers),
    (r"/servers/([^/]+)/([^/]+)/stop", StopOne),
]
