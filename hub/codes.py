"""Log-in by one-time codes, printed where the portal was started."""

import secrets
from collections.abc import Mapping
from typing import Any

from jupyterhub.auth import Authenticator
from traitlets import Unicode

from .alphabet import ALPHABET, in_groups
from .doors.people import NotLetInError
from .terminal import terminal

NAME_PATTERN = r"[a-z][a-z0-9._@-]{0,30}\Z"
NAME_RULE = (
    "That can't be a name here. It begins with a letter and has at most 31 of a to z, 0 to 9 and "
    ". _ @ -, without spaces and accents. The code was not looked at, so it still works."
)


class CodeAuthenticator(Authenticator):
    """Anybody who sees the terminal may log in, under a name of their choice; a code works once."""

    code = Unicode(help="The code that works next")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.code = new_code()

    async def authenticate(self, handler: Any, data: Mapping[str, str]) -> str | None:
        """Return the name if it and the code are right, and replace the code."""
        name = data.get("username", "")
        if not self.validate_username(self.normalize_username(name)):
            handler.refusal = NotLetInError(NAME_RULE)
            return None
        given = data.get("password", "").strip().lower()
        if not secrets.compare_digest(given.encode(), self.code.encode()):
            return None
        self.code = new_code()
        terminal.say(f"{name} has logged in. The next code is {self.code}")
        return name


def new_code() -> str:
    """Return a code of 12 characters, 59 bits, in groups that can be read aloud."""
    return in_groups("".join(secrets.choice(ALPHABET) for _ in range(12)))
