"""Which accounts of a machine are people's."""

import re
from pathlib import Path

DEFINITIONS = Path("/etc/login.defs")
"""Where a machine says which numbers its accounts of people have."""


def first_person(definitions: Path = DEFINITIONS) -> int:
    """Return the first number of people's accounts: those below it belong to services.

    It is what the machine itself says to `useradd`, 1000 where it says nothing, and never root's.
    """
    try:
        text = definitions.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 1000
    found = re.search(r"^\s*UID_MIN\s+(\d+)\s*$", text, re.MULTILINE)
    return max(1, int(found[1])) if found else 1000
