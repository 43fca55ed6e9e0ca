"""A desktop's session, as far as it's known before there is a screen."""

from xml.etree.ElementTree import fromstring

from hub.usecases import NOTEBOOKS, load_use_cases
from workbench.desktop import menu
from workbench.manifest import App

SPACE = "{http://openbox.org/3.4/menu}"


def entries(body: bytes) -> list[tuple[str, str]]:
    items = fromstring(body).findall(f"{SPACE}menu/{SPACE}item")
    return [(i.get("label"), i.findtext(f"{SPACE}action/{SPACE}command")) for i in items]


def test_the_menu_has_every_program_with_a_window():
    manifest = load_use_cases([NOTEBOOKS])["pyfai"].manifest
    assert ("silx view, look into HDF5 files and images", "silx view") in entries(
        menu(manifest.desktop_apps)
    )
    assert len(entries(menu(manifest.desktop_apps))) == len(manifest.apps) == 3


def test_titles_and_commands_are_taken_as_they_are():
    app = App(title="a_b <c> & d", kind="desktop", command=["show", "my file", "$HOME"])
    assert entries(menu({"x": app})) == [("a__b <c> & d", "show 'my file' '$HOME'")]
