"""Files of somebody's own: units, choices, refusals, and the record of what was read."""

import math
import re

import pytest

from workbench.readings import (
    Place,
    QuestionError,
    Reading,
    ReadingError,
    chosen,
    conversion,
    fraction,
    named,
    plausible,
    quantity,
    quantity_of_text,
    refusing,
)
from workbench.readings.units import KIND_OF, KINDS, SPELLINGS, name_of, table

PLACE = Place("/data/run7.h5", "entry/detector/x_pixel_size", "PIXEL_UNIT")


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("mm", 1.0),
        ("micron", 1e-3),
        ("µm", 1e-3),
        ("μm", 1e-3),
        (b"um\0", 1e-3),
        (["micrometres"], 1e-3),
        ("Å", 1e-7),
        ("A", 1e-7),
        ("Angstroem", 1e-7),
        ("Meter", 1e3),
        (" [cm] ", 10.0),
    ],
)
def test_lengths_in_every_spelling(unit, expected):
    assert conversion(unit, "mm", PLACE)(1.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("deg", 1.0),
        ("°", 1.0),
        ("mrad", 0.18 / math.pi),
        ("revolutions", 360.0),
        ("RAD", 180 / math.pi),
    ],
)
def test_angles(unit, expected):
    assert conversion(unit, "deg", PLACE)(1.0) == pytest.approx(expected)


def test_milli_and_mega_are_told_apart_and_not_guessed():
    assert conversion("MeV", "keV", PLACE)(1.0) == pytest.approx(1e3)
    assert conversion("meV", "keV", PLACE)(1.0) == pytest.approx(1e-6)
    assert conversion("KEV", "keV", PLACE)(1.0) == 1.0
    with pytest.raises(QuestionError, match="MEV"):
        conversion("MEV", "keV", PLACE)


def test_temperatures_have_zeros():
    assert conversion("degC", "K", PLACE)(20.0) == pytest.approx(293.15)
    assert conversion("K", "degC", PLACE)(293.15) == pytest.approx(20.0)


def test_a_wavelength_is_a_photon_energy():
    assert quantity([[1.0]], "Å", "keV", PLACE) == pytest.approx(12.39842, rel=1e-6)
    assert quantity("0.1", b"nm", "keV", PLACE) == pytest.approx(12.39842, rel=1e-6)
    with pytest.raises(ReadingError, match="above 0"):
        quantity(0, "nm", "keV", PLACE)


@pytest.mark.parametrize("unit", [None, "", [], b""])
def test_a_missing_unit_is_a_question_with_its_parameter(unit):
    sentence = re.escape(
        "run7.h5, entry/detector/x_pixel_size: found a number without a unit where a length is "
        "meant. Which is right? Answer with PIXEL_UNIT = 'km', 'm'"
    )
    with pytest.raises(QuestionError, match=sentence):
        quantity(5, unit, "mm", PLACE)


def test_an_unknown_unit_is_a_question_that_knows_what_was_meant():
    with pytest.raises(QuestionError, match=r"'milimeter', which is not known.*did you mean mm\?"):
        conversion("milimeter", "mm", PLACE)


def test_a_unit_of_something_else_is_refused():
    with pytest.raises(ReadingError, match=r"'deg', of an angle, expected a length in km, m"):
        conversion("deg", "mm", PLACE)


@pytest.mark.parametrize("unit", sorted(KIND_OF))
def test_every_unit_and_spelling_means_one_thing(unit):
    assert name_of(unit) == unit
    assert all(name_of(word) == unit for word in SPELLINGS.get(unit, ()))
    assert 1.0 in KINDS[KIND_OF[unit]].values()


def test_no_spelling_is_of_two_units():
    words = [word for unit, words in SPELLINGS.items() for word in (unit, *words)]
    assert len(words) == len(set(words))
    assert {row[1] for row in table()} == set(KIND_OF)


@pytest.mark.parametrize("value", ["x", "", [], float("nan"), [1.0, 2.0], "inf", None])
def test_what_is_not_one_number_is_refused(value):
    with pytest.raises(ReadingError, match=r"run7\.h5.*expected (a|one) number"):
        quantity(value, "mm", "mm", PLACE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("81.65 %", 0.8165), ("81.65per cent", 0.8165), (".5 1", 0.5), ("1e-1 1", 0.1)],
)
def test_text_with_its_unit(text, expected):
    assert quantity_of_text(text, "1", PLACE) == pytest.approx(expected)


