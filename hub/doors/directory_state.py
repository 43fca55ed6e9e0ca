"""What a directory says of an account beside its password, in a sentence; pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

Attributes = Mapping[str, Sequence[bytes]]

ATTRIBUTES = (
    "userAccountControl",
    "accountExpires",
    "shadowExpire",
    "nsAccountLock",
    "loginDisabled",
    "pwdAccountLockedTime",
    "pwdReset",
)
"""What is read of an entry, whatever kind of directory it is in."""

DISABLED = "Your account is disabled."
EXPIRED = "Your account has expired."
LOCKED = "Your account is locked, perhaps after too many wrong passwords."
WORN_OUT = "Your password has expired. Change it where your facility says, then log in."
MUST_CHANGE = (
    "Your password must be changed first. Change it where your facility says, then log in."
)
NOT_NOW = "Your account may not log in now, or not from here."

ACTIVE_DIRECTORY = {
    "530": NOT_NOW,
    "531": NOT_NOW,
    "532": WORN_OUT,
    "533": DISABLED,
    "701": EXPIRED,
    "773": MUST_CHANGE,
    "775": LOCKED,
}
"""What stands in Active Directory's answer to a bind as 'data 533'."""

POLICY_CONTROL = "1.3.6.1.4.1.42.2.27.8.5.1"
"""The control by which OpenLDAP, 389 and others tell why (draft-behera-ldap-password-policy)."""
POLICY_ERRORS = {0: WORN_OUT, 1: LOCKED, 2: MUST_CHANGE}
ERROR_TAG = 0x81

UNTIL_UNLOCKED = b"000001010000Z"
FOREVER = (0, 2**63 - 1)
ACCOUNT_DISABLED_BIT = 0x2
YEAR_1601 = datetime(1601, 1, 1, tzinfo=UTC)
YEAR_1970 = datetime(1970, 1, 1, tzinfo=UTC)


def refusal_of_bind(message: str, policy: bytes) -> str:
    """Return why a directory refuses somebody, empty where it only says that it does.

    Parameters
    ----------
    message : str
        The diagnostic message of its answer.
    policy : bytes
        The value of the answer's control on passwords, empty where there is none.
    """
    if found := re.search(r"\bAcceptSecurityContext error, data ([0-9a-f]+)", message):
        return ACTIVE_DIRECTORY.get(found[1], "")
    return POLICY_ERRORS.get(policy_error(policy), "")


def policy_error(value: bytes) -> int:
    """Return the error in PasswordPolicyResponseValue, -1 for none: the last part of a sequence."""
    return value[-1] if len(value) >= 5 and value[-3:-1] == bytes([ERROR_TAG, 1]) else -1


def closed(entry: Attributes, now: datetime) -> str:
    """Return why an account is closed to everybody, empty where it isn't."""
    if number(entry, "userAccountControl") & ACCOUNT_DISABLED_BIT:
        return DISABLED
    if is_true(entry, "nsAccountLock") or is_true(entry, "loginDisabled"):
        return DISABLED
    if UNTIL_UNLOCKED in entry.get("pwdAccountLockedTime", ()):
        return LOCKED
    ticks = number(entry, "accountExpires")
    if ticks not in FOREVER and YEAR_1601 + bounded(microseconds=ticks // 10) <= now:
        return EXPIRED
    days = number(entry, "shadowExpire", -1)
    if days >= 0 and YEAR_1970 + bounded(days=days) <= now:
        return EXPIRED
    return MUST_CHANGE if is_true(entry, "pwdReset") else ""


def bounded(**amount: int) -> timedelta:
    """Return a time that can be added to a date: directories know later ones than Python."""
    try:
        return min(timedelta(**amount), timedelta(days=365 * 5000))
    except OverflowError:
        return timedelta(days=365 * 5000)


def number(entry: Attributes, name: str, default: int = 0) -> int:
    """Return the number that an attribute has, the default where it's none."""
    values = entry.get(name) or [b""]
    return int(values[0]) if re.fullmatch(rb"-?[0-9]{1,20}", values[0]) else default


def is_true(entry: Attributes, name: str) -> bool:
    """Return whether an attribute is there and true."""
    return any(value.lower() == b"true" for value in entry.get(name, ()))
