"""When a job would begin, by Slurm's own reckoning: asked in the background, never in a hurry."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from ..system_accounts import AccountError, person
from .commands import CommandError, NoAnswerError, run_as
from .words import refusal_of

FRESH_S = 30.0
KEPT_S = 120.0
GAP_S = 2.0
"""Between two questions, whoever wants to know: each makes the controller plan a job."""
WANTED_MAX = 20
LOCALTIME = Path("/etc/localtime")


@dataclass(frozen=True)
class Estimate:
    """What Slurm says of a job that is not submitted.

    Parameters
    ----------
    asked_at : float
        When, by the clock that `time.monotonic` reads.
    start : float
        When it would begin, in seconds since 1970; 0 where that isn't said.
    refusal : str
        Why it would not be taken, empty where it would.
    """

    asked_at: float
    start: float = 0
    refusal: str = ""


class Estimates:
    """Estimates for each user and size: pages take what is there, and wait for nothing."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Estimate] = {}
        self._wanted: dict[tuple[str, str], str] = {}
        self._asking: asyncio.Task[None] | None = None

    def of(self, user: str, size: str, script: Callable[[], str]) -> Estimate | None:
        """Return what Slurm said within the last minutes, and let it be asked again.

        Parameters
        ----------
        user : str
            Under whose account it is asked.
        size : str
            Names what is asked for.
        script : callable
            Makes the batch script that would be submitted.
        """
        now, key = time.monotonic(), (user, size)
        known = self._known.get(key)
        old = known is None or now - known.asked_at > FRESH_S
        if old and key not in self._wanted and len(self._wanted) < WANTED_MAX:
            self._wanted[key] = script()
            if self._asking is None or self._asking.done():
                self._asking = asyncio.ensure_future(self._ask_all())
        return known if known and now - known.asked_at < KEPT_S else None

    async def _ask_all(self) -> None:
        while self._wanted:
            key = next(iter(self._wanted))
            try:
                self._known[key] = await estimate(key[0], self._wanted[key])
            except NoAnswerError:
                # Those who still look will want to know again.
                self._wanted.clear()
            self._wanted.pop(key, None)
            self._forget_old()
            await asyncio.sleep(GAP_S)

    def _forget_old(self) -> None:
        oldest = time.monotonic() - KEPT_S
        self._known = {key: one for key, one in self._known.items() if one.asked_at > oldest}


async def estimate(user: str, script: str) -> Estimate:
    """Return when a job of a user's would begin, or why it would not be taken.

    Raises
    ------
    NoAnswerError
        Slurm did not answer.
    """
    now = time.monotonic()
    try:
        said = await run_as(person(user), "sbatch", "--test-only", text=script, with_errors=True)
    except NoAnswerError:
        raise
    except (CommandError, AccountError) as error:
        return Estimate(now, refusal=refusal_of(str(error)))
    return Estimate(now, start=start_in(said))


def start_in(said: str) -> float:
    """Return when a job would begin, in seconds since 1970, from what ``--test-only`` says.

    sudo takes the form of times from the command, so it is the local time of this machine.
    """
    found = re.search(r"to start at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", said)
    return datetime.fromisoformat(found[1]).replace(tzinfo=zone()).timestamp() if found else 0


@cache
def zone() -> tzinfo:
    """Return this machine's time zone, whatever this process has been told."""
    try:
        with LOCALTIME.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC


@cache
def estimates() -> Estimates:
    """Return the one of this process."""
    return Estimates()
