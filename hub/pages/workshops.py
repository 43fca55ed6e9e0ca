"""Workshops as their trainers see them: making one, its link and code, its end."""

from typing import Any

import segno
from jupyterhub.utils import url_path_join, utcnow
from tornado import web

from ..launching import standing_of
from ..refusal import Refused
from ..requester import Requester
from ..workshops.asking import wish_of
from ..workshops.codes import new_code
from ..workshops.rules import (
    FIELDS,
    FormError,
    Wish,
    Workshop,
    is_trainer,
    small_number,
    why_not_capacity,
    why_not_until,
)
from ..workshops.times import LocalTimeError, time_field, to_utc, zones
from .of_workshops import WithWorkshops

QR_SCALE = 6
NOBODYS = "There is no such workshop of yours. It may have been deleted after its end."


class Workshops(WithWorkshops):
    """``/hub/workshops``: those that one holds, and those in which one takes part."""

    @web.authenticated
    async def get(self) -> None:
        """Show them."""
        user, records = self.current_user, self.records
        held = records.held_by(None if user.admin else user.name) if self.is_trainer else []
        await self.show(
            "workshops.html",
            trainer=self.is_trainer,
            held=held,
            joined=records.joined_by(user.name),
            waited_for=records.waited_for_by(user.name),
            taken={w.number: records.taken(w.number) for w in held},
            now=utcnow(with_tz=False),
        )

    @property
    def is_trainer(self) -> bool:
        """Whether the user may hold workshops."""
        user, site = self.current_user, self.deployment.site
        groups = standing_of(user, self.deployment).groups
        return is_trainer(site.workshops, user.name, groups, user.admin)


class ForTrainers(Workshops):
    """A page for those who may hold workshops, and of a workshop for who holds it."""

    def prepare_trainer(self) -> None:
        """Refuse everybody else."""
        if not self.is_trainer:
            raise web.HTTPError(
                403,
                "Workshops are held by trainers. Ask "
                f"{self.deployment.site.contact} if you want to hold one.",
            )

    def held(self, number: str) -> Workshop:
        """Return a workshop of the user's own; administrators may look after all.

        Raises
        ------
        Refused
            It is none of theirs, which is told of all that there aren't too.
        """
        self.prepare_trainer()
        user, workshop = self.current_user, self.records.get(int(number))
        if workshop is None or not (user.admin or workshop.trainer == user.name):
            raise Refused(NOBODYS, reason="workshop", status=404)
        return workshop

    async def held_or_told(self, number: str) -> Workshop | None:
        """Return a workshop as `held` does, None once the page has said why not."""
        try:
            return self.held(number)
        except Refused as refusal:
            await self.show_refusal(refusal)
            return None

    def page_of(self, workshop: Workshop) -> str:
        """Return the address of a workshop's page."""
        return f"{self.hub.base_url}workshops/{workshop.number}"

    def form(self) -> dict[str, str]:
        """Return the fields that were sent."""
        return {name: self.get_body_argument(name, "", strip=False) for name in FIELDS}


class New(ForTrainers):
    """``/hub/workshops/new``: one page, on which nothing that was typed gets lost."""

    @web.authenticated
    async def get(self) -> None:
        """Show the form."""
        self.prepare_trainer()
        await self.show_form({"capacity": "20", "zone": "UTC", "who": "link"}, {})

    @web.authenticated
    async def post(self) -> None:
        """Make the workshop, or say what is wrong where it is."""
        self.prepare_trainer()
        form = self.form()
        try:
            wish = self.wish(form)
        except FormError as error:
            self.set_status(400)
            await self.show_form(form, error.problems)
            return
        trainer = self.current_user.name
        workshop = self.records.add(wish, trainer=trainer, code=new_code())
        self.note(workshop, "made")
        self.redirect(self.page_of(workshop), status=303)

    def wish(self, form: dict[str, str]) -> Wish:
        """Return the workshop that a form asks for, if the trainer could open what it opens.

        Raises
        ------
        FormError
            Something can't be had.
        """
        trainer = Requester(self.current_user.name, standing_of(self.current_user, self.deployment))
        return wish_of(form, trainer, self.deployment, utcnow(with_tz=False))

    async def show_form(self, form: dict[str, str], problems: dict[str, str]) -> None:
        """Show the form with what was typed, and what is wrong with it."""
        site = self.deployment.site
        assert site.workshops is not None
        await self.show(
            "workshop_new.html",
            form=form,
            problems=problems,
            use_cases={n: u for n, u in self.deployment.offered.items() if not u.manifest.coming},
            sizes=site.sizes,
            capacity_max=site.workshops.capacity_max,
            keep_days=site.workshops.keep_days,
            zones=sorted(zones()),
        )


