"""What a server tells of its tutorials' checks, kept while a workshop of its user's runs."""

import json
from typing import Annotated

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.scopes import needs_scope
from jupyterhub.utils import utcnow
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from tornado import web

from ..workshops.live import Live
from ..workshops.records import Records
from ..workshops.tables import TEXT_MAX

BODY_MAX = 64_000


def printable(text: str) -> str:
    """Return a text that can stand in a page and a table."""
    if not text.isprintable():
        raise ValueError("expected one line of text")
    return text


Text = Annotated[str, Field(min_length=1, max_length=TEXT_MAX), AfterValidator(printable)]


class Check(BaseModel):
    """Whether a check holds."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: Text
    passed: bool


class Checks(BaseModel):
    """All that a server can tell of checks."""

    model_config = ConfigDict(extra="forbid", strict=True)
    notebook: Text
    checks: Annotated[list[Check], Field(max_length=100)]


class ServerTellsChecks(APIHandler):
    """``/hub/api/beamhub/checks/<user>/<server>``, with the token of that server and no other."""

    @needs_scope("access:servers")  # type: ignore[untyped-decorator]
    async def post(self, user_name: str, server_name: str) -> None:
        """Keep what is told, if a workshop of the user's with this use case runs."""
        # Exactly this: what a log-in or a token for all of one's servers may do has another name.
        scope = f"access:servers!server={user_name}/{server_name}"
        if self.get_auth_token() is None or scope not in self.expanded_scopes:
            raise web.HTTPError(403, "A server tells of its own checks, with its own token.")
        told = self.told()
        if self.settings["beamhub"].site.workshops is not None:
            self.keep(user_name, server_name, told)
        self.set_status(204)

    def told(self) -> Checks:
        """Return what was sent, if it is what can be told."""
        try:
            if len(self.request.body) > BODY_MAX:
                raise ValueError("too long")
            return Checks.model_validate(json.loads(self.request.body))
        except (ValueError, ValidationError):
            text = "Expected 'notebook' and 'checks', a list of 'name' with 'passed'."
            raise web.HTTPError(400, text) from None

    def keep(self, user: str, use_case: str, told: Checks) -> None:
        """Keep it with each workshop that it is part of."""
        records, now = Records(self.db), utcnow(with_tz=False)
        live: Live = self.settings["live"]
        checks = {check.name: check.passed for check in told.checks}
        for workshop in records.joined_by(user):
            if workshop.use_case == use_case and workshop.state(now) == "running":
                records.tell(workshop.number, user, told.notebook, checks, now)
                live.progress.tell(workshop.code)


HANDLERS = [(r"/api/beamhub/checks/([^/]+)/([^/]+)", ServerTellsChecks)]
