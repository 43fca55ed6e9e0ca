"""How long a server may run, from JupyterHub's own records."""

import logging
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from hub.deployment import load_deployment
from hub.walltime import ends_at, grants_longer, seconds_left, stop_one, unused_end

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


def test_the_seconds_left_are_never_fewer_than_none(laptop, spawner):
    end = ends_at(spawner, laptop)
    assert seconds_left(spawner, laptop, end - timedelta(minutes=3)) == 180
    assert seconds_left(spawner, laptop, end + timedelta(minutes=3)) == 0
    spawner.orm_spawner.started = None
    assert seconds_left(spawner, laptop, end) is None


def test_a_batch_systems_own_word_is_the_only_one(spawner, tmp_path):
    cluster = load_deployment("hpc", state=tmp_path / "state")
    assert ends_at(spawner, cluster) is None
    spawner.ends_at = STARTED + timedelta(minutes=7)
    assert ends_at(spawner, cluster) == spawner.ends_at


@pytest.mark.parametrize(("size", "longer"), [("small", True), ("large", False), ("none", False)])
def test_a_longer_size_is_known(laptop, spawner, size, longer):
    spawner.orm_spawner.user_options = {"size": size}
    assert grants_longer(spawner, laptop) is longer


async def test_who_comes_back_is_told_that_the_time_was_over(spawner):
    stopped = []

    async def stop(name):
        stopped.append(name)

    app = SimpleNamespace(log=logging.getLogger("test"))
    await stop_one(app, SimpleNamespace(stop=stop), spawner)
    assert stopped == ["pyfai"]
    assert "time was over" in spawner.ending


@pytest.mark.parametrize(("hours", "told"), [(0, False), (1.9, False), (2.1, True), (3.9, True)])
def test_an_end_for_lack_of_use_is_told_before_it_comes(laptop, hours, told):
    assert laptop.site.limits.idle_h == 4
    unused = SimpleNamespace(ready=True, orm_spawner=SimpleNamespace(last_activity=STARTED))
    end = unused_end(unused, laptop, STARTED + timedelta(hours=hours))
    assert end == (STARTED + timedelta(hours=4) if told else None)
    unused.ready = False
    assert unused_end(unused, laptop, STARTED + timedelta(hours=hours)) is None
