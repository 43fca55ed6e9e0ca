"""Checks: what passes, what is shown, what a run without a person reads."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.checks import RESULTS_VARIABLE, Checks, quantity, slug

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12)


@pytest.fixture
def checks() -> Checks:
    return Checks("Calibration of a <detector>")


@given(truth=NUMBERS, got=NUMBERS, within=st.floats(min_value=1e-9, max_value=1e9))
def test_a_number_passes_exactly_within_its_tolerance(truth, got, within):
    checks = Checks("x")
    checks.close("d", got=got, truth=truth, within=within)
    assert checks.passed == (abs(got - truth) <= within)


@pytest.mark.parametrize(
    ("got", "passed"), [(98.9, False), (99, True), (101, True), (101.1, False)]
)
def test_a_percentage_is_one_of_the_truth(checks, got, passed):
    checks.close("d", got=got, truth=100, within_percent=1)
    assert checks.passed is passed


def test_a_percentage_of_a_negative_truth_works_too(checks):
    checks.close("d", got=-101, truth=-100, within_percent=2)
    assert checks.passed


@pytest.mark.parametrize("got", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_never_passes(got):
    for check in ("close", "below", "above"):
        checks = Checks("x")
        limits = {"truth": 1, "within": 5} if check == "close" else {"limit": 1}
        getattr(checks, check)("d", got=got, **limits)
        expected = (check, got) in {("above", float("inf")), ("below", float("-inf"))}
        assert checks.passed is expected


@pytest.mark.parametrize(
    "tolerance",
    [
        {},
        {"within": 1, "within_percent": 1},
        {"within": 0},
        {"within": -1},
        {"within": float("nan")},
        {"within": float("inf")},
        {"within_percent": float("inf")},
        {"within_percent": -1},
    ],
)
def test_a_tolerance_that_is_none_is_refused(checks, tolerance):
    with pytest.raises(ValueError, match=r"tolerance|exactly one"):
        checks.close("d", got=1, truth=1, **tolerance)
    assert checks.results == []


def test_a_percentage_of_zero_is_refused(checks):
    with pytest.raises(ValueError, match="positive"):
        checks.close("d", got=0, truth=0, within_percent=5)


def test_limits_and_equality(checks):
    checks.below("a", got=1, limit=2, unit="mm")
    checks.above("b", got=2, limit=1)
    checks.equal("c", got=(3, 4), truth=(3, 4))
    assert checks.passed
    checks.below("a", got=2, limit=2)
    assert [c.passed for c in checks.results] == [False, True, True]


def test_no_checks_are_no_success(checks):
    assert not checks.passed
    assert checks.verdict == "No checks were made"


def test_the_verdict_is_a_sentence(checks):
    checks.equal("a", got=1, truth=1)
    assert checks.verdict == "The check passed"
    checks.equal("b", got=1, truth=1)
    assert checks.verdict == "All 2 checks passed"
    checks.equal("b", got=1, truth=2)
    assert checks.verdict == "1 of 2 checks failed"


def test_the_table_says_every_state_in_a_word_and_obeys_no_html(checks):
    checks.equal("<script>", got="<b>", truth=1)
    checks.equal("fine", got=1, truth=1)
    html = checks._repr_html_()
    assert "✗ <strong>failed</strong>" in html
    assert "✓ passed" in html
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    assert "<b>" not in html
    assert "<detector>" not in html


def test_the_text_lines_up(checks):
    checks.close("Distance", got=0.15000012, truth=0.15, within=1e-5, unit="m")
    checks.equal("Rings", got=7, truth=9)
    assert str(checks).splitlines() == [
        "Calibration of a <detector>",
        "        Check     Got     Expected  Tolerance",
        "ok      Distance  0.15 m  0.15 m    ± 1e-05 m",
        "FAILED  Rings     7       9         exact",
        "1 of 2 checks failed",
    ]


def test_a_report_is_written_where_the_run_asks(checks, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "deep/er"
    monkeypatch.setenv(RESULTS_VARIABLE, str(folder))
    checks.close("Länge", got=1, truth=1, within=0.1, unit="Å")
    checks.report()
    file = folder / "calibration-of-a-detector.json"
    body = json.loads(file.read_text(encoding="utf-8"))
    assert body["passed"] is True
    assert body["checks"][0] == {
        "name": "Länge",
        "expected": "1 Å",
        "got": "1 Å",
        "tolerance": "± 0.1 Å",
        "passed": True,
        "judged": True,
    }
    assert "All" not in capsys.readouterr().err


def test_a_report_is_written_beside_the_notebook_otherwise(checks, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(RESULTS_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    checks.equal("a", got=1, truth=2)
    checks.report()
    body = json.loads((tmp_path / "checks/calibration-of-a-detector.json").read_text())
    assert (body["passed"], body["verdict"]) == (False, "1 of 1 check failed")
    assert "FAILED" in capsys.readouterr().out


@given(st.text(max_size=30))
def test_a_title_becomes_one_file_name(text):
    name = slug(text)
    assert name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_numbers_have_six_digits_and_their_unit():
    assert quantity(1234567.0, "ppm") == "1.23457e+06 ppm"
    assert quantity(float("nan"), "m") == "nan m"
    assert quantity(2, "") == "2"


def test_what_could_not_be_judged_is_said_and_counts_neither_way(checks):
    checks.not_judged("Gain", why="the file states <none>", expected="1")
    assert not checks.passed
    assert checks.verdict == "No check could be judged"
    checks.equal("Rings", got=7, truth=7)
    assert checks.passed
    assert checks.verdict == "The check passed, 1 could not be judged"
    assert "unsure  Gain   the file states <none>" in str(checks)
    html = checks._repr_html_()
    assert "? could not be judged" in html
    assert "the file states &lt;none&gt;" in html
    checks.equal("Rings", got=7, truth=9)
    assert not checks.passed
    assert checks.verdict == "1 of 1 check failed, 1 could not be judged"
