"""What runs on the user's side, inside the server: checks, citations, archives, the place.

What isn't light is imported when it is asked for: every start of a server imports this package.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .here import here
from .tutorials import reset

if TYPE_CHECKING:
    from . import data
    from .archiving import archive
    from .checks import Checks
    from .citations import cite

__all__ = ["Checks", "archive", "cite", "data", "here", "reset"]

MODULES = {"Checks": "checks", "archive": "archiving", "cite": "citations"}
"""Where the names are that come later. No module here has a name of theirs: it would take it."""


def __getattr__(name: str) -> object:
    """Return what is asked for the first time."""
    if name == "data":
        return import_module(".data", __name__)
    if name not in MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    found: object = getattr(import_module(f".{MODULES[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
