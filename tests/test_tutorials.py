"""Tutorials in a user's folder: what the user made of them is never lost."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hub.usecases import NOTEBOOKS
from workbench.tutorials import RECORD, place, reset


@pytest.fixture
def shipped(tmp_path) -> Path:
    folder = tmp_path / "shipped"
    (folder / "data").mkdir(parents=True)
    (folder / "01_fit.ipynb").write_text("v1")
    (folder / "data/a.csv").write_text("1,2")
    return folder


@pytest.fixture
def mine(tmp_path) -> Path:
    return tmp_path / "home/beamhub/fit"


@pytest.fixture
def server(shipped, mine, tmp_path, monkeypatch) -> None:
    """What a user's server is told."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEAMHUB_NOTEBOOKS", str(shipped))
    monkeypatch.setenv("BEAMHUB_USE_CASE", "fit")
    place(shipped, mine)


def files(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): p.read_text()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != RECORD
    }


def test_everything_is_there_at_the_first_start(shipped, mine):
    placed = place(shipped, mine)
    assert placed.new == ("01_fit.ipynb", "data/a.csv")
    assert files(mine) == files(shipped)


def test_a_second_start_changes_nothing(shipped, mine):
    place(shipped, mine)
    placed = place(shipped, mine)
    assert (placed.new, placed.updated, placed.kept) == ((), (), ())


def test_a_file_that_nobody_changed_is_updated(shipped, mine):
    place(shipped, mine)
    (shipped / "01_fit.ipynb").write_text("v2")
    assert place(shipped, mine).updated == ("01_fit.ipynb",)
    assert files(mine)["01_fit.ipynb"] == "v2"


def test_a_changed_file_stays_and_its_new_version_is_put_beside(shipped, mine):
    place(shipped, mine)
    (mine / "01_fit.ipynb").write_text("my work")
    assert place(shipped, mine).kept == ("01_fit.ipynb",)
    assert "01_fit.new.ipynb" not in files(mine)
    (shipped / "01_fit.ipynb").write_text("v2")
    assert place(shipped, mine).kept == ("01_fit.ipynb",)
    found = files(mine)
    assert (found["01_fit.ipynb"], found["01_fit.new.ipynb"]) == ("my work", "v2")


def test_the_version_beside_is_kept_too_once_it_was_worked_in(shipped, mine):
    place(shipped, mine)
    (mine / "01_fit.ipynb").write_text("my work")
    (shipped / "01_fit.ipynb").write_text("v2")
    place(shipped, mine)
    (mine / "01_fit.new.ipynb").write_text("my work in the new one")
    (shipped / "01_fit.ipynb").write_text("v3")
    place(shipped, mine)
    assert {"my work", "my work in the new one", "v3"} <= set(files(mine).values())


def test_the_version_beside_follows_while_nobody_works_in_it(shipped, mine):
    place(shipped, mine)
    (mine / "01_fit.ipynb").write_text("my work")
    for version in ("v2", "v3", "v4"):
        (shipped / "01_fit.ipynb").write_text(version)
        place(shipped, mine)
    found = files(mine)
    assert found.pop("data/a.csv")
    assert found == {"01_fit.ipynb": "my work", "01_fit.new.ipynb": "v4"}


def test_a_file_of_the_users_own_with_the_name_of_a_shipped_one_is_kept(shipped, mine):
    mine.mkdir(parents=True)
    (mine / "01_fit.ipynb").write_text("was here before")
    place(shipped, mine)
    found = files(mine)
    assert (found["01_fit.ipynb"], found["01_fit.new.ipynb"]) == ("was here before", "v1")


@pytest.mark.parametrize("record", ["", "not json", "[1]", "null", '{"01_fit.ipynb": 7}'])
def test_a_damaged_record_loses_nothing(shipped, mine, record):
    place(shipped, mine)
    (mine / "01_fit.ipynb").write_text("my work")
    (mine / RECORD).write_text(record)
    (shipped / "01_fit.ipynb").write_text("v2")
    place(shipped, mine)
    assert files(mine)["01_fit.ipynb"] == "my work"


def test_a_deleted_file_comes_back(shipped, mine):
    place(shipped, mine)
    (mine / "data/a.csv").unlink()
    assert place(shipped, mine).new == ("data/a.csv",)


def test_the_shipped_use_cases_can_be_placed(tmp_path):
    placed = place(NOTEBOOKS / "pyfai", tmp_path)
    assert {"01_calibrate.ipynb", "usecase.yaml", "simulation.py"} <= set(placed.new)


def test_reset_puts_the_file_back_and_says_where_the_old_one_is(server, mine):
    (mine / "01_fit.ipynb").write_text("my work")
    kept = reset("01_fit.ipynb")
    assert (mine / "01_fit.ipynb").read_text() == "v1"
    assert kept.read_text() == "my work"
    assert kept.parent == mine
    assert kept.name.startswith("01_fit.mine-")
    assert kept.suffix == ".ipynb"


