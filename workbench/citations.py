"""What to cite for what a notebook has used: a list to read at its end, with the run's record."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import record, used
from .bibliography import as_html, bibtex, citations_of, manifest_folder, sentence
from .button import offer
from .documents import DocumentError
from .manifest import MANIFEST, Citation, load_manifest

PLEASE = "If you publish results made with this notebook, please cite what it used:"
PLEASE_ALL = "If you publish results made with this use case, please cite:"


@dataclass(frozen=True)
class Citations:
    """The publications behind a notebook, shown as a list.

    Parameters
    ----------
    entries : tuple of Citation
        The publications.
    folder : Path or None
        Where the use case's manifest lies, None where nobody needs to know.
    exact : bool
        Whether these are those of what was used, not of all that the use case may use.
    """

    entries: tuple[Citation, ...]
    folder: Path | None = None
    exact: bool = False

    @property
    def bibtex(self) -> str:
        """All of them as one BibTeX file."""
        return bibtex(list(self.entries))

    def __str__(self) -> str:
        return "\n".join(f"- {sentence(entry)}" for entry in self.entries)

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{as_html(entry)}</li>" for entry in self.entries)
        return f"<p>{PLEASE if self.exact else PLEASE_ALL}</p><ul>{items}</ul>"

    def _ipython_display_(self) -> None:
        """Show the list, keep the record of this run with it, and offer to archive the notebook."""
        from IPython.display import display

        bundle: dict[str, Any] = {"text/plain": str(self), "text/html": self._repr_html_()}
        if self.folder is not None:
            taken = record.take(load_manifest(self.folder), self.folder.name)
            bundle[record.MIME] = taken.model_dump(mode="json", exclude_none=True)
            used.shown = taken.finished
        display(bundle, raw=True)
        offer()


def cite(folder: Path | None = None) -> Citations:
    """Return what to cite for what this notebook has used.

    That are the programs of its use case that it has imported, or of which nobody can tell, and
    the data sets that it was given. Where it has used nothing yet, it is all of the use case's.

    Parameters
    ----------
    folder : Path, optional
        Where the use case's manifest lies; None means the present folder or one above it.

    Raises
    ------
    DocumentError
        No manifest was found.
    """
    start = (folder or Path.cwd()).resolve()
    found = manifest_folder(start)
    if found is None:
        raise DocumentError(
            f"There is no {MANIFEST} in {start} or above it, so nothing says what to cite."
        )
    manifest = load_manifest(found)
    software = {s.name for s in record.software_used(manifest)}
    packages = record.installed()
    known = [s for s in manifest.software if record.distribution_of(s, packages)]
    data = [h.name for h in used.HANDED.values() if h.name in manifest.data_sets]
    if not data and not any(s.name in software for s in known):
        return Citations(tuple(manifest.citations), found)
    return Citations(tuple(citations_of(manifest, software, data)), found, exact=True)
