"""How far a batch is, and how that is shown."""

import time
from collections.abc import Callable, Mapping
from html import escape

from ..data.display import in_a_notebook
from ..words import time_text

LINES_EVERY_S = 15
SHOWN_FAILURES = 5


class Progress:
    """How far a batch is.

    Attributes
    ----------
    unit : str
    total, done : int
        In `unit`; what failed is not done.
    counts : dict of str to float
        What the finished chunks returned, added up.
    failed : dict of str to str
        Chunk and reason.
    """

    def __init__(self, unit: str, total: int) -> None:
        self.unit, self.total = unit, total
        self.done = self._fresh = self._lost = 0
        self.counts: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self._began: float | None = None

    def begin(self) -> None:
        """Count the time from here: what was reused says nothing of the speed."""
        self._began = time.monotonic()

    def add(self, amount: int, counts: Mapping[str, float], *, reused: bool = False) -> None:
        """Add a finished chunk."""
        self.done += amount
        self._fresh += 0 if reused else amount
        for name, number in counts.items():
            self.counts[name] = self.counts.get(name, 0) + number

    def fail(self, name: str, amount: int, reason: str) -> None:
        """Add a chunk that failed."""
        self._lost += amount
        self.failed[name] = reason

    @property
    def elapsed_s(self) -> float:
        """Seconds since `begin`."""
        return time.monotonic() - self._began if self._began is not None else 0.0

    @property
    def rate(self) -> float:
        """What is done per second, without what was reused."""
        return self._fresh / self.elapsed_s if self._fresh else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until the end at this rate, None while nobody knows."""
        left = self.total - self.done - self._lost
        if not left:
            return 0.0
        return left / self.rate if self.rate else None

    @property
    def over(self) -> bool:
        """Whether no chunk is left."""
        return self.done + self._lost == self.total

    def words(self) -> str:
        """Return the state as one line."""
        parts = [f"{self.done} of {self.total} {self.unit}"]
        parts += [f"{number:g} {name}" for name, number in self.counts.items()]
        if self.done > self._fresh:
            parts.append(f"{self.done - self._fresh} {self.unit} kept from before")
        if self.rate:
            parts.append(f"{self.rate:.2g} {self.unit} per s")
        if not self.over and self.left_s is not None:
            parts.append(f"{time_text(self.left_s)} left")
        if self.failed:
            parts.append(f"{len(self.failed)} chunks failed")
        return ", ".join(parts)

    def failures(self) -> list[str]:
        """Return the first failures, a line each."""
        lines = [f"{name}: {reason}" for name, reason in list(self.failed.items())[:SHOWN_FAILURES]]
        more = len(self.failed) - len(lines)
        return [*lines, f"and {more} more"] if more else lines


def suitable() -> Callable[[Progress], None]:
    """Return what shows progress in the place that this process runs in."""
    return Bar() if in_a_notebook() else Lines()


class Lines:
    """A line at the beginning, every quarter of a minute and at the end."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        """Print a line when it is time."""
        if progress.over or time.monotonic() >= self._next:
            self._next = time.monotonic() + LINES_EVERY_S
            print("\n  ".join([progress.words(), *progress.failures()]), flush=True)  # noqa: T201


class Bar:
    """A bar in a notebook, read by screen readers as a sentence."""

    def __init__(self) -> None:
        import ipywidgets
        from IPython.display import display

        self._words = ipywidgets.HTML()
        self._bar = ipywidgets.FloatProgress(min=0, max=1, layout={"width": "98%"})
        display(ipywidgets.VBox([self._words, self._bar], layout={"width": "100%"}))

    def __call__(self, progress: Progress) -> None:
        """Move the bar."""
        lines = [progress.words(), *progress.failures()]
        self._words.value = "<br>".join(map(escape, lines))
        self._bar.value = progress.done / max(1, progress.total)
        if progress.over:
            self._bar.layout.display = "none"
