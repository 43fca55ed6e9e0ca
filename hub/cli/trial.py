"""``beamhub check --log-in``: log in as the portal would, and tell what comes of it."""

import asyncio
import getpass
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..deployment import Deployment
from ..gates import Standing
from ..logins import Ldap, Pam
from ..plan import Asked
from ..refusal import Refused
from ..requester import Requester
from ..secrets import SecretError, read_secret_file

PASSWORD = "BEAMHUB_CHECK_PASSWORD"  # noqa: S105
SECOND = "BEAMHUB_CHECK_SECOND"


@dataclass
class Request:
    """Where the one who logs in is: at this terminal."""

    remote_ip: str = ""


@dataclass
class AtTheTerminal:
    """What a door takes for the log-in page."""

    request: Request = field(default_factory=Request)
    refusal: Any = None


@dataclass(frozen=True)
class Trial:
    """What came of a log-in.

    Parameters
    ----------
    told : tuple of str
        What went well.
    findings : tuple of str
        What didn't, each with a remedy where there is one.
    """

    told: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


def door_findings(deployment: Deployment) -> list[str]:
    """Return what is wrong with the door, without logging in: faults, and groups it hasn't got."""
    login = deployment.site.login
    if not isinstance(login, Pam | Ldap):
        return []
    from ..config import door_of

    try:
        door = door_of(deployment)
        faults = door.faults()
        there = {} if faults else door.groups_there(deployment.site.named_groups)
    except SecretError as error:
        return [f"login: {error}"]
    except Exception as error:  # noqa: BLE001 - whatever a door's own library raises
        return [f"login: {getattr(error, 'detail', '') or error}"]
    missing = [name for name, is_there in there.items() if not is_there]
    return [
        *(f"login: {fault}" for fault in faults),
        *(f"the profile names a group '{name}', and there is none" for name in missing),
    ]


def trial(deployment: Deployment, name: str, password_file: Path | None) -> Trial:
    """Return what comes of logging in with a test account."""
    login = deployment.site.login
    if not isinstance(login, Pam | Ldap):
        how = "OpenID Connect" if login.kind == "oidc" else "one-time codes"
        return Trial(
            findings=(
                f"With {how} only a person can log in: serve the profile, and log in with a "
                "browser.",
            )
        )
    from ..config import door_of

    try:
        typed = {"username": name, "password": password_of(name, password_file)}
        if isinstance(login, Pam) and login.second_factor:
            typed["second"] = os.environ.get(SECOND) or getpass.getpass("Second factor: ")
        door = door_of(deployment)
    except SecretError as error:
        return Trial(findings=(str(error),))
    page = AtTheTerminal()
    model = asyncio.run(door.get_authenticated_user(page, typed))
    if model is None:
        return Trial(findings=tuple(refused(page.refusal)))
    return Trial(told=tuple(let_in(deployment, name, model)))


def password_of(name: str, file: Path | None) -> str:
    """Return the password of the test account; it is never in the command's arguments."""
    if file is not None:
        return read_secret_file(file)
    if password := os.environ.get(PASSWORD):
        return password
    if not sys.stdin.isatty():
        raise SecretError(
            f"There is no terminal to type the password of '{name}' at: use --password-file, or "
            f"the environment variable {PASSWORD}."
        )
    return getpass.getpass(f"Password of '{name}' (it isn't shown): ")


def refused(refusal: Any) -> Iterator[str]:
    """Yield what the page would say, and what it wouldn't."""
    if refusal is None:
        yield "log-in: refused, and the door says no more."
        return
    yield f"log-in: the page says: {refusal.message}"
    if refusal.detail and refusal.detail != refusal.message:
        yield f"log-in: and to you: {refusal.detail}"


def let_in(deployment: Deployment, typed: str, model: dict[str, Any]) -> Iterator[str]:
    """Yield what somebody is and may, who was let in."""
    name, site = model["name"], deployment.site
    kind = "is an administrator" if model["admin"] else "isn't an administrator"
    yield f"log-in: '{typed}' is let in, as the user '{name}', who {kind}"
    groups = model["auth_state"]["groups"]
    yield f"groups: {', '.join(groups) or 'none'}"
    if site.named_groups:
        yield f"groups that the profile names: {', '.join(model['groups']) or 'none of them'}"
    standing = Standing(groups=frozenset(model["groups"]))
    for use_case in deployment.offered:
        yield f"{use_case}: {offer(deployment, use_case, name, standing)}"


def offer(deployment: Deployment, use_case: str, name: str, standing: Standing) -> str:
    """Return in which sizes somebody could open a use case, or why in none."""
    possible, why = [], ""
    for size in deployment.site.sizes:
        try:
            deployment.plan_for(Requester(name, standing), use_case, Asked(size=size))
            possible.append(size)
        except Refused as refusal:
            why = why or refusal.in_full
    return f"in the sizes {', '.join(possible)}" if possible else why
