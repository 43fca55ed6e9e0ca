"""How a tutorial's checks came out, told to the hub: in a workshop its trainer sees that.

Only the names of notebook and checks, and whether these hold, leave the server. The hub keeps them
while a workshop of the user's runs, and forgets them at once otherwise. Nothing of it is seen or
felt in the notebook: where there is no hub, or none that answers, nothing happens.
"""

import os
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from threading import Thread

from . import own_hub

SESSION = "JPY_SESSION_NAME"
"""In a kernel's environment, by Jupyter: its notebook's path."""
TIMEOUT_S = 3.0
TEXT_MAX, CHECKS_MAX = 200, 100
"""The portal takes no more."""


def report(checks: Mapping[str, bool]) -> Thread | None:
    """Tell the hub, in a thread of its own that nobody waits for.

    Parameters
    ----------
    checks : mapping of str to bool
        Whether each check holds, by its name.

    Returns
    -------
    Thread or None
        None where there is nobody to tell, or nothing.
    """
    notebook = Path(os.environ.get(SESSION, ""))
    if not (checks and notebook.suffix == ".ipynb" and own_hub.is_there()):
        return None
    told = [{"name": plain(name), "passed": passed} for name, passed in checks.items()]
    body = {"notebook": plain(notebook.name), "checks": told[:CHECKS_MAX]}
    thread = Thread(target=tell, args=(body,), name="checks-to-the-hub", daemon=True)
    thread.start()
    return thread


def tell(body: dict[str, object]) -> None:
    """Tell the hub; whether it hears that changes nothing for the notebook."""
    try:
        own_hub.tell("checks", body, timeout_s=TIMEOUT_S)
    except (OSError, HTTPException, ValueError):
        return


def plain(text: str) -> str:
    """Return a text as the portal takes it: printable, on one line, and not too long."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:TEXT_MAX]
