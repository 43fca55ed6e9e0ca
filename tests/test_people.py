"""Whose names and numbers are: also where what users are called was chosen with care."""

import os
import pwd
from concurrent.futures import ThreadPoolExecutor

import pytest
from jupyterhub.slugs import safe_slug

from spawners.numbers import is_taken, machine_numbers, numbers_of
from spawners.people import FILE, People
from spawners.system_accounts import AccountError

TWINS = ("eve..@@-_-@._x", "eve._@___@..-x")
"""Found in a second: JupyterHub's short names for them are the same."""


@pytest.fixture
def people(tmp_path):
    return People(tmp_path / FILE)


def test_there_are_names_that_a_short_hash_does_not_tell_apart():
    assert safe_slug(TWINS[0]) == safe_slug(TWINS[1])


def test_they_have_different_things_all_the_same(people):
    one, two = map(people.of, TWINS)
    assert one.slug == safe_slug(TWINS[0])  # as before, so that its files are found
    assert one.slug != two.slug
    assert one.number != two.number
    assert [people.of(name) for name in TWINS] == [one, two]


def test_plain_names_stay_what_they_are(people):
    assert people.of("ada").slug == "ada"


def test_what_is_older_than_the_file_is_the_one_s_who_came_first(people):
    """The second of the two starts first after an update."""
    late = people.of(TWINS[1], lambda: ["ada", *TWINS])
    early = people.of(TWINS[0])
    assert early.slug == safe_slug(TWINS[0]) != late.slug


def test_no_slug_can_be_taken_by_being_called_so(people):
    _, two = map(people.of, TWINS)
    impostor = people.of(two.slug)
    assert impostor.slug != two.slug
    assert len({people.of(name).slug for name in (*TWINS, two.slug, impostor.slug)}) == 4


def test_many_at_once_have_a_number_each(people):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(people.of, [f"user{n}" for n in range(40)]))
    assert {person.number for person in found} == set(range(1, 41))


def test_nobody_else_reads_the_file(people, tmp_path):
    people.of("ada")
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_whose_a_home_is_is_known_for_that_one_only(people):
    people.note_home("x", "today", 7)
    assert people.home_is("x", "today", 7)
    assert not any(people.home_is(*other) for other in [("x", "later", 7), ("x", "today", 8)])


def test_a_number_that_an_account_of_the_machine_has_is_passed_over(people):
    taken = os.getuid() or pwd.getpwnam("daemon").pw_uid
    assert is_taken(taken)
    ada = people.of("ada")
    found = numbers_of(ada, people, "portal", taken - ada.number)
    assert found.uid == found.gid != taken
    assert not is_taken(found.uid)
    # And for good: neither she nor anybody else gets it.
    assert numbers_of(people.of("ada"), people, "portal", taken - ada.number) == found
    assert people.of("ada").slug == "ada"


def test_the_machine_s_own_numbers(people):
    with pytest.raises(AccountError, match="belongs to a service"):
        machine_numbers("daemon")
    with pytest.raises(AccountError, match="no account named"):
        numbers_of(people.of("nobody-of-that-name"), people, "system", 2_001_000_000)
