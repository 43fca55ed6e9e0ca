"""How to cite what was used: BibTeX, and a list to read at the end of a notebook."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from . import used
from .documents import DocumentError
from .manifest import MANIFEST, Citation, DataSet, Manifest, Software, load_manifest

ENTRY_TYPES = {"dataset": "misc", "software": "misc"}
SPECIAL = str.maketrans(
    {
        **{c: f"\\{c}" for c in "&%$#_"},
        # Never a bare brace: BibTeX counts it even behind a backslash.
        "{": r"\textbraceleft{}",
        "}": r"\textbraceright{}",
        "\\": r"\textbackslash{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
    }
)


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

        from . import record
        from .button import offer

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
    from . import record

    manifest = load_manifest(found)
    software = {s.name for s in record.software_used(manifest)}
    packages = record.installed()
    known = [s for s in manifest.software if record.distribution_of(s, packages)]
    data = [h.name for h in used.HANDED.values() if h.name in manifest.data_sets]
    if not data and not any(s.name in software for s in known):
        return Citations(tuple(manifest.citations), found)
    return Citations(tuple(citations_of(manifest, software, data)), found, exact=True)


def manifest_folder(start: Path) -> Path | None:
    """Return the folder with the manifest that a notebook in `start` belongs to."""
    return next((p for p in (start, *start.parents) if (p / MANIFEST).is_file()), None)


def citations_of(
    manifest: Manifest, software: Iterable[str], data_sets: Iterable[str]
) -> list[Citation]:
    """Return the publications behind some of a use case's software and data, each once."""
    names, labels = set(software), set(data_sets)
    parts: list[Software | DataSet] = [s for s in manifest.software if s.name in names]
    parts += [data for name, data in manifest.data_sets.items() if name in labels]
    return list({c.key: c for part in parts for c in part.cite}.values())


def bibtex_of(manifest: Manifest) -> str:
    """Return everything that a use case asks to be cited as one BibTeX file."""
    return bibtex(manifest.citations)


def bibtex(entries: list[Citation]) -> str:
    """Return the entries as BibTeX, one blank line between two."""
    return "\n\n".join(map(entry_text, entries)) + "\n"


def entry_text(entry: Citation) -> str:
    """Return one BibTeX entry."""
    container = {"article": "journal", "inproceedings": "booktitle"}.get(entry.kind, "publisher")
    fields = {
        "author": " and ".join(map(author_text, entry.authors)),
        "title": "{" + entry.title.translate(SPECIAL) + "}",
        container: (entry.container or "").translate(SPECIAL),
        "year": str(entry.year),
        "volume": (entry.volume or "").translate(SPECIAL),
        "pages": (entry.pages or "").translate(SPECIAL).replace("\u2013", "--"),
        "doi": entry.doi or "",
        "url": str(entry.url or ""),
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{ENTRY_TYPES.get(entry.kind, entry.kind)}{{{entry.key},", *lines, "}"])


def author_text(author: str) -> str:
    """Return an author as BibTeX wants it: a name without a comma is a group's, kept whole."""
    text = author.translate(SPECIAL)
    return text if "," in author or author == "others" else f"{{{text}}}"


def sentence(entry: Citation) -> str:
    """Return the publication as one line of text."""
    names = [author.split(",")[0] for author in entry.authors]
    who = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}"
    who = f"{names[0]} et al." if len(names) > 2 or names[-1] == "others" else who
    place = " ".join(filter(None, [entry.container, entry.volume, entry.pages]))
    link = f"https://doi.org/{entry.doi}" if entry.doi else str(entry.url or "")
    return " ".join(
        filter(None, [f"{who} ({entry.year}). {entry.title}.", place and f"{place}.", link])
    )


def as_html(entry: Citation) -> str:
    """Return the publication as HTML, its address a link."""
    text = sentence(entry)
    head, _, link = text.rpartition(" ")
    if not link.startswith(("https://", "http://")):
        return escape(text)
    return f'{escape(head)} <a href="{escape(link, quote=True)}">{escape(link)}</a>'
