"""What every spawner of ours tells its user: the steps of a start, and why a server ended."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from traitlets import Unicode
from traitlets.config import LoggingConfigurable

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
    """

    user: Any
    name: str
    environment: dict[str, str]
    state_folder = Unicode(help="Where the portal keeps its state").tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._events: list[dict[str, Any]] = []
        self._event_added = asyncio.Event()
        self.ending = ""
        self.notice = ""

    def begin_telling(self) -> None:
        """Forget what was told of the server's last life."""
        self._events.clear()
        self.ending = self.notice = ""

    def report(self, percent: int, message: str) -> None:
        """Tell the pending page what is being done."""
        event = {"progress": percent, "message": message}
        if not self._events or self._events[-1] != event:
            self._events.append(event)
            self._event_added.set()

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield every step told so far, then each as it comes."""
        seen = 0
        while True:
            self._event_added.clear()
            for event in self._events[seen:]:
                yield event
            seen = len(self._events)
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
        folder = Path(self.state_folder) / "logs"
        return folder / f"user-{self.user.id}-{self.name or 'default'}.log"

    def keep_log(self, text: bytes) -> None:
        """Keep output as the server's log."""
        self.log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log_file.write_bytes(text)
