"""The kinds of source of data sets are told in one place."""

import re
from typing import get_args

import pytest
from pydantic import ValidationError

from hub.usecases import NOTEBOOKS
from workbench.data_sources import SOURCES, SourceName
from workbench.manifest import DataSet

OFFERS = "workbench/data/availability.py"
"""Where kinds are told apart by name: all others ask what a kind is."""


def test_every_kind_is_told_and_needs_what_a_manifest_can_say():
    assert set(SOURCES) == set(get_args(SourceName))
    for kind in SOURCES.values():
        assert set(kind.needs) <= set(DataSet.model_fields)


@pytest.mark.parametrize("name", SOURCES)
def test_a_data_set_without_what_its_source_needs_is_refused_in_words(name):
    with pytest.raises(ValidationError, match=re.escape(SOURCES[name].otherwise)):
        DataSet(title="Dots", licence="CC0-1.0", source=name)


def test_nobody_else_knows_the_kinds_by_name():
    names = "|".join(SOURCES)
    compared = re.compile(rf"source\"? (?:==|!=|in) .*\"(?:{names})\"")
    root = NOTEBOOKS.parent
    paths = [path for room in ("hub", "workbench") for path in sorted((root / room).rglob("*.py"))]
    knowing = {p.relative_to(root).as_posix() for p in paths if compared.search(p.read_text())}
    assert knowing == {OFFERS}
