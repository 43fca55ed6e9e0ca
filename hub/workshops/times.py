"""Times as a trainer types them, with a time zone, and as they are stored: in UTC.

Those that are stored carry no zone, as in all of JupyterHub's database.
"""

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

SHOWN = "%a %d %b %Y, %H:%M"
FIELD = "%Y-%m-%dT%H:%M"
"""As browsers send the field of a date with a time."""


class LocalTimeError(ValueError):
    """What was typed is no time that there is; the text is for whoever typed it."""


@cache
def zones() -> frozenset[str]:
    """Return the names of all time zones, by IANA's data base."""
    return frozenset(available_timezones())


def to_utc(typed: str, zone: str) -> datetime:
    """Return a local time in UTC.

    Parameters
    ----------
    typed : str
        As a browser's field sends it, ``2026-12-01T09:00``. Untrusted.
    zone : str
        The name of a time zone. Untrusted.

    Raises
    ------
    LocalTimeError
        There is no such time or zone, or the clocks show that time twice.
    """
    if zone not in zones():
        raise LocalTimeError("Choose a time zone from the list, such as Europe/Berlin.")
    try:
        local = datetime.strptime(typed, FIELD)
        return instant(local, ZoneInfo(zone))
    except (ValueError, OverflowError) as error:
        if isinstance(error, LocalTimeError):
            raise
        raise LocalTimeError("Type a date and a time, such as 2026-12-01T09:00.") from None


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment at which the clocks of a zone show a time, in UTC."""
    first = local.replace(tzinfo=zone)
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        raise LocalTimeError("The clocks skip this hour on that day. Choose another time.")
    if first.utcoffset() != first.replace(fold=1).utcoffset():
        raise LocalTimeError("The clocks show this hour twice on that day. Choose another time.")
    return first.astimezone(UTC).replace(tzinfo=None)


def local(at: datetime, zone: str) -> datetime:
    """Return a stored time as the clocks of a zone show it; in UTC where the zone is gone."""
    aware = at.replace(tzinfo=UTC)
    return aware.astimezone(ZoneInfo(zone)) if zone in zones() else aware


def time_text(at: datetime, zone: str) -> str:
    """Return a stored time in words, with the zone that its trainer chose."""
    return f"{local(at, zone).strftime(SHOWN)} ({zone})"


def time_field(at: datetime, zone: str) -> str:
    """Return a stored time as a browser's field takes it."""
    return local(at, zone).strftime(FIELD)
