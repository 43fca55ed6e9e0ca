"""How far a fetch is, told where somebody looks: terminal, notebook, log."""

import io
import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import pytest

from workbench.data import display, progress
from workbench.data.display import Bar, Lines, Widget, in_a_notebook, shown, suitable
from workbench.data.progress import Progress, State
from workbench.words import size_text, time_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def in_a_terminal(monkeypatch) -> Terminal:
    """Not a fixture: pytest changes stderr once more after those."""
    found = Terminal()
    monkeypatch.setattr(sys, "stderr", found)
    monkeypatch.setenv("TERM", "xterm")
    return found


@pytest.fixture
def quick(monkeypatch) -> None:
    monkeypatch.setattr(display, "AFTER_S", 0.01)
    monkeypatch.setattr(display, "EVERY_S", 0.01)


@pytest.fixture
def notebook(monkeypatch) -> list[object]:
    """A kernel with ipywidgets, as far as a display needs them; returns what is shown."""
    displayed: list[object] = []
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    inner = ModuleType("IPython.display")
    inner.display = displayed.append
    widgets = ModuleType("ipywidgets")

    class Any(SimpleNamespace):
        def __init__(self, children=(), **about):
            super().__init__(children=children, value=None, **about)
            self.layout = SimpleNamespace(**about.get("layout", {}))

    for name in ("Label", "FloatProgress", "VBox"):
        setattr(widgets, name, type(name, (Any,), {}))
    for module in (ipython, inner, widgets):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return displayed


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State("x"), "0 B"),
        (State("x", done_bytes=1500), "1.5 kB"),
        (State("x", done_bytes=5_000_000, total_bytes=20_000_000), "5 MB of 20 MB"),
        (
            State("x", "zenodo.org", 5_000_000, 20_000_000, 1e6),
            "5 MB of 20 MB, 1 MB/s, 15 s left, from zenodo.org",
        ),
        (State("x", "zenodo.org", 5_000_000, None, 1e6), "5 MB, 1 MB/s, from zenodo.org"),
        (
            State("x", "a.b", 10**9, 10**12, 1e7, "waits for a.b"),
            "1 GB of 1 TB, 10 MB/s, 27.8 h left, from a.b, waits for a.b",
        ),
        (State("x", done_bytes=30, total_bytes=20, rate=1), "30 B of 20 B, 1 B/s, "),
    ],
)
def test_a_state_is_said_in_one_line(state, words):
    assert state.words().startswith(words)
    assert "\n" not in state.words()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "1 s"), (89, "89 s"), (90, "2 min"), (5400, "1.5 h")]
)
def test_times_are_said_as_people_do(seconds, text):
    assert time_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "size not published"), (0, "0 B"), (999, "999 B"), (1_234_567, "1.23 MB")],
)
def test_sizes_are_said_as_people_do(size, text):
    assert size_text(size) == text


def test_a_fraction_never_passes_the_whole():
    assert State("x").fraction is None
    assert State("x", done_bytes=30, total_bytes=20).fraction == 1


