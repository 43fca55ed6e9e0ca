"""Hand a batch script to Slurm, and put what its job runs where nodes read it."""

import re
from collections.abc import Callable
from pathlib import Path

from .. import environments
from ..environments import Recipe
from ..payload import payload
from ..state_folders import ENVIRONMENTS, USE_CASES
from .commands import CommandError, NoAnswerError, run_as
from .words import NO_CONTROLLER, refusal_of


class NotTakenError(Exception):
    """Slurm has not taken a job, or not said so; the text is for its user.

    Parameters
    ----------
    text : str
        Why, in words.
    said : str
        What Slurm said.
    is_certain : bool
        Whether there is no job for certain.
    """

    def __init__(self, text: str, said: str, *, is_certain: bool) -> None:
        super().__init__(text)
        self.said, self.is_certain = said, is_certain


async def submit(account: str, script: str) -> str:
    """Submit a batch script under an account, and return the number of its job.

    Raises
    ------
    NotTakenError
        Slurm refuses it, doesn't answer, or tells no number.
    """
    try:
        said = await run_as(account, "sbatch", "--parsable", text=script)
    except NoAnswerError as error:
        raise NotTakenError(NO_CONTROLLER, str(error), is_certain=False) from None
    except CommandError as error:
        raise NotTakenError(refusal_of(str(error)), str(error), is_certain=True) from None
    # Banners may stand around it; with several clusters, ';' and a name follow.
    found = re.findall(r"^(\d+)(?:;\S+)?$", said, re.MULTILINE)
    if not found:
        raise NotTakenError(refusal_of(said), said, is_certain=False)
    return str(found[-1])


async def shared_software(
    shared: Path, use_case: Path, recipe: Recipe | None, report: Callable[[int, str], None]
) -> dict[str, str]:
    """Put notebooks and an environment into a folder that nodes see.

    Parameters
    ----------
    shared : Path
        The folder.
    use_case : Path
        The use case's own.
    recipe : Recipe or None
        What goes into the environment, None where the site has the software.
    report : callable
        Told how far that is, in percent and in words.

    Returns
    -------
    dict of str to str
        The variables that tell a job of them.
    """
    told = {"BEAMHUB_NOTEBOOKS": str(payload(shared / USE_CASES, use_case))}
    if recipe is None:
        return told
    made = await environments.ensure(shared / ENVIRONMENTS, recipe, report)
    path = f"{made}/bin:/usr/local/bin:/usr/bin:/bin"
    return {**told, "PATH": path, "VIRTUAL_ENV": str(made)}
