"""The way of a participant into a workshop: a code, what is told about them, one button."""

from jupyterhub.utils import url_path_join, utcnow
from tornado import web

from spawners.amounts import seconds_text

from ..audit import emit
from ..refusal import Refused
from ..throttle import Throttle
from ..workshops.codes import as_typed, find
from ..workshops.records import Records
from ..workshops.rules import Workshop, why_not_in
from .base import Page
from .launch import Open

UNKNOWN = (
    "No workshop has this code. It has eight letters and digits, such as k7mp-w3xz: look at it "
    "again, or ask your trainer for the link."
)


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

    def note(self, workshop: Workshop, action: str) -> None:
        """Write down what somebody did about a workshop."""
        name, number = self.current_user.name, str(workshop.number)
        emit(self.settings, "workshop", action=action, username=name, workshop=number)


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


class Join(WithWorkshops, Open):
    """``/hub/join/<code>``: what a workshop is, and the button that opens one's own server."""

    @web.authenticated
    async def get(self, code: str) -> None:
        """Show the workshop, or why one can't come in."""
        try:
            workshop = self.let_in(code)
        except Refused as refusal:
            await self.show_refusal(refusal)
            return
        use_case = self.deployment.use_cases[workshop.use_case]
        joined = self.records.has_joined(workshop.number, self.current_user.name)
        await self.show("join.html", workshop=workshop, manifest=use_case.manifest, joined=joined)

    @web.authenticated
    async def post(self, code: str) -> None:
        """Take the place, and go to one's own server, started if it doesn't run."""
        if not await self.has_standing():
            return
        try:
            workshop = self.let_in(code)
            asked, launch = self.planned(workshop.use_case, options_of(workshop))
        except Refused as refusal:
            if refusal.reason == "licence" and refusal.page:
                refusal.message += " Then open the workshop's link again."
            await self.show_refusal(refusal)
            return
        name = workshop.use_case
        if not self.records.has_joined(workshop.number, self.current_user.name):
            self.records.join(workshop.number, self.current_user.name, utcnow(with_tz=False))
            self.note(workshop, "joined")
        spawner = self.current_user.spawners.get(name)
        if spawner is not None and spawner.ready:
            self.redirect(self.server_page(name, launch.start_page))
            return
        if spawner is None or not spawner.active:
            await self.begin(name, asked)
        self.redirect(self.pending_page(name, launch.start_page))

    def let_in(self, code: str) -> Workshop:
        """Return the workshop of a code, if the user may come in now.

        Raises
        ------
        Refused
            They may not, or there is none.
        """
        workshop = self.workshop_of(code)
        name, number = self.current_user.name, workshop.number
        joined, taken = self.records.has_joined(number, name), self.records.taken(number)
        now = utcnow(with_tz=False)
        if why := why_not_in(workshop, name, joined=joined, taken=taken, now=now):
            raise Refused(why, reason="workshop", status=403)
        return workshop

    def workshop_of(self, code: str) -> Workshop:
        """Return the workshop of a code; who types too many that there aren't has to wait."""
        name, records = self.current_user.name, self.records
        code = as_typed(code)
        if not code:
            raise Refused(UNKNOWN, reason="workshop", status=404)
        # Whoever takes part comes back however much was guessed in their name.
        joined = find(code, ((w.code, w) for w in records.joined_by(name)))
        if joined is not None:
            return joined
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


def options_of(workshop: Workshop) -> dict[str, list[str]]:
    """Return what a participant's start asks for, as a form would."""
    asked = {"size": workshop.size, "notebook": workshop.notebook}
    return {name: [value] for name, value in asked.items() if value}


HANDLERS = [(r"/join", TypeCode), (r"/join/([^/]+)", Join)]