def test_bytes_are_counted_from_many_threads():
    found = Progress("x", 40_000)
    threads = [
        threading.Thread(target=lambda: [found.add(1) for _ in range(5000)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found.state.done_bytes, found.received) == (40_000, 40_000)


def test_what_an_earlier_try_has_left_is_done_but_has_no_rate(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    found = Progress("x", 100)
    found.here(40)
    assert found.state.done_bytes == 40
    assert found.received == 0
    now[0] += 1
    assert found.state.rate == 0


def test_the_rate_is_that_of_the_last_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    found = Progress("x", 10**9)
    for _ in range(40):
        found.add(1_000_000)
        now[0] += 0.5
        rate = found.state.rate
    assert rate == pytest.approx(2e6, rel=0.1)
    for _ in range(20):
        now[0] += 0.5
        rate = found.state.rate
    assert rate == 0


def test_the_whole_is_known_once_each_file_is():
    found = Progress("x")
    found.learn("a", 10, 2)
    assert found.state.total_bytes is None
    found.learn("a", 10, 2)
    found.learn("b", 5, 2)
    assert found.state.total_bytes == 15


def test_what_it_waits_for_is_forgotten_once_something_comes():
    found = Progress("x")
    found.say(note="waits")
    assert found.state.words().endswith("waits")
    found.add(1)
    assert found.state.note == ""
    found.arrived()
    assert found.state.files == 1


def test_a_summary_says_how_much_came_from_where(monkeypatch):
    found = Progress("x", 10)
    found.say(source="zenodo.org")
    found.add(10)
    assert found.summary() == "10 B from zenodo.org in 1 s"


def test_a_log_gets_lines_and_a_terminal_a_bar(monkeypatch):
    in_a_terminal(monkeypatch)
    bar = suitable()
    assert isinstance(bar, Bar)
    bar.end(State("x"), "done")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(suitable(), Lines)


def test_a_notebook_gets_a_widget(notebook):
    assert in_a_notebook()
    widget = suitable()
    assert isinstance(widget, Widget)
    [staging] = notebook
    words, bar = staging.children
    widget.show(State("uc/x", "a.b", 5, 10, 1))
    assert words.value == "uc/x: 5 B of 10 B, 1 B/s, 5 s left, from a.b"
    assert (bar.value, bar.bar_style) == (0.5, "")
    widget.show(State("uc/x", "a.b", 5))
    assert (bar.value, bar.bar_style) == (0, "info")
    widget.end(State("uc/x"), "10 B in 1 s")
    assert words.value == "uc/x: 10 B in 1 s"
    assert bar.layout.display == "none"


def test_a_notebook_without_widgets_gets_lines(notebook, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert isinstance(suitable(), Lines)


def test_ipython_in_a_terminal_is_no_notebook(notebook, monkeypatch):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: SimpleNamespace())
    assert not in_a_notebook()
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert not in_a_notebook()


def test_lines_come_at_the_beginning_now_and_then_and_at_the_end(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(display, "time", SimpleNamespace(monotonic=lambda: now[0]))
    lines = Lines()
    for done in range(40):
        lines.show(State("uc/x", done_bytes=done))
        now[0] += 1
    lines.end(State("uc/x"), "40 B in 40 s")
    assert capsys.readouterr().err.splitlines() == [
        "uc/x: 0 B",
        "uc/x: 15 B",
        "uc/x: 30 B",
        "uc/x: 40 B in 40 s",
    ]


def test_a_bar_shows_the_words_and_leaves_one_line(monkeypatch):
    terminal = in_a_terminal(monkeypatch)
    bar = Bar()
    bar.show(State("uc/x", "[red]a.b", 5_000_000, 20_000_000, 1e6))
    time.sleep(0.2)
    bar.end(State("uc/x"), "[20 MB] in 20 s")
    text = terminal.getvalue()
    assert "uc/x" in text
    assert text.splitlines()[-1].endswith("uc/x: [20 MB] in 20 s")


def test_what_is_quick_shows_nothing(capsys):
    with shown(Progress("x", 10), wanted=True):
        pass
    assert capsys.readouterr().err == ""


def test_what_nobody_wants_to_see_shows_nothing(capsys, quick):
    with shown(Progress("x", 10), wanted=False):
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_what_takes_longer_is_shown_and_summed_up(capsys, quick):
    found = Progress("uc/x", 10)
    with shown(found, wanted=True):
        found.add(10)
        time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("uc/x: 10 B of 10 B")
    assert lines[-1] == "uc/x: 10 B in 1 s"


def test_what_fails_is_not_summed_up_as_done(capsys, quick):
    before = {*threading.enumerate()}
    found = Progress("uc/x", 10)
    with pytest.raises(ZeroDivisionError), shown(found, wanted=True):
        time.sleep(0.1)
        raise ZeroDivisionError
    assert capsys.readouterr().err.splitlines()[-1] == "uc/x: stopped; what has arrived is kept"
    assert not {*threading.enumerate()} - before
