"""Checks of measured frames, whose truth nobody knows: what must hold if mask, geometry, beam and cell are right.

Where there are too few frames or crystals for a check, it says so, and counts as neither passed nor failed.
"""

from collections.abc import Sequence
from pathlib import Path

import gemmi
import numpy as np
from cell_file import lattice_allows
from crystfel import Crystal, Quality
from geometry import Geometry
from peaks import Peaks

from workbench import Checks
from workbench.readings import Place, ReadingError, arrays

A_FEW = 5  # frames that are looked at where only their mask is judged
FEWEST_FRAMES = 6
FEWEST_HITS = 10
FEWEST_CRYSTALS = 5
FEWEST_MERGED = 50
LAUE_CLASSES = {
    "-1": "1 -1", "2/m": "2 m 2/m", "mmm": "222 mm2 mmm", "4/m": "4 -4 4/m", "4/mmm": "422 4mm -42m -4m2 4/mmm",
    "-3": "3 -3", "-3m": "32 321 312 3m 3m1 31m -3m -3m1 -31m", "6/m": "6 -6 6/m", "6/mmm": "622 6mm -62m -6m2 6/mmm",
    "m-3": "23 m-3", "m-3m": "432 -43m m-3m",
}  # fmt: skip


def judge_frames(checks: Checks, frames: Sequence[np.ma.MaskedArray]) -> None:
    """Check what is masked: an inverted mask, marks of the detector that nothing masks, empty frames."""
    share = float(np.mean([np.ma.getmaskarray(frame).mean() for frame in frames]))
    checks.below("Pixels that are masked", got=100 * share, limit=50, unit="%")
    checks.equal(
        "Frames whose good pixels all hold one number",
        got=sum(is_empty(frame) for frame in frames),
        truth=0,
    )
    if len(frames) < 2:
        checks.not_judged("Marks of bad pixels that nothing masks", why="it takes two frames")
    else:
        checks.equal("Marks of bad pixels that nothing masks", got=unmasked_marks(frames), truth=0)


def some_frames(detector: Geometry, lines: Sequence[str]) -> list[np.ma.MaskedArray]:
    """Return a few frames, spread over lines of `crystfel.examined`."""
    chosen = [
        lines[i]
        for i in np.unique(np.linspace(0, len(lines) - 1, min(A_FEW, len(lines))).astype(int))
    ]
    parts = [line.partition(" //") for line in chosen]
    return [detector.read(Path(file), int(number) if number else None) for file, _, number in parts]


def is_empty(frame: np.ma.MaskedArray) -> bool:
    """Return whether nothing was measured in a frame."""
    good = frame.compressed()
    return good.size == 0 or bool(np.ptp(good) == 0)


def unmasked_marks(frames: Sequence[np.ma.MaskedArray]) -> int:
    """Return how many good pixels hold in every frame what detectors write where they don't measure.

    A bright pixel is at its limit in some frames and not in all; below zero isn't a mark where an
    offset was subtracted from counts, which leaves fractions.
    """
    always = np.ones(frames[0].shape, bool)
    for frame in frames:
        found = arrays.invalid(frame.data)
        whole = frame.dtype.kind in "iu"
        marked = [pixels for why, pixels in found.items() if whole or why != "negative"]
        always &= np.logical_or.reduce(
            [*marked, np.zeros(frame.shape, bool)]
        ) & ~np.ma.getmaskarray(frame)
    return int(always.sum())


def judge_peaks(checks: Checks, found: Sequence[Peaks], least: int) -> None:
    """Check that frames are hits, and that peaks come from crystals: pixels don't repeat from one to the next."""
    hits = [one for one in found if len(one.fs) >= least]
    checks.above("Frames that are hits", got=len(hits), limit=0)
    name = "Peaks at the same place in a third of the hits or more"
    if len(hits) < FEWEST_FRAMES:
        checks.not_judged(name, why=f"{len(hits)} hits are too few", expected="below 10 %")
    else:
        checks.below(name, got=100 * repeating(hits), limit=10, unit="%")


