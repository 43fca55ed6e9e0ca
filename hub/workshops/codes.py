"""The codes that let people into workshops: short enough to type, too many to guess."""

import secrets
from collections.abc import Iterable
from typing import TypeVar

from ..alphabet import ALPHABET, in_groups

LETTERS = 8
"""31 letters and digits make 40 bits; an account has a few guesses an hour."""

Value = TypeVar("Value")


def new_code() -> str:
    """Return a code such as ``k7mp-w3xz``."""
    return in_groups("".join(secrets.choice(ALPHABET) for _ in range(LETTERS)))


def as_typed(text: str) -> str:
    """Return the code that somebody means by what they typed, empty where it can't be one."""
    letters = "".join(c for c in text[:64].lower() if c not in "- \t")
    possible = len(letters) == LETTERS and all(c in ALPHABET for c in letters)
    return in_groups(letters) if possible else ""


def find(code: str, known: Iterable[tuple[str, Value]]) -> Value | None:
    """Return what a code belongs to, in a time that doesn't tell how much of it is right."""
    found = None
    for own, value in known:
        if secrets.compare_digest(own.encode(), code.encode()):
            found = value
    return found
