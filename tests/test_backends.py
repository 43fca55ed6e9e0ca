"""Backends of other packages: found by their entry, and named where they can't be used."""

import inspect
import re
from importlib.metadata import EntryPoint

import pytest

from hub.usecases import NOTEBOOKS
from spawners.backends import BACKENDS, GROUP, backend_of


def entry(value: str) -> EntryPoint:
    return EntryPoint("other", value, GROUP)


def test_an_entry_leads_to_a_backend():
    assert backend_of(entry("spawners.local:LocalBackend")) is BACKENDS[0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("no_such_module:Backend", "No module named 'no_such_module'"),
        ("spawners.local:NoSuchBackend", "NoSuchBackend"),
        ("hub.site:SiteProfile", "isn't a subclass of spawners.Backend"),
        ("hub.site:load_site", "isn't a subclass of spawners.Backend"),
    ],
)
def test_what_is_no_backend_is_named_with_its_entry(value, said):
    with pytest.raises(ImportError) as caught:
        backend_of(entry(value))
    assert f"The backend 'other' ({value})" in str(caught.value)
    assert said in str(caught.value)


def test_the_portal_knows_no_backend_by_name():
    names = [b.__name__ for b in BACKENDS]
    modules = [inspect.getmodule(b).__name__ for b in BACKENDS]
    for path in sorted((NOTEBOOKS.parent / "hub").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        assert not [n for n in names if n in text], path
        assert not [m for m in modules if f"from {m} import" in text], path
        assert not re.search(r"backend\.kind (==|!=|in\b|not\b)", text), path
