"""Show how far a fetch is: a bar in a terminal, a widget in a notebook, plain lines in a log."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from .progress import Progress, State

AFTER_S = 0.5
"""What takes less is not worth showing."""
EVERY_S = 0.25
LINES_EVERY_S = 15


class Display(Protocol):
    """Something that can show a state again and again."""

    def show(self, state: State) -> None:
        """Show it."""

    def end(self, state: State, text: str) -> None:
        """Show the last state, in words."""


class Lines:
    """A line at the beginning, every quarter of a minute and at the end: for logs."""

    def __init__(self) -> None:
        self._next = 0.0

    def show(self, state: State) -> None:
        """Print a line when it is time."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + LINES_EVERY_S
            print(f"{state.label}: {state.words()}", file=sys.stderr, flush=True)  # noqa: T201

    def end(self, state: State, text: str) -> None:
        """Print the last line."""
        print(f"{state.label}: {text}", file=sys.stderr, flush=True)  # noqa: T201


class Bar:
    """A bar in a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._rich = RichProgress(
            TextColumn("{task.fields[label]}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[words]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._rich.add_task("", total=None, label="", words="")
        self._rich.start()

    def show(self, state: State) -> None:
        """Move the bar."""
        self._rich.update(
            self._task,
            total=state.total_bytes,
            completed=state.done_bytes,
            label=state.label,
            words=state.words(),
        )

    def end(self, state: State, text: str) -> None:
        """Replace the bar by a line."""
        self._rich.stop()
        self._rich.console.print(f"{state.label}: {text}", markup=False, highlight=False)


class Widget:
    """A bar in a notebook, read by screen readers as a sentence."""

    def __init__(self) -> None:
        import ipywidgets
        from IPython.display import display

        self._words = ipywidgets.Label()
        self._bar = ipywidgets.FloatProgress(min=0, max=1, layout={"width": "98%"})
        display(ipywidgets.VBox([self._words, self._bar], layout={"width": "100%"}))

    def show(self, state: State) -> None:
        """Move the bar."""
        self._words.value = f"{state.label}: {state.words()}"
        self._bar.value = state.fraction or 0
        self._bar.bar_style = "" if state.fraction else "info"

    def end(self, state: State, text: str) -> None:
        """Fill the bar, or leave it where the fetch has failed."""
        self._words.value = f"{state.label}: {text}"
        self._bar.layout.display = "none"


def suitable() -> Display:
    """Return what suits the place that this process runs in."""
    if in_a_notebook():
        try:
            return Widget()
        except ImportError:
            return Lines()
    return Bar() if sys.stderr.isatty() else Lines()


def in_a_notebook() -> bool:
    """Return whether this is a notebook's kernel."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return bool(getattr(shell, "kernel", None))


@contextmanager
def shown(progress: Progress, *, wanted: bool) -> Iterator[None]:
    """Show a fetch while it lasts, if it lasts."""
    if not wanted:
        yield
        return
    over, failed = threading.Event(), threading.Event()
    thread = threading.Thread(target=keep_showing, args=(progress, over, failed), daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        failed.set()
        raise
    finally:
        over.set()
        thread.join()


def keep_showing(progress: Progress, over: threading.Event, failed: threading.Event) -> None:
    """Show the state until it is over, then how it ended."""
    if over.wait(AFTER_S):
        return
    display = suitable()
    while not over.wait(EVERY_S):
        display.show(progress.state)
    stopped = "stopped; what has arrived is kept"
    display.end(progress.state, stopped if failed.is_set() else progress.summary())
