"""The profile of which the files in golden/ are made, and the command that makes them."""

from pathlib import Path

from typer.testing import CliRunner

from hub.cli import app
from hub.deployment import Deployment
from hub.site import load_site
from hub.usecases import NOTEBOOKS, load_use_cases

GOLDEN = Path(__file__).parent / "golden"
SITE = GOLDEN / "site.yaml"
NO_STATE = "/nonexistent"
USE_CASES = load_use_cases([NOTEBOOKS])


def render(*arguments: str | Path) -> tuple[int, str]:
    """Return exit status and output of a command, on a terminal that is narrow."""
    result = CliRunner(env={"COLUMNS": "40"}).invoke(app, ["render", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def portal(site: Path = SITE) -> Deployment:
    """Return the portal of a profile."""
    return Deployment("site", load_site(str(site)), USE_CASES, Path(NO_STATE))
