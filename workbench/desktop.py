"""The session of a desktop in the browser: a window manager, and a board of the programs.

Run as ``python -m workbench.desktop`` by the VNC server of an image that has a desktop. The
programs are the use case's apps of kind ``desktop``.
"""

import os
import shlex
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from .here import setting
from .manifest import App, Manifest, load_manifest
from .tutorials import NOTEBOOKS_VARIABLE, own_folder

BOARD = "board"
LAST_WORDS_BYTES = 1500
"""Of what a program said, how much is shown where it fails."""
STARTING_MS = 120_000
"""How long a program may take to show a window, on a busy machine."""
FRESH_S = 120
"""Who asked for a program longer ago has gone away."""
STYLE = """
QWidget { background: #24323f; color: #f2f5f7; font-size: 11pt; }
QLabel#title { font-size: 17pt; }
QPushButton { background: #34495b; border: 0; border-radius: 4px; padding: 12px 16px;
              text-align: left; }
QPushButton:hover, QPushButton:focus { background: #456078; }
"""


def main(arguments: list[str]) -> None:
    """Begin the session, or show its board."""
    source = Path(os.environ[NOTEBOOKS_VARIABLE])
    manifest = load_manifest(source)
    folder = own_folder(source.name)
    folder = folder if folder.is_dir() else Path.home()
    if arguments == [BOARD]:
        # Openbox goes to the home when it starts.
        os.chdir(folder)
        sys.exit(show_board(manifest))
    begin(manifest.desktop_apps, folder)


def begin(apps: Mapping[str, App], folder: Path) -> None:
    """Replace this process by the window manager, which begins with the board.

    Parameters
    ----------
    apps : mapping of str to App
    folder : Path
        Where programs start.
    """
    settings = Path(mkdtemp(prefix="beamhub-desktop-"))
    (settings / "openbox").mkdir()
    (settings / "openbox/menu.xml").write_bytes(menu(apps, folder))
    # Openbox takes a user's own menu first, then ours, then what the system has.
    os.environ["XDG_CONFIG_DIRS"] = f"{settings}:{os.environ.get('XDG_CONFIG_DIRS', '/etc/xdg')}"
    board = shlex.join([sys.executable, "-P", "-m", "workbench.desktop", BOARD])
    os.execvp("openbox", ["openbox", "--startup", board])  # noqa: S606


def menu(apps: Mapping[str, App], folder: Path) -> bytes:
    """Return Openbox's menu: an entry for each program, which starts in a folder."""
    root = Element("openbox_menu", xmlns="http://openbox.org/3.4/menu")
    entries = SubElement(root, "menu", id="root-menu", label="Programs")
    for app in apps.values():
        # An underscore would underline the letter that follows.
        item = SubElement(entries, "item", label=app.title.replace("_", "__"))
        action = SubElement(item, "action", name="Execute")
        SubElement(action, "command").text = shlex.join(["env", f"--chdir={folder}", *app.command])
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def show_board(manifest: Manifest) -> int:
    """Show the background with a button for each program, until the session ends."""
    from PySide6.QtCore import QFileSystemWatcher, Qt
    from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QVBoxLayout, QWidget

    application = QApplication([])
    application.setStyleSheet(STYLE)
    board = QWidget()
    board.setWindowTitle(manifest.title)
    board.setAttribute(Qt.WidgetAttribute.WA_X11NetWmWindowTypeDesktop)
    column = QVBoxLayout(board)
    column.setContentsMargins(48, 48, 48, 48)
    column.setSpacing(8)
    column.addWidget(QLabel(manifest.title, objectName="title"))
    column.addSpacing(16)
    buttons = {}
    for name, app in manifest.desktop_apps.items():
        buttons[name] = button = QPushButton(app.title)
        button.clicked.connect(partial(start, app, button))
        column.addWidget(button, alignment=Qt.AlignmentFlag.AlignLeft)
    column.addStretch()
    screen = application.primaryScreen()
    board.setGeometry(screen.geometry())
    # The browser's window gives the screen its size.
    screen.geometryChanged.connect(board.setGeometry)
    board.show()
    watcher = QFileSystemWatcher([str(wanted_folder())])
    watcher.directoryChanged.connect(lambda _: start_wanted(buttons))
    start_wanted(buttons)
    return int(application.exec())


def wanted_folder() -> Path:
    """Return the folder in which the name of a program asks for it; made where it isn't there.

    A home may be that of several servers, one a use case.
    """
    folder = Path.home() / ".local/share/beamhub/wanted" / setting("USE_CASE")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def start_wanted(buttons: Mapping[str, Any]) -> None:
    """Start the programs that have been asked for, if that isn't long ago."""
    for path in list(wanted_folder().iterdir()):
        fresh = time.time() - path.stat().st_mtime < FRESH_S
        path.unlink()
        if fresh and path.name in buttons:
            buttons[path.name].click()


def last_words(said: bytes) -> str:
    """Return the lines that a program said last, without one that is cut off."""
    text = said.decode(errors="replace")
    return text.split("\n", 1)[-1] if len(said) == LAST_WORDS_BYTES else text


def start(app: App, button: Any) -> None:
    """Start a program, and tell what it said last if it fails."""
    from PySide6.QtCore import QProcess, QTimer
    from PySide6.QtWidgets import QApplication, QMessageBox

    process = QProcess(button)
    process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
    said = bytearray()

    def listen() -> None:
        said.extend(process.readAll().data())
        del said[:-LAST_WORDS_BYTES]

    def settle() -> None:
        button.setText(app.title)
        button.setEnabled(True)

    def lose_focus(to: object | None) -> None:
        if to is None:
            settle()

    def warn(text: str) -> None:
        QMessageBox.warning(button.window(), app.title, f"{app.title} {text}")

    def ended(status: int) -> None:
        settle()
        if status:
            warn(f"ended with an error.\n\n{last_words(bytes(said))}")

    def failed(error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            settle()
            warn(f"could not be started: {process.errorString()}.")

    process.readyRead.connect(listen)
    process.errorOccurred.connect(failed)
    process.finished.connect(ended)
    # Windows take their time, and nobody should start a second program instead of waiting.
    button.setText(f"{app.title}: is starting")
    button.setEnabled(False)
    process.start(app.command[0], app.command[1:])
    QTimer.singleShot(STARTING_MS, settle)
    # Its window takes the focus when it comes, which pictures shown meanwhile don't.
    QApplication.instance().focusWindowChanged.connect(lose_focus)


if __name__ == "__main__":
    main(sys.argv[1:])
