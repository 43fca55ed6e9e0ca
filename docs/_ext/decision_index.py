"""The decisions as tables: read from the files, so that the index can't fall behind."""

import re
from dataclasses import dataclass
from pathlib import Path

DECISIONS = Path(__file__).parents[1] / "decisions"
USE_CASES = Path(__file__).parents[1] / "explanation/use-cases"

ROOMS = {
    "portal": "The portal: pages, starts and ends of servers, licences, archives",
    "log-in": "Log-in, names and accounts",
    "local": "The local backend and the portal's own processes",
    "containers": "Containers: the Docker backend, images, Compose",
    "slurm": "The Slurm backend",
    "kubernetes": "The Kubernetes backend",
    "data": "Reference data",
    "workbench": "What runs beside notebooks",
    "development": "Pinning and tests",
}
"""The folders of decisions, in the order of the index."""

ENTRY = re.compile(
    r"^#{1,2} (?P<number>\d{4}) (?P<title>.+)\n\n"
    r"Decided (?P<date>\d{4}-\d{2}-\d{2})\.(?P<status>(?:.+|\n(?!\n))*)\n",
    re.MULTILINE,
)
LINK = re.compile(r"\[(\d{4})\]\([^)]*\)")


@dataclass(frozen=True)
class Decision:
    """One decision as the index shows it."""

    number: str
    title: str
    date: str
    status: str
    path: Path
    anchor: str = ""


def read_file(path: Path) -> list[Decision]:
    """Return the decisions of a file: one, or a section each on the page of a use case.

    Raises
    ------
    ValueError
        If a heading with a number isn't followed by the line with its date.
    """
    text = path.read_text(encoding="utf-8")
    found = [
        Decision(
            number=entry["number"],
            title=entry["title"],
            date=entry["date"],
            status=LINK.sub(r"\1", " ".join(entry["status"].split())),
            path=path,
            anchor=slug(f"{entry['number']} {entry['title']}") if entry[0].startswith("##") else "",
        )
        for entry in ENTRY.finditer(text)
    ]
    headings = re.findall(r"^#{1,2} (\d{4}) ", text, re.MULTILINE)
    if not headings or headings != [decision.number for decision in found]:
        raise ValueError(
            f"{path.name}: begin with '# NNNN Title', an empty line, and 'Decided YYYY-MM-DD.'"
        )
    return found


def slug(heading: str) -> str:
    """Return the anchor that GitHub and MyST give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def in_rooms() -> dict[str, list[Decision]]:
    """Return the decisions of each room.

    Raises
    ------
    ValueError
        If a file is in no room, or isn't written as a decision is.
    """
    strays = [p for p in DECISIONS.rglob("*.md") if p.name != "index.md"]
    strays = [p for p in strays if p.parent.parent != DECISIONS or p.parent.name not in ROOMS]
    if strays:
        raise ValueError(
            f"docs/decisions: move {', '.join(p.name for p in strays)} into the folder of a room: "
            f"{', '.join(ROOMS)}"
        )
    return {room: read_folder(DECISIONS / room) for room in ROOMS}


def of_use_cases() -> list[Decision]:
    """Return the decisions on the pages of the use cases."""
    return read_folder(USE_CASES)


def read_folder(folder: Path) -> list[Decision]:
    """Return the decisions of all pages of a folder but its index, in the order of their names."""
    pages = sorted(path for path in folder.glob("*.md") if path.name != "index.md")
    return [decision for path in pages for decision in read_file(path)]


def everything() -> list[Decision]:
    """Return all decisions."""
    return [d for room in in_rooms().values() for d in room] + of_use_cases()


def superseded() -> dict[str, str]:
    """Return the numbers whose text is gone, each with the number of what took its place."""
    decisions = everything()
    kept = {decision.number for decision in decisions}
    return {
        number: decision.number
        for decision in decisions
        if decision.status.startswith("Supersedes")
        for number in re.findall(r"\b\d{4}\b(?!-)", decision.status)
        if number not in kept
    }


def row(decision: Decision) -> str:
    """Return a decision's line of the table."""
    target = decision.path.relative_to(DECISIONS.parent)
    link = f"../{target}" + (f"#{decision.anchor}" if decision.anchor else "")
    status = f" *{decision.status}*" if decision.status else ""
    return f"| [{decision.number}]({link}) | {decision.date} | {decision.title}.{status} |"


def table(decisions: list[Decision]) -> list[str]:
    """Return decisions as a table."""
    return ["| Number | Decided | What |", "| --- | --- | --- |", *map(row, decisions)]


def index() -> str:
    """Return the index: a table for each room, then the use cases' decisions."""
    lines = []
    for room, decisions in in_rooms().items():
        lines += [f"## {ROOMS[room]}", "", *table(decisions), ""]
    lines += ["## The science of single tutorials", "", *table(of_use_cases()), ""]
    return "\n".join(lines)
