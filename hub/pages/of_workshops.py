"""What all pages about workshops share."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

from jupyterhub.utils import utcnow
from tornado import web
from tornado.iostream import StreamClosedError

from ..audit import emit
from ..workshops.live import LOOK_S, Live, Room
from ..workshops.records import Records
from ..workshops.rules import Workshop
from .base import Page

KEEP_OPEN_S = 8
"""A proxy closes what is silent for long."""
STREAM_S = 300
"""After this the browser asks again, and is let in or not."""

Seen = TypeVar("Seen")


class WithWorkshops(Page):
    """A page that there is where a site has workshops."""

    async def prepare(self) -> None:
        """Answer only where there are workshops."""
        await super().prepare()
        if self.deployment.site.workshops is None:
            raise web.HTTPError(404)

    @property
    def records(self) -> Records:
        """The workshops that there are."""
        return Records(self.db)

    @property
    def live(self) -> Live:
        """What all who look at workshops share."""
        live: Live = self.settings["live"]
        return live

    def room(self, number: int) -> Room | None:
        """Give free places to those who wait, and return who is in; None for one that is gone."""
        records = self.records
        workshop = records.get(number)
        if workshop is None:
            return None
        for name in records.fill(workshop, utcnow(with_tz=False)):
            self.note(workshop, "joined", name)
        names, waiting = records.participants(number), records.waiting(number)
        return Room(workshop, tuple(names), tuple(waiting), records.hands(number))

    def room_now(self, number: int) -> Room | None:
        """Return the same as `room`, read for all who look at this moment."""
        return self.live.rooms.of(number, lambda: self.room(number))

    def note(self, workshop: Workshop, action: str, name: str = "") -> None:
        """Write down what somebody, by default the user, did about a workshop, and tell pages.

        Hands and waiting are not written down: who plays with these would fill the audit log.
        """
        self.live.rooms.tell(workshop.number)
        who, number = name or self.current_user.name, str(workshop.number)
        emit(self.settings, "workshop", action=action, username=who, workshop=number)


class Events(WithWorkshops):
    """Parts of a page, sent whenever they have changed."""

    left = False

    def on_connection_close(self) -> None:
        """Send no more."""
        super().on_connection_close()
        self.left = True

    async def stream(self, look: Callable[[], Seen | None], render: Callable[[Seen], str]) -> None:
        """Send what is to be seen for a while, and that there is an end where nothing is left.

        Parameters
        ----------
        look : callable
            Returns what is to be seen now, None where there is nothing any more.
        render : callable
            Makes HTML of it, and is asked only where it isn't what was seen last.
        """
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-cache")
        last: Seen | None = None
        quiet_s = 0.0
        try:
            for _ in range(round(STREAM_S / LOOK_S)):
                seen = look()
                if seen is None:
                    await self.send("event: gone\ndata:\n\n")
                if seen is None or self.left:
                    return
                if seen != last:
                    await self.send(f"data: {json.dumps({'html': render(seen)})}\n\n")
                    last, quiet_s = seen, 0.0
                elif quiet_s >= KEEP_OPEN_S:
                    await self.send(":\n\n")
                    quiet_s = 0.0
                await asyncio.sleep(LOOK_S)
                quiet_s += LOOK_S
        except StreamClosedError:
            return

    async def send(self, text: str) -> None:
        """Send a piece of the stream."""
        self.write(text)
        await self.flush()

    def part(self, template: str, **names: Any) -> str:
        """Return a part of a page."""
        return str(self.render_template(template, sync=True, **names))
