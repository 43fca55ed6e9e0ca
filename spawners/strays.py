"""Containers that nobody knows any more: of servers given up while Docker did not answer."""

import time
from collections.abc import Collection
from contextlib import suppress

from .docker_client import SILENT, connected
from .labels import PORTAL_LABEL

YOUNG_S = 120
"""One that has just been made may not have told its number yet."""


def remove_strays(known: Collection[str], portal: str) -> int:
    """Remove this portal's containers but those known, and return how many there were.

    Parameters
    ----------
    known : collection of str
        Ids of the containers of all servers that the hub knows.
    portal : str
        The label of all that belongs to this portal.
    """
    label = {"label": f"{PORTAL_LABEL}={portal}"}
    count = 0
    # Where nobody answers, what is left is left for the next time.
    with suppress(*SILENT), connected() as client:
        for found in client.containers(all=True, filters=label):
            if found["Id"] not in known and time.time() - found["Created"] > YOUNG_S:
                client.remove_container(found["Id"], force=True)
                count += 1
    return count
