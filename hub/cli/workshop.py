"""``beamhub workshop``: workshops without a browser, by whoever keeps the portal's state."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..deployment import Deployment
from ..secrets import SecretError
from .common import StateOption, UseCasesOption, err, fail, kept_by, out, put_out

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from ..requester import Requester
    from ..workshops.records import Records
    from ..workshops.rules import Workshop

app = typer.Typer(
    no_args_is_help=True,
    help="Workshops, as on the portal's pages and by the same rules.\n\n"
    "The portal may run meanwhile, and shows what was changed within a second. It must have been "
    "started once, by this version and with 'workshops' in its site profile.",
    rich_markup_mode=None,
)
SiteOption = Annotated[
    str, typer.Option("--site", help="The site profile that counts.", metavar="SITE")
]
NumberArgument = Annotated[
    int, typer.Argument(help="The workshop's number, as 'list' shows it.", metavar="NUMBER")
]
PortOption = Annotated[
    int | None, typer.Option(help="The port with which the portal was started, for the link.")
]


@dataclass(frozen=True)
class Desk:
    """Where a command finds the workshops of a portal."""

    deployment: Deployment
    session: "Session"
    records: "Records"

    def workshop(self, number: int) -> "Workshop":
        """Return a workshop, or exit where there is none."""
        found = self.records.get(number)
        if found is None:
            raise fail(f"There is no workshop {number}. See: beamhub workshop list")
        return found

    def note(self, workshop: "Workshop", action: str) -> None:
        """Write down what was done."""
        from ..audit import note_command

        note_command(
            self.deployment.state, "workshop", action=action, workshop=str(workshop.number)
        )


@contextmanager
def desk(site: str, state: Path | None, use_cases: list[Path] | None = None) -> Iterator[Desk]:
    """Open the workshops of a portal, or exit where that can't be done."""
    deployment = kept_by(site, state, use_cases)
    if deployment.site.workshops is None:
        raise fail(
            f"The site profile '{deployment.name}' has no workshops. Add 'workshops:' to it, and "
            "restart the portal."
        )
    from ..config import database_url
    from ..workshops.database import DatabaseError, opened
    from ..workshops.records import Records

    try:
        with opened(database_url(deployment)) as session:
            yield Desk(deployment, session, Records(session))
    except (DatabaseError, SecretError) as error:
        raise fail(str(error)) from None


def now() -> datetime:
    """Return the time in UTC, as the database has it."""
    return datetime.now(UTC).replace(tzinfo=None)


@app.command()
def create(
    title: Annotated[str, typer.Option(help="Its title.")],
    trainer: Annotated[
        str, typer.Option(help="Who holds it, by the name that they log in with; a trainer here.")
    ],
    opens: Annotated[
        str, typer.Option(help="Use case and the notebook that opens first: pyfai/01_x.ipynb.")
    ],
    capacity: Annotated[int, typer.Option(help="How many may take part.")],
    begins: Annotated[str, typer.Option(help="When it begins: 2026-12-01T09:00.")],
    ends: Annotated[str, typer.Option(help="When it ends.")],
    zone: Annotated[str, typer.Option(help="The time zone of both: Europe/Berlin.")],
    size: Annotated[str, typer.Option(help="Size of each server; what fits where left out.")] = "",
    invite: Annotated[
        list[str] | None,
        typer.Option(
            help="Somebody who may join, by the name that they log in with; may be repeated. "
            "Everybody with the link where left out."
        ),
    ] = None,
    port: PortOption = None,
    site: SiteOption = "laptop",
    state: StateOption = None,
    use_cases: UseCasesOption = None,
) -> None:
    """Make a workshop, and print its number, link and code."""
    from ..workshops.asking import wish_of
    from ..workshops.codes import new_code
    from ..workshops.rules import FormError

    form = {
        "title": title,
        "opens": opens,
        "size": size,
        "capacity": str(capacity),
        "begins": begins,
        "ends": ends,
        "zone": zone,
        "who": "list" if invite else "link",
        "invited": " ".join(invite or []),
    }
    with desk(site, state, use_cases) as at:
        holder = trainer_of(at, trainer)
        try:
            wish = wish_of(form, holder, at.deployment, now())
        except FormError as error:
            told = [f"{field}: {problem}" for field, problem in error.problems.items()]
            raise fail("\n".join(told)) from None
        made = at.records.add(wish, trainer=holder.name, code=new_code())
        at.note(made, "made")
        show(at, made, port)


