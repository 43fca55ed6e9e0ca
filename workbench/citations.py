"""How to cite a use case: BibTeX, and a list to read at the end of a notebook."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

from .documents import DocumentError
from .manifest import MANIFEST, Citation, Manifest, load_manifest

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


@dataclass(frozen=True)
class Citations:
    """The publications behind a use case, shown as a list."""

    entries: tuple[Citation, ...]

    @property
    def bibtex(self) -> str:
        """All of them as one BibTeX file."""
        return bibtex(list(self.entries))

    def __str__(self) -> str:
        return "\n".join(f"- {sentence(entry)}" for entry in self.entries)

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{as_html(entry)}</li>" for entry in self.entries)
        return (
            f"<p>If you publish results made with this notebook, please cite:</p><ul>{items}</ul>"
        )


def cite(folder: Path | None = None) -> Citations:
    """Return what to cite for the use case that a notebook belongs to.

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
    for candidate in (start, *start.parents):
        if (candidate / MANIFEST).is_file():
            return Citations(tuple(load_manifest(candidate).citations))
    raise DocumentError(
        f"There is no {MANIFEST} in {start} or above it, so nothing says what to cite."
    )


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