def test_resets_within_one_second_keep_every_version(server, mine):
    kept = []
    for version in range(4):
        (mine / "01_fit.ipynb").write_text(f"my work {version}")
        kept.append(reset("01_fit.ipynb"))
    assert [path.read_text() for path in kept] == [f"my work {n}" for n in range(4)]


def test_a_file_in_a_folder_can_be_reset(server, mine):
    (mine / "data/a.csv").write_text("9")
    assert reset("data/a.csv").read_text() == "9"
    assert (mine / "data/a.csv").read_text() == "1,2"


@pytest.mark.parametrize("name", ["02_none.ipynb", "../fit/01_fit.ipynb", "", ".", "data"])
def test_what_is_not_shipped_cannot_be_reset(server, mine, name):
    before = files(mine)
    with pytest.raises(FileNotFoundError, match="ships no file"):
        reset(name)
    assert files(mine) == before


def test_an_absolute_name_never_touches_the_file_there(server, tmp_path):
    own = tmp_path / "home/thesis.tex"
    own.write_text("years")
    with pytest.raises(FileNotFoundError):
        reset(str(own))
    assert own.read_text() == "years"


def test_without_a_portal_reset_says_so(monkeypatch):
    monkeypatch.delenv("BEAMHUB_NOTEBOOKS", raising=False)
    with pytest.raises(FileNotFoundError, match="ships no file"):
        reset("01_fit.ipynb")


NAMES = ["a.ipynb", "b.py", "sub/c.csv"]
ALL_NAMES = [*NAMES, "a.new.ipynb", "b.new.py", "b.new-2.py"]


class AUserAndAnUpdatingUseCase(RuleBasedStateMachine):
    """A user edits, starts and resets, while the use case moves on; nothing written is lost."""

    def __init__(self):
        super().__init__()
        self._scratch = tempfile.TemporaryDirectory()
        top = Path(self._scratch.name)
        self.shipped, self.mine = top / "shipped", top / "home/beamhub/case"
        self.environment = {
            "HOME": str(top / "home"),
            "BEAMHUB_NOTEBOOKS": str(self.shipped),
            "BEAMHUB_USE_CASE": "case",
        }
        (self.shipped / "sub").mkdir(parents=True)
        for name in NAMES:
            (self.shipped / name).write_text(f"{name} as shipped")
        self.precious: dict[str, str] = {}
        self.count = 0

    def fresh(self, word: str) -> str:
        self.count += 1
        return f"{word} {self.count}"

    @rule()
    def start(self):
        place(self.shipped, self.mine)

    @rule(name=st.sampled_from(NAMES))
    def a_new_version_is_shipped(self, name):
        (self.shipped / name).write_text(self.fresh("version"))

    @rule(name=st.sampled_from(NAMES))
    def a_file_is_no_longer_shipped(self, name):
        (self.shipped / name).unlink(missing_ok=True)

    @rule(name=st.sampled_from(ALL_NAMES))
    def the_user_writes(self, name):
        path = self.mine / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():  # over what was there, which is the user's own will
            self.precious.pop(path.read_text(), None)
        text = self.fresh("work")
        path.write_text(text)
        self.precious[text] = name

    @rule(name=st.sampled_from(ALL_NAMES))
    def the_user_deletes(self, name):
        path = self.mine / name
        if path.exists():
            self.precious.pop(path.read_text(), None)
            path.unlink()

    @rule(name=st.sampled_from(NAMES))
    def the_user_takes_over_a_shipped_version(self, name):
        if (self.shipped / name).exists() and (self.mine / name).exists():
            self.precious.pop((self.mine / name).read_text(), None)
            (self.mine / name).write_text((self.shipped / name).read_text())

    @rule()
    def the_record_is_lost(self):
        (self.mine / RECORD).unlink(missing_ok=True)

    @rule(name=st.sampled_from(NAMES))
    def the_user_resets(self, name):
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            reset(name)
        except FileNotFoundError:
            assert not (self.shipped / name).exists()
        else:
            assert (self.mine / name).read_text() == (self.shipped / name).read_text()
        finally:
            os.environ.clear()
            os.environ.update(before)

    @invariant()
    def nothing_that_the_user_wrote_is_lost(self):
        present = set(files(self.mine).values()) if self.mine.exists() else set()
        assert set(self.precious) <= present

    @invariant()
    def nothing_half_written_is_left(self):
        assert not list(self.mine.rglob("*.partial"))

    def teardown(self):
        self._scratch.cleanup()


TestAUserAndAnUpdatingUseCase = AUserAndAnUpdatingUseCase.TestCase
TestAUserAndAnUpdatingUseCase.settings = settings(max_examples=30, stateful_step_count=25)
