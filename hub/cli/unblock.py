"""``beamhub unblock``: let people try to log in again at once."""

from ..state import StateError, lift_throttle
from .common import StateOption, fail, kept_by, out


def unblock(state: StateOption = None) -> None:
    """Let everybody try again at once to log in, after too many have failed.

    Tells a portal that runs, by a mark in its state folder. Who failed, and from where, is in the
    state folder's logs/audit.jsonl.
    """
    try:
        lift_throttle(kept_by("laptop", state).state)
    except StateError as error:
        raise fail(str(error)) from None
    out.print("Everybody may try again at once.")
