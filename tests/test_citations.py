"""Citations: BibTeX that a parser reads back, sentences for people, from the shipped manifests."""

import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.usecases import NOTEBOOKS, load_use_cases
from workbench.bibliography import as_html, bibtex, bibtex_of, entry_text, sentence
from workbench.citations import Citations, cite
from workbench.documents import DocumentError
from workbench.manifest import Citation

SHIPPED = load_use_cases([NOTEBOOKS])


def entry(**changes) -> Citation:
    fields = {"key": "doe2020", "authors": ["Doe, Ann"], "title": "On X-rays", "year": 2020}
    return Citation.model_validate({**fields, **changes})


def fields_of(text: str) -> dict[str, str]:
    """Read one entry as BibTeX does: braces balanced, whether or not a backslash stands before."""
    head = re.match(r"@(\w+)\{([\w-]+),\n", text)
    assert head, text
    position, found = head.end(), {}
    while text[position:].strip() != "}":
        name = re.match(r"\s*(\w+) = \{", text[position:])
        assert name, text[position:]
        begin = position = position + name.end()
        depth = 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            position += 1
        found[name[1]] = text[begin : position - 1]
        position += 1
    return found


TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30)
SPECIAL_TEXTS = st.text(alphabet='{}\\%$#_&~^ab"@,=', min_size=1, max_size=12)


@given(title=TEXTS | SPECIAL_TEXTS, author=TEXTS | SPECIAL_TEXTS, place=TEXTS | SPECIAL_TEXTS)
def test_whatever_a_publication_is_called_its_entry_stays_whole(title, author, place):
    changed = entry(
        title=title, authors=[author, "Doe, B."], container=place, volume=place, pages=place
    )
    found = fields_of(entry_text(changed))
    assert set(found) == {"author", "title", "journal", "year", "volume", "pages"}
    for text in found.values():
        assert not re.search(r"(?<!\\)[&%$#_]", text)


def test_special_characters_are_escaped_for_latex():
    found = fields_of(entry_text(entry(title="50 % of R&D_{2} ~ x^2 \\ $")))
    assert found["title"] == (
        r"{50 \% of R\&D\_\textbraceleft{}2\textbraceright{} \textasciitilde{} "
        r"x\textasciicircum{}2 \textbackslash{} \$}"
    )


def test_a_group_stays_one_author():
    found = fields_of(entry_text(entry(authors=["Doe, Ann", "Institute for X and Y", "others"])))
    assert found["author"] == "Doe, Ann and {Institute for X and Y} and others"


def test_every_kind_names_its_container_as_bibtex_does():
    kinds = {
        "article": ("article", "journal"),
        "inproceedings": ("inproceedings", "booktitle"),
        "book": ("book", "publisher"),
        "software": ("misc", "publisher"),
        "dataset": ("misc", "publisher"),
    }
    for kind, (type_, container) in kinds.items():
        text = entry_text(entry(kind=kind, container="There"))
        assert text.startswith(f"@{type_}{{doe2020,")
        assert fields_of(text)[container] == "There"


def test_a_doi_is_not_escaped_and_a_page_range_has_two_hyphens():
    found = fields_of(entry_text(entry(doi="10.1000/a_b", pages="335\u2013341")))
    assert (found["doi"], found["pages"]) == ("10.1000/a_b", "335--341")


@pytest.mark.parametrize(
    "doi", ["https://doi.org/10.1000/1", "10.1/x", "10.1000/a b", "10.1000/a{b"]
)
def test_a_doi_is_only_the_doi(doi):
    with pytest.raises(ValidationError):
        entry(doi=doi)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_bibliographies_are_whole(name):
    manifest = SHIPPED[name].manifest
    entries = bibtex_of(manifest).rstrip("\n").split("\n\n")
    assert len(entries) == len(manifest.citations)
    for text, citation in zip(entries, manifest.citations, strict=True):
        found = fields_of(text)
        assert found["year"] == str(citation.year)
        assert len(found["author"].split(" and ")) == len(citation.authors)
        assert found.get("doi", "") == (citation.doi or "")


def test_one_key_means_one_publication_in_all_use_cases():
    seen = {}
    for use_case in SHIPPED.values():
        for citation in use_case.manifest.citations:
            assert seen.setdefault(citation.key, citation.doi) == citation.doi


def test_a_notebook_finds_its_manifest_above_it(monkeypatch):
    monkeypatch.chdir(NOTEBOOKS / "pyfai")
    assert cite().entries == tuple(SHIPPED["pyfai"].manifest.citations)
    assert cite(NOTEBOOKS / "savu").entries == tuple(SHIPPED["savu"].manifest.citations)


def test_a_manifest_above_the_notebooks_folder_is_found_too(tmp_path):
    folder = tmp_path / "savu"
    shutil.copytree(NOTEBOOKS / "savu", folder)
    (folder / "deep/er").mkdir(parents=True)
    assert cite(folder / "deep/er").bibtex == bibtex_of(SHIPPED["savu"].manifest)


def test_without_a_manifest_the_reader_is_told(tmp_path):
    with pytest.raises(DocumentError, match="nothing says what to cite"):
        cite(tmp_path)


@pytest.mark.parametrize(
    ("authors", "who"),
    [
        (["Doe, A."], "Doe"),
        (["Doe, A.", "Roe, B."], "Doe and Roe"),
        (["Doe, A.", "Roe, B.", "Poe, C."], "Doe et al."),
        (["Doe, A.", "others"], "Doe et al."),
    ],
)
def test_a_sentence_names_the_first_authors(authors, who):
    said = sentence(entry(authors=authors, container="Nature", volume="1", doi="10.1000/1"))
    assert said == f"{who} (2020). On X-rays. Nature 1. https://doi.org/10.1000/1"


def test_a_sentence_without_container_and_address_is_still_one():
    assert sentence(entry()) == "Doe (2020). On X-rays."
    assert as_html(entry()) == "Doe (2020). On X-rays."


def test_html_escapes_what_a_manifest_says():
    html = Citations((entry(title="<script>", doi='10.1000/"><script>'),))._repr_html_()
    assert "<script>" not in html
    assert 'href="https://doi.org/10.1000/&quot;&gt;&lt;script&gt;"' in html


def test_the_list_as_text_and_the_empty_bibliography():
    assert str(Citations((entry(),))) == "- Doe (2020). On X-rays."
    assert bibtex([]).strip() == ""
