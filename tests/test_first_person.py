"""Which accounts of a machine are people's: the machine says it."""

import pytest

from spawners.first_person import first_person


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("UID_MAX 60000\nUID_MIN\t\t 500\n", 500),
        ("# UID_MIN 500\nSYS_UID_MIN 100\n", 1000),
        ("UID_MIN 0\n", 1),
        ("", 1000),
    ],
)
def test_the_machine_says_which_numbers_people_have(tmp_path, text, first):
    (tmp_path / "login.defs").write_text(text)
    assert first_person(tmp_path / "login.defs") == first
    assert first_person(tmp_path / "missing") == 1000
