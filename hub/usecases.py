"""The use cases that a portal knows: one folder each."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from workbench.documents import DocumentError
from workbench.manifest import MANIFEST, NAME_RULE, Manifest, Notebook, is_name, load_manifest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
"""The use cases that BeamHub ships."""

CONSTRAINTS = NOTEBOOKS / "constraints.txt"
"""The versions of everything that use cases without constraints of their own build on."""


@dataclass(frozen=True)
class UseCase:
    """A use case: its name, its folder, and what its manifest says."""

    name: str
    folder: Path
    manifest: Manifest

    @cached_property
    def notebooks(self) -> dict[str, Notebook]:
        """Its notebooks by file, in reading order."""
        return {notebook.file: notebook for notebook in self.manifest.notebooks}


def load_use_cases(folders: list[Path]) -> dict[str, UseCase]:
    """Return the use cases in `folders` by name, in the order of their titles.

    Parameters
    ----------
    folders : list of Path
        Each holds one folder a use case; of two with the same name the later one counts.

    Raises
    ------
    DocumentError
        One or more manifests are wrong; all findings are in the text, a line each.
    """
    found: dict[str, UseCase] = {}
    findings: list[str] = []
    for path in (p for folder in folders for p in sorted(folder.glob(f"*/{MANIFEST}"))):
        name = path.parent.name
        if not is_name(name):
            findings.append(f"{path}:1: '{name}' can't name a use case: {NAME_RULE}")
            continue
        try:
            found[name] = UseCase(name, path.parent, load_manifest(path.parent))
        except DocumentError as error:
            findings.append(str(error))
    if findings:
        raise DocumentError("\n".join(findings))
    return dict(sorted(found.items(), key=lambda item: item[1].manifest.title.lower()))
