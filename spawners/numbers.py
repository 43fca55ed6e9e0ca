"""Which account numbers a user's containers run under."""

import grp
import os
import pwd
from collections.abc import Iterable
from dataclasses import dataclass

from .people import People, Person
from .system_accounts import AccountError, person

TRIES = 100


@dataclass(frozen=True)
class Numbers:
    """An account as the kernel knows it.

    Parameters
    ----------
    name : str
        What it's called inside.
    uid, gid : int
        Of the account and its first group.
    groups : tuple of int
        Of its other groups.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return user and group as Docker wants them."""
        return f"{self.uid}:{self.gid}"


def account(
    people: People, user: str, earlier: Iterable[str], kind: str, first: int
) -> tuple[Person, Numbers]:
    """Return a user's name on this machine, and the numbers of their containers."""
    person = people.of(user, lambda: earlier)
    return person, numbers_of(person, people, kind, first)


def numbers_of(found: Person, people: People, kind: str, first: int) -> Numbers:
    """Return the numbers of a user's containers.

    Parameters
    ----------
    found : Person
        The user.
    people : People
        Where the user's number is kept.
    kind : str
        See `DockerBackend.accounts`.
    first : int
        See `DockerBackend.first_number`.

    Raises
    ------
    AccountError
        The machine has no account of the user's name, or all numbers that were tried are taken.
    """
    if kind == "system":
        return machine_numbers(found.user)
    for _ in range(TRIES):
        number = first + found.number
        if not is_taken(number):
            return Numbers(found.slug, number, number)
        found = people.renumber(found.user)
    raise AccountError(
        f"Accounts of this machine have the numbers from {first}, which users' containers should "
        "have. An administrator can choose others in backend.first_number."
    )


def machine_numbers(user: str) -> Numbers:
    """Return the numbers of the account of this machine that has the user's name."""
    entry = pwd.getpwnam(person(user))
    groups = {*os.getgrouplist(entry.pw_name, entry.pw_gid)} - {entry.pw_gid}
    return Numbers(entry.pw_name, entry.pw_uid, entry.pw_gid, tuple(sorted(groups)))


def is_taken(number: int) -> bool:
    """Return whether an account or a group of this machine has a number."""
    for find in (pwd.getpwuid, grp.getgrgid):
        try:
            find(number)
        except KeyError:
            continue
        return True
    return False
