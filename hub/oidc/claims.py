"""What a provider says of a person, read for the portal: pure."""

import re
from base64 import b32encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from ..refusal import Refused

NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,127}\Z")
"""Names that homes, containers and addresses of servers can be made of."""
LONGEST_GROUP = 255


def at(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim by its name, or by the way to it through objects, with dots; None without."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for part in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def texts(value: Any) -> list[str]:
    """Return a claim that is one text or a list of them; what is neither doesn't count.

    One text is one value whatever it contains: commas stand in names of groups too.
    """
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str) and text]


def groups_of(claims: Mapping[str, Any], path: str) -> set[str]:
    """Return the groups that the provider tells."""
    return {
        text
        for text in texts(at(claims, path))
        if len(text) <= LONGEST_GROUP and text.isprintable()
    }


def name_of(claims: Mapping[str, Any], claim: str) -> str:
    """Return the name that a claim gives to a person.

    `sub`, which the provider gives to one person for ever, always gives a name: where it can't be
    one itself, by a checksum.

    Raises
    ------
    Refused
        There is no such claim, or it can't be a name.
    """
    value = at(claims, claim)
    if not isinstance(value, str) or not value:
        raise Refused(
            f"The provider doesn't tell the portal your name here: '{claim}' is missing from what "
            "it says of you. Administrators have to let it, or choose another claim.",
            reason="claim missing",
            status=403,
        )
    if claim == "sub":
        return value if NAME.match(value) else named_by_checksum(str(claims.get("iss")), value)
    if claim == "email" and claims.get("email_verified") is not True:
        raise Refused(
            "Your name here is your e-mail address, and the provider hasn't verified that it is "
            "yours. Confirm it there, then log in again.",
            reason="email not verified",
            status=403,
        )
    if not NAME.match(value.lower()):
        raise Refused(
            f"The name that the provider gives you ('{claim}') can't be one here: names are made "
            "of letters without accents, digits and . _ @ + -.",
            reason="name",
            status=403,
        )
    return value.lower()


def named_by_checksum(issuer: str, subject: str) -> str:
    """Return a name of 80 bits that belongs to one person of one provider."""
    digest = sha256(f"{issuer}\n{subject}".encode()).digest()[:10]
    return f"u-{b32encode(digest).decode().lower()}"


def check_identity_provider(claims: Mapping[str, Any], claim: str, allowed: set[str]) -> None:
    """Accept those who come from one of the allowed organisations; all, where none is named.

    Raises
    ------
    Refused
        The person comes from another, or it isn't told from which.
    """
    if not allowed or set(texts(at(claims, claim))) & allowed:
        return
    raise Refused(
        "This portal is for people of certain organisations, and the one with which you logged in "
        "isn't among them. If you have an account at another, choose that at the provider.",
        reason="identity provider",
        status=403,
    )
