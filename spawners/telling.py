"""What every spawner of ours tells its user: the steps of a start, and why a server ended."""

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from traitlets import Unicode
from traitlets.config import LoggingConfigurable

LOG_TAIL_BYTES = 65_536
LOG_LARGEST_BYTES = 1 << 20
CANNOT_START = "BeamHub can't start: "
"""How `workbench.start` begins the line by which it tells why no server can run."""
SAID_CHARACTERS_MAX = 500
JUPYTERLAB_FROM = 90
"""From this per cent on nothing is waited for but JupyterLab."""
ENDING = "ending"
NOTICE = "notice"


class TellingSpawner(LoggingConfigurable):
    """Put before a spawner's class, adds what people want to know who wait or lost their server.

    Attributes
    ----------
    ending : str
        Why the server ended, in a sentence for its user; kept with the server in the hub's
        database, until it is started again. Empty where it ended as its user wished.
    notice : str
        What its user should know while it runs; empty for nothing.
    silence : str
        Since when nothing is known of it, in a sentence; empty where its state is known.
    jupyterlab_began : float or None
        When JupyterLab itself began to start, by `time.monotonic`; None before.
    ends_at : datetime or None
        When a batch system ends it (UTC, without zone); None where the hub does, or nobody knows.
    """

    user: Any
    name: str
    _stop_pending: bool
    environment: dict[str, str]
    state_folder = Unicode(help="Where the portal keeps its state").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._events: list[dict[str, Any]] = []
        self._event_added = asyncio.Event()
        self.jupyterlab_began: float | None = None
        self.ends_at: datetime | None = None
        self.ending = self.notice = self.silence = ""

    def begin_telling(self) -> None:
        """Forget what was told of the server's last life."""
        # Another list: who has seen the whole of this one looks at that from its beginning.
        self._events = []
        self.jupyterlab_began = None
        self.ends_at = None
        self.ending = self.notice = self.silence = ""

    def tell_ending(self, why: str) -> None:
        """Keep why the server ended, unless it ends because somebody wanted it to."""
        if not self._stop_pending:
            self.ending = why

    def report(self, percent: int, message: str, detail: str = "") -> None:
        """Tell the pending page what is being done, and what stands behind its *Details*."""
        if percent >= JUPYTERLAB_FROM and self.jupyterlab_began is None:
            self.jupyterlab_began = time.monotonic()
        event = {"progress": percent, "message": message}
        event |= {"detail": detail} if detail else {}
        if not self._events or self._events[-1] != event:
            self._events.append(event)
            self._event_added.set()

    def tell_place(self, message: str) -> None:
        """Tell where a start is in the queue, instead of what was told of that before."""
        self._events = []
        self.report(0, message)

    @property
    def step(self) -> dict[str, Any]:
        """What was told last, for pages without a script; empty before the first."""
        return self._events[-1] if self._events else {}

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield every step told so far, then each as it comes."""
        told, seen = self._events, 0
        while True:
            self._event_added.clear()
            if told is not self._events:
                told, seen = self._events, 0
            for event in told[seen:]:
                yield event
                seen += 1
            await self._event_added.wait()

    def get_state(self) -> dict[str, Any]:
        """Keep what was told with the server."""
        state = super().get_state()  # type: ignore[misc]
        told = {ENDING: self.ending, NOTICE: self.notice}
        return {**state, **{name: text for name, text in told.items() if text}}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what was told, after a restart of the hub."""
        super().load_state(state)  # type: ignore[misc]
        self.ending = state.get(ENDING, "")
        self.notice = state.get(NOTICE, "")

    @property
    def log_file(self) -> Path:
        """Where the server's own output goes; only the portal's account can read it."""
        return log_path(Path(self.state_folder), self.user.id, self.name)

    def keep_log(self, text: bytes) -> None:
        """Keep output as the server's log, its end where it is long."""
        self.log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log_file.write_bytes(text[-LOG_LARGEST_BYTES:])


def ending_by_status(status: int, output: str = "") -> str:
    """Return in words how a server's process ended.

    Parameters
    ----------
    status : int
        Its exit status; below 0 the number of the signal that ended it.
    output : str, optional
        What it said last.
    """
    if status > 0 and (why := said_reason(output)):
        return why
    if status < 0:
        return f"It was ended from outside of the portal, by signal {-status}."
    if status:
        return f"JupyterLab ended by itself, with exit status {status}."
    return "JupyterLab was shut down from inside."


def said_reason(output: str) -> str:
    """Return why a server ended in words, as far as what it said last tells; else empty."""
    said = [line for line in output.splitlines() if CANNOT_START in line]
    if said:
        return said[-1].partition(CANNOT_START)[2][:SAID_CHARACTERS_MAX]
    if re.search("No space left on device|Disk quota exceeded", output):
        return "The disk that holds your files is full. Ask for room, or have old files removed."
    if found := re.search(r"Bad config encountered during initialization: (.*)", output):
        return (
            "JupyterLab could not use a setting. Most likely it is one of your own, in ~/.jupyter, "
            "and names something that this use case's software doesn't have: "
            f"{found[1][: SAID_CHARACTERS_MAX // 2]}"
        )
    return ""


def memory_full_text(at: datetime, memory_gib: float) -> str:
    """Return that something in a server was ended because its memory was full."""
    return (
        f"At {at.astimezone(UTC):%H:%M} UTC its memory of {memory_gib:g} GiB was full and a "
        "program in it was ended, usually a notebook's kernel. Work on less at a time, or stop it "
        "and start it with a larger size."
    )


def log_path(state: Path, user_id: int, server: str) -> Path:
    """Return where the output of a user's server lies in the state folder."""
    return state / "logs" / f"user-{user_id}-{server or 'default'}.log"


def last_output(path: Path) -> str:
    """Return the end of a server's log, empty where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
