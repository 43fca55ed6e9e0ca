"""The software catalogue: what the survey of the facilities named, and what became of it."""

import pytest

from hub.software import load_software
from workbench.documents import DocumentError

SURVEYED = {
    "CrystFEL", "DAWN", "Flamenco", "Foxtrot", "Passerelle", "PIConGPU", "PtychoShelves",
    "PyMca", "pyFAI", "Quasar", "Savu", "SpekNG", "SuRVoS",
}  # fmt: skip
PROGRAMS = load_software()


def test_every_program_of_the_survey_is_there():
    names = " ".join(program.name for program in PROGRAMS)
    assert {name for name in SURVEYED if name.lower() not in names.lower()} == set()


def test_they_come_in_the_order_of_their_names():
    names = [program.name.lower() for program in PROGRAMS]
    assert names == sorted(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_program_has_what_a_reader_asks(program, use_cases):
    assert program.house
    assert program.science
    assert program.features
    assert len(program.summary) > 30
    assert program.use_case is None or program.use_case in use_cases
    assert program.status is None or program.as_of
    open_source = not program.licence.startswith("LicenseRef-")
    assert "open-source" in program.features or not open_source


def test_every_use_case_is_among_the_programs(use_cases):
    assert {program.use_case for program in PROGRAMS} >= set(use_cases)


def test_a_slip_is_told_with_its_line(tmp_path):
    path = tmp_path / "software.yaml"
    path.write_text("programs:\n- name: A\n  huose: B\n")
    with pytest.raises(DocumentError) as caught:
        load_software(path)
    assert f"{path}:3: programs.0.huose: unknown key: did you mean 'house'?" in str(caught.value)
