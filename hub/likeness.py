"""How much a run elsewhere and a use case here have in common. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from workbench.hashing import sha256_of
from workbench.record import Archived, Record, UsedData, normal

from .usecases import UseCase

PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;#]+)", re.MULTILINE)

State = Literal["same", "other", "unknown"]
SYMBOLS: dict[State, str] = {"same": "✓", "other": "≠", "unknown": "?"}


@dataclass(frozen=True)
class Line:
    """One thing that was compared, in a sentence."""

    state: State
    text: str

    @property
    def symbol(self) -> str:
        """Stands before the sentence."""
        return SYMBOLS[self.state]


def compare(
    about: Archived, use_case: UseCase, image: str, pins: Mapping[str, set[str]]
) -> list[Line]:
    """Return what is the same here as where an archive was made, and what isn't.

    Parameters
    ----------
    about : Archived
        What the archive says.
    use_case : UseCase
        The use case of that name here.
    image : str
        The image that it is started from here, empty where servers need none.
    pins : dict of str to set of str
        The versions that packages may have here, by normalised name: some differ between Pythons.
    """
    record = about.record
    lines = [version_line(record, use_case), image_line(record.image, image)]
    lines.append(packages_line(record, pins))
    lines += [data_line(data, use_case) for data in record.data_sets]
    for module in record.modules:
        here = use_case.folder / module.name
        if not here.is_file():
            text = f"{module.name} was beside the notebook there; this site has no such file."
            lines.append(Line("other", text))
        elif sha256_of(here) != module.sha256:
            lines.append(Line("other", f"{module.name}, which it imports, is different here."))
    return lines


def run_line(about: Archived) -> Line:
    """Return whether the notebook is as it was run."""
    if about.not_as_run is None:
        return Line("unknown", "It is unknown whether its cells are as they were run.")
    if about.not_as_run == 0:
        return Line("same", "All of its code cells are as they were run.")
    cells = "1 code cell was" if about.not_as_run == 1 else f"{about.not_as_run} code cells were"
    text = f"{cells} changed after the run or not run, so results may be from other code."
    return Line("other", text)


def version_line(record: Record, use_case: UseCase) -> Line:
    """Return whether the use case has the same version."""
    here = use_case.manifest.version
    if record.version == here:
        return Line("same", f"The same version of the use case, {here}.")
    return Line("other", f"Another version: {record.version or 'none'} there, {here} here.")


def image_line(there: str, here: str) -> Line:
    """Return whether both were started from the same image, as far as digests tell."""
    digests = [text.partition("@sha256:")[2] for text in (there, here)]
    if all(digests):
        if digests[0] == digests[1]:
            return Line("same", f"The same image, sha256:{here[-64:][:12]}…")
        return Line("other", f"Another image: {digests[0][:12]}… there, {digests[1][:12]}… here.")
    if not here:
        return Line("unknown", "This site uses no images: packages are compared instead.")
    if not there:
        return Line("unknown", "It was run without an image: packages are compared instead.")
    return Line("unknown", "The images can't be compared, because a digest isn't known.")


def packages_line(record: Record, pins: Mapping[str, set[str]]) -> Line:
    """Return whether the packages that are pinned here had the same versions there."""
    there = {normal(name): version for name, version in record.packages.items()}
    both = {name: versions for name, versions in pins.items() if name in there}
    other = [
        f"{name} ({there[name]} there, {' or '.join(sorted(versions))} here)"
        for name, versions in both.items()
        if there[name] not in versions
    ]
    if not both:
        return Line("unknown", "The archive names none of the packages that are pinned here.")
    if not other:
        return Line("same", f"All {len(both)} packages pinned here had the same version.")
    more = f" and {len(other) - 5} more" if len(other) > 5 else ""
    return Line("other", f"Other versions of {', '.join(other[:5])}{more}.")


def pinned(*texts: str) -> dict[str, set[str]]:
    """Return the versions that requirements name, by normalised name; the first text's count."""
    found: dict[str, set[str]] = {}
    for text in texts:
        mine: dict[str, set[str]] = {}
        for name, version in PIN.findall(text):
            mine.setdefault(normal(name), set()).add(version)
        found = mine | found
    return found


def data_line(data: UsedData, use_case: UseCase) -> Line:
    """Return whether a data set is known here with the same contents."""
    owner, _, name = data.label.partition("/")
    here = use_case.manifest.data_sets.get(name) if owner == use_case.name else None
    if here is None:
        return Line("unknown", f"The data set {data.label} is not part of this use case here.")
    declared = {f.name: f.sha256 for f in here.files if f.sha256 != "unknown"}
    known = {f.name: f.sha256 for f in data.files if f.sha256}
    both = declared.keys() & known.keys()
    if here.source_kind.seeded:
        return Line("unknown", f"{data.label} will be simulated again from seed {data.seed}.")
    if not both:
        return Line("unknown", f"{data.label} is known here; its checksums can't be compared yet.")
    if all(declared[name] == known[name] for name in both):
        return Line("same", f"{data.label} is known here, with the same checksums.")
    return Line("other", f"{data.label} has different checksums here.")
