"""The JupyterHub application with BeamHub's pages in front of its own."""

import asyncio
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from jupyterhub.app import JupyterHub
from jupyterhub.utils import maybe_future, utcnow
from sqlalchemy.exc import SQLAlchemyError
from tornado.ioloop import PeriodicCallback
from traitlets import default, observe
from traitlets.config import Configurable

from . import walltime
from .audit import keep_events
from .config import configure
from .deployment import Deployment
from .entrance import throttled
from .headers import policy_of
from .incoming import serve_with_limits
from .logins import Codes, Oidc
from .pages import handlers, template_names
from .session_recovery import recover_after_errors
from .state import identity_of
from .terminal import terminal
from .workshops.database import upgrade
from .workshops.records import Records

WALLTIME_CHECK_MS = 30_000
WAYS_CHECK_MS = 1000
SWEEP_MS = 60_000
LOG_CHECK_MS = 10_000


class Portal(JupyterHub):
    """JupyterHub, configured from a deployment.

    Handlers are put before JupyterHub's own, which ``extra_handlers`` can't do: a server must not
    be started by any other page than ours, with a question first.
    """

    name = "beamhub"
    config_file = ""
    deployment: Deployment
    when_ready: Callable[[str], None]
    shutting_down = False

    @observe("config")
    def _config_changed(self, change: Any) -> None:
        """Take the configuration over, without a word of it in the log: it holds secrets."""
        Configurable._config_changed(self, change)

    @default("authenticator")
    def _authenticator_default(self) -> Any:
        """Ask the authenticator that the profile names no more often than is good."""
        made = throttled(self.authenticator_class)
        return made(parent=self, _deprecated_db_session=self.db)

    def init_eventlog(self) -> None:
        """Keep who did what, in a file beside the log."""
        super().init_eventlog()
        keep_events(self.eventlog, self.deployment.state)

    def init_hub(self) -> None:
        """Have a log-in cookie of our own: browsers send cookies to all ports of a host."""
        super().init_hub()
        self.hub.cookie_name += f"-{identity_of(self.deployment.state)}"

    def init_db(self) -> None:
        """Have tables for workshops beside JupyterHub's own, and a session that outlives errors."""
        super().init_db()
        recover_after_errors(self.db)
        if self.deployment.site.workshops:
            upgrade(self.db.get_bind())

    def init_handlers(self) -> None:
        """Put BeamHub's pages before JupyterHub's."""
        super().init_handlers()
        self.handlers[:0] = self.add_url_prefix(self.hub_prefix, list(handlers()))

    def init_tornado_settings(self) -> None:
        """Give templates the names that only we know."""
        super().init_tornado_settings()
        # Not template_vars: JupyterHub calls every function among those with the user.
        for environment in ("jinja2_env", "jinja2_env_sync"):
            self.tornado_settings[environment].globals.update(
                template_names(self.deployment),
                log_in_trouble=lambda: getattr(self.authenticator, "trouble", False),
            )

    def init_tornado_application(self) -> None:
        """Have every answer carry the site's policy, whoever gives it."""
        super().init_tornado_application()
        self.tornado_application.add_transform(policy_of(self.deployment.site.serving))

    def init_signal(self) -> None:
        """End in order when the terminal is closed too, unless nohup says not to care."""
        super().init_signal()
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            asyncio.get_event_loop().add_signal_handler(
                signal.SIGHUP, lambda: asyncio.ensure_future(self.hang_up())
            )

    async def hang_up(self) -> None:
        """Shut down as at Ctrl-C."""
        await self.shutdown_cancel_tasks(signal.SIGHUP)

    async def shutdown_cancel_tasks(self, sig: signal.Signals | None = None) -> None:
        """Shut down once, however often Ctrl-C is pressed, and whatever fails meanwhile."""
        if self.shutting_down:
            return
        self.shutting_down = True
        try:
            await super().shutdown_cancel_tasks(sig)
        except Exception:
            self.log.exception("Something failed while the portal was ending; it ends all the same")
            self._stop_event_loop()

    async def cleanup(self) -> None:
        """End the servers, side by side, before the proxy ends: open pages are saved through it."""
        await self.tornado_settings["turns"].close()
        if self.cleanup_servers:
            await self.end_servers()
        try:
            await super().cleanup()
        except SQLAlchemyError:
            # What comes first there writes to the database; what comes after it must not be left.
            if self.cleanup_proxy and self.proxy.should_start:
                await maybe_future(self.proxy.stop())
            raise

    async def end_servers(self) -> None:
        """Stop all servers, and say so: it can take some seconds."""
        running = [
            (user, name)
            for user in self.users.values()
            for name, spawner in user.spawners.items()
            if spawner.active
        ]
        if not running:
            return
        servers = "1 server" if len(running) == 1 else f"{len(running)} servers"
        terminal.say(f"Ending {servers}, once open documents are saved …")
        stopped = await asyncio.gather(
            *(user.stop(name) for user, name in running), return_exceptions=True
        )
        for error in stopped:
            if isinstance(error, Exception):
                self.log.error("A server could not be stopped: %r", error)

    async def start(self) -> None:
        """Start, then watch the servers' time and say where the portal is."""
        self.waiting = self.being_checked()
        await super().start()
        PeriodicCallback(
            lambda: walltime.stop_expired(self, self.deployment), WALLTIME_CHECK_MS
        ).start()
        PeriodicCallback(self.sweep, SWEEP_MS).start()
        PeriodicCallback(self.forget_workshops, SWEEP_MS).start()
        PeriodicCallback(lambda: asyncio.to_thread(terminal.shorten), LOG_CHECK_MS).start()
        self.opener = PeriodicCallback(self.open_ways, WAYS_CHECK_MS)
        self.opener.start()
        if isinstance(self.deployment.site.login, Codes):
            self.when_ready(self.authenticator.code)
        else:
            if isinstance(self.deployment.site.login, Oidc):
                await self.authenticator.first_look()
            self.when_ready("")

    async def open_ways(self) -> None:
        """Open the way to each server that was still waiting at the hub's start, once it is up.

        JupyterHub does so when the last of them is up, which may be hours later, or by chance
        within five minutes.
        """
        still = self.being_checked()
        if self.waiting - still:
            await self.proxy.check_routes(self.users, self._service_map)
        self.waiting = still
        if not still:
            self.opener.stop()

    def being_checked(self) -> set[int]:
        """Return the database's numbers of servers of which the hub doesn't know yet."""
        spawners = (s for user in self.users.values() for s in user.spawners.values())
        return {s.orm_spawner.id for s in spawners if s._check_pending}

    async def sweep(self) -> None:
        """End what belongs to no server that this hub knows."""
        spawners = [s for user in self.users.values() for s in user.spawners.values()]
        state = self.deployment.state
        backend = self.deployment.site.backend
        if count := await backend.sweep(spawners, portal=identity_of(state), state=state):
            self.log.warning("Ended %i servers that nobody knew any more", count)

    def forget_workshops(self) -> None:
        """Delete the workshops whose people were told that they are deleted by now."""
        settings = self.deployment.site.workshops
        if settings is None:
            return
        now = utcnow(with_tz=False)
        then = now - timedelta(days=settings.keep_days)
        if count := Records(self.db).remove_ended_before(then):
            self.log.info("Deleted %i workshops that were over long ago", count)


def run(deployment: Deployment, *, level: str, when_ready: Callable[[str], None]) -> None:
    """Run the portal until it's told to stop.

    Parameters
    ----------
    deployment : Deployment
        What to run.
    level : str
        The least severe messages to log.
    when_ready : callable
        Called with the first log-in code, empty where there is none.
    """
    config = configure(deployment)
    config.JupyterHub.log_level = level
    asyncio.set_event_loop(asyncio.new_event_loop())
    serving = deployment.site.serving
    app = Portal.instance(config=config)
    serve_with_limits(
        proxies=2 if serving.tls == "proxy" else 1,
        any_peer=bool(serving.apart),
        proxy_pid=lambda: app.proxy.process_number,
    )
    app.deployment = deployment
    app.when_ready = when_ready
    Portal.launch_instance([])
