"""The board of a workshop: where everybody is, as it changes; for its trainer alone."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from jupyterhub.utils import utcnow
from tornado import web

from ..cards import LABELS, SYMBOLS, server_state
from ..refusal import Refused
from ..workshops.board import Progress, Row, in_order, progress, summary, table
from ..workshops.live import Room
from ..workshops.rules import why_not_message
from .of_workshops import Events
from .workshops import NUMBER, ForTrainers


class ABoard(ForTrainers):
    """What the pages of a board share."""

    def rows(self, room: Room) -> list[Row]:
        """Return the participants by name, with what is known of each."""
        workshop = room.workshop
        far = self.live.progress.of(
            workshop.code, lambda: progress(self.records.told(workshop.number))
        )
        servers = self.servers(workshop.use_case, set(room.names))
        rows = (self.row(name, servers.get(name), far) for name in room.names)
        return in_order(replace(row, hand=room.hands.get(row.name)) for row in rows)

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
        if await self.held_or_told(number) is not None:
            await self.show_board(number)

    async def show_board(self, number: str, **names: str) -> None:
        """Show the page, with what was typed into it."""
        room = self.room(int(number))
        assert room is not None
        await self.show("board.html", **{"typed": "", "problem": "", **self.shown(room), **names})


class Message(BoardPage):
    """What a trainer tells all people in a workshop."""

    @web.authenticated
    async def post(self, number: str) -> None:
        """Tell it, or with nothing take back what was told."""
        workshop = await self.held_or_told(number)
        if workshop is None:
            return
        typed, now = self.get_body_argument("text", ""), utcnow(with_tz=False)
        if self.get_body_argument("back", ""):
            self.records.take_message_back(workshop.number)
            self.note(workshop, "message-taken-back")
        elif why := why_not_message(typed, workshop, now):
            self.set_status(400)
            await self.show_board(number, typed=typed, problem=why)
            return
        else:
            self.records.tell_all(workshop.number, typed, now)
            self.note(workshop, "message")
        self.redirect(f"{self.page_of(workshop)}/board", status=303)


class HandDown(BoardPage):
    """A raised hand, taken down by the trainer who has helped."""

    @web.authenticated
    async def post(self, number: str) -> None:
        """Take it down."""
        workshop = await self.held_or_told(number)
        if workshop is None:
            return
        self.records.take_hand_down(workshop.number, self.get_body_argument("user", ""))
        self.live.rooms.tell(workshop.number)
        self.redirect(f"{self.page_of(workshop)}/board", status=303)


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
        code = room.workshop.code
        return self.live.boards.of(code, lambda: self.part("_board.html", **self.shown(room)))


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
    (rf"/workshops/{NUMBER}/message", Message),
    (rf"/workshops/{NUMBER}/hand", HandDown),
    (rf"/workshops/{NUMBER}/checks\.csv", ChecksTable),
]
