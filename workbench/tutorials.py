"""Put a use case's tutorials into a user's folder, and never lose what the user made of them."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from .atomic_write import atomic_write
from .hashing import sha256_of
from .here import setting

NOTEBOOKS_VARIABLE = "BEAMHUB_NOTEBOOKS"
RECORD = ".beamhub.json"


@dataclass(frozen=True)
class Placed:
    """What `place` did with the files, by their names."""

    new: tuple[str, ...]
    updated: tuple[str, ...]
    kept: tuple[str, ...]


def place(source: Path, target: Path) -> Placed:
    """Copy the files of `source` into `target`, never over one that its user has changed.

    A file that the user has changed stays as it is; where there is a newer version of it, that
    is put beside, as ``name.new.ipynb``.

    Parameters
    ----------
    source : Path
        The use case's folder, as shipped.
    target : Path
        The user's folder; made where it isn't there yet.
    """
    target.mkdir(parents=True, exist_ok=True)
    record = read_record(target)
    new, updated, kept = [], [], []
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        name = str(path.relative_to(source))
        mine, shipped = target / name, sha256_of(path)
        before = record.get(name)
        record[name] = shipped
        if not mine.exists():
            copy(path, mine)
            new.append(name)
        elif sha256_of(mine) == shipped:
            continue
        elif sha256_of(mine) == before:
            copy(path, mine)
            updated.append(name)
        else:
            kept.append(name)
            if before != shipped:
                place_beside(path, name, target, record)
    atomic_write(target / RECORD, json.dumps(record, indent=1).encode())
    return Placed(tuple(new), tuple(updated), tuple(kept))


def place_beside(path: Path, name: str, target: Path, record: dict[str, str]) -> None:
    """Put the new version `path` of a changed file beside it.

    It replaces the new version put there before, unless the user has worked in that one too.
    """
    for new in versions(target / name, "new"):
        known = str(new.relative_to(target))
        if not new.exists() or sha256_of(new) == record.get(known):
            copy(path, new)
            record[known] = sha256_of(path)
            return


def reset(name: str) -> Path:
    """Put a tutorial's file back as it was shipped, the changed one kept beside it.

    Parameters
    ----------
    name : str
        The file's name in the tutorial's folder, for example ``01_calibrate.ipynb``.

    Returns
    -------
    Path
        Where the changed file is now.

    Raises
    ------
    FileNotFoundError
        The use case ships no such file, or this server has none.
    """
    source = Path(os.environ.get(NOTEBOOKS_VARIABLE, "/nonexistent")) / name
    folder = own_folder(setting("USE_CASE"))
    if Path(name).is_absolute() or ".." in Path(name).parts or not source.is_file():
        raise FileNotFoundError(f"This use case ships no file named '{name}'.")
    mine = folder / name
    word = time.strftime("mine-%Y%m%d-%H%M%S")
    kept = next(path for path in versions(mine, word) if not path.exists())
    if mine.exists():
        mine.rename(kept)
    copy(source, mine)
    return kept


def own_folder(use_case: str) -> Path:
    """Return where the user's copies of a use case's tutorials lie."""
    return Path.home() / "beamhub" / use_case


def read_record(target: Path) -> dict[str, str]:
    """Return the fingerprints of the files placed last, empty where nothing was."""
    try:
        record = json.loads((target / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def versions(path: Path, word: str) -> Iterator[Path]:
    """Yield names for other versions of `path`: ``fit.new.ipynb``, ``fit.new-2.ipynb``, ..."""
    yield path.with_name(f"{path.stem}.{word}{path.suffix}")
    for number in count(2):
        yield path.with_name(f"{path.stem}.{word}-{number}{path.suffix}")


def copy(source: Path, target: Path) -> None:
    """Copy a file, and make the folders above it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(target, source.read_bytes())
