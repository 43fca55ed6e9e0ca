"""The beginning of a server: what becomes of its PATH."""

import pytest

from workbench.start import with_programs


@pytest.mark.parametrize(
    ("opened", "path"),
    [("", "/venv/bin:/bin"), ("/sw/a/bin:/sw/b", "/venv/bin:/bin:/sw/a/bin:/sw/b")],
)
def test_opened_programs_come_last_on_the_path(monkeypatch, opened, path):
    monkeypatch.setenv("BEAMHUB_PATHS", opened)
    assert with_programs("/venv/bin:/bin") == path
