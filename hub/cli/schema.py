"""``beamhub schema``: the JSON schemas that editors use."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from ..schemas import SCHEMAS
from .common import put_out


class Kind(StrEnum):
    """What there is a schema of."""

    SITE = "site"
    USECASE = "usecase"
    SOFTWARE = "software"


def schema(kind: Annotated[Kind, typer.Argument(help="What to describe.")]) -> None:
    """Print the JSON schema of a site profile, a use case's manifest or the software catalogue.

    An editor that knows it completes and checks a file as it is written. Put its address into the
    file's first line: # yaml-language-server: $schema=site.schema.json
    """
    put_out(json.dumps(SCHEMAS[str(kind)].model_json_schema(), indent=1) + "\n")
