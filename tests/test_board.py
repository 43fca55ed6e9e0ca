"""The board of a workshop: from what was told to where everybody is, and to a table."""

import csv
import io
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hub.workshops.board import Progress, Row, harmless, in_order, progress, summary, table
from hub.workshops.records import Told

NOON = datetime(2026, 3, 20, 12)


def told(user: str, notebook: str, check: str, passed: bool, minute: int = 0) -> Told:
    return Told(user, notebook, check, passed, NOON + timedelta(minutes=minute))


TOLD = [
    told("ada", "01.ipynb", "Distance", True),
    told("ada", "01.ipynb", "Tilt", False),
    told("ada", "02.ipynb", "Peaks", True, 5),
    told("ada", "02.ipynb", "Phase", False, 5),
    told("ada", "02.ipynb", "Width", False, 5),
    told("bob", "02.ipynb", "Peaks", False, 7),
    told("bob", "02.ipynb", "Phase", False, 7),
]


def row(name: str, state: str = "Running", far: Progress | None = None) -> Row:
    return Row(name, state, "●", NOON, far)


def test_where_somebody_is_is_the_notebook_that_told_last() -> None:
    found = progress(TOLD)
    assert found["ada"] == Progress(
        "02.ipynb", "Peaks", ("Phase", "Width"), NOON + timedelta(minutes=5)
    )
    assert found["bob"].passed == ""
    assert set(found) == {"ada", "bob"}


def test_a_check_of_an_earlier_notebook_still_counts_as_passed_last() -> None:
    found = progress([TOLD[0], told("ada", "02.ipynb", "Peaks", False, 5)])
    assert (found["ada"].passed, found["ada"].failing) == ("Distance", ("Peaks",))


def test_all_together_says_how_many_are_where_and_what_stops_most() -> None:
    far = progress(TOLD)
    rows = [row("ada", far=far["ada"]), row("bob", far=far["bob"]), row("cyd", "Not running")]
    found = summary(rows)
    assert found.servers == [("Running", 2), ("Not running", 1)]
    assert found.notebooks == [("02.ipynb", 2)]
    assert found.stops[0] == ("02.ipynb", "Phase", 2)
    assert len(found.stops) == 3


def test_raised_hands_come_first_and_of_them_who_has_waited_longest() -> None:
    late, early = NOON + timedelta(minutes=5), NOON
    hands = {"bob": late, "zoe": early}
    rows = [replace(row(name), hand=hands.get(name)) for name in ("cyd", "bob", "ada", "zoe")]
    assert [r.name for r in in_order(rows)] == ["zoe", "bob", "ada", "cyd"]


def test_a_workshop_without_people_is_summed_up_too() -> None:
    found = summary([])
    assert (found.servers, found.notebooks, found.stops) == ([], [], [])
    assert progress([]) == {}


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", '=HYPERLINK("x")']
)
def test_no_cell_is_a_formula(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"
    made = table([told("ada", cell, cell, True)])
    [_, line] = csv.reader(io.StringIO(made, newline=""))
    assert line == ["ada", f"'{cell}", f"'{cell}", "passed", "2026-03-20 12:00:00"]


@pytest.mark.parametrize("cell", ["Distance", "0.1 m", "", "a=b", 'say "this", or that'])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert harmless(cell) == cell
    assert list(csv.reader(io.StringIO(table([told("ada", cell, cell, False)]))))[1][1] == cell
