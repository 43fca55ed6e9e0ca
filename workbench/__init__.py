"""What runs on the user's side, inside the server: checks, citations, the place itself."""

from . import data
from .checks import Checks
from .citations import cite
from .here import here
from .tutorials import reset

__all__ = ["Checks", "cite", "data", "here", "reset"]
