"""The board of a workshop: where everybody is, as it changes; for its trainer alone."""

import asyncio
import json
from collections import Counter
from datetime import datetime
from typing import Any

from jupyterhub import orm
from jupyterhub.utils import utcnow
from tornado import web
from tornado.iostream import StreamClosedError

from ..cards import LABELS, SYMBOLS, server_state
from ..refusal import Refused
from ..workshops.board import Progress, Row, progress, summary, table
from ..workshops.rules import Workshop
from .workshops import NUMBER, ForTrainers

LOOK_S = 1.0
KEEP_OPEN_S = 8
"""A proxy closes what is silent for long."""
STREAM_S = 300
"""After this the browser asks again, and is let in or not."""


class ABoard(ForTrainers):
    """What the pages of a board share."""

    seen: tuple[int, dict[str, Progress]] | None = None

    def rows(self, workshop: Workshop) -> list[Row]:
        """Return the participants by name, with what is known of each."""
        names = self.records.participants(workshop.number)
        far, servers = self.progress(workshop), self.servers(workshop.use_case, names)
        return [self.row(name, servers.get(name), far.get(name)) for name in sorted(names)]

    def progress(self, workshop: Workshop) -> dict[str, Progress]:
        """Return how far each is, read again only after there was news."""
        news: Counter[int] = self.settings["workshop_news"]
        count = news[workshop.number]
        if self.seen is None or self.seen[0] != count:
            self.seen = count, progress(self.records.told(workshop.number))
        return self.seen[1]

    def servers(self, use_case: str, names: list[str]) -> dict[str, Any]:
        """Return the servers that are there, by their users' names."""
        rows = self.db.query(orm.User).filter(orm.User.name.in_(names))
        found = {row.name: self.users[row].spawners.get(use_case) for row in rows}
        return {name: s for name, s in found.items() if s is not None and s.active}

    def row(self, name: str, spawner: Any, far: Progress | None) -> Row:
        """Return what is known of a participant."""
        if spawner is None:
            return Row(name, "Not running", "○", None, far)
        state = server_state(spawner)
        used: datetime | None = spawner.orm_spawner.last_activity
        return Row(name, LABELS[state], SYMBOLS[state], used, far)

    def shown(self, workshop: Workshop) -> dict[str, Any]:
        """Return what the board's template needs."""
        rows, now = self.rows(workshop), utcnow(with_tz=False)
        return {
            "workshop": workshop,
            "rows": rows,
            "summary": summary(rows),
            "state": workshop.state(now),
            "now": now,
        }


class BoardPage(ABoard):
    """``/hub/workshops/<number>/board``."""

    @web.authenticated
    async def get(self, number: str) -> None:
        """Show it; it reads without JavaScript too."""
        workshop = await self.held_or_told(number)
        if workshop is None:
            return
        await self.show("board.html", **self.shown(workshop))


class BoardEvents(ABoard):
    """The board's contents, sent whenever they have changed."""

    left = False

    def on_connection_close(self) -> None:
        """Send no more."""
        super().on_connection_close()
        self.left = True

    @web.authenticated
    async def get(self, number: str) -> None:
        """Stream them, for a while."""
        try:
            self.held(number)
        except Refused as refusal:
            raise web.HTTPError(refusal.status, refusal.message) from None
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        last: tuple[Any, ...] = ()
        quiet_s = 0.0
        for _ in range(round(STREAM_S / LOOK_S)):
            # It may have been deleted meanwhile, or its end moved.
            workshop = self.records.get(int(number))
            if workshop is None or self.left:
                return
            shown = self.shown(workshop)
            # What is told in minutes changes with these.
            found = (shown["rows"], shown["state"], workshop, shown["now"].minute)
            try:
                if found != last:
                    html = await self.render_template("_board.html", **shown)
                    await self.send(f"data: {json.dumps({'html': html})}\n\n")
                    last, quiet_s = found, 0.0
                elif quiet_s >= KEEP_OPEN_S:
                    await self.send(":\n\n")
                    quiet_s = 0.0
            except StreamClosedError:
                return
            await asyncio.sleep(LOOK_S)
            quiet_s += LOOK_S

    async def send(self, text: str) -> None:
        """Send a piece of the stream."""
        self.write(text)
        await self.flush()


class ChecksTable(ABoard):
    """All checks of a workshop, as a file for a spreadsheet."""

    @web.authenticated
    async def get(self, number: str) -> None:
        """Answer with CSV."""
        workshop = await self.held_or_told(number)
        if workshop is None:
            return
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        name = f"workshop-{workshop.number}-checks.csv"
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        self.finish(table(self.records.told(workshop.number)))


HANDLERS = [
    (rf"/workshops/{NUMBER}/board", BoardPage),
    (rf"/workshops/{NUMBER}/board/events", BoardEvents),
    (rf"/workshops/{NUMBER}/checks\.csv", ChecksTable),
]
