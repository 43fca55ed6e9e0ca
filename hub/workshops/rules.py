"""What a workshop is, who may hold one, and who may come in when: without clock or storage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from .settings import Workshops
from .times import LocalTimeError, time_text, to_utc

TITLE_MAX = 100
INVITED_MAX = 1000
NAME_MAX = 255
MESSAGE_MAX = 120
"""JupyterLab shows the first 140 characters of a notice, and says before it what it is."""
LONGEST_DAYS = 31
FURTHEST_DAYS = 730
FIELDS = ("title", "opens", "size", "capacity", "begins", "ends", "zone", "who", "invited")

State = Literal["to come", "running", "over"]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a trainer asks for.

    Parameters
    ----------
    title : str
        Its title, one line of a person's.
    use_case, notebook, size : str
        What each participant gets, as `hub.plan` knows them; an empty size leaves it to the portal.
    capacity : int
        How many may take part.
    begins, ends : datetime
        From when until when, in UTC.
    zone : str
        The time zone in which its people are told times.
    invited : frozenset of str
        The names of those who may join; empty: everybody who can log in and has the link.
    """

    title: str
    use_case: str
    notebook: str
    size: str
    capacity: int
    begins: datetime
    ends: datetime
    zone: str
    invited: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Workshop(Wish):
    """A workshop that there is.

    Parameters
    ----------
    number : int
        What its trainer's pages are called by; no secret.
    code : str
        What lets people in.
    trainer : str
        The name of the user who holds it.
    message : str
        What its trainer told all people in it last, one line; empty for nothing.
    message_at : datetime or None
        When that was, in UTC.
    """

    number: int
    code: str
    trainer: str
    message: str = ""
    message_at: datetime | None = None

    def state(self, now: datetime) -> State:
        """Return whether it runs."""
        if now >= self.ends:
            return "over"
        return "running" if now >= self.begins else "to come"

    def deleted(self, keep_days: int) -> datetime:
        """Return when what is kept of it is deleted, in UTC."""
        return self.ends + timedelta(days=keep_days)

    def link(self, portal: str) -> str:
        """Return what participants open, below a portal's address."""
        return f"{portal}/hub/join/{self.code}"


class FormError(ValueError):
    """What is wrong with a form, by its fields; the texts are for whoever filled it in."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = dict(problems)


def is_trainer(settings: Workshops | None, name: str, groups: frozenset[str], admin: bool) -> bool:
    """Return whether somebody may hold workshops at a site."""
    if settings is None:
        return False
    return admin or name in settings.trainers or not groups.isdisjoint(settings.trainer_groups)


def read_form(form: Mapping[str, str], settings: Workshops, now: datetime) -> Wish:
    """Return the workshop that a form asks for.

    Whether there is such a use case, notebook and size is for `hub.plan` to say.

    Parameters
    ----------
    form : mapping
        Its fields. Untrusted.
    settings : Workshops
        What the site allows.
    now : datetime
        In UTC.

    Raises
    ------
    FormError
        Something can't be had.
    """
    use_case, _, notebook = form.get("opens", "").partition("/")
    capacity = small_number(form.get("capacity", ""))
    zone = form.get("zone", "").strip()
    title = " ".join(form.get("title", "").split())
    problems: dict[str, str] = {}
    if not title or len(title) > TITLE_MAX or not title.isprintable():
        problems["title"] = f"Give it a title of at most {TITLE_MAX} characters."
    if why := why_not_capacity(capacity, settings):
        problems["capacity"] = why
    begins, ends = read_times(form, zone, now, problems)
    invited = read_invited(form, problems)
    if problems:
        raise FormError(problems)
    return Wish(
        title=title,
        use_case=use_case,
        notebook=notebook,
        size=form.get("size", ""),
        capacity=capacity,
        begins=begins,
        ends=ends,
        zone=zone,
        invited=invited,
    )


def read_times(
    form: Mapping[str, str], zone: str, now: datetime, problems: dict[str, str]
) -> tuple[datetime, datetime]:
    """Return when a workshop begins and ends; what is wrong with that goes into `problems`."""
    times = []
    for field in ("begins", "ends"):
        try:
            times.append(to_utc(form.get(field, ""), zone))
        except LocalTimeError as problem:
            problems[field] = str(problem)
            times.append(now)
    begins, ends = times
    if begins > now + timedelta(days=FURTHEST_DAYS):
        problems["begins"] = "It can begin within the next two years."
    if not {"begins", "ends"} & set(problems) and (why := why_not_until(begins, ends, now)):
        problems["ends"] = why
    return begins, ends


def read_invited(form: Mapping[str, str], problems: dict[str, str]) -> frozenset[str]:
    """Return who alone may join, nobody for all; what is wrong with that goes into `problems`."""
    if form.get("who", "link") == "link":
        return frozenset()
    # As JupyterHub keeps all names.
    invited = frozenset(form.get("invited", "").lower().replace(",", " ").split())
    if not invited or len(invited) > INVITED_MAX or any(len(n) > NAME_MAX for n in invited):
        problems["invited"] = (
            f"Name those who may join by the names that they log in with, {INVITED_MAX} at most, "
            "or let everybody join who has the link."
        )
    return invited


def small_number(typed: str) -> int:
    """Return a small number that was typed, 0 where it is none."""
    text = typed.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


def why_not_capacity(capacity: int, settings: Workshops) -> str:
    """Return why a workshop can't have so many places, empty where it can."""
    if 1 <= capacity <= settings.capacity_max:
        return ""
    return (
        f"A workshop here has 1 to {settings.capacity_max} participants. For more, hold two, or "
        "ask whoever runs the portal."
    )