def test_a_fraction_is_one_or_is_asked_for():
    reading = Reading("Yours")
    assert fraction("0.8", None, "transmission", PLACE, reading) == 0.8
    assert "a part of 1, as it has no unit" in str(reading)
    assert fraction(80, "%", "transmission", PLACE, reading) == 0.8
    with pytest.raises(QuestionError, match="transmission 80 without a unit"):
        fraction(80, "", "transmission", PLACE, reading)
    for value, unit in ((0, ""), (-0.1, ""), (101, "%"), (1.2, "1")):
        with pytest.raises(ReadingError, match="at most 1"):
            fraction(value, unit, "transmission", PLACE, reading)


def test_one_of_several_is_a_question_and_then_noted():
    place, reading = Place("a.mca", "", "SCAN"), Reading("Yours")
    assert chosen(1, None, "scan", place, reading) == 0
    assert not reading.lines
    with pytest.raises(QuestionError, match=r"3 scans.*SCAN = 1, 2 or 3"):
        chosen(3, None, "scan", place, reading, first=1)
    assert chosen(3, 2, "scan", place, reading, first=1) == 1
    assert "scan 2 of 3, counted from 1 (SCAN changes that)" in str(reading)
    assert "the other 2 scans" in str(reading)
    for wanted in (0, 4, -1):
        with pytest.raises(ReadingError, match="SCAN from 1 to 3"):
            chosen(3, wanted, "scan", place, reading, first=1)
    with pytest.raises(ReadingError, match="no scan"):
        chosen(0, None, "scan", place, reading)


def test_one_of_several_by_its_name():
    place, reading = Place("a.h5", "", "ENTRY"), Reading("Yours")
    assert named(["entry"], None, "entry", place, reading) == 0
    with pytest.raises(QuestionError, match="2 entries"):
        named(["a", "b"], None, "entry", place, reading)
    assert named(["a", "b"], "b", "entry", place, reading) == 1
    with pytest.raises(ReadingError, match="no entry c, expected ENTRY = 'a' or 'b'"):
        named(["a", "b"], "c", "entry", place, reading)


def test_a_number_lies_where_such_numbers_lie():
    assert plausible(12.4, 1, 500, "keV", "an energy of", PLACE) == 12.4
    with pytest.raises(
        ReadingError, match=r"an energy of 12400 keV, expected 1 to 500 keV\. In eV\?"
    ):
        plausible(12400, 1, 500, "keV", "an energy of", PLACE, "In eV?")
    with pytest.raises(ReadingError, match="nan"):
        plausible(math.nan, 1, 500, "keV", "an energy of", PLACE)
    for typed in ("12.4", None, [12.4, 15.0]):
        with pytest.raises(ReadingError, match="a number, 1 to 500 keV"):
            plausible(typed, 1, 500, "keV", "an energy of", PLACE)


@pytest.mark.parametrize("error", [KeyError("x"), IndexError(), AttributeError("no y"), OSError()])
def test_no_error_of_a_library_reaches_a_reader(error, tmp_path):
    path = tmp_path / "a.edf"
    path.touch()
    with (
        pytest.raises(ReadingError, match=r"a\.edf: found .*, expected an image\. Look at IMAGE"),
        refusing(Place(path, "", "IMAGE"), "an image"),
    ):
        raise error


def test_a_missing_file_is_called_so_and_a_sentence_stays_as_it_is(tmp_path):
    with (
        pytest.raises(ReadingError, match="found no such file"),
        refusing(Place(tmp_path / "gone"), "an image"),
    ):
        raise RuntimeError("anything")
    with pytest.raises(QuestionError), refusing(Place(tmp_path), "an image"):
        raise QuestionError(PLACE, "two", ["1", "2"])


def test_an_error_shows_itself_without_a_traceback():
    error = ReadingError(PLACE, "this", "that", "Do so.")
    assert str(error) == "run7.h5, entry/detector/x_pixel_size: found this, expected that. Do so."
    assert error._render_traceback_() == [str(error)]


def test_the_box_says_what_was_read_assumed_and_left_out(capsys):
    reading = Reading("Your <scan>")
    reading.took("a.h5: 3 frames")
    reading.took("a.h5: 3 frames")
    reading.left_out("1 frame & more", "FRAME")
    reading.assumed("no dark current")
    assert str(reading).splitlines() == [
        "Your <scan>",
        "  Read      a.h5: 3 frames",
        "  Assumed   no dark current",
        "  Left out  1 frame & more (FRAME changes that)",
    ]
    html = reading._repr_html_()
    assert "Your &lt;scan&gt;" in html
    assert "1 frame &amp; more" in html
    reading.show()
    assert "3 frames" in capsys.readouterr().out
