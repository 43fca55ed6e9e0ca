"""What somebody does about a workshop: waits for a place, leaves; and sees their page change."""

from jupyterhub.utils import url_path_join, utcnow
from tornado import web

from ..refusal import Refused
from ..workshops.live import Mine, Room
from .join import WithCode
from .of_workshops import Events


class TakingPart(WithCode):
    """What is done by a button on the page of a workshop."""

    async def back_to(self, room: Room) -> None:
        """Show the page again."""
        self.redirect(url_path_join(self.hub.base_url, "join", room.workshop.code), status=303)


class Wait(TakingPart):
    """The end of the waiting list."""

    @web.authenticated
    async def post(self, code: str) -> None:
        """Put the user on it, if no place is free."""
        try:
            room = self.let_in(code)
        except Refused as refusal:
            await self.show_refusal(refusal)
            return
        if room.is_full:
            self.records.wait(room.workshop.number, self.current_user.name)
            self.live.rooms.tell(room.workshop.number)
        await self.back_to(room)


class Hand(TakingPart):
    """The user's hand: whether they want help."""

    @web.authenticated
    async def post(self, code: str, action: str) -> None:
        """Raise it, or take it down."""
        try:
            room = self.let_in(code)
            mine, now = self.mine(room), utcnow(with_tz=False)
            if not mine.joined:
                raise Refused("Only who is in the workshop can raise a hand.", reason="workshop")
        except Refused as refusal:
            await self.show_refusal(refusal)
            return
        number, name = room.workshop.number, self.current_user.name
        if action == "raise":
            self.records.raise_hand(number, name, now)
        else:
            self.records.take_hand_down(number, name)
        self.live.rooms.tell(number)
        await self.back_to(room)


class Leave(TakingPart):
    """Gives a place up, or one on the waiting list, after a question."""

    @web.authenticated
    async def get(self, code: str) -> None:
        """Ask, and say what is lost."""
        try:
            room = self.room_of(code)
        except Refused as refusal:
            await self.show_refusal(refusal)
            return
        await self.show("leave.html", workshop=room.workshop, mine=self.mine(room))

    @web.authenticated
    async def post(self, code: str) -> None:
        """Do it, also after the end; who waits longest has the place."""
        try:
            room = self.room_of(code)
        except Refused as refusal:
            await self.show_refusal(refusal)
            return
        mine, number = self.mine(room), room.workshop.number
        if mine.joined or mine.place:
            self.records.leave(number, self.current_user.name)
            self.live.progress.tell(room.workshop.code)
            self.note(room.workshop, "left")
            self.room(number)
        self.redirect(url_path_join(self.hub.base_url, "workshops"), status=303)


class MineEvents(WithCode, Events):
    """What changes on the page of somebody who takes part or waits."""

    @web.authenticated
    async def get(self, code: str) -> None:
        """Stream it, for a while; nothing for who has no place in it and waits for none."""
        number = self.own_number(code)
        await self.stream(
            lambda: self.look(number) if number is not None else None,
            lambda mine: self.part("_mine.html", mine=mine, workshop=mine.workshop),
        )

    def own_number(self, code: str) -> int | None:
        """Return the number of a workshop of the user's; no code is tried here."""
        name, records = self.current_user.name, self.records
        own = [*records.joined_by(name), *records.waited_for_by(name)]
        return next((w.number for w in own if w.code == code), None)

    def look(self, number: int) -> Mine | None:
        """Return what the user sees at this moment, None where they are in it no longer."""
        room = self.room_now(number)
        mine = room.mine(self.current_user.name, utcnow(with_tz=False)) if room else None
        return mine if mine and (mine.joined or mine.place) else None


HANDLERS = [
    (r"/join/([^/]+)/wait", Wait),
    (r"/join/([^/]+)/hand/(raise|lower)", Hand),
    (r"/join/([^/]+)/leave", Leave),
    (r"/join/([^/]+)/events", MineEvents),
]
