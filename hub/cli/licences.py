"""``beamhub licences``: who may use programs with licences of their own."""

import csv
import json
import sys
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from spawners.records import RecordError

from ..deployment import Deployment
from ..licences import Accepted, Entry, counting
from .common import StateOption, UseCasesOption, fail, kept_by, out

app = typer.Typer(
    no_args_is_help=True,
    help="Programs behind licence gates, and who has accepted their terms.\n\n"
    "What users accept or take back on a use case's page is kept in the state folder: the text, "
    "its SHA-256, the time and the user. Entries are never changed or removed.",
    rich_markup_mode=None,
)
SiteOption = Annotated[
    str, typer.Option("--site", help="The site profile that counts.", metavar="SITE")
]


class Form(StrEnum):
    """What an export looks like."""

    CSV = "csv"
    JSONL = "jsonl"


@app.command("list")
def list_(
    site: SiteOption = "laptop", state: StateOption = None, use_cases: UseCasesOption = None
) -> None:
    """List the gates of the use cases on offer: where the program is, and who gets it.

    The number is that of users who have accepted the present text and not taken it back.
    """
    deployment = kept_by(site, state, use_cases)
    accepted = counting(entries(deployment))
    lines = [
        f"{name}: {terms.name} ({terms.program}), {place(deployment, terms.name)}, "
        f"text {terms.version[:12]}, {holders(accepted, terms.name, terms.version)}"
        for name, use_case in deployment.offered.items()
        for terms in use_case.manifest.licence_gates
    ]
    for line in lines or ["No use case on offer has a licence gate."]:
        out.print(line)


@app.command()
def export(
    form: Annotated[Form, typer.Option(help="A table, or one JSON object a line.")] = Form.CSV,
    state: StateOption = None,
) -> None:
    """Print every entry, oldest first: time (UTC), user, program, action, text and its SHA-256."""
    found = [as_row(entry) for entry in entries(kept_by("laptop", state))]
    if form == Form.JSONL:
        for row in found:
            typer.echo(json.dumps(row, ensure_ascii=False))
        return
    table = csv.DictWriter(sys.stdout, list(Entry.__dataclass_fields__), lineterminator="\n")
    table.writeheader()
    table.writerows(found)


def entries(deployment: Deployment) -> list[Entry]:
    """Return every entry, or exit where the record can't be read."""
    try:
        return deployment.licences.all()
    except RecordError as error:
        raise fail(str(error)) from None


def as_row(entry: Entry) -> dict[str, str]:
    """Return an entry as texts."""
    return {**asdict(entry), "time": entry.time.isoformat(timespec="milliseconds")}


def place(deployment: Deployment, name: str) -> str:
    """Return where a program lies at the site, and for whom."""
    program = deployment.site.programs.get(name)
    if program is None:
        return "not at this site"
    groups = f", vouched groups {', '.join(program.vouched_groups)}"
    only = "" if program.by_declaration else " only"
    return f"{program.source}{groups if program.vouched_groups else ''}{only}"


def holders(accepted: dict[str, Accepted], program: str, version: str) -> str:
    """Return how many users have accepted a text."""
    count = sum(version in programs.get(program, {}) for programs in accepted.values())
    return f"accepted by {count} user{'' if count == 1 else 's'}"
