"""The one way in by name and password: throttled, noted, and never in the way of others.

Forms and the REST interface ask an authenticator through the same method, which is wrapped here.
Log-in by a provider's redirect carries no password and passes as it is.
"""

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from tornado import web

from spawners.amounts import seconds_text

from .audit import emit
from .doors.people import DoorFaultError
from .incoming import network_of
from .state import LIFTED
from .throttle import Throttle

LONGEST_NAME, LONGEST_PASSWORD = 255, 1024
MOST_AT_ONCE = 64
"""Log-ins under way; a directory that answers slowly must not have any number of them wait."""
FAILED_S = 1.0
"""A refusal comes no sooner, so that its time doesn't tell which names there are."""
BLOCKING = "LDAPAuthenticator"
"""Declares a coroutine, and asks its directory without ever giving the loop back."""


class Entrance:
    """What a portal knows of tries to log in.

    Parameters
    ----------
    state : Path
        The portal's state folder, in which an administrator's command leaves its mark.
    """

    def __init__(self, state: Path) -> None:
        self.throttle = Throttle()
        self.under_way = 0
        self._mark = state / LIFTED
        self._seen = self._marked()

    def _marked(self) -> int:
        try:
            return self._mark.stat().st_mtime_ns
        except OSError:
            return 0

    def wait_s(self, name: str, address: str) -> float:
        """Return how long a try has to wait, after a look whether an administrator lifted that."""
        if (marked := self._marked()) != self._seen:
            self._seen = marked
            self.throttle.lift()
        return self.throttle.wait_s(name, address)


class TooMany(web.HTTPError):
    """A try that nobody looks at; the text is for whoever made it."""

    def __init__(self, wait_s: float) -> None:
        seconds = max(1, round(wait_s + 0.5))
        super().__init__(HTTPStatus.TOO_MANY_REQUESTS)
        self.headers = {"Retry-After": str(seconds)}
        self.jupyterhub_message = (
            "Too many log-ins have failed, so this one was not looked at. Try again in "
            f"{seconds_text(seconds)}."
        )


class Throttled(Authenticator):
    """Put before an authenticator's class, bounds how often and how long it is asked."""

    async def get_authenticated_user(
        self, handler: Any, data: Mapping[str, str] | None
    ) -> dict[str, Any] | None:
        """Return the user, None where the name or the password is wrong.

        Raises
        ------
        TooMany
            Too many tries have failed lately.
        """
        if data is None:
            # A provider has sent the browser back: what it says is signed, not guessed.
            user = await self._ask(handler, data)
            if user:
                note(handler, "logged-in", user["name"])
            return user
        name, password = typed(data, "username"), typed(data, "password")
        if len(name) > LONGEST_NAME or len(password) > LONGEST_PASSWORD or not name:
            return None
        name = self.normalize_username(name)
        entrance: Entrance = handler.settings["entrance"]
        address = network_of(handler.request.remote_ip)
        if wait := entrance.wait_s(name, address):
            note(handler, "throttled", known_name(handler, name))
            raise TooMany(wait)
        if entrance.under_way >= MOST_AT_ONCE:
            raise TooMany(FAILED_S)
        entrance.throttle.begin(name, address)
        entrance.under_way += 1
        begun = time.monotonic()
        try:
            user = await self._ask(handler, data)
        except web.HTTPError:
            note(handler, "failed", known_name(handler, name))
            raise
        except BaseException:
            # Whoever should have judged it could not.
            entrance.throttle.take_back(name, address)
            raise
        finally:
            entrance.under_way -= 1
        if user:
            entrance.throttle.succeed(name, address)
            note(handler, "logged-in", user["name"])
            return user
        if isinstance(getattr(handler, "refusal", None), DoorFaultError):
            # A directory that is down has judged nothing.
            entrance.throttle.take_back(name, address)
        note(handler, "failed", known_name(handler, name))
        await asyncio.sleep(FAILED_S - (time.monotonic() - begun))
        return None

    async def _ask(self, handler: Any, data: Mapping[str, str] | None) -> dict[str, Any] | None:
        found: dict[str, Any] | None = await super().get_authenticated_user(handler, data)
        return found


class InAThread(Authenticator):
    """Put before an authenticator that blocks, asks it in a thread."""

    async def authenticate(self, handler: Any, data: Mapping[str, str]) -> Any:
        """Return what the authenticator returns."""
        asked = super().authenticate
        return await asyncio.to_thread(lambda: asyncio.run(asked(handler, data)))


def throttled(authenticator: type[Authenticator]) -> type[Authenticator]:
    """Return the class of an authenticator with the bounds of this module."""
    blocks = any(base.__name__ == BLOCKING for base in authenticator.__mro__)
    bases = (Throttled, InAThread, authenticator) if blocks else (Throttled, authenticator)
    return type(f"Throttled{authenticator.__name__}", bases, {})


def typed(data: Mapping[str, Any], field: str) -> str:
    """Return a field of what was sent, empty where it is none: REST calls send any JSON."""
    value = data.get(field) if isinstance(data, Mapping) else None
    return value if isinstance(value, str) else ""


def known_name(handler: Any, name: str) -> str:
    """Return the name if a user has it; what else was typed may be a password."""
    return name if handler.find_user(name) is not None else ""


def note(handler: Any, action: str, name: str) -> None:
    """Write down what came of a try."""
    address = str(handler.request.remote_ip)[:64]
    emit(handler.settings, "login", action=action, username=name, address=address)
