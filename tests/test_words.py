"""Numbers and times as people say them."""

import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.pages.words import left_text, markdown, minutes_text, number_text, size_text

NOW = datetime(2026, 6, 1, 12)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "size not published"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (20_800, "20.8 kB"),
        (999_499, "999 kB"),
        (999_999, "1 MB"),
        (47_000_000, "47 MB"),
        (38_000_000_000, "38 GB"),
        (4_000_000_000_000_000, "4000 TB"),
    ],
)
def test_sizes(size_bytes, text):
    assert size_text(size_bytes) == text


@given(st.integers(0, 10**18))
def test_a_size_is_always_a_plain_number_and_a_unit_near_the_truth(size_bytes):
    found = re.fullmatch(r"(\d+(?:\.\d+)?) (B|kB|MB|GB|TB)", size_text(size_bytes))
    assert found
    value = float(found[1]) * 1000 ** ["B", "kB", "MB", "GB", "TB"].index(found[2])
    assert value == pytest.approx(size_bytes, rel=0.006)


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(0, "0 min"), (35, "35 min"), (60, "1 h"), (125, "2 h 5 min"), (1440, "24 h")],
)
def test_minutes(minutes, text):
    assert minutes_text(minutes) == text


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (timedelta(minutes=3), "ends in 3 min"),
        (timedelta(hours=7, minutes=59, seconds=50), "ends in 8 h"),
        (timedelta(hours=3, minutes=10), "ends in 3 h 10 min"),
        (timedelta(seconds=20), "ends in less than 1 min"),
        (timedelta(seconds=-5), "ends in less than 1 min"),
    ],
)
def test_time_left(left, text):
    assert left_text(NOW + left, NOW) == text


def test_numbers_without_needless_digits():
    assert [number_text(value) for value in (2.0, 0.5, 16)] == ["2", "0.5", "16"]


def test_markdown_shows_html_and_never_obeys_it():
    assert "<strong>bold</strong>" in markdown("**bold**")
    html = markdown("<script>alert(1)</script> [x](javascript:alert(1)) ![x](data:text/html,x)")
    assert "<script>" not in html
    assert 'href="javascript:' not in html
    assert 'src="data:' not in html
