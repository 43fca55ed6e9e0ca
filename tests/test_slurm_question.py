"""A question that is asked seldom, and less often where nobody answers."""

import asyncio
from itertools import pairwise

from spawners.slurm.commands import CommandError
from spawners.slurm.question import BACKOFF_MAX_S, Question, backoff


def counting(*answers):
    """Return something to ask, whose last answer goes on; an exception is raised."""
    asked = []

    async def ask():
        asked.append(None)
        answer = answers[min(len(asked), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask, asked


async def test_however_many_ask_it_is_one_question():
    ask, asked = counting("a")
    question = Question(ask, "", 60)
    assert await asyncio.gather(*(question.fresh() for _ in range(100))) == ["a"] * 100
    assert len(asked) == 1


async def test_a_failure_keeps_the_last_answer(monkeypatch):
    ask, asked = counting("a", CommandError("no"))
    question = Question(ask, "", 0)
    assert await question.fresh() == "a"
    monkeypatch.setattr("spawners.slurm.question.backoff", lambda *_: 3600)
    assert await question.fresh() == "a"
    assert await question.fresh() == "a"
    assert len(asked) == 2
    question.doubt(0)
    await question.fresh()
    assert len(asked) == 2


async def test_doubt_asks_again_but_not_at_once():
    ask, asked = counting("a", "b")
    question = Question(ask, "", 3600)
    await question.fresh()
    question.doubt(3000)
    assert await question.fresh() == "a"
    question.doubt(0)
    assert await question.fresh() == "b"
    assert len(asked) == 2


def test_later_each_time_not_all_at_once_and_not_for_ever():
    waits = [[backoff(10, failures) for _ in range(50)] for failures in range(1, 20)]
    for earlier, later in pairwise(waits):
        assert max(later) <= BACKOFF_MAX_S
        assert max(earlier) <= max(later) * 2
    assert all(len(set(some)) > 1 for some in waits)
    assert min(waits[-1]) >= BACKOFF_MAX_S / 2
    assert backoff(300, 1) <= 300
