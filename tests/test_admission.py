"""Whose server starts next: order, fairness, and what is told of it; no clock, loop or server."""

import random

import pytest

from hub.admission import Admission, Outlook, Start, rounded


def admission(at_once: int, *users: str) -> tuple[Admission, list[Start]]:
    """Return a queue in which starts of these users wait, in this order."""
    made = Admission(at_once)
    starts = [Start(user, "pyfai") for user in users]
    for start in starts:
        made.enter(start)
    return made, starts


def users(starts: list[Start]) -> list[str]:
    return [start.user for start in starts]


def nobody_knows(use_case: str) -> None:
    del use_case


def test_turns_come_in_order_of_arrival_and_no_more_than_so_many_at_once():
    queue, starts = admission(2, "ada", "bob", "cyd", "dan")
    assert users(queue.admit()) == ["ada", "bob"]
    assert queue.admit() == []
    queue.leave(starts[1])
    assert users(queue.admit()) == ["cyd"]
    queue.leave(starts[0])
    queue.leave(starts[2])
    assert users(queue.admit()) == ["dan"]


def test_who_gives_up_while_waiting_is_passed_over_and_takes_nobodys_turn():
    queue, starts = admission(1, "ada", "bob", "cyd")
    queue.admit()
    queue.leave(starts[1])
    queue.leave(starts[1])
    assert queue.admit() == []
    queue.leave(starts[0])
    assert users(queue.admit()) == ["cyd"]


def test_a_second_start_waits_for_everybodys_first():
    queue, _ = admission(1, "ada", "ada", "ada", "bob", "bob", "cyd")
    assert users(queue.in_order()) == ["ada", "bob", "cyd", "ada", "bob", "ada"]


def test_a_start_that_is_under_way_is_a_first():
    queue, _ = admission(1, "ada", "ada", "bob")
    queue.admit()
    assert users(queue.in_order()) == ["bob", "ada"]


def test_a_first_that_is_over_makes_the_second_one_a_first():
    queue, starts = admission(1, "ada", "ada", "bob")
    queue.admit()
    queue.leave(starts[0])
    assert users(queue.in_order()) == ["ada", "bob"]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_and_goes_nobody_has_two_ahead_of_one_who_has_none(seed):
    chance = random.Random(seed)
    queue, there = admission(3)[0], []
    admitted: list[Start] = []
    for _ in range(300):
        if there and chance.random() < 0.45:
            gone = there.pop(chance.randrange(len(there)))
            queue.leave(gone)
            admitted = [start for start in admitted if start is not gone]
        else:
            there.append(Start(chance.choice("abcdefg"), "pyfai"))
            queue.enter(there[-1])
        admitted += queue.admit()
        assert len(admitted) <= queue.at_once
        waiting = queue.in_order()
        assert len(waiting) + len(admitted) == len(there)
        assert not waiting or len(admitted) == queue.at_once
        for place, start in enumerate(waiting):
            before = users([*admitted, *waiting[:place]])
            if start.user not in before:
                assert all(before[len(admitted) :].count(user) <= 1 for user in before)
    for start in there:
        queue.leave(start)
    assert queue.admit() == queue.in_order() == []


def test_a_place_is_told_in_words():
    assert str(Outlook(0)) == "Yours starts next"
    assert str(Outlook(1)) == "1 other starts before yours"
    assert str(Outlook(3, 11.2)) == "3 others start before yours; its turn comes in about 15 s"
    assert str(Outlook(0, 0.4)) == "Yours starts next; its turn comes in about 5 s"
    assert str(Outlook(90, 200)).endswith("its turn comes in about 4 min")


@pytest.mark.parametrize(("seconds", "told"), [(0.1, 5), (5, 5), (6, 10), (59, 60), (61, 90)])
def test_an_estimate_promises_nothing_too_early(seconds, told):
    assert rounded(seconds) == told


def test_what_is_usual_here_says_when():
    queue, _ = admission(2, "ada", "bob", "cyd", "dan")
    assert [o.seconds for _, o in queue.outlooks(nobody_knows)] == [None] * 4
    queue.admit()
    # Two are under way, half of it behind them; each round takes 10 s.
    assert [o for _, o in queue.outlooks(lambda _: 10.0)] == [Outlook(0, 5.0), Outlook(1, 10.0)]
