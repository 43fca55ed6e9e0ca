"""What tells the processes of a server that its user has put aside."""

from collections.abc import Mapping

MARKS = ("JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_API_URL")
"""Variables that together tell one server of one portal; what it starts inherits them."""


def marks_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the processes of a server with this environment can be told by."""
    return {name: environment[name] for name in MARKS if name in environment}
