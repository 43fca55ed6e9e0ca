"""Who may try to log in, and when: guessing becomes slow, and nobody is kept out by others."""

import pytest

from hub import throttle
from hub.throttle import LONGEST_WAIT_S, PAIR_FREE, Throttle, key_of

HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(clock) -> Throttle:
    return Throttle(clock)


def attempts(kept: Throttle, clock: Clock, seconds: float, name: str, address: str) -> int:
    """Return how many guesses somebody has in a time who never waits longer than told."""
    count, end = 0, clock.now + seconds
    while clock.now < end:
        if wait := kept.wait_s(name, address):
            clock.now += wait
        else:
            kept.begin(name, address)
            count += 1
    return count


def test_mistakes_are_free_at_first_and_then_cost_more_and_more(kept, clock):
    waits = []
    for _ in range(20):
        waits.append(kept.wait_s("ada", HOME))
        clock.now += waits[-1]
        kept.begin("ada", HOME)
    assert waits[:PAIR_FREE] == [0] * PAIR_FREE
    assert waits[PAIR_FREE : PAIR_FREE + 3] == [15, 30, 60]
    assert max(waits) == LONGEST_WAIT_S
    assert waits == sorted(waits)


def test_a_day_of_guessing_at_one_password_is_a_hundred_guesses(kept, clock):
    assert attempts(kept, clock, 24 * 3600, "ada", HOME) < 120


def test_guessing_at_many_names_from_one_address_is_slow(kept, clock):
    count, end = 0, clock.now + 3600
    while clock.now < end:
        name = f"user{count}"
        if wait := kept.wait_s(name, HOME):
            clock.now += wait
        else:
            kept.begin(name, HOME)
            count += 1
    assert count < 400


def test_who_knows_a_name_locks_nobody_out(kept, clock):
    """A thousand addresses guess at ada's password; she comes from another and is let in."""
    for number in range(1000):
        attempts(kept, clock, 1, "ada", f"10.0.{number // 250}.{number % 250}")
    assert kept.wait_s("ada", HOME) == 0
    assert kept.wait_s("bob", HOME) == 0


def test_many_addresses_have_one_guess_each_at_a_name_under_attack(kept, clock):
    for number in range(throttle.NAME_MOST + 1):
        kept.begin("ada", f"10.0.0.{number}")
    kept.begin("ada", ELSEWHERE)
    assert kept.wait_s("ada", ELSEWHERE) > 0
    kept.begin("bob", ELSEWHERE)
    assert kept.wait_s("bob", ELSEWHERE) == 0


def test_who_is_right_begins_anew(kept):
    for _ in range(PAIR_FREE):
        kept.begin("ada", HOME)
    kept.succeed("ada", HOME)
    assert kept.wait_s("ada", HOME) == 0


def test_many_at_once_are_counted_before_they_are_judged(kept):
    for _ in range(PAIR_FREE):
        assert kept.wait_s("ada", HOME) == 0
        kept.begin("ada", HOME)
    assert kept.wait_s("ada", HOME) > 0


def test_a_directory_that_is_away_counts_for_nothing(kept):
    for _ in range(100):
        kept.begin("ada", HOME)
        kept.take_back("ada", HOME)
    assert kept.wait_s("ada", HOME) == 0


def test_an_administrator_can_lift_it(kept):
    for _ in range(50):
        kept.begin("ada", HOME)
    assert kept.wait_s("ada", HOME) > 0
    kept.lift()
    assert kept.wait_s("ada", HOME) == 0


def test_it_is_forgotten_after_a_time(kept, clock):
    for _ in range(30):
        kept.begin("ada", HOME)
    clock.now += throttle.FORGOTTEN_S + 1
    assert kept.wait_s("ada", HOME) == 0


def test_memory_is_bounded_whatever_comes(kept, monkeypatch):
    monkeypatch.setattr(throttle, "MOST_KEPT", 500)
    for number in range(3000):
        kept.begin(f"name{number}" * 50, f"2001:db8::{number:x}")
    assert kept.size == 1500
    assert len(key_of("x" * 100_000)) == 16


def test_no_two_pairs_are_one():
    assert key_of("ada", "x") != key_of("adax", "") != key_of("ad", "ax")
