"""Open Quasar with this use case's workflow, and with the map that it reads in place.

Quasar asks its authors for updates and news at each start. Here it doesn't, until somebody says so in
its preferences: a facility's server may not reach them, and users were not asked.
"""

import shutil
import sys
from pathlib import Path

from AnyQt.QtCore import QSettings
from quasar.launcher import Launcher, QuasarConfig

from workbench import data

HERE = Path(__file__).parent
ASKS_ITS_AUTHORS = ("startup/check-updates", "notifications/check-notifications")


def place_data(folder: Path) -> None:
    """Put the map and the spectrum of water vapour where the workflow looks for them."""
    folder.mkdir(exist_ok=True)
    files = data.fetch("liver-section")
    for name in ("section.hdr", "section.img", "vapour.dpt"):
        if not (folder / name).exists():
            shutil.copy(files[name], folder / name)


def keep_quiet(settings: QSettings) -> None:
    """Switch off what a user hasn't switched on."""
    for key in ASKS_ITS_AUTHORS:
        if not settings.contains(key):
            settings.setValue(key, False)


def main() -> None:
    """Start Quasar, as its own command does."""
    place_data(HERE / "output")
    own = QSettings.Format.IniFormat, QSettings.Scope.UserScope
    keep_quiet(QSettings(*own, QuasarConfig.OrganizationDomain, QuasarConfig.ApplicationName))
    sys.argv = ["quasar", "--no-welcome", str(HERE / "workflow.ows")]
    Launcher().launch()


if __name__ == "__main__":
    main()
