"""The board of a workshop: where everybody is, as it changes; for its trainer alone."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jupyterhub.utils import utcnow
from tornado import web

from ..cards import LABELS, SYMBOLS, server_state
from ..refusal import Refused
from ..workshops.board import Progress, Row, progress, summary, table
from ..workshops.live import Room
from .of_workshops import Events
from .workshops import NUMBER, ForTrainers


class ABoard(ForTrainers):
    """What the pages of a board share."""

    def rows(self, room: Room) -> list[Row]:
        """Return the participants by name, with what is known of each."""
        number, use_case = room.workshop.number, room.workshop.use_case
        far = self.live.progress.of(number, lambda: progress(self.records.told(number)))
        servers = self.servers(use_case, set(room.names))
        return [self.row(name, servers.get(name), far) for name in sorted(room.names)]

    def servers(self, use_case: str, names: set[str]) -> dict[str, Any]:
        """Return the servers that are there, by their users' names.

        Whoever has one is among the users that the hub has in memory.
        """
        users = [user for user in self.users.values() if user.name in names]
        found = {user.name: user.spawners.get(use_case) for user in users}
        return {name: s for name, s in found.items() if s is not None and s.active}

    def row(self, name: str, spawner: Any, far: Mapping[str, Progress]) -> Row:
        """Return what is known of a participant."""
        if spawner is None:
            return Row(name, "Not running", "○", None, far.get(name))
        state = server_state(spawner)
        used: datetime | None = spawner.orm_spawner.last_activity
        return Row(name, LABELS[state], SYMBOLS[state], used, far.get(name))

    def shown(self, room: Room) -> dict[str, Any]:
        """Return what the board's template needs."""
        rows, now = self.rows(room), utcnow(with_tz=False)
        return {
            "workshop": room.workshop,
            "room": room,
            "rows": rows,
            "summary": summary(rows),
            "state": room.workshop.state(now),
            "now": now,
        }


class BoardPage(ABoard):
    """``/hub/workshops/<number>/board``."""

    @web.authenticated
    async def get(self, number: str) -> None:
        """Show it; it reads without JavaScript too."""
        if await self.held_or_told(number) is None:
            return
        room = self.room(int(number))
        assert room is not None
        await self.show("board.html", **self.shown(room))


class BoardEvents(ABoard, Events):
    """The board's contents, sent whenever they have changed."""

    @web.authenticated
    async def get(self, number: str) -> None:
        """Stream them, for a while."""
        try:
            self.held(number)
        except Refused as refusal:
            raise web.HTTPError(refusal.status, refusal.message) from None
        await self.stream(lambda: self.look(int(number)), str)

    def look(self, number: int) -> str | None:
        """Return the board at this moment, made once for all who look."""
        room = self.room_now(number)
        if room is None:
            return None
        return self.live.boards.of(number, lambda: self.part("_board.html", **self.shown(room)))


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
