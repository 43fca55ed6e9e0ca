"""What runs on the user's side, inside the server: checks, citations, archives, the place."""

from . import data
from .archive import archive
from .checks import Checks
from .citations import cite
from .here import here
from .tutorials import reset

__all__ = ["Checks", "archive", "cite", "data", "here", "reset"]