class One(ForTrainers):
    """``/hub/workshops/<number>``: the link, the code, the end."""

    @web.authenticated
    async def get(self, number: str) -> None:
        """Show them."""
        workshop = await self.held_or_told(number)
        if workshop is None:
            return
        await self.show_workshop(workshop)

    @web.authenticated
    async def post(self, number: str) -> None:
        """Let it end at another time."""
        workshop = await self.held_or_told(number)
        if workshop is None:
            return
        typed = self.get_body_argument("ends", "")
        try:
            ends = to_utc(typed, workshop.zone)
            why = why_not_until(workshop.begins, ends, utcnow(with_tz=False))
        except LocalTimeError as problem:
            why = str(problem)
        if why:
            self.set_status(400)
            await self.show_workshop(workshop, ends=typed, problem=why)
            return
        self.records.move_end(workshop.number, ends)
        self.note(workshop, "end-moved")
        self.redirect(self.page_of(workshop), status=303)

    async def show_workshop(self, workshop: Workshop, **names: Any) -> None:
        """Show the page, with what was typed into it."""
        link = workshop.link(self.deployment.site.serving.url)
        qr = segno.make(link, error="m").svg_inline(scale=QR_SCALE, light="#fff", omitsize=True)
        shown = {
            "workshop": workshop,
            "use_case": self.deployment.use_cases.get(workshop.use_case),
            "taken": self.records.taken(workshop.number),
            "state": workshop.state(utcnow(with_tz=False)),
            "link": link,
            "qr": qr,
            "ends": time_field(workshop.ends, workshop.zone),
            "capacity": workshop.capacity,
            "waiting": len(self.records.waiting(workshop.number)),
            "problem": "",
            "few": "",
        }
        await self.show("workshop.html", **{**shown, **names})


class Places(One):
    """How many may take part in a workshop."""

    @web.authenticated
    async def get(self, number: str) -> None:
        """Show the workshop, where that is changed."""
        workshop = await self.held_or_told(number)
        if workshop is not None:
            self.redirect(self.page_of(workshop))

    @web.authenticated
    async def post(self, number: str) -> None:
        """Change it; nobody who takes part loses a place."""
        workshop, settings = await self.held_or_told(number), self.deployment.site.workshops
        if workshop is None or settings is None:
            return
        typed = self.get_body_argument("capacity", "")
        capacity = small_number(typed)
        if why := why_not_capacity(capacity, settings):
            self.set_status(400)
            await self.show_workshop(workshop, capacity=typed, few=why)
            return
        self.records.change_capacity(workshop.number, capacity)
        self.note(workshop, "capacity-changed")
        self.room(workshop.number)
        self.redirect(self.page_of(workshop), status=303)


class End(ForTrainers):
    """Ends a workshop now, or deletes one, after a question."""

    @web.authenticated
    async def get(self, number: str, action: str) -> None:
        """Ask, and say what is lost."""
        workshop = await self.held_or_told(number)
        if workshop is None:
            return
        taken = self.records.taken(workshop.number)
        await self.show("workshop_end.html", workshop=workshop, action=action, taken=taken)

    @web.authenticated
    async def post(self, number: str, action: str) -> None:
        """Do it."""
        workshop = await self.held_or_told(number)
        if workshop is None:
            return
        now = utcnow(with_tz=False)
        if action == "delete":
            self.records.remove(workshop.number)
            self.note(workshop, "deleted")
            self.redirect(url_path_join(self.hub.base_url, "workshops"), status=303)
            return
        if workshop.state(now) != "over":
            self.records.move_end(workshop.number, now)
            self.note(workshop, "ended")
        self.redirect(self.page_of(workshop), status=303)


NUMBER = r"(\d{1,9})"
HANDLERS = [
    (r"/workshops", Workshops),
    (r"/workshops/new", New),
    (rf"/workshops/{NUMBER}", One),
    (rf"/workshops/{NUMBER}/places", Places),
    (rf"/workshops/{NUMBER}/(end|delete)", End),
]
