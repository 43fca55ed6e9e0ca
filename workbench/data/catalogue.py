"""Which data sets there are: those that the manifests of use cases declare."""

import hashlib
import json
import os
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from ..here import setting
from ..manifest import MANIFEST, DataSet, load_manifest
from .errors import DataError, Refused

SHIPPED = Path(__file__).parents[2] / "notebooks"
"""The use cases beside this package, in a checkout or an installed BeamHub."""


@dataclass(frozen=True)
class Known:
    """One data set, with the use case that declares it.

    Parameters
    ----------
    use_case, name : str
        Its full name is ``use case/name``.
    folder : Path
        The use case's folder, where generators lie.
    data : DataSet
        What the manifest says.
    """

    use_case: str
    name: str
    folder: Path
    data: DataSet

    @property
    def label(self) -> str:
        """The full name."""
        return f"{self.use_case}/{self.name}"

    @property
    def names(self) -> set[str]:
        """What it may be called: its name alone, and the full one."""
        return {self.name, self.label}

    @cached_property
    def digest(self) -> str:
        """A name of its contents as declared: another checksum, file or generator is another."""
        about: dict[str, object] = {
            "files": [f.model_dump(mode="json", exclude={"urls"}) for f in self.data.files],
        }
        if self.data.generator:
            # Modules of a folder import each other, so each may change what is computed.
            code = b"".join(p.read_bytes() for p in sorted(self.folder.glob("*.py")))
            about |= {"generator": self.data.generator, "seed": self.data.seed}
            about["code"] = hashlib.sha256(code).hexdigest()
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def size_bytes(self) -> int | None:
        """What has to be fetched, in bytes; None where nobody says."""
        return self.data.size_bytes


def use_case_folders() -> dict[str, Path]:
    """Return the folders of the use cases known here, by name; the server's own comes first."""
    found: dict[str, Path] = {}
    own = os.environ.get("BEAMHUB_NOTEBOOKS", "")
    if own and (Path(own) / MANIFEST).is_file():
        found[setting("USE_CASE") or Path(own).name] = Path(own)
    for path in sorted(SHIPPED.glob(f"*/{MANIFEST}")):
        found.setdefault(path.parent.name, path.parent)
    return found


def known_sets(folders: dict[str, Path] | None = None) -> list[Known]:
    """Return every data set of the use cases in `folders`, by default of all known here."""
    found = []
    for use_case, folder in (use_case_folders() if folders is None else folders).items():
        for name, data in load_manifest(folder).data_sets.items():
            found.append(Known(use_case, name, folder, data))
    return found


def find(name: str, sets: list[Known] | None = None) -> Known:
    """Return the data set called `name`, which may be preceded by its use case and a slash.

    Raises
    ------
    Refused
        There is none, or several use cases have one of that name.
    """
    own = setting("USE_CASE")
    if sets is None:
        # Most calls are for the server's own use case; the other manifests need not be read.
        folders = use_case_folders()
        nearest = name.partition("/")[0] if "/" in name else own
        sets = known_sets({nearest: folders[nearest]}) if nearest in folders else []
        if not any(name in k.names for k in sets):
            sets = known_sets(folders)
    fitting = [k for k in sets if name in k.names]
    chosen = [k for k in fitting if k.use_case == own] or fitting
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        raise Refused(
            f"Several use cases have a data set '{name}'. "
            f"Say which: {', '.join(k.label for k in chosen)}."
        )
    if not sets:
        raise DataError("No use case is known here, so there are no data sets.")
    labels = [k.name if k.use_case == own else k.label for k in sets]
    near = get_close_matches(name[:60], labels + [k.name for k in sets], n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"There are {', '.join(labels)}."
    raise Refused(f"There is no data set '{name[:60]}'. {hint}")
