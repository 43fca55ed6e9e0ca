"""What Docker says, in the words of those who use a server."""

import re
from typing import Any

from .telling import ending_by_status

NO_DOCKER = (
    "Docker, which runs servers on this machine, doesn't answer. Nothing of yours is lost. Try "
    "again in a few minutes; an administrator can look with 'systemctl status docker'."
)
REFUSALS = (
    (r"no space left", "The disk of the machine that runs servers is full."),
    (
        r"device driver|nvidia|gpu",
        "This machine has no GPU that Docker can give to a server: choose a size without one.",
    ),
    (
        r"bind source path does not exist: (?P<what>\S+)",
        "A folder of the site is missing on this machine: {what}.",
    ),
    (
        r"Range of CPUs",
        "This machine has fewer cores than this size grants: choose a smaller one.",
    ),
)


def refusal_of(text: str) -> str:
    """Return why Docker refused to start a container."""
    for pattern, words in REFUSALS:
        if found := re.search(pattern, text, re.IGNORECASE):
            return words.format(**found.groupdict())
    return f"Docker refused to start it: {' '.join(text.split())[:200]}"


def ending_of(state: dict[str, Any], memory: str, output: str = "", *, silent: bool = False) -> str:
    """Return why a container ended, empty where it ended in order.

    Parameters
    ----------
    state : dict
        Docker's state of the container, empty where it's gone.
    memory : str
        What it had been given, in words.
    output : str, optional
        What the server said last.
    silent : bool, optional
        Whether the daemon had not answered shortly before.
    """
    if not state:
        return "Its container was removed from outside of the portal."
    if state.get("OOMKilled"):
        return (
            f"It ran out of memory: it wanted more than the {memory} of its size. Start it with a "
            "larger size, or work on less at a time."
        )
    if silent:
        return "Docker was restarted on this machine, which ended all servers."
    status = state.get("ExitCode", 0)
    return ending_by_status(128 - status if status > 128 else status, output)
