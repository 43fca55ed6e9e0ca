"""The batch script of a server: a readable template, and the only ways into it."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

TEMPLATE = Path(__file__).with_name("slurm_job.sh.j2")
DIRECTIVE = re.compile(r"[A-Za-z0-9_.:@+&|()\[\]*-]*")
"""What may stand behind ``#SBATCH --x=``: no space, so no second option, and no quote."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def job_name(portal: str, server: str) -> str:
    """Return a job's name, by which a portal knows its own."""
    return f"beamhub-{portal}-{server}"


class ScriptError(Exception):
    """A value can't go into a batch script."""


def job_script(
    requests: Mapping[str, str],
    *,
    command: list[str],
    variables: Mapping[str, str],
    modules: list[str],
    prologue: str,
    exclusive: bool,
) -> str:
    """Return the batch script of a server.

    Parameters
    ----------
    requests : mapping
        What stands behind ``#SBATCH``, by the names in the template.
    command : list of str
        The program to run, with its arguments.
    variables : mapping
        The environment, secrets included: only the job's user and root can read its script.
    modules : list of str
        Environment modules to load.
    prologue : str
        Shell lines of the site, as its administrator wrote them.
    exclusive : bool
        Whether the job has its node for itself.

    Raises
    ------
    ScriptError
        A request or the name of a variable could be read as something else.
    """
    for name, value in requests.items():
        if not DIRECTIVE.fullmatch(value):
            raise ScriptError(f"{name}: {value!r} can't stand in a batch script")
    for name in variables:
        if not VARIABLE.fullmatch(name):
            raise ScriptError(f"{name!r} is no name of a variable")
    names: dict[str, Any] = {**requests, "variables": variables, "modules": modules}
    # autoescape is for HTML; shell values are quoted by the filter.
    jinja = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701
    jinja.filters["quote"] = shlex.quote
    template = jinja.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        **names, command=shlex.join(command), prologue=prologue, exclusive=exclusive
    )