def repeating(hits: Sequence[Peaks]) -> float:
    """Return the share of peaks on pixels that are peaks in a third of the frames or more."""
    places = [
        np.unique(np.floor(np.column_stack([one.fs, one.ss])).astype(int), axis=0) for one in hits
    ]
    _, which, counts = np.unique(
        np.concatenate(places), axis=0, return_inverse=True, return_counts=True
    )
    return float(np.mean(counts[which.ravel()] >= max(3, len(hits) / 3)))


def judge_cells(
    checks: Checks, crystals: Sequence[Crystal], hits: int, indexed: int, given: np.ndarray | None
) -> None:
    """Check rate and cells: a wrong distance, energy or beam centre moves or scatters them, or indexes nothing."""
    checks.above("Frames that are hits", got=hits, limit=0)
    if hits < FEWEST_HITS:
        checks.not_judged(
            "Hits that were indexed", why=f"{hits} hits are too few", expected="above 5 %"
        )
    else:
        checks.above("Hits that were indexed", got=100 * indexed / hits, limit=5, unit="%")
    cells = np.array([crystal.cell for crystal in crystals]).reshape(-1, 6)
    for k, name in enumerate("abc"):
        found, scatter = (
            f"Cell length {name}, median, against the cell file",
            f"Scatter of {name} from crystal to crystal",
        )
        if len(cells) < FEWEST_CRYSTALS:
            why = f"{len(cells)} crystals are too few"
            checks.not_judged(found, why=why, expected="within 1 %")
            checks.not_judged(scatter, why=why, expected="below 1.5 %")
            continue
        middle = float(np.median(cells[:, k]))
        spread = 1.4826 * float(np.median(abs(cells[:, k] - middle)))
        if given is None:
            checks.not_judged(found, why="no cell was given", expected="within 1 %")
        else:
            checks.close(found, got=middle, truth=float(given[k]), within_percent=1, unit="Å")
        checks.below(scatter, got=100 * spread / middle, limit=1.5, unit="%")


def judge_shift(checks: Checks, crystals: Sequence[Crystal], pixels_per_m: float | None) -> None:
    """Check the beam centre, where CrystFEL moves the detector to fit each crystal: on average by nothing."""
    moved = np.array([crystal.shift_mm for crystal in crystals]).reshape(-1, 2)
    if len(crystals) < FEWEST_CRYSTALS:
        why = f"{len(crystals)} crystals are too few"
    elif pixels_per_m is None:
        why = "the panels' pixels differ in size"
    else:
        why = "" if moved.any() else "this version of CrystFEL moves no detector"
    for k, axis in enumerate("xy"):
        name = f"Shift of the detector along {axis} that fits the crystals, median"
        if why or pixels_per_m is None:
            checks.not_judged(name, why=why, expected="within 1 px")
        else:
            shift = float(np.median(moved[:, k])) * 1e-3 * pixels_per_m
            checks.close(name, got=shift, truth=0, within=1, unit="px")


def judge_merged(checks: Checks, result: Quality, crystals: int) -> None:
    """Check that two halves of the crystals agree, which they don't if symmetry or indexing is wrong."""
    if crystals < FEWEST_MERGED:
        checks.not_judged(
            "CC1/2 of two halves of the crystals",
            why=f"{crystals} crystals are too few",
            expected="above 0.5",
        )
    else:
        checks.above("CC1/2 of two halves of the crystals", got=result.overall["CC"], limit=0.5)


def refuse_symmetry(symmetry: str, space_group: str, cell: np.ndarray) -> None:
    """Refuse point group, space group and cell that don't go together: they are of one crystal.

    Raises
    ------
    ReadingError
        They contradict each other; the sentence says what would go.
    """
    group = gemmi.SpaceGroup(space_group)
    plain = symmetry.partition("_")[0]
    laue = next((name for name, members in LAUE_CLASSES.items() if plain in members.split()), None)
    place = Place("the top of this notebook", "SYMMETRY")
    if laue is not None and laue != group.laue_str():
        raise ReadingError(
            place,
            f"{symmetry} with the space group {group.hm}",
            f"{group.laue_str()} or one of its subgroups",
        )
    if not lattice_allows(cell, space_group):
        lengths = ", ".join(f"{value:g}" for value in cell)
        raise ReadingError(
            place, f"{symmetry} and {space_group} with a cell of {lengths}", "symmetry that this cell can have",
            "Set SYMMETRY and SPACE_GROUP to your crystal's.",
        )  # fmt: skip
