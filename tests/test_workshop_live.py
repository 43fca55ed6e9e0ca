"""What many look at at once: read once for all, and what each of them sees of a workshop."""

from datetime import datetime, timedelta
from itertools import count

import pytest

from hub.workshops.live import Room
from hub.workshops.rules import Workshop
from hub.workshops.shared import PAUSE_S, Shared

NOW = datetime(2026, 3, 20, 8)
WORKSHOP = Workshop(
    title="Powder",
    use_case="pyfai",
    notebook="01.ipynb",
    size="small",
    capacity=2,
    begins=NOW - timedelta(hours=1),
    ends=NOW + timedelta(hours=1),
    zone="UTC",
    number=1,
    code="abcd-efgh",
    trainer="tess",
)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_however_many_look_it_is_read_once_until_there_is_news(clock: Clock) -> None:
    shared, numbers = Shared[int, int](clock=clock), count()
    assert [shared.of(1, lambda: next(numbers)) for _ in range(500)] == [0] * 500
    clock.now += 10_000
    assert shared.of(1, lambda: next(numbers)) == 0
    shared.tell(1)
    shared.tell(2)
    assert shared.of(1, lambda: next(numbers)) == 1
    assert shared.of(2, lambda: -1) == -1


def test_however_much_is_told_it_is_read_only_so_often(clock: Clock) -> None:
    shared, numbers = Shared[int, int](clock=clock), count()
    for _ in range(100):
        shared.tell(1)
        shared.of(1, lambda: next(numbers))
        clock.now += PAUSE_S / 50
    assert next(numbers) == 2
    clock.now += PAUSE_S
    assert shared.of(1, lambda: next(numbers)) == 3


def test_what_is_old_is_read_again_and_what_is_gone_is_not_kept(clock: Clock) -> None:
    shared = Shared[int, int | None](oldest_s=1, clock=clock)
    assert shared.of(1, lambda: 5) == 5
    clock.now += 1
    assert shared.of(1, lambda: None) is None
    assert shared.of(1, lambda: 6) == 6


def test_each_sees_their_own_place() -> None:
    room = Room(WORKSHOP, names=("ada", "bob"), waiting=("zoe", "cyd"))
    assert room.is_full
    found = {name: room.mine(name, NOW) for name in ("ada", "zoe", "cyd", "eve")}
    assert [m.place for m in found.values()] == [0, 1, 2, 0]
    assert [m.joined for m in found.values()] == [True, False, False, False]
    assert found["cyd"].waiting == 2
    assert not Room(WORKSHOP, names=("ada",), waiting=()).is_full
