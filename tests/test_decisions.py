"""Decisions: each is in its room, has a date, and is where code and pages say that it is."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import decision_index
import pytest

ROOT = Path(__file__).parents[1]
REFERENCE = re.compile(r"[Dd]ecisions?[ /](?:[a-z-]+/)?(\d{4})\b(?!-\d\d-)")


def written_files() -> list[Path]:
    """Return the files of the repository that people write."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    kinds = {".py", ".md", ".sh", ".yaml", ".yml", ".toml", ".js", ".html", ".ipynb", ""}
    files = [ROOT / name for name in tracked if name]
    return [path for path in files if path.suffix in kinds and path.is_file()]


def test_every_number_is_given_once():
    numbers = Counter(decision.number for decision in decision_index.everything())
    assert len(numbers) > 80
    assert [number for number, count in numbers.items() if count > 1] == []


def test_a_decisions_file_has_its_number():
    for decisions in decision_index.in_rooms().values():
        for decision in decisions:
            assert decision.path.name.startswith(f"{decision.number}-")


def test_every_decision_that_is_referred_to_exists():
    known = {decision.number for decision in decision_index.everything()}
    known |= set(decision_index.superseded())
    referred = {
        (str(path.relative_to(ROOT)), number)
        for path in written_files()
        for number in REFERENCE.findall(path.read_text(encoding="utf-8"))
    }
    assert len(referred) > 10
    assert sorted(pair for pair in referred if pair[1] not in known) == []


def test_what_is_superseded_as_a_whole_is_found_by_its_number():
    assert decision_index.superseded()["0016"] == "0171"


def test_a_decision_without_a_date_is_refused(tmp_path):
    page = tmp_path / "0300-no-date.md"
    page.write_text("# 0300 No date\n\n**Context.** None.\n", encoding="utf-8")
    with pytest.raises(ValueError, match="Decided YYYY-MM-DD"):
        decision_index.read_file(page)


def test_the_index_leads_to_each_decision():
    index = decision_index.index()
    for decision in decision_index.everything():
        assert f"| [{decision.number}](" in index
        assert decision.date in index
