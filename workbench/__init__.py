"""What runs on the user's side, inside the server: checks, citations, the place itself."""

from .checks import Checks
from .citations import cite
from .here import here

__all__ = ["Checks", "cite", "here"]
