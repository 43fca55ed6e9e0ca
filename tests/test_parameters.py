"""A notebook's parameters: found as they stand at its top, and replaced without any mark."""

import json

import nbformat
import pytest

from hub.usecases import NOTEBOOKS
from workbench.parameters import parameter_texts, parameters_of, read_setting, set_parameters

FOLDERS = sorted(NOTEBOOKS.glob("*/*.ipynb"))


def notebook(*cells: str, kernel: str = "python3") -> dict:
    return {
        "metadata": {"kernelspec": {"name": kernel}},
        "cells": [{"cell_type": "code", "source": text} for text in cells],
    }


def test_plain_values_of_names_in_capitals_are_parameters():
    found = notebook(
        "%matplotlib widget\nSEED = 1  # of the simulation\nFILES = None\nMIN, MAX = 2, 60\n",
        "seed = 3\nOUTPUT = Path('output')\nSEED = 9\nRANGE = (1.5, -2)\nSUM = 1 + SEED\n",
    )
    assert parameters_of(found) == {
        "SEED": 1,
        "FILES": None,
        "MIN": 2,
        "MAX": 60,
        "RANGE": (1.5, -2),
    }


def test_only_the_first_value_is_replaced_and_all_else_stays():
    found = notebook(
        "%matplotlib widget\nµ = 'ä'; SEED = 1  # of the simulation\nMIN, MAX = 2, 60\n",
        "SEED = 9\n",
    )
    assert set_parameters(found, {"SEED": 22, "MAX": [1, 2], "NONE": 1}) == ["NONE"]
    assert [cell["source"] for cell in found["cells"]] == [
        "%matplotlib widget\nµ = 'ä'; SEED = 22  # of the simulation\nMIN, MAX = 2, [1, 2]\n",
        "SEED = 9\n",
    ]


def test_a_text_is_put_in_as_a_text_whatever_is_in_it():
    found = notebook("DATA = 'a'\n")
    set_parameters(found, {"DATA": "'; import os; x = '"})
    space: dict = {}
    exec(found["cells"][0]["source"], space)
    assert space["DATA"] == "'; import os; x = '"


def test_a_shell_notebook_has_parameters_too():
    found = notebook("SEED=1   # of it\nJOBS=$(nproc)\nexport A=2\nOUT=output/x\n", kernel="bash")
    assert parameters_of(found) == {"SEED": "1", "OUT": "output/x"}
    set_parameters(found, {"SEED": 2, "OUT": "my $(rm) folder"})
    assert found["cells"][0]["source"].splitlines() == [
        "SEED=2   # of it",
        "JOBS=$(nproc)",
        "export A=2",
        "OUT='my $(rm) folder'",
    ]


@pytest.mark.parametrize(
    "text",
    ["SEED = = 1", "%%bash\nSEED=1", "SEED = '\0'", "SEED = {[]: 1}", "SEED = " + "-" * 9000 + "1"],
    ids=["error", "magic", "null", "unhashable", "deep"],
)
def test_a_cell_that_cannot_be_read_has_none(text):
    assert parameters_of(notebook(text)) == {}


def test_what_papermill_put_in_stands_for_what_was_there():
    found = notebook("SEED = 1\nEDGE = 2\n", "SEED = 5\n")
    found["cells"][1]["metadata"] = {"tags": ["injected-parameters"]}
    assert parameters_of(found) == {"SEED": 5, "EDGE": 2}
    set_parameters(found, {"SEED": 6})
    assert [cell["source"] for cell in found["cells"]] == ["SEED = 1\nEDGE = 2\n", "SEED = 6\n"]


def test_a_record_has_the_values_as_texts_as_far_as_it_has_room():
    assert parameter_texts(notebook('DATA = "dots"\nSEED=7')) == {"DATA": "'dots'", "SEED": "7"}
    assert parameter_texts(notebook("SEED=7 # of it", kernel="bash")) == {"SEED": "7"}
    long = parameter_texts(notebook(f"TEXT = '{'x' * 5000}'\n{'N' * 101} = 1"))
    assert list(long) == ["TEXT"]
    assert len(long["TEXT"]) == 2000
    assert len(parameter_texts(notebook("\n".join(f"A{n} = {n}" for n in range(300))))) == 200


@pytest.mark.parametrize("path", FOLDERS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_is_set_in_a_shipped_tutorial_is_what_its_record_says(path):
    shipped = json.loads(path.read_text(encoding="utf-8"))
    names = list(parameters_of(shipped))
    values = {name: f"set-{number}" for number, name in enumerate(names)}
    assert set_parameters(shipped, values) == []
    write = str if path.stem == "05_command_line" else repr
    assert parameter_texts(shipped) == {name: write(value) for name, value in values.items()}


@pytest.mark.parametrize("path", FOLDERS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_shipped_tutorial_has_a_seed_that_can_be_set(path):
    shipped = json.loads(path.read_text(encoding="utf-8"))
    # One that compares over seeds has several.
    name, value = ("SEEDS", (77, 78)) if "SEEDS" in parameters_of(shipped) else ("SEED", 77)
    assert set_parameters(shipped, {name: value}) == []
    assert str(parameters_of(shipped)[name]) == str(value)
    nbformat.validate(nbformat.from_dict(shipped))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("seed=1,2,3", ("SEED", [1, 2, 3])),
        ("DATA=lab6-image", ("DATA", ["lab6-image"])),
        ("DATA=lab6-image,ceo2-image", ("DATA", ["lab6-image", "ceo2-image"])),
        ("RANGE=(1,2),(3,4)", ("RANGE", [(1, 2), (3, 4)])),
        ("OWN=None", ("OWN", [None])),
        ("MIXED=1,two", ("MIXED", [1, "two"])),
        ("FILE=/data/a=b.h5", ("FILE", ["/data/a=b.h5"])),
    ],
)
def test_settings_are_read_as_python_and_else_as_texts(text, meant):
    assert read_setting(text) == meant


@pytest.mark.parametrize("text", ["", "SEED", "=1", "SEED=", "a b=1", "2=3"])
def test_another_form_is_refused(text):
    with pytest.raises(ValueError, match="NAME=VALUE"):
        read_setting(text)
