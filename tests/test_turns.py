"""Starts wait for their turn: what is told of it, and who leaves the queue how."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from hub import turns
from hub.turns import STOPPED, Turns
from spawners.process import EnvironmentSpawner
from spawners.times import KeptTimes


@pytest.fixture(autouse=True)
def told_at_once(monkeypatch) -> None:
    monkeypatch.setattr(turns, "TELL_S", 0)


class Class:
    """Users of a portal who ask for a server each; their starts never end by themselves."""

    def __init__(self, deployment: Any, a_user: Any, at_once: int | None) -> None:
        self.turns = Turns(at_once, KeptTimes(deployment.state / "times.json"))
        self.began: list[str] = []
        self._new = lambda name: a_user(deployment, name).get_or_create_spawner("pyfai", "pyfai")

    async def asks(self, name: str) -> EnvironmentSpawner:
        """Have somebody ask for a server, as JupyterHub does it."""
        spawner: EnvironmentSpawner = self._new(name)

        async def start() -> None:
            await self.turns.wait(spawner)
            self.began.append(name)
            spawner.begin_telling()
            await asyncio.Event().wait()

        spawner._spawn_future = asyncio.ensure_future(start())
        await settled()
        return spawner


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0.001)


async def given_up(spawner: EnvironmentSpawner) -> None:
    spawner._spawn_future.cancel()
    await settled()


@pytest.fixture
def class_of(laptop, a_user):
    return lambda at_once: Class(laptop, a_user, at_once)


def test_without_a_limit_nobody_waits(class_of):
    async def storm():
        portal = class_of(None)
        for name in ("ada", "bob", "cyd"):
            await portal.asks(name)
        return portal.began

    assert asyncio.run(storm()) == ["ada", "bob", "cyd"]


def test_places_are_told_as_they_change_and_turns_come_when_others_are_over(class_of):
    async def storm():
        portal = class_of(1)
        ada, _, cyd = [await portal.asks(name) for name in ("ada", "bob", "cyd")]
        assert cyd.step["message"] == "1 other starts before yours"
        await given_up(ada)
        assert (portal.began, cyd.step["message"]) == (["ada", "bob"], "Yours starts next")
        steps = cyd.progress()
        assert (await anext(steps))["message"] == "Yours starts next"
        return portal.began

    assert asyncio.run(storm()) == ["ada", "bob"]


def test_who_stops_while_waiting_leaves_the_queue_and_is_told_of_no_restart(class_of):
    async def storm():
        portal = class_of(1)
        ada, bob, cyd = [await portal.asks(name) for name in ("ada", "bob", "cyd")]
        await given_up(bob)
        assert bob.ending == ""
        await given_up(ada)
        assert not cyd._spawn_future.done()
        return portal.began

    assert asyncio.run(storm()) == ["ada", "cyd"]


def test_the_wait_is_no_time_of_the_server(class_of):
    async def storm():
        portal = class_of(1)
        ada, bob = [await portal.asks(name) for name in ("ada", "bob")]
        # Where the hub is killed now, the next one finds this.
        assert bob.orm_spawner.state == {"ending": STOPPED}
        asked = bob.orm_spawner.started
        await given_up(ada)
        assert bob.waited_s > 0 and bob.orm_spawner.started != asked
        assert bob.orm_spawner.state == {}
        assert not hasattr(ada, "waited_s")

    asyncio.run(storm())


def test_a_portal_that_ends_begins_nothing_more_and_says_why(class_of):
    async def storm():
        portal = class_of(1)
        ada, bob = [await portal.asks(name) for name in ("ada", "bob")]
        await portal.turns.close()
        await given_up(ada)
        assert bob._spawn_future.cancelled()
        assert bob.get_state() == {"ending": STOPPED}
        return portal.began

    assert asyncio.run(storm()) == ["ada"]


def test_a_slow_start_lets_the_next_one_begin(class_of, monkeypatch):
    monkeypatch.setattr(turns, "SLOW_S", 0.01)

    async def storm():
        portal = class_of(1)
        for name in ("ada", "bob"):
            await portal.asks(name)
        await asyncio.sleep(0.1)
        return portal.began

    assert asyncio.run(storm()) == ["ada", "bob"]


def test_a_spawner_that_tells_nothing_waits_all_the_same(class_of):
    async def storm():
        portal = class_of(1)
        ada = await portal.asks("ada")
        row = SimpleNamespace(state=None, started=None)
        plain = SimpleNamespace(
            user=SimpleNamespace(name="eve"),
            name="pyfai",
            orm_spawner=row,
            db=ada.db,
            get_state=dict,
        )
        plain._spawn_future = waits = asyncio.ensure_future(portal.turns.wait(plain))
        await settled()
        assert not waits.done()
        await given_up(ada)
        await waits

    asyncio.run(storm())
