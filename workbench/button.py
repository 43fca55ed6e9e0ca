"""The button below a notebook's citations that archives it."""

import os
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .archiving import ArchiveError, archive
from .checks import RESULTS_VARIABLE
from .here import setting

SERVER = "JUPYTERHUB_SERVICE_PREFIX"


def offer() -> None:
    """Show the button, in a server that a portal started; nothing in a run without a person."""
    if RESULTS_VARIABLE in os.environ or not setting("USE_CASE") or find_spec("ipywidgets") is None:
        return
    from IPython.display import display

    display(button())


def button() -> Any:
    """Return the button, with a line beside it that says what came of pressing it."""
    import ipywidgets as widgets

    press = widgets.Button(
        description="Archive this notebook",
        icon="archive",
        tooltip="Pack notebook, checks, versions and citations into one file, for others to repeat",
        layout=widgets.Layout(width="auto"),
    )
    line = widgets.HTML()

    def pressed(_: Any) -> None:
        press.disabled = True
        line.value = "Packing …"
        try:
            line.value = done(archive())
        except ArchiveError as problem:
            line.value = escape(str(problem))
        finally:
            press.disabled = False

    press.on_click(pressed)
    return widgets.HBox([press, line])


def done(path: Path) -> str:
    """Return the sentence that says where the archive is, with a link to download it."""
    home = Path.home()
    if SERVER not in os.environ or not path.is_relative_to(home):
        return f"Archived in {escape(str(path))}"
    inside = path.relative_to(home).as_posix()
    link = f"{os.environ[SERVER]}files/{quote(inside)}?download=1"
    style = "text-decoration: underline"  # widgets show links as text
    return f'Archived: <a href="{escape(link)}" style="{style}" download>{escape(inside)}</a>'
