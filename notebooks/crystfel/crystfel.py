"""CrystFEL's programs, started from Python, and what they write, read again.

Everything that CrystFEL computes is computed by its own programs. This module starts them, tells
what they said where they fail, and reads streams, reflection lists and tables of shells.
"""

import itertools
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import gemmi
import numpy as np
from cell_file import read_cell
from geometry import Geometry, read_geometry, shots
from geometry_file import Panel, text_of
from told import ToldError, existing

from workbench.readings import Reading

PROGRAMS = ("indexamajig", "partialator", "compare_hkl", "check_hkl")
NAMES_A_FILE = (
    r"^([ \t]*(?:[^/=;\n]+/)?(mask\d*_file|saturation_map_file)[ \t]*=[ \t]*)([^;\r\n]*[^;\s])"
)
LAST_LINES = 12  # of a program's words that are shown where it fails
MEANINGS = {  # of what partialator says where it rejects a crystal
    "profile radius is obviously too big": "reflections would be seen so far from the Ewald sphere that their "
    "neighbours along the longest axis are seen with them: the geometry or the cell is wrong, or the crystals "
    "are too small for an axis so long",
}


class ProgramError(ToldError):
    """A program is missing or has failed; the text is for a person."""


# ---------------------------------------------------------------------------- programs


def require() -> str:
    """Return CrystFEL's version, or say what is missing.

    Raises
    ------
    ProgramError
        A program is not on the PATH.
    """
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise ProgramError(
            f"This tutorial needs CrystFEL, and {' and '.join(missing)} can't be found on the "
            "PATH. In CrystFEL's image it is there; elsewhere whoever runs this portal can install "
            "it: https://www.desy.de/~twhite/crystfel/install.html"
        )
    return run("indexamajig", "--version").split("\n")[0].partition(": ")[2]


def run(*command: str | Path, folder: Path | None = None) -> str:
    """Run a program and return what it said.

    Raises
    ------
    ProgramError
        It is missing or has failed.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except FileNotFoundError:
        raise ProgramError(f"{words[0]} can't be found on the PATH") from None
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        raise ProgramError(f"{words[0]} ended with status {done.returncode}:\n{last}")
    return done.stdout


def examined(
    frames: Path, geometry: Path, most: int, reading: Reading
) -> tuple[Geometry, list[str]]:
    """Return the detector, and one line a frame, "file //number", as indexamajig takes them.

    Everything is looked at that CrystFEL would pass over without a word.

    Parameters
    ----------
    frames : Path
        A list of files or of frames ("file //number"), relative to its own folder, or one HDF5 file.
    geometry : Path
    most : int
        Frames, from the first on.
    reading : Reading
        Notes what was taken and what was left out.
    """
    detector = read_geometry(geometry, reading)
    found = shots(frames, detector)
    detector.examine(found[:most], reading)
    if len(found) > most:
        reading.left_out(
            f"{len(found) - most} of {len(found)} frames, after the first {most}", "N_FRAMES"
        )
    return detector, [
        f"{file}" if number is None else f"{file} //{number}" for file, number in found[:most]
    ]


def standing_alone(geometry: Path) -> str:
    """Return the text of a geometry file that can lie in any folder, and by which CrystFEL measures the same.

    CrystFEL looks for the files that it names from the folder in which it was started; people put
    them beside the geometry file. And of a panel with ``no_index``, CrystFEL 0.12 leaves out the
    first quarter only: so the whole of it is a bad region too.

    Raises
    ------
    ToldError
        A file that it names is not there.
    """

    def in_full(match: re.Match[str]) -> str:
        return match[1] + str(existing(match[2], geometry.parent / match[3]))

    lines = "\n".join(re.split(r"\r\n|\r|\n", text_of(geometry)))
    text = re.sub(NAMES_A_FILE, in_full, lines, flags=re.MULTILINE)
    regions = [bad_region(panel) for panel in read_geometry(geometry).panels if panel.bad]
    return "\n".join([text, *regions, ""]) if regions else text


def bad_region(panel: Panel) -> str:
    """Return a whole panel as a region of bad pixels."""
    name = f"bad_panel_{panel.name}"
    limits = {
        "min_fs": panel.columns.start, "max_fs": panel.columns.stop - 1,
        "min_ss": panel.rows.start, "max_ss": panel.rows.stop - 1, "panel": panel.name,
    }  # fmt: skip
    return "\n".join(f"{name}/{word} = {value}" for word, value in limits.items())


def files_named(geometry_text: str) -> list[Path]:
    """Return the files that a geometry file of `standing_alone` names."""
    return sorted(
        {Path(match[3]) for match in re.finditer(NAMES_A_FILE, geometry_text, re.MULTILINE)}
    )


def chunks(
    lines: list[str], each: int, **settings: Any
) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Return frames shared out to chunks for `workbench.compute.run_chunks`, and their sizes.

    Parameters
    ----------
    lines : list of str
        See `examined`.
    each : int
        Frames of a chunk.
    **settings
        What else `index` needs: geometry, cell, indexing, options.
    """
    parts = [lines[i : i + each] for i in range(0, len(lines), each)]
    changed = {name: stamp(Path(name)) for name in {file_of(line) for line in lines}}
    texts = (
        {"geometry": standing_alone(Path(settings["geometry"]))} if settings.get("geometry") else {}
    )
    texts |= {"cell": text_of(Path(settings["cell"]))} if settings.get("cell") else {}
    beside = {str(path): stamp(path) for path in files_named(texts.get("geometry", ""))}
    made = {
        f"frames-{i * each + 1:05d}": {
            **settings,
            **texts,
            "frames": part,
            "changed": beside | {file_of(line): changed[file_of(line)] for line in part},
        }
        for i, part in enumerate(parts)
    }
    return made, {name: len(item["frames"]) for name, item in made.items()}


