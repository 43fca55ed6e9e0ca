"""JupyterHub's own log-in, under our policy."""

from typing import Any

from jupyterhub.handlers.login import LoginHandler
from tornado import web

from ..doors.people import NotLetInError
from .base import StrictPolicy


class Login(StrictPolicy, LoginHandler):
    """The log-in page; it says why somebody isn't let in."""

    refusal: NotLetInError | None = None
    """Set by the door, where it knows more than that the password is wrong."""

    async def post(self) -> None:
        """Log in, or say what is missing."""
        if "username" not in self.request.body_arguments:
            raise web.HTTPError(400, "Type your name and your password.")
        await super().post()

    def _render(
        self, login_error: str | None = None, username: str | None = None, **names: Any
    ) -> Any:
        """Render it, with the door's own sentence where there is one."""
        if login_error and self.refusal:
            login_error = self.refusal.message
        return super()._render(login_error, username, **names)


HANDLERS = [(r"/login", Login)]
