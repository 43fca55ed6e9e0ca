"""When a job would begin: asked in the background, seldom, and never twice at once."""

import asyncio
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from spawners.slurm import estimates
from spawners.slurm.commands import CommandError, NoAnswerError
from spawners.slurm.estimates import Estimates, estimate, start_in, zone

SAID = "sbatch: Job 5 to start at {when} using 1 processors on nodes node1 in partition p\n"


def script() -> str:
    return "script"


@pytest.fixture
def sudo(monkeypatch):
    """Stand at the edge: what is asked as whom, and what is answered."""
    asked = []

    async def run_as(user, *command, text="", with_errors=False):
        asked.append((user, command, text, with_errors))
        return SAID.format(when="2026-11-24T18:30:00")

    monkeypatch.setattr(estimates, "run_as", run_as)
    monkeypatch.setattr(estimates, "person", lambda user: user)
    monkeypatch.setattr(estimates, "GAP_S", 0)
    return asked


def test_the_time_is_the_local_one_of_this_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(estimates, "LOCALTIME", tmp_path / "none")
    zone.cache_clear()
    try:
        start = start_in(SAID.format(when="2026-11-24T18:30:00"))
    finally:
        zone.cache_clear()
    assert datetime.fromtimestamp(start, UTC).isoformat() == "2026-11-24T18:30:00+00:00"
    assert start_in("something else") == 0


async def test_a_page_waits_for_nothing_and_finds_it_later(sudo):
    known = Estimates()
    assert known.of("ada", "small", script) is None
    await asyncio.sleep(0.05)
    assert known.of("ada", "small", script).start > 0
    assert sudo == [("ada", ("sbatch", "--test-only"), "script", True)]
    assert known.of("eve", "small", script) is None


async def test_however_many_look_it_is_asked_once(sudo):
    known = Estimates()
    for _ in range(100):
        known.of("ada", "small", script)
    await asyncio.sleep(0.05)
    known.of("ada", "small", script)
    await asyncio.sleep(0.05)
    assert len(sudo) == 1


async def test_what_waits_to_be_asked_has_an_end(sudo):
    known = Estimates()
    for number in range(100):
        known.of(f"user{number}", "small", script)
    await asyncio.sleep(0.2)
    assert len(sudo) == estimates.WANTED_MAX


async def test_one_after_another_with_a_pause(sudo, monkeypatch):
    monkeypatch.setattr(estimates, "GAP_S", 3600)
    known = Estimates()
    for user in ("ada", "eve"):
        known.of(user, "small", script)
    await asyncio.sleep(0.1)
    assert len(sudo) == 1
    known._asking.cancel()


async def test_an_old_answer_is_shown_no_longer(sudo, monkeypatch):
    known = Estimates()
    known.of("ada", "small", script)
    await asyncio.sleep(0.05)
    later = time.monotonic() + estimates.KEPT_S + 1
    monkeypatch.setattr(estimates, "time", SimpleNamespace(monotonic=lambda: later))
    assert known.of("ada", "small", script) is None


async def test_a_refusal_is_an_answer_and_silence_is_none(monkeypatch, sudo):
    async def refuse(*_, **__):
        raise CommandError("allocation failure: Invalid account or account/partition combination")

    monkeypatch.setattr(estimates, "run_as", refuse)
    assert "added to it" in (await estimate("ada", "script")).refusal

    async def silent(*_, **__):
        raise NoAnswerError("sudo did not answer within 30 s")

    monkeypatch.setattr(estimates, "run_as", silent)
    known = Estimates()
    for user in ("ada", "eve"):
        known.of(user, "small", script)
    await asyncio.sleep(0.05)
    assert known.of("ada", "small", script) is None
    known._asking.cancel()
