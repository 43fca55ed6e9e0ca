"""What all pages share."""

from typing import Any

from jupyterhub.handlers.base import BaseHandler

from ..deployment import Deployment
from ..plan import Refused

STRICT = (
    "default-src 'none'",
    "base-uri 'none'",
    "connect-src 'self'",
    "font-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "img-src 'self' data:",
    "script-src 'self'",
    "style-src 'self'",
)


class StrictPolicy:
    """A content security policy under which only the portal's own files do anything."""

    csp_report_uri: str

    @property
    def content_security_policy(self) -> str:
        """The policy, as the header says it."""
        return "; ".join([*STRICT, f"report-uri {self.csp_report_uri}"])


class Page(StrictPolicy, BaseHandler):
    """A page of the portal."""

    @property
    def deployment(self) -> Deployment:
        """What this portal is."""
        deployment: Deployment = self.settings["beamhub"]
        return deployment

    async def show(self, template: str, **names: Any) -> None:
        """Answer with a page."""
        names["request_path"] = self.request.path
        self.finish(await self.render_template(template, **names))

    async def show_refusal(self, refusal: Refused, **names: Any) -> None:
        """Answer with a page that says why not."""
        self.set_status(refusal.status)
        await self.show("refused.html", refusal=refusal, **names)

    def server_page(self, name: str, page: str = "") -> str:
        """Return the address of the user's server, or of a page inside it."""
        return str(self.current_user.server_url(name)) + page.lstrip("/")
