"""How long starts take is remembered, and told to those who wait."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY, generate_latest

from hub.site import Objective
from hub.timing import ReadyTimes, StartTimes, Stopwatch, kept_text


def test_nothing_is_said_before_the_first_start(tmp_path):
    assert StartTimes(tmp_path / "times.json").usual("pyfai") is None


def test_one_long_start_does_not_change_what_is_usual(tmp_path):
    times = StartTimes(tmp_path / "times.json")
    for seconds in (90, 5, 6, 7):
        times.record("pyfai", seconds)
    assert times.usual("pyfai") == 6.5
    assert times.usual("pymca") is None


def test_only_the_last_ones_count(tmp_path):
    times = StartTimes(tmp_path / "times.json")
    for seconds in [100] * StartTimes.KEPT + [3] * StartTimes.KEPT:
        times.record("pyfai", seconds)
    assert times.usual("pyfai") == 3


STAGES = ("queue", "prepare", "jupyterlab")


class Request:
    """A request that came in some time ago, as Tornado has it."""

    def request_time(self) -> float:
        return 4.0


def spawner(folder: Path, *, name: str = "pyfai", ready: bool = True, lab: float | None = None):
    """A server that starts, as far as it's asked here."""
    deployment = SimpleNamespace(
        site=SimpleNamespace(backend=SimpleNamespace(kind="local")), use_cases={"pyfai": None}
    )
    settings = {
        "beamhub": deployment,
        "start_times": StartTimes(folder / "start_times.json"),
        "ready_times": ReadyTimes(folder / "ready_times.json"),
    }
    return SimpleNamespace(
        name=name,
        ready=ready,
        jupyterlab_began=lab,
        handler=SimpleNamespace(request=Request()),
        user=SimpleNamespace(settings=settings),
    )


async def started(one: SimpleNamespace, error: Exception | None = None) -> None:
    start = asyncio.get_running_loop().create_future()
    watch = Stopwatch(one)
    watch.begin()
    start.add_done_callback(watch.end)
    if error:
        start.set_exception(error)
    else:
        start.set_result(None)
    await asyncio.sleep(0)


def counted(metric: str, **labels: str) -> tuple[float, float]:
    """How often something was counted, and the sum of that."""
    values = (REGISTRY.get_sample_value(f"{metric}_{what}", labels) for what in ("count", "sum"))
    count, total = (value or 0 for value in values)
    return count, total


def staged(stage: str) -> float:
    """How long a stage has taken so far, all starts together."""
    return counted("beamhub_start_stage_seconds", backend="local", stage=stage)[1]


async def test_the_clock_runs_from_the_click_and_not_from_when_a_busy_hub_takes_it_up(tmp_path):
    about = {"backend": "local", "use_case": "pyfai"}
    before = counted("beamhub_click_to_ready_seconds", **about)
    queued = staged("queue")
    await started(one := spawner(tmp_path))
    count, total = counted("beamhub_click_to_ready_seconds", **about)
    assert count == before[0] + 1
    assert total - before[1] >= 4
    assert staged("queue") - queued >= 4
    times = one.user.settings
    assert times["ready_times"].within(3.9) == (0, 1)
    assert times["start_times"].usual("pyfai") < 4, "what was waited before is no part of it"


async def test_stages_add_up_to_the_whole(tmp_path):
    about = {"backend": "local", "use_case": "pyfai"}
    before = sum(map(staged, STAGES))
    whole = counted("beamhub_click_to_ready_seconds", **about)[1]
    await started(spawner(tmp_path, lab=time.monotonic()))
    whole = counted("beamhub_click_to_ready_seconds", **about)[1] - whole
    assert sum(map(staged, STAGES)) - before == pytest.approx(whole)


@pytest.mark.parametrize(("error", "ready"), [(RuntimeError("no room"), True), (None, False)])
async def test_what_failed_is_no_measure(tmp_path, error, ready):
    await started(one := spawner(tmp_path, ready=ready), error)
    assert one.user.settings["ready_times"].within(100) == (0, 0)
    assert one.user.settings["start_times"].usual("pyfai") is None


async def test_no_name_that_a_user_chooses_makes_a_series(tmp_path):
    await started(spawner(tmp_path, name="x" * 60))
    assert "x" * 60 not in generate_latest().decode()


def test_a_promise_is_shown_with_what_was_kept_and_never_rounded_up(tmp_path):
    times = ReadyTimes(tmp_path / "ready_times.json")
    promised = Objective(ready_s=10)
    assert kept_text(promised, times) == (
        "A server is meant to be ready within 10 s of the click, in 95 % of all starts. "
        "None has been timed yet."
    )
    for seconds in (3, 10, 10.4):
        times.add(seconds)
    assert kept_text(promised, times).endswith("That held in 2 of the last 3 (66 %).")


def test_a_damaged_file_is_forgotten(tmp_path):
    path = tmp_path / "times.json"
    for text in ("", "[1]", "{"):
        path.write_text(text)
        assert StartTimes(path).usual("pyfai") is None
    StartTimes(path).record("pyfai", 4)
    assert StartTimes(path).usual("pyfai") == 4