def why_not_until(begins: datetime, ends: datetime, now: datetime) -> str:
    """Return why a workshop can't end then, empty where it can."""
    if ends <= begins:
        return "It ends after it has begun: choose a later end."
    if ends <= now:
        return "This end is in the past: choose a later one."
    if ends > begins + timedelta(days=LONGEST_DAYS):
        return f"A workshop lasts {LONGEST_DAYS} days at most: choose an earlier end."
    return ""


def why_not_message(text: str, workshop: Workshop, now: datetime) -> str:
    """Return why a trainer can't tell all people in a workshop something, empty where they can."""
    if workshop.state(now) != "running":
        return "Messages reach people while the workshop runs, and it doesn't now."
    if not text.strip() or len(text) > MESSAGE_MAX or not text.isprintable():
        return f"Write one line of at most {MESSAGE_MAX} characters."
    return ""


def why_not_in(workshop: Workshop, name: str, now: datetime) -> str:
    """Return why somebody can't come into a workshop now, empty where they can if a place is free.

    Parameters
    ----------
    workshop : Workshop
        Which.
    name : str
        Who.
    now : datetime
        In UTC.
    """
    ask = f"Ask {workshop.trainer}, who holds it."
    if workshop.invited and name not in workshop.invited:
        return f"This workshop is for people on its list, and {name} is not on it. {ask}"
    state = workshop.state(now)
    if state == "over":
        over = time_text(workshop.ends, workshop.zone)
        return (
            f"The workshop “{workshop.title}” is over since {over}. Its use case is still among "
            "the others, and your files are where they were."
        )
    if state == "to come":
        when = time_text(workshop.begins, workshop.zone)
        return f"The workshop “{workshop.title}” has not begun. Come back at {when}. {ask}"
    return ""


def next_in(workshop: Workshop, taken: int, waiting: Sequence[str], now: datetime) -> Sequence[str]:
    """Return who gets the places that are free, of those who wait, in their order.

    Parameters
    ----------
    workshop : Workshop
        Which.
    taken : int
        How many places are taken.
    waiting : sequence of str
        Who waits, the first first.
    now : datetime
        In UTC.
    """
    if workshop.state(now) != "running":
        return ()
    return waiting[: max(0, workshop.capacity - taken)]