def file_of(line: str) -> str:
    """Return the file's name of a line of `examined`."""
    return line.partition(" //")[0]


def stamp(path: Path) -> tuple[int, int]:
    """Return size and time of a file: another file of the same name is another chunk."""
    about = path.stat()
    return about.st_size, about.st_mtime_ns


def index(item: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Index and integrate some frames with indexamajig; return how many were hits and indexed.

    Now and then indexamajig 0.12 crashes in the refinement of a frame, where a singular value
    decomposition of GSL doesn't converge; it leaves that frame out and goes on. As asdf draws random
    numbers, the same frame goes well by itself: so what is missing is run once more.

    Parameters
    ----------
    item : mapping
        ``frames``, lines of `examined`; ``geometry`` and ``cell``, the texts of both files, no cell
        for none; ``indexing``, the methods; ``options``, further words for indexamajig;
        ``at_once``, frames that are worked on at the same time, 1 where left out.
    folder : Path
        Takes the stream, ``part.stream``, and what indexamajig said, ``part.log``.
    """
    (folder / "detector.geom").write_text(item["geometry"], encoding="utf-8")
    if item.get("cell"):
        (folder / "crystal.cell").write_text(item["cell"], encoding="utf-8")
    stream = folder / "part.stream"
    found = index_once(item, item["frames"], folder, "part")
    if missing := [line for line in item["frames"] if line not in {one.line for one in found}]:
        index_once(item, missing, folder, "again")
        join([stream, folder / "again.stream"], folder / "both.stream")
        (folder / "both.stream").replace(stream)
        found = list(read_stream(stream))
    if len(found) != len(item["frames"]):
        raise ProgramError(
            f"indexamajig wrote {len(found)} of {len(item['frames'])} frames; its log ends:\n"
            + "\n".join((folder / "again.log").read_text().splitlines()[-LAST_LINES:])
        )
    return {
        "hits": sum(frame.hit for frame in found),
        "indexed": sum(bool(frame.crystals) for frame in found),
    }


def index_once(
    item: Mapping[str, Any], frames: list[str], folder: Path, name: str
) -> list["Frame"]:
    """Run indexamajig over frames and return what its stream, named `name`, says of them."""
    (folder / f"{name}.lst").write_text("".join(f"{line}\n" for line in frames))
    words = ["-i", f"{name}.lst", "-g", "detector.geom", "-o", f"{name}.stream"]
    words += ["-p", "crystal.cell"] if item.get("cell") else []
    words += ["-j", str(min(len(frames), item.get("at_once", 1))), f"--indexing={item['indexing']}"]
    (folder / f"{name}.log").write_text(run("indexamajig", *words, *item["options"], folder=folder))
    return list(read_stream(folder / f"{name}.stream"))


def pin(client: Any) -> None:
    """Keep every worker of a cluster, and what it starts, on a core of its own."""
    cores = itertools.cycle(sorted(os.sched_getaffinity(0)))
    for worker, core in zip(client.scheduler_info(n_workers=-1)["workers"], cores, strict=False):
        client.run(os.sched_setaffinity, 0, [core], workers=[worker])


def indexers(item: Mapping[str, Any], folder: Path, names: Iterable[str]) -> list[str]:
    """Return which indexing methods this copy of CrystFEL can use, by trying each on one frame."""
    able = []
    for name in names:
        scratch = folder / f"try-{name}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            index({**item, "frames": item["frames"][:1], "indexing": name}, scratch)
        except ProgramError:
            continue
        able.append(name)
    return able


# ---------------------------------------------------------------------------- streams


class Crystal(NamedTuple):
    """One indexed lattice of one frame."""

    cell: np.ndarray  # (6,): a, b, c in angstrom, alpha, beta, gamma in degrees
    axes: np.ndarray  # (3, 3): a*, b*, c* in the laboratory, one a row, in 1/angstrom
    reflections: int  # that were integrated
    shift_mm: tuple[float, float]  # of the detector, along x and y, that fits this crystal best


@dataclass
class Frame:
    """What a stream tells of one frame.

    Parameters
    ----------
    file : str
    event : str
        Which frame of the file, "//7".
    hit : bool
        Whether it had enough peaks.
    peaks : list of (fs, ss)
        Pixels from the corner of the first pixel.
    crystals : list of Crystal
    """

    file: str
    event: str = ""
    hit: bool = False
    peaks: list[tuple[float, float]] = field(default_factory=list)
    crystals: list[Crystal] = field(default_factory=list)

    @property
    def number(self) -> int:
        """Its number within the file, from 0."""
        return int(re.sub(r"\D", "", self.event) or 0)

    @property
    def line(self) -> str:
        """Its line of `examined`: a file with one frame has no number."""
        return f"{self.file} {self.event}" if self.event.strip("/") else self.file


def read_stream(path: Path) -> Iterator[Frame]:
    """Yield the frames of a stream, complete ones only; a stream that is being written can be read."""
    frame, cell, axes, count, shift = Frame(""), np.zeros(6), {}, 0, (0.0, 0.0)
    in_peaks = False
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if in_peaks:
                if line.startswith("End of peak list"):
                    in_peaks = False
                elif not line.lstrip().startswith("fs"):
                    fs, ss = line.split()[:2]
                    frame.peaks.append((float(fs), float(ss)))
            elif line.startswith("Image filename: "):
                frame = Frame(line.partition(": ")[2].strip())
            elif line.startswith("Event: "):
                frame.event = line.partition(": ")[2].strip()
            elif line.startswith("hit = "):
                frame.hit = line.split()[2] == "1"
            elif line.startswith("Peaks from peak search"):
                in_peaks = True
            elif line.startswith("Cell parameters "):
                words = re.findall(r"[-+\d.]+", line)
                cell = np.array(words[:6], dtype=float) * [10, 10, 10, 1, 1, 1]
            elif re.match(r"[abc]star = ", line):
                axes[line[0]] = np.array(line.split()[2:5], dtype=float) / 10
            elif line.startswith("predict_refine/det_shift "):
                words = line.split()
                shift = float(words[3]), float(words[6])
            elif line.startswith("num_reflections = "):
                count = int(line.split()[2])
            elif line.startswith("--- End crystal"):
                frame.crystals.append(
                    Crystal(cell, np.array([axes[k] for k in "abc"]), count, shift)
                )
                count, shift = 0, (0.0, 0.0)
            elif line.startswith("----- End chunk"):
                yield frame


def predicted(stream: Path, frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where a frame's reflections were integrated: fs, ss, and I / sigma(I), (n,) each."""
    rows, file, event, inside = [], "", "", False
    with stream.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("Image filename: "):
                file = line.partition(": ")[2].strip()
            elif line.startswith("Event: "):
                event = line.partition(": ")[2].strip()
            elif line.startswith("Reflections measured"):
                inside = (file, event) == (frame.file, frame.event)
            elif line.startswith("End of reflections"):
                inside = False
            elif inside and not line.lstrip().startswith("h "):
                word = line.split()
                rows.append((float(word[7]), float(word[8]), float(word[3]) / float(word[4])))
    fs, ss, snr = np.array(rows).reshape(-1, 3).T
    return fs, ss, snr


def join(parts: Iterable[Path], target: Path) -> None:
    """Write one stream from several: the head of the first, then every frame of all."""
    with target.open("w", encoding="utf-8") as out:
        for i, path in enumerate(parts):
            text = path.read_text(encoding="utf-8", errors="replace")
            start = text.find("----- Begin chunk")
            out.write(text if i == 0 else text[start:] if start >= 0 else "")


def misorientation_deg(axes: np.ndarray, truth: np.ndarray) -> float:
    """Return the angle between two orientations of a tetragonal crystal, degrees.

    Any of the 8 rotations of point group 422 describes the same crystal; the smallest angle counts.

    Parameters
    ----------
    axes, truth : (3, 3)
        a*, b*, c* in the laboratory, one a row.
    """

    def rotation(rows: np.ndarray) -> np.ndarray:
        u, _, v = np.linalg.svd(rows / np.linalg.norm(rows, axis=1, keepdims=True))
        return u @ v

    smallest = 180.0
    for quarter in range(4):
        c, s = round(np.cos(quarter * np.pi / 2)), round(np.sin(quarter * np.pi / 2))
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        for flip in (np.eye(3), np.diag([1, -1, -1])):
            product = (turn @ flip @ rotation(axes)) @ rotation(truth).T
            cosine = np.clip((np.trace(product) - 1) / 2, -1, 1)
            smallest = min(smallest, np.degrees(np.arccos(cosine)))
    return float(smallest)


# ---------------------------------------------------------------------------- merging


class Merged(NamedTuple):
    """Merged intensities, each (n,)."""

    hkl: np.ndarray  # (n, 3)
    intensity: np.ndarray
    sigma: np.ndarray
    measured: np.ndarray  # how often


class Quality(NamedTuple):
    """Figures of merit: overall, and in shells of resolution as columns of numbers."""

    overall: dict[str, float]
    shells: dict[str, np.ndarray]


def merge(stream: Path, target: Path, *, symmetry: str, options: Iterable[str], cores: int) -> None:
    """Scale and merge with partialator: `target`, and both halves beside it as .hkl1 and .hkl2.

    Raises
    ------
    ProgramError
        It failed; where it had rejected crystals, why it did.
    """
    words = ["-i", stream, "-o", target, "-y", symmetry, "-j", str(cores), *options]
    log = target.with_suffix(".log")
    done = subprocess.run(
        ["partialator", *map(str, words)],
        cwd=target.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log.write_text(done.stdout)
    if done.returncode:
        why = Counter(
            re.findall(r"^Rejecting .* because (.*?)(?: \(|\.?$)", done.stdout, re.MULTILINE)
        )
        rejected = "; ".join(
            f"it rejected {n} crystals because {reason}"
            + (f" ({MEANINGS[reason]})" if reason in MEANINGS else "")
            for reason, n in why.most_common()
        )
        last = "\n".join(done.stdout.splitlines()[-3:])
        raise ProgramError(
            f"partialator ended with status {done.returncode}; {rejected or last}. All it said is in {log}."
        )


def read_hkl(path: Path) -> Merged:
    """Return a reflection list as CrystFEL writes it."""
    rows = [line.split() for line in path.read_text().splitlines()]
    rows = [row for row in rows if len(row) == 7 and re.fullmatch(r"-?\d+", row[0])]
    columns = np.array([[*row[:4], row[5], row[6]] for row in rows], dtype=float).T
    return Merged(columns[:3].T.astype(int), columns[3], columns[4], columns[5].astype(int))


def quality(
    target: Path, cell: Path, *, symmetry: str, high_a: float, low_a: float, shells: int = 10
) -> Quality:
    """Judge merged intensities with compare_hkl and check_hkl.

    Rsplit, CC1/2 and CC* compare the two halves; the rest is of all.
    """
    common: list[str | Path] = [
        "-p",
        cell,
        "-y",
        symmetry,
        f"--highres={high_a}",
        f"--lowres={low_a}",
    ]
    common.append(f"--nshells={shells}")
    overall, table = {}, {}
    halves = [target.with_suffix(".hkl1"), target.with_suffix(".hkl2")]
    for merit in ("Rsplit", "CC", "CCstar"):
        file = target.with_suffix(f".{merit}.dat")
        said = run("compare_hkl", *halves, *common, f"--fom={merit}", f"--shell-file={file}")
        overall[merit] = number(r"Overall \S+ = ([-\d.naif]+)", said)
        columns = table_of(file)
        table[merit], table["d_angstrom"] = columns[:, 1], columns[:, 3]
    file = target.with_suffix(".check.dat")
    said = run("check_hkl", target, *common, f"--shell-file={file}")
    overall["snr"] = number(r"Overall <snr> = ([-\d.]+)", said)
    overall["redundancy"] = number(r"Overall redundancy = ([\d.]+)", said)
    overall["completeness"] = number(r"Overall completeness = ([\d.]+)", said)
    columns = table_of(file)
    table["completeness"], table["redundancy"], table["snr"] = (
        columns[:, 3],
        columns[:, 5],
        columns[:, 6],
    )
    return Quality(overall, table)


def halves(
    target: Path, cell: Path, *, high_a: float, low_a: float
) -> dict[tuple[int, ...], tuple[float, float]]:
    """Return both halves' intensities of every reflection that both have, within a resolution."""
    unit = gemmi.UnitCell(*read_cell(cell))
    one, two = (read_hkl(target.with_suffix(suffix)) for suffix in (".hkl1", ".hkl2"))
    second = dict(zip(map(tuple, two.hkl.tolist()), two.intensity.tolist(), strict=True))
    return {
        hkl: (value, second[hkl])
        for hkl, value in zip(map(tuple, one.hkl.tolist()), one.intensity.tolist(), strict=True)
        if hkl in second and high_a <= unit.calculate_d(hkl) <= low_a
    }


def rsplit(pairs: Iterable[tuple[float, float]]) -> float:
    """Return Rsplit of pairs of intensities, percent; NaN of none.

    White et al. (2012), doi:10.1107/S0021889812002312: the sum of the differences over the sum of
    the means, over the square root of 2.
    """
    one, two = np.array(list(pairs)).reshape(-1, 2).T
    return (
        float(100 * np.sqrt(2) * abs(one - two).sum() / (one + two).sum())
        if len(one)
        else float("nan")
    )


def correlation_to(
    truth: Path, target: Path, cell: Path, *, symmetry: str, high_a: float, low_a: float
) -> float:
    """Return the correlation of merged intensities with true ones, by compare_hkl."""
    said = run(
        "compare_hkl", target, truth, "-p", cell, "-y", symmetry, "--fom=CC",
        f"--highres={high_a}", f"--lowres={low_a}", f"--shell-file={target.with_suffix('.truth.dat')}",
    )  # fmt: skip
    return number(r"Overall CC = ([-\d.]+)", said)


def number(pattern: str, text: str) -> float:
    """Return the number that a program printed, NaN where it printed none."""
    found = re.search(pattern, text)
    return float(found[1]) if found else float("nan")


def table_of(path: Path) -> np.ndarray:
    """Return the columns of a file of shells, without its head."""
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    return np.array(rows, dtype=float)


def write_mtz(path: Path, merged: Merged, cell: np.ndarray, space_group: str) -> None:
    """Write intensities as MTZ, as CCP4, Phenix and others read them.

    By GEMMI: CrystFEL's get_hkl writes MTZ only where it was built with CCP4's library.

    Parameters
    ----------
    path : Path
    merged : Merged
    cell : (6,)
        Angstrom and degrees.
    space_group : str
        Hermann-Mauguin symbol.
    """
    mtz = gemmi.Mtz(with_base=True)
    mtz.spacegroup = gemmi.SpaceGroup(space_group)
    mtz.set_cell_for_all(gemmi.UnitCell(*cell))
    mtz.add_dataset("serial")
    mtz.add_column("IMEAN", "J")
    mtz.add_column("SIGIMEAN", "Q")
    mtz.add_column("NMEAS", "R")
    mtz.set_data(
        np.column_stack([merged.hkl, merged.intensity, merged.sigma, merged.measured]).astype(
            np.float32
        )
    )
    mtz.ensure_asu()
    mtz.write_to_file(str(path))
