"""The use cases that a portal knows, shipped ones and a facility's own."""

import shutil

import pytest

from hub.usecases import NOTEBOOKS, load_use_cases
from workbench.documents import DocumentError


@pytest.fixture
def own(tmp_path):
    shutil.copytree(NOTEBOOKS / "savu", tmp_path / "own/tomo")
    return tmp_path / "own"


def test_they_come_in_the_order_of_their_titles(use_cases):
    titles = [use_case.manifest.title.lower() for use_case in use_cases.values()]
    assert titles == sorted(titles)


def test_a_folder_is_a_use_case_and_its_name_the_use_cases(own):
    found = load_use_cases([NOTEBOOKS, own])
    assert found["tomo"].folder == own / "tomo"
    assert found["tomo"].manifest == found["savu"].manifest


def test_of_two_with_one_name_the_facilitys_counts(own):
    (own / "tomo").rename(own / "savu")
    assert load_use_cases([NOTEBOOKS, own])["savu"].folder == own / "savu"


def test_a_folder_without_a_manifest_is_none(own):
    (own / "drafts").mkdir()
    assert list(load_use_cases([own])) == ["tomo"]
    assert load_use_cases([]) == load_use_cases([own / "none"]) == {}


@pytest.mark.parametrize(
    "name", ["Tomo", "to mo", "to_mo", "t", "-tomo", "2tomo", "tömo", "t" * 31]
)
def test_a_folder_whose_name_cannot_be_an_address_or_image_is_told(own, name):
    (own / "tomo").rename(own / name)
    with pytest.raises(DocumentError) as caught:
        load_use_cases([own])
    assert str(caught.value).startswith(f"{own / name / 'usecase.yaml'}:1: ")
    assert "lower-case letters" in str(caught.value)


def test_every_wrong_manifest_is_told_at_once(own):
    shutil.copytree(own / "tomo", own / "other")
    for name in ("tomo", "other"):
        with (own / name / "usecase.yaml").open("a") as file:
            file.write("sumary: A word with a slip.\n")
    with pytest.raises(DocumentError) as caught:
        load_use_cases([own])
    first, second = str(caught.value).splitlines()
    assert "other/usecase.yaml" in first
    assert "tomo/usecase.yaml" in second
    assert "did you mean 'summary'?" in first


def test_a_use_case_knows_its_notebooks(use_cases):
    assert "01_calibrate.ipynb" in use_cases["pyfai"].notebooks
