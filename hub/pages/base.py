"""What all pages share."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.spawner import SpawnException
from jupyterhub.utils import url_escape_path, url_path_join, utcnow
from tornado.httputil import url_concat

from spawners.telling import ENDING, last_output, log_path

from ..deployment import Deployment
from ..refusal import Refused

LOG_TAIL_LINES = 40
STRICT = (
    "default-src 'none'",
    "base-uri 'none'",
    "connect-src 'self'",
    "font-src 'self'",
    "frame-ancestors 'none'",
    "img-src 'self' data:",
    "script-src 'self'",
    "style-src 'self'",
)


class StrictPolicy:
    """A content security policy under which only the portal's own files do anything."""

    csp_report_uri: str
    settings: dict[str, Any]

    @property
    def content_security_policy(self) -> str:
        """The policy, as the header says it."""
        # A form of ours may lead on to a user's server, which has a host name of its own or not.
        below = self.settings["beamhub"].site.serving.users_origins
        forms = " ".join(["form-action 'self'", *filter(None, [below])])
        return "; ".join([*STRICT, forms, f"report-uri {self.csp_report_uri}"])


class AboutAServer(StrictPolicy):
    """Put before a handler of JupyterHub's, adds what we know of the server that it is about."""

    current_user: Any
    hub: Any

    def render_template(self, name: str, **names: Any) -> Any:
        """Render the page with the use case, why the server ended, and its log.

        Like the method that it extends, it returns an awaitable, or with ``sync`` a text.
        """
        server = str(names.get("server_name") or getattr(names.get("spawner"), "name", ""))
        deployment = self.settings["beamhub"]
        use_case = deployment.use_cases.get(server)
        user = names.get("user")
        log = log_path(deployment.state, user.id, server) if user else Path("/nonexistent")
        names |= {
            "use_case": use_case,
            "manifest": use_case.manifest if use_case else None,
            "ending": ending_of(user, server),
            "log_tail": "\n".join(last_output(log).splitlines()[-LOG_TAIL_LINES:]),
            "failed_message": reason_of(names.get("exception")),
            "may_start_safely": getattr(names.get("exception"), "reason", "") == "ended",
            "stopping_url": url_path_join(self.hub.base_url, "stop", url_escape_path(server)),
            "own_server": user is self.current_user,
            "elapsed_seconds": elapsed(names.get("spawner")),
            "has_waited": hasattr(names.get("spawner"), "waited_s"),
            "usual_seconds": self.settings["start_times"].usual(server),
        }
        return super().render_template(name, **names)  # type: ignore[misc]


def elapsed(spawner: Any) -> int:
    """Return for how many seconds a server has been starting."""
    started: datetime | None = spawner.orm_spawner.started if spawner else None
    if not started:
        return 0
    # After a wait for its turn a start counts from there.
    waited_s: float = getattr(spawner, "waited_s", 0.0)
    age: timedelta = utcnow(with_tz=False) - started
    return round(age.total_seconds() + waited_s)


def ending_of(user: Any, server: str) -> str:
    """Return why a server ended, empty where it ended as its user wished or runs."""
    row = user.orm_user.orm_spawners.get(server) if user and server else None
    return str((row.state or {}).get(ENDING, "")) if row and not row.server else ""


def reason_of(error: BaseException | None) -> str:
    """Return why a start failed, in words meant for the user; empty where there are none."""
    if isinstance(error, SpawnException):
        return str(error.message)
    return str(getattr(error, "jupyterhub_message", ""))


class Page(StrictPolicy, BaseHandler):
    """A page of the portal."""

    @property
    def deployment(self) -> Deployment:
        """What this portal is."""
        deployment: Deployment = self.settings["beamhub"]
        return deployment

    @property
    def template_namespace(self) -> dict[str, Any]:
        """What every page knows: also where it is, which JupyterHub doesn't tell."""
        return {**super().template_namespace, "request_path": self.request.path}

    async def has_standing(self) -> bool:
        """Ask the provider about the user where there is one; send them there if need be."""
        if not self.authenticator.refresh_pre_spawn:
            return True
        if await self.refresh_auth(self.current_user, force=True):
            return True
        self.redirect(url_concat(self.settings["login_url"], {"next": self.request.path}))
        return False

    async def show(self, template: str, **names: Any) -> None:
        """Answer with a page."""
        self.finish(await self.render_template(template, **names))

    async def show_refusal(self, refusal: Refused, **names: Any) -> None:
        """Answer with a page that says why not."""
        self.set_status(refusal.status)
        await self.show("refused.html", refusal=refusal, **names)

    def server_page(self, name: str, page: str = "") -> str:
        """Return the address of the user's server, or of a page inside it."""
        return str(self.current_user.server_url(name)) + page.lstrip("/")


class WithoutSlash(StrictPolicy, BaseHandler):
    """The address of a page with a slash behind it, as people and programs complete it."""

    def get(self, *_: str, **__: str) -> None:
        """Go to the page."""
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(self.request.path.rstrip("/") + query)