def trainer_of(at: Desk, name: str) -> "Requester":
    """Return a trainer by name, or exit where that is none."""
    from jupyterhub import orm

    from ..launching import standing_in
    from ..requester import Requester
    from ..workshops.rules import is_trainer

    user = orm.User.find(at.session, name)
    groups = frozenset(group.name for group in user.groups) if user else frozenset()
    if not is_trainer(at.deployment.site.workshops, name, groups, bool(user and user.admin)):
        raise fail(
            f"'{name}' may not hold workshops here. Name them in the site profile, at "
            "'workshops.trainers'; members of 'trainer_groups' count once they have logged in."
        )
    return Requester(name, standing_in(groups, name, at.deployment))


def show(at: Desk, workshop: "Workshop", port: int | None) -> None:
    """Print a workshop, and how people come in."""
    from ..workshops.told import entrance, line
    from .serve import with_port

    url = with_port(at.deployment, port).site.serving.url
    taken = at.records.taken(workshop.number)
    for text in (line(workshop, taken, now()), *entrance(workshop, url)):
        out.print(text)


@app.command("list")
def list_(site: SiteOption = "laptop", state: StateOption = None) -> None:
    """List the workshops that there are, those that end last first."""
    from ..workshops.told import line

    with desk(site, state) as at:
        found = at.records.held_by(None)
        lines = [line(w, at.records.taken(w.number), now()) for w in found]
        for text in lines or ["There are no workshops yet. See: beamhub workshop create --help"]:
            out.print(text)


@app.command()
def status(
    number: NumberArgument,
    port: PortOption = None,
    site: SiteOption = "laptop",
    state: StateOption = None,
) -> None:
    """Print a workshop's link, and how far each of its participants is."""
    from ..workshops.board import progress
    from ..workshops.told import people

    with desk(site, state) as at:
        workshop = at.workshop(number)
        show(at, workshop, port)
        far = progress(at.records.told(number))
        hands = at.records.hands(number)
        for text in people(at.records.participants(number), far, hands, workshop.zone):
            out.print(text)
        if waiting := at.records.waiting(number):
            out.print(f"Waiting for a place, the next one first: {', '.join(waiting)}")


@app.command()
def extend(
    number: NumberArgument,
    ends: Annotated[
        str, typer.Option(help="When it ends now, in its own time zone: 2026-12-01T18:00.")
    ] = "",
    capacity: Annotated[int | None, typer.Option(help="How many may take part now.")] = None,
    site: SiteOption = "laptop",
    state: StateOption = None,
) -> None:
    """Let a workshop end at another time, or have more places; also one that is over."""
    from ..workshops.rules import why_not_capacity, why_not_until
    from ..workshops.times import LocalTimeError, to_utc

    with desk(site, state) as at:
        workshop, settings = at.workshop(number), at.deployment.site.workshops
        assert settings is not None
        until = workshop.ends
        try:
            if ends:
                until = to_utc(ends, workshop.zone)
        except LocalTimeError as problem:
            raise fail(f"--ends: {problem}") from None
        if ends and (why := why_not_until(workshop.begins, until, now())):
            raise fail(f"--ends: {why}")
        if capacity is not None and (why := why_not_capacity(capacity, settings)):
            raise fail(f"--capacity: {why}")
        if not ends and capacity is None:
            raise fail("Say what to change, with --ends or --capacity.")
        if ends:
            at.records.move_end(number, until)
            at.note(workshop, "end-moved")
        if capacity is not None:
            at.records.change_capacity(number, capacity)
            at.note(workshop, "capacity-changed")
        show(at, at.workshop(number), None)


@app.command()
def end(number: NumberArgument, site: SiteOption = "laptop", state: StateOption = None) -> None:
    """End a workshop now. Servers go on, and 'extend' lets it run again."""
    with desk(site, state) as at:
        workshop, moment = at.workshop(number), now()
        if workshop.state(moment) == "over":
            err.print(f"Workshop {number} is over already.")
            return
        at.records.move_end(number, moment)
        at.note(workshop, "ended")
        out.print(f"Workshop {number} is over: nobody can come in any more.")


@app.command()
def export(number: NumberArgument, site: SiteOption = "laptop", state: StateOption = None) -> None:
    """Print all checks of a workshop as CSV, as its board offers them."""
    from ..workshops.board import table

    with desk(site, state) as at:
        put_out(table(at.records.told(at.workshop(number).number)))
