"""Publications in words: BibTeX, plain text, HTML; and which of a manifest's are whose."""

from collections.abc import Iterable
from html import escape
from pathlib import Path

from .manifest import MANIFEST, Citation, DataSet, Manifest, Software

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
