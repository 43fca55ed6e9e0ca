"""Savu's programs, used from a notebook: process lists as text, runs with their progress, results."""

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np

PROGRAMS = ("savu", "savu_config")
# What a notebook's kernel sets for itself, and a Python of its own must not see.
OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MPLBACKEND", "PYTHONWARNINGS")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PROGRESS = re.compile(r"^(\w+) - +(\d+)% complete")
UNAVAILABLE = re.compile(r"(\w+) is unavailable due to the following error:\s*(.+)")


class SavuError(Exception):
    """Savu isn't here, or said that something went wrong."""


@dataclass(frozen=True)
class Step:
    """One plugin of a process list.

    Parameters
    ----------
    plugin : str
        Its name in Savu.
    settings : mapping of str to str
        What differs from the plugin's defaults, as one types it.
    """

    plugin: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def but(self, **settings: str) -> "Step":
        """Return the step with other settings."""
        return replace(self, settings={**self.settings, **settings})


def missing() -> list[str]:
    """Return which of Savu's programs are not on the PATH."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


def typed(steps: Sequence[Step], path: str) -> str:
    """Return what one would type into savu_config to make a process list and save it."""
    lines = []
    for number, step in enumerate(steps, start=1):
        lines.append(f"add {step.plugin}")
        lines += [f"mod {number}.{name} {value}" for name, value in step.settings.items()]
    return "\n".join([*lines, f"save {path}", "y"])


def configure(lists: Mapping[str, Sequence[Step]], folder: Path) -> str:
    """Make process lists in one session of savu_config, and return what it said.

    Parameters
    ----------
    lists : mapping of str to sequence of Step
        By the name of the list's file, without its ending.
    folder : Path
        Where the files go.

    Raises
    ------
    SavuError
        A list was not saved, or a plugin of it is not there.
    """
    # Names only: the configurator splits what one types at spaces, which a folder's name may have.
    texts = [typed(steps, f"{name}.nxs") for name, steps in lists.items()]
    session = "\nclear\ny\n".join(texts) + "\ndisp -a\nexit\ny\n"
    done = subprocess.run(
        ["savu_config"],
        input=session,
        env=environment(),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    said = COLOUR.sub("", done.stdout)
    if found := UNAVAILABLE.search(said):
        raise SavuError(f"{found[1]} can't be used here: {found[2].strip()}")
    for name in lists:
        if not (folder / f"{name}.nxs").is_file():
            raise SavuError(
                f"savu_config saved no {name}.nxs:\n{said[-2000:]}\n{done.stderr[-2000:]}"
            )
    return said


def plugins() -> dict[str, str]:
    """Return the plugins that can be used here, with the sentence that Savu has for each."""
    done = subprocess.run(
        ["savu_config"], input="list\nexit\ny\n", env=environment(), capture_output=True, text=True
    )
    found: dict[str, str] = {}
    name = ""
    for line in COLOUR.sub("", done.stdout).splitlines():
        if match := re.match(r"^  ([A-Z]\w+) *$", line):
            name = match[1]
            found[name] = ""
        elif name and line.startswith("  "):
            found[name] = f"{found[name]} {line.strip()}".strip()
        else:
            name = ""
    return found


def environment() -> dict[str, str]:
    """Return the variables that Savu's programs get: this kernel's, without those for itself."""
    return {name: value for name, value in os.environ.items() if name not in OURS}


@dataclass(frozen=True)
class Run:
    """A finished run of Savu.

    Parameters
    ----------
    folder : Path
        Where it wrote.
    seconds : float
        How long it took by Savu's own account, from the first plugin to the last.
    of_plugins : dict of str to float
        How long each plugin took, s.
    """

    folder: Path
    seconds: float
    of_plugins: dict[str, float]

    @property
    def nexus(self) -> Path:
        """The NeXus file that links to everything else."""
        return next(self.folder.glob("*_processed.nxs"))

    def volume(self) -> np.ndarray:
        """Return the reconstruction: (rows, columns, columns) float32, 1/pixel."""
        with h5py.File(self.nexus) as file:
            voxels = file["entry/final_result_tomo/data"][()]
        return np.nan_to_num(np.moveaxis(voxels, 1, 0))

    def centre(self) -> float:
        """Return the column of the axis that the reconstruction was told, px."""
        with h5py.File(self.nexus) as file:
            found = file["entry/final_result_tomo/meta_data/centre_of_rotation/centre_of_rotation"]
            return float(np.median(found[()]))

    def intermediate(self) -> dict[str, np.ndarray]:
        """Return what came out of every step before the last, by its name."""
        with h5py.File(self.nexus) as file:
            group = file["entry/intermediate"]
            return {
                name: group[name]["data"][()] for name in sorted(group) if "data" in group[name]
            }

    def bibtex(self) -> dict[str, str]:
        """Return the citations that Savu has written for what was run, BibTeX by key."""
        found: dict[str, str] = {}

        def collect(name: str, item: object) -> None:
            if name.endswith("bibtex") and isinstance(item, h5py.Dataset):
                value = np.ravel(item[()])[0]
                text = value.decode() if isinstance(value, bytes) else str(value)
                if key := re.match(r"\s*@\w+\{([^,]+),", text):
                    found[key[1].strip()] = text.strip()

        with h5py.File(self.nexus) as file:
            file["entry"].visititems(collect)
        return found


def run(
    scan: Path, process_list: Path, folder: Path, tell: Callable[[str, int], None] = lambda *_: None
) -> Run:
    """Run Savu and return what came out.

    Parameters
    ----------
    scan : Path
        The data.
    process_list : Path
        What `configure` made.
    folder : Path
        Where it writes; what was in it is deleted.
    tell : callable
        Called with a plugin's name and per cent whenever Savu says them.

    Raises
    ------
    SavuError
        It ended without a result.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    places = [str(path.resolve()) for path in (scan, process_list, folder.parent)]
    process = subprocess.Popen(
        ["savu", "-f", folder.name, *places],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if progress := PROGRESS.match(line):
            tell(progress[1], int(progress[2]))
    process.wait()
    # It exits with 0 even after an error, so the words count.
    if "Processing Complete" not in "".join(said):
        raise SavuError(f"Savu ended without a result:\n{''.join(said)[-2500:]}")
    return Run(folder, *times(folder / "run_log/user.log"))


def times(log: Path) -> tuple[float, dict[str, float]]:
    """Return how long a run and each of its plugins took, s, from the log for users."""
    marks = list(read_marks(log.read_text(encoding="utf-8")))
    spans = {
        name: (later - moment).total_seconds()
        for (moment, name), (later, _) in itertools.pairwise(marks)
    }
    return sum(spans.values()), spans


def read_marks(text: str) -> Iterator[tuple[datetime, str]]:
    """Yield when each plugin began, and when all was over."""
    for line in text.splitlines():
        match = re.match(
            r"(\S+ \S+),(\d+) - \*+ ?(?:Running the (\w+) plugin|Processing Complete)", line
        )
        if match:
            moment = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S")
            yield moment.replace(microsecond=1000 * int(match[2])), match[3] or ""


def columns_used(centre_px: float, columns: int) -> slice:
    """Return the columns that AstraReconCpu keeps, the axis in their middle.

    It crops a whole number of them from one side: so the axis falls onto the nearest half pixel.
    """
    crop = round(abs(columns - 1 - 2 * centre_px))
    return slice(crop, columns) if 2 * centre_px > columns - 1 else slice(0, columns - crop)
