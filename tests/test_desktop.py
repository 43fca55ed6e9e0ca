"""A desktop's session, as far as it's known before there is a screen."""

from pathlib import Path
from xml.etree.ElementTree import fromstring

from hub.usecases import NOTEBOOKS, load_use_cases
from workbench.desktop import LAST_WORDS_BYTES, last_words, menu
from workbench.manifest import App

HERE = Path("/home/a/beamhub")
SPACE = "{http://openbox.org/3.4/menu}"


def entries(body: bytes) -> list[tuple[str, str]]:
    items = fromstring(body).findall(f"{SPACE}menu/{SPACE}item")
    return [(i.get("label"), i.findtext(f"{SPACE}action/{SPACE}command")) for i in items]


def test_the_menu_has_every_program_with_a_window():
    manifest = load_use_cases([NOTEBOOKS])["pyfai"].manifest
    found = entries(menu(manifest.desktop_apps, HERE))
    label = "silx view, look into HDF5 files and images"
    assert (label, "env --chdir=/home/a/beamhub silx view") in found
    assert len(found) == len(manifest.apps) == 3


def test_titles_and_commands_are_taken_as_they_are():
    app = App(title="a_b <c> & d", kind="desktop", command=["show", "my file", "$HOME"])
    command = "env --chdir=/home/a/beamhub show 'my file' '$HOME'"
    assert entries(menu({"x": app}, HERE)) == [("a__b <c> & d", command)]


def test_last_words_begin_with_a_whole_line():
    assert last_words(b"can't open file\n") == "can't open file\n"
    assert last_words(b"x" * 100 + b"\n" + b"y" * (LAST_WORDS_BYTES - 101)) == "y" * (
        LAST_WORDS_BYTES - 101
    )
