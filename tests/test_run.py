"""How a run without a person judges a notebook, by what its checks wrote."""

import subprocess
import sys

import pytest

from workbench.checks import RESULTS_VARIABLE, Checks
from workbench.run import folder_of, judge, main, words_of


@pytest.fixture
def results(tmp_path, monkeypatch):
    path = tmp_path / "checks"
    monkeypatch.setenv(RESULTS_VARIABLE, str(path))
    return path


def test_a_notebook_whose_checks_hold_has_passed(results, capsys):
    checks = Checks("Fit")
    checks.close("Slope", got=3.01, truth=3, within=0.1, unit="m")
    checks.equal("Count", got=2, truth=2)
    checks.report()
    outcome = judge("a.ipynb", results, "a.ipynb (3 s)")
    assert outcome.passed
    assert outcome.text.splitlines() == [
        "a.ipynb (3 s)",
        "  ok     Slope: 3.01 m (expected 3 m, ± 0.1 m)",
        "  ok     Count: 2 (expected 2, exact)",
        "  Fit: All 2 checks passed",
    ]


def test_one_failed_check_fails_the_notebook_and_is_named(results, capsys):
    checks = Checks("Fit")
    checks.below("Residual", got=9, limit=1)
    checks.equal("Count", got=2, truth=2)
    checks.report()
    outcome = judge("a.ipynb", results, "a.ipynb")
    assert not outcome.passed
    assert "  FAILED Residual: 9 (expected below 1)" in outcome.text


def test_what_could_not_be_judged_is_neither_ok_nor_failed(results, capsys):
    checks = Checks("Fit")
    checks.equal("Count", got=2, truth=2)
    checks.not_judged("Gain", why="no calibration")
    checks.report()
    outcome = judge("a.ipynb", results, "a.ipynb")
    assert outcome.passed
    assert outcome.text.splitlines()[-2:] == [
        "  unsure Gain: no calibration",
        "  Fit: The check passed, 1 could not be judged",
    ]


def test_every_report_of_a_notebook_counts(results, capsys):
    for title, got in (("A bad start", 9), ("Good end", 0)):
        checks = Checks(title)
        checks.below("Residual", got=got, limit=1)
        checks.report()
    outcome = judge("a.ipynb", results, "a.ipynb")
    assert not outcome.passed
    assert "A bad start: 1 of 1 check failed" in outcome.text
    assert "Good end: The check passed" in outcome.text


def test_a_notebook_that_checks_nothing_has_failed(results, capsys):
    outcome = judge("a.ipynb", results, "a.ipynb")
    assert not outcome.passed
    assert "it made no checks" in outcome.text
    Checks("Empty").report()
    assert not judge("a.ipynb", results, "a.ipynb").passed


def test_nothing_to_run_places_the_files_and_passes(tmp_path, capsys):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a.py").write_text("x = 1")
    assert main([str(tmp_path / "source"), str(tmp_path / "target")]) == 0
    assert (tmp_path / "target/a.py").read_text() == "x = 1"


def test_it_needs_nothing_but_the_workbench_to_begin():
    code = "import sys, workbench.run; print('nbclient' in sys.modules, 'hub' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]


def test_values_become_words_and_folders():
    values = {"SEED": 2, "RANGE": [1, 2], "DATA": "../x y"}
    assert words_of(values) == "SEED=2, RANGE=[1, 2], DATA=../x y"
    assert folder_of(values) == "SEED=2_RANGE=-1-2-_DATA=..-x-y"


def test_several_settings_have_a_folder_each(tmp_path, capsys):
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a.py").write_text("x = 1")
    settings = '[{"SEED": 1}, {"SEED": 2}]'
    assert main(["--settings", settings, str(tmp_path / "source"), str(tmp_path / "target")]) == 0
    assert sorted(p.name for p in (tmp_path / "target").iterdir()) == ["SEED=1", "SEED=2"]
    assert "With SEED=2:" in capsys.readouterr().out
