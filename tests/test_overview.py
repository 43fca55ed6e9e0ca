"""All servers, as an administrator looks at them: pure."""

from datetime import datetime, timedelta

import pytest

from hub.overview import ORDERS, PAGE_ROWS, Server, View, shown, view

NOW = datetime(2026, 11, 28, 12)


def server(number: int, **values) -> Server:
    given = {
        "user": f"user{number:04}",
        "name": "pyfai" if number % 2 else "pymca",
        "title": "Powder" if number % 2 else "Fluorescence",
        "size": "Small",
        "place": "node1",
        "state": "Running",
        "asked": NOW - timedelta(minutes=number),
        "active": NOW - timedelta(minutes=number / 2),
        "core_hours": number / 10,
    }
    return Server(**{**given, **values})


MANY = [server(number) for number in range(1000)]


def test_a_thousand_servers_come_a_page_at_a_time():
    first, last = shown(MANY, View()), shown(MANY, View(page=20))
    assert (first.found, first.running, first.pages) == (1000, 1000, 20)
    assert len(first.rows) == PAGE_ROWS and first.rows[0].user == "user0000"
    assert last.rows[-1].user == "user0999"
    everybody = {s.user for n in range(1, 21) for s in shown(MANY, View(page=n)).rows}
    assert len(everybody) == 1000


@pytest.mark.parametrize("page", [0, -3, 21, 99999])
def test_a_page_that_is_not_there_is_the_nearest(page):
    assert shown(MANY, View(page=page)).page in (1, 20)
    assert shown([], View(page=page)).rows == []


def test_filters_leave_what_they_say_and_the_sum_is_of_that():
    found = shown(MANY, View(user="USER000", use_case="pyfai"))
    assert [s.user for s in found.rows] == [
        "user0001",
        "user0003",
        "user0005",
        "user0007",
        "user0009",
    ]
    assert found.core_hours == pytest.approx(2.5)
    assert found.running == 1000


@pytest.mark.parametrize(
    ("order", "first"), [("user", 0), ("age", 999), ("activity", 999), ("cost", 999), ("size", 0)]
)
def test_every_order_begins_with_what_one_looks_for(order, first):
    assert shown(MANY, View(order=order)).rows[0] == MANY[first]


def test_what_nobody_knows_sorts_too():
    unknown = server(5, size="", asked=None, active=None, core_hours=None)
    for order in ORDERS:
        assert unknown in shown([unknown, *MANY[:3]], View(order=order)).rows


@pytest.mark.parametrize(
    ("typed", "seen"),
    [
        ({}, View()),
        ({"sort": "cost", "page": "3", "user": " ada "}, View(user="ada", order="cost", page=3)),
        ({"sort": "__class__", "page": "x"}, View()),
        ({"page": "-1"}, View()),
        ({"page": "9" * 5000}, View()),
        ({"page": "²"}, View()),
        ({"user": "a" * 5000}, View(user="a" * 100)),
    ],
)
def test_an_address_typed_by_hand_breaks_nothing(typed, seen):
    assert view(typed) == seen
