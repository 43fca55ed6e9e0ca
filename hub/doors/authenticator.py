"""What the doors that ask for a name and a password have in common."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.auth import Authenticator
from tornado import web
from traitlets import List, Unicode

from ..refusal import members_of
from .people import DoorFaultError, NotLetInError, Person, Typed, typed

ASKED_AT_ONCE_MAX = 16


class Door(Authenticator):
    """Asks off the hub's loop, and says in a sentence why somebody isn't let in.

    Who is let in and who is an administrator is what the profile says, at every log-in and, where
    the door can look people up, every few minutes and before every start of a server.
    """

    allowed_groups = List(Unicode(), help="Empty: everybody whom the door knows").tag(config=True)
    admin_groups = List(Unicode(), help="Their members are administrators").tag(config=True)
    admins = List(Unicode(), help="These are administrators").tag(config=True)
    named_groups = List(Unicode(), help="Groups that matter to the portal").tag(config=True)
    contact = Unicode(help="Whom people ask").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._threads = ThreadPoolExecutor(ASKED_AT_ONCE_MAX, thread_name_prefix="door")

    def ask(self, entered: Typed) -> Person:
        """Return who that is, or raise `NotLetInError`; may block."""
        raise NotImplementedError

    def look_up(self, name: str) -> Person | None:
        """Return somebody who has logged in before, None where the door can't; may block."""
        raise NotImplementedError

    def groups_there(self, names: Iterable[str]) -> dict[str, bool]:
        """Return which groups exist, empty where the door can't tell; may block."""
        raise NotImplementedError

    def faults(self) -> list[str]:
        """Return what is wrong with the door, each with a remedy; may block."""
        raise NotImplementedError

    async def authenticate(self, handler: Any, data: Mapping[str, str]) -> dict[str, Any] | None:
        """Return the user's model, None with a sentence at the handler where there is none."""
        try:
            entered = typed(
                data.get("username", ""),
                data.get("password", ""),
                data.get("second", ""),
                handler.request.remote_ip,
            )
            person = await self.off_the_loop(self.ask, entered)
            return self.let_in(person)
        except NotLetInError as refusal:
            if isinstance(refusal, DoorFaultError):
                self.log.error("Log-in: %s", refusal.detail)
            elif refusal.detail:
                self.log.warning("Log-in refused: %s", refusal.detail)
            handler.refusal = refusal
            return None

    async def refresh_user(self, user: Any, handler: Any = None) -> bool | dict[str, Any]:
        """Return what has changed; False where the account isn't let in any more.

        A page then asks to log in. JupyterHub lets tokens go on, with what it knew before, so
        everything else is refused here.
        """
        try:
            person = await self.off_the_loop(self.look_up, user.name)
            return True if person is None else self.let_in(person)
        except DoorFaultError as fault:
            self.log.warning("Nobody knows whether %s may still log in: %s", user.name, fault)
            return True
        except NotLetInError as refusal:
            self.log.warning("%s isn't let in any more: %s", user.name, refusal)
            if handler is None or is_page(handler):
                return False
            raise web.HTTPError(403, refusal.message) from None

    def let_in(self, person: Person) -> dict[str, Any]:
        """Return the model of somebody's, if the profile lets them in."""
        if not self.validate_username(person.name):
            raise NotLetInError(
                f"The portal can't have a user named '{person.name}': names are letters without "
                f"accents, digits, and . _ @ -. Ask {self.contact}."
            )
        if self.allowed_groups and not person.groups & set(self.allowed_groups):
            raise NotLetInError(
                "Your account is right, but this portal is for members of "
                f"{members_of(self.allowed_groups)}. Ask {self.contact}."
            )
        admin = person.name in self.admins or bool(person.groups & set(self.admin_groups))
        groups = sorted(person.groups & set(self.named_groups))
        return {
            "name": person.name,
            "groups": groups,
            "admin": admin,
            # For `beamhub check`; the portal keeps no more than the groups above.
            "auth_state": {"groups": sorted(person.groups)},
        }

    async def off_the_loop(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a blocking call returns."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, call, *arguments)


def is_page(handler: Any) -> bool:
    """Return whether somebody's browser asks for a page, at which they can log in again."""
    by_token = getattr(handler, "_token_authenticated", False)
    return handler.request.method == "GET" and not by_token and not isinstance(handler, APIHandler)
