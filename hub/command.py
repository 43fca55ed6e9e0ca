"""The program ``beamhub``: the command line, or a sentence where the portal's packages are missing.

An environment of a user's server has this package without them, and modules need them to be loaded.
"""

import sys

from .extras import lacking


def main() -> None:
    """Run the command."""
    try:
        from .cli import app

        app()
    except ModuleNotFoundError:
        if lacks := lacking(["portal"]):
            sys.exit(lacks)
        raise
