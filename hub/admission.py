"""Whose server starts next where not all can at once: the rules, without clock, loop or server.

Turns come in order of arrival, and nobody has two of them before somebody who waits has one.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import fmean

from spawners.amounts import seconds_text


@dataclass(frozen=True, eq=False)
class Start:
    """A start that was asked for.

    Parameters
    ----------
    user, use_case : str
        Whose it is, and of what.
    """

    user: str
    use_case: str


@dataclass(frozen=True)
class Outlook:
    """What a start that waits has before it.

    Parameters
    ----------
    ahead : int
        How many others that wait start before it.
    seconds : float, optional
        In how many seconds its turn comes, as things usually go here; None where nobody knows.
    """

    ahead: int
    seconds: float | None = None

    def __str__(self) -> str:
        """Say it to whoever waits."""
        when = seconds_text(rounded(self.seconds)) if self.seconds else ""
        others = {0: "Yours starts next", 1: "1 other starts before yours"}
        text = others.get(self.ahead, f"{self.ahead} others start before yours")
        return f"{text}; its turn comes in about {when}" if when else text


def rounded(seconds: float) -> int:
    """Return seconds as exactly as an estimate is, never too few."""
    step = 5 if seconds < 60 else 30
    return step * max(1, -int(-seconds // step))


class Admission:
    """Which starts wait, and which have had their turn and are not over yet.

    Parameters
    ----------
    at_once : int
        So many start at the same time.
    """

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._waiting: list[Start] = []
        self._starting: list[Start] = []

    def enter(self, start: Start) -> None:
        """Let a start wait, as the last that came."""
        self._waiting.append(start)

    def leave(self, start: Start) -> None:
        """Forget a start, however it ended; one that is forgotten already changes nothing."""
        for starts in (self._waiting, self._starting):
            if start in starts:
                starts.remove(start)

    def admit(self) -> list[Start]:
        """Return those whose turn has come now, which count as starting from now on."""
        admitted = self.in_order()[: max(0, self.at_once - len(self._starting))]
        for start in admitted:
            self._waiting.remove(start)
        self._starting += admitted
        return admitted

    def in_order(self) -> list[Start]:
        """Return those that wait, the next one first.

        A user's first comes before any second, and a start that is under way is a first.
        """
        turns = Counter(start.user for start in self._starting)
        keys = []
        for number, start in enumerate(self._waiting):
            keys.append((turns[start.user], number))
            turns[start.user] += 1
        return [self._waiting[number] for _, number in sorted(keys)]

    def outlooks(self, usual: Callable[[str], float | None]) -> Iterator[tuple[Start, Outlook]]:
        """Yield what each that waits has before it.

        Parameters
        ----------
        usual : callable
            Returns how many seconds a use case usually takes to start, None where nobody knows.
        """
        known = [s for start in self._starting if (s := usual(start.use_case)) is not None]
        for ahead, start in enumerate(self.in_order()):
            # Those that are starting have half of it behind them.
            rounds = (len(self._starting) / 2 + ahead) / self.at_once
            yield start, Outlook(ahead, rounds * fmean(known) if known else None)
            if (seconds := usual(start.use_case)) is not None:
                known.append(seconds)
