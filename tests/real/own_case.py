"""What tests of one's own files share; it is run in the use cases' environments, like these."""

import os
import tempfile
import unittest
from collections.abc import Callable, Mapping
from pathlib import Path

from workbench.readings import Reading
from workbench.told import ToldError


class Files(unittest.TestCase):
    """Tests with a folder of their own, and a record of what was read."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.reading = Reading("Yours")

    def refused(self, kind, *words):
        """Return a context that demands a sentence with these words, in this order."""
        return self.assertRaisesRegex(kind, f"(?s){'.*'.join(words)}")


def said(action: Callable[[], object]) -> str:
    """Return the sentence with which something is refused."""
    try:
        action()
    except ToldError as problem:
        return str(problem)
    raise AssertionError("it was not refused")


def run_cases(module: Mapping[str, object]) -> None:
    """Run every function of a module whose name begins with ``case_``, in an empty folder."""
    for name, case in [item for item in module.items() if item[0].startswith("case_")]:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            case()
            os.chdir("/")
        print(name, "held")  # noqa: T201
