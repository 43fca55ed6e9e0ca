"""Who did what: events as lines of JSON, by JupyterHub's own event log.

Events hold names of what is there, never what somebody typed: no password, token or text of a
user's is in them, and JSON leaves nobody a way to begin a line of their own.
"""

import logging
import os
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

AUDIT = "logs/audit.jsonl"
LARGEST_BYTES = 20_000_000
OLDER_FILES = 9
SCHEMAS = Path(__file__).parent / "events"
BASE = "https://schema.beamhub.org/events"
WALLTIME = "walltime"
BY_COMMAND = "(by command)"
"""In the place of a user's name; no user can have it."""


class PrivateFile(RotatingFileHandler):
    """A file of events that only the portal's account reads, cut into pieces by size."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding="utf-8", opener=private)


def private(path: str, flags: int) -> int:
    """Open a file of the portal's account alone."""
    return os.open(path, flags, 0o600)


def keep_events(eventlog: Any, state: Path) -> None:
    """Let a portal's event log know our events, and write all of them to a file."""
    for schema in sorted(SCHEMAS.glob("*.yaml")):
        eventlog.register_event_schema(schema)
    file = PrivateFile(state / AUDIT, maxBytes=LARGEST_BYTES, backupCount=OLDER_FILES, delay=True)
    file.setLevel(logging.INFO)
    eventlog.register_handler(file)


def note_command(state: Path, event: str, **data: str) -> None:
    """Write down what somebody did by a command, beside a portal that may run."""
    from jupyter_events import EventLogger

    eventlog = EventLogger()
    keep_events(eventlog, state)
    emit({"eventlog": eventlog}, event, username=BY_COMMAND, **data)


def emit(settings: dict[str, Any], event: str, **data: str) -> None:
    """Write an event down.

    Parameters
    ----------
    settings : dict
        The portal's settings, as pages and users have them; without an event log, as in a
        test of one part, nothing is written.
    event : str
        The name of one of the schemas.
    **data : str
        Its properties; empty ones that aren't required are left out by the caller.
    """
    if (eventlog := settings.get("eventlog")) is not None:
        eventlog.emit(schema_id=f"{BASE}/{event}", data=data)


def note_start(spawner: Any) -> None:
    """Write down that a server is being started: JupyterHub's ``pre_spawn_hook``."""
    asking = getattr(spawner.handler, "current_user", None)
    size = str((spawner.orm_spawner.user_options or {}).get("size", ""))
    note_server(spawner, "start", by=name_of(asking) or spawner.user.name, size=size)


def note_server(spawner: Any, action: str, *, by: str, **more: str) -> None:
    """Write down who has a server started or stopped."""
    names = {"username": spawner.user.name, "servername": spawner.name}
    emit(spawner.user.settings, "server", action=action, **names, by=by, **more)


def name_of(somebody: Any) -> str:
    """Return the name of a user or a service of JupyterHub's, empty for nobody."""
    return str(getattr(somebody, "name", "") or "")
