"""How long starts take is remembered, and told to those who wait."""

from datetime import timedelta
from types import SimpleNamespace

from jupyterhub.utils import utcnow

from hub.timing import StartTimes


def started(seconds_ago: float, name: str = "pyfai") -> SimpleNamespace:
    """A server as the hook sees it: name, start and the longest time to start."""
    began = utcnow(with_tz=False) - timedelta(seconds=seconds_ago)
    row = SimpleNamespace(started=began)
    return SimpleNamespace(name=name, orm_spawner=row, start_timeout=600)


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


def test_a_start_counts_once_however_many_watch(tmp_path):
    times = StartTimes(tmp_path / "times.json")
    spawner, event = started(8), {"ready": True}
    assert times.ready(spawner, event) is event
    times.ready(spawner, event)
    times.ready(started(20), event)
    assert 13 < times.usual("pyfai") < 15


def test_a_server_looked_at_long_after_its_start_is_no_measure(tmp_path):
    times = StartTimes(tmp_path / "times.json")
    times.ready(started(7200), {})
    assert times.usual("pyfai") is None


def test_a_damaged_file_is_forgotten(tmp_path):
    path = tmp_path / "times.json"
    for text in ("", "[1]", "{"):
        path.write_text(text)
        assert StartTimes(path).usual("pyfai") is None
    StartTimes(path).record("pyfai", 4)
    assert StartTimes(path).usual("pyfai") == 4
