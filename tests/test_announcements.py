"""Announcements change while the portal runs."""

import os

from hub.pages.announcements import Announcements


def write(path, text, at):
    path.write_text(text, encoding="utf-8")
    os.utime(path, (at, at))


def test_without_a_file_there_is_nothing_to_announce(tmp_path):
    assert Announcements(None)() == ""
    assert Announcements(tmp_path / "none.md")() == ""


def test_an_edit_shows_without_a_restart(tmp_path):
    path = tmp_path / "news.md"
    announcements = Announcements(path)
    write(path, "Down on *Monday*.", 1)
    assert "<em>Monday</em>" in announcements()
    assert announcements() == announcements()
    write(path, "All is well.", 2)
    assert announcements() == "<p>All is well.</p>\n"
    path.unlink()
    assert announcements() == ""
    write(path, "Back.", 2)
    assert "Back." in announcements()


def test_html_is_shown_and_not_obeyed(tmp_path):
    write(tmp_path / "news.md", "<script>alert(1)</script>", 1)
    assert "<script>" not in Announcements(tmp_path / "news.md")()


def test_what_cannot_be_read_announces_nothing(tmp_path):
    (tmp_path / "news.md").write_bytes(b"\xff\xfe")
    assert Announcements(tmp_path / "news.md")() == ""
    assert Announcements(tmp_path)() == ""
    os.mkfifo(tmp_path / "pipe")
    assert Announcements(tmp_path / "pipe")() == "", "it is not waited for"
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert Announcements(tmp_path / "sparse")() == ""
