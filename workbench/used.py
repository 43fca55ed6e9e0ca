"""What this process has used so far: data that were handed out, checks that were reported."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .manifest import DataSet

RUN = uuid.uuid4().hex
"""Tells this process, a notebook's kernel, from every other."""

shown: datetime | None = None
"""When `cite` put the record into the notebook last."""

REPORTS: dict[str, dict[str, Any]] = {}
"""What `Checks.report` has told, by title."""


@dataclass(frozen=True)
class Handed:
    """A data set whose files a notebook was given.

    Parameters
    ----------
    use_case, name : str
        Its full name is ``use case/name``.
    data : DataSet
        As it was declared, with the seed that was chosen.
    folder : Path
        Where its files lay.
    sums : dict of str to str
        Their names, and their SHA-256 where it has been compared already, else empty.
    complete : bool
        Whether these are all of its files: a stream may have been left early.
    """

    use_case: str
    name: str
    data: DataSet
    folder: Path
    sums: Mapping[str, str]
    complete: bool = True

    @property
    def key(self) -> tuple[str, int]:
        """Its full name and seed: another seed gives other files."""
        return f"{self.use_case}/{self.name}", self.data.seed


HANDED: dict[tuple[str, int], Handed] = {}
"""The data sets that `data.fetch` has handed out, in that order."""


def remember(handed: Handed) -> None:
    """Keep in mind that a data set was used; asking for it again changes nothing."""
    HANDED[handed.key] = handed


def forget() -> None:
    """Begin anew, as a fresh kernel does."""
    global shown
    shown = None
    REPORTS.clear()
    HANDED.clear()
