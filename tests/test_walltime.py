"""How long a server may run, from JupyterHub's own records."""

from datetime import datetime, timedelta

import pytest

from hub.walltime import ends_at

STARTED = datetime(2026, 6, 1, 12)


@pytest.fixture
def spawner(laptop, a_user):
    made = a_user(laptop).get_or_create_spawner("pyfai", "pyFAI")
    made.orm_spawner.user_options = {"size": "medium"}
    made.orm_spawner.started = STARTED
    return made


def test_a_server_ends_when_its_sizes_hours_are_over(laptop, spawner):
    hours = laptop.site.sizes["medium"].walltime_h
    assert ends_at(spawner, laptop) == STARTED + timedelta(hours=hours)


def test_a_server_that_has_not_started_has_no_end(laptop, spawner):
    spawner.orm_spawner.started = None
    assert ends_at(spawner, laptop) is None


def test_a_size_that_nobody_declares_any_more_limits_nothing(laptop, spawner):
    for options in ({}, None, {"size": "gigantic"}):
        spawner.orm_spawner.user_options = options
        assert ends_at(spawner, laptop) is None
