"""The way of a participant into a workshop: a code, what is told about them, one button."""

from jupyterhub.utils import url_path_join, utcnow
from tornado import web

from spawners.amounts import seconds_text

from ..plan import Asked
from ..refusal import Refused
from ..throttle import Throttle
from ..workshops.codes import as_typed, find
from ..workshops.live import Mine, Room
from ..workshops.rules import Workshop, why_not_in
from .launch import Open
from .of_workshops import WithWorkshops

FOLDER_PAGE = "beamhub/folder"
"""Of a server, by `workbench.folder`."""
UNKNOWN = (
    "No workshop has this code. It has eight letters and digits, such as k7mp-w3xz: look at it "
    "again, or ask your trainer for the link."
)


class TypeCode(WithWorkshops):
    """``/hub/join``: the field for a code that was shown on a wall."""

    @web.authenticated
    async def get(self) -> None:
        """Show it, or go on with what was typed."""
        typed = self.get_query_argument("code", "")
        code = as_typed(typed)
        if code:
            self.redirect(url_path_join(self.hub.base_url, "join", code))
            return
        if typed:
            self.set_status(400)
        await self.show("join_code.html", typed=typed, problem=UNKNOWN if typed else "")


class WithCode(WithWorkshops):
    """A page about the workshop of a code."""

    def let_in(self, code: str) -> Room:
        """Return the workshop of a code with who is in it, if the user may come in now.

        Raises
        ------
        Refused
            They may not, or there is none.
        """
        room = self.room_of(code)
        if why := why_not_in(room.workshop, self.current_user.name, utcnow(with_tz=False)):
            raise Refused(why, reason="workshop", status=403)
        return room

    def room_of(self, code: str) -> Room:
        """Return the workshop of a code with who is in it; whoever has no place may look too.

        Raises
        ------
        Refused
            There is none.
        """
        room = self.room(self.workshop_of(code).number)
        if room is None:
            raise Refused(UNKNOWN, reason="workshop", status=404)
        return room

    def mine(self, room: Room) -> Mine:
        """Return what the user sees of a workshop."""
        return room.mine(self.current_user.name, utcnow(with_tz=False))

    async def show_mine(self, room: Room) -> None:
        """Show what the user sees of it."""
        workshop = room.workshop
        use_case = self.deployment.use_cases.get(workshop.use_case)
        title = use_case.manifest.title if use_case else workshop.use_case
        await self.show("join.html", mine=self.mine(room), workshop=workshop, opens=title)

    def workshop_of(self, code: str) -> Workshop:
        """Return the workshop of a code; who types too many that there aren't has to wait."""
        name, records = self.current_user.name, self.records
        code = as_typed(code)
        if not code:
            raise Refused(UNKNOWN, reason="workshop", status=404)
        # Whoever takes part or waits comes back however much was guessed in their name.
        own = [*records.joined_by(name), *records.waited_for_by(name)]
        if (mine := find(code, ((w.code, w) for w in own))) is not None:
            return mine
        throttle: Throttle = self.settings["join_throttle"]
        if wait_s := throttle.wait_s(name, name):
            raise Refused(
                "You have tried too many codes that no workshop has, so this one was not looked "
                f"at. Try again in {seconds_text(max(1, round(wait_s + 0.5)))}, or ask your "
                "trainer for the link.",
                reason="throttled",
                status=429,
            )
        number = find(code, records.codes())
        workshop = records.get(number) if number is not None else None
        if workshop is None:
            # By account, not by address: a class sits behind one.
            throttle.begin(name, name)
            raise Refused(UNKNOWN, reason="workshop", status=404)
        return workshop


class Join(WithCode, Open):
    """``/hub/join/<code>``: what a workshop is, and the button that opens one's own server."""

    @web.authenticated
    async def get(self, code: str) -> None:
        """Show the workshop, or why one can't come in."""
        try:
            room = self.room_of(code)
            # Whoever took part finds the way to their files here also after the end.
            if not self.mine(room).may_take_home:
                room = self.let_in(code)
        except Refused as refusal:
            await self.show_refusal(refusal)
            return
        await self.show_mine(room)

    @web.authenticated
    async def post(self, code: str) -> None:
        """Take the place, and go to one's own server, started if it doesn't run."""
        if not await self.has_standing():
            return
        try:
            room = self.let_in(code)
            workshop, mine = room.workshop, self.mine(room)
            if mine.is_full and not mine.joined:
                self.set_status(403)
                await self.show_mine(room)
                return
            asked, launch = self.planned(workshop.use_case, options_of(workshop))
        except Refused as refusal:
            if refusal.reason == "licence" and refusal.page:
                refusal.message += " Then open the workshop's link again."
            await self.show_refusal(refusal)
            return
        if not mine.joined:
            self.records.join(workshop.number, self.current_user.name, utcnow(with_tz=False))
            self.note(workshop, "joined")
        await self.go_to(workshop.use_case, asked, launch.start_page)

    async def go_to(self, name: str, asked: Asked, page: str) -> None:
        """Go to a page of one's own server, started if it doesn't run."""
        spawner = self.current_user.spawners.get(name)
        if spawner is not None and spawner.ready:
            self.redirect(self.server_page(name, page))
            return
        if spawner is None or not spawner.active:
            await self.begin(name, asked)
        self.redirect(self.pending_page(name, page))


class Folder(Join):
    """One's own files of the workshop's use case, as an archive: while it runs, and after."""

    @web.authenticated
    def get(self, code: str) -> None:
        """Show the workshop, where the button is."""
        self.redirect(url_path_join(self.hub.base_url, "join", code))

    @web.authenticated
    async def post(self, code: str) -> None:
        """Have one's own server send it, started as any other of one's own if it doesn't run."""
        if not await self.has_standing():
            return
        try:
            room = self.room_of(code)
            if not self.mine(room).may_take_home:
                raise Refused("Only who has taken part has files to take home.", reason="workshop")
            name = room.workshop.use_case
            asked, _ = self.planned(name, {})
        except Refused as refusal:
            await self.show_refusal(refusal)
            return
        await self.go_to(name, asked, FOLDER_PAGE)


def options_of(workshop: Workshop) -> dict[str, list[str]]:
    """Return what a participant's start asks for, as a form would."""
    asked = {"size": workshop.size, "notebook": workshop.notebook}
    return {name: [value] for name, value in asked.items() if value}


HANDLERS = [
    (r"/join", TypeCode),
    (r"/join/([^/]+)", Join),
    (r"/join/([^/]+)/folder", Folder),
]
