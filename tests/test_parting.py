"""What a hub without rights can read of the machine."""

from pathlib import Path

import pytest

from hub.parting import files_of_hub, is_readable


@pytest.mark.parametrize(
    ("folder", "answer"),
    [("/", True), ("/etc", True), ("/etc/no-such-folder/yet", True), ("secret", False)],
)
def test_a_file_that_is_made_later_has_to_be_in_reach(
    tmp_path: Path, folder: str, answer: bool
) -> None:
    (tmp_path / "secret").mkdir(0o700)
    later = tmp_path / folder / "no-news-yet.md"
    assert is_readable(later) == answer


def test_announcements_are_the_hubs_before_there_are_any(laptop, change, tmp_path) -> None:
    later = tmp_path / "news.md"
    assert later in files_of_hub(change(laptop, announcements=later))
