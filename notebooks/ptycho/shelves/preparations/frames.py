"""What is done to the frames before a reconstruction."""

import numpy as np

from ..scan import Scan, ScanError
from ..shelf import Count, Positive, Whole, preparations


@preparations.put("centre")
def centre(scan: Scan, edge: Count, row: Whole | None = None, column: Whole | None = None) -> Scan:
    """Cut a square around the direct beam, found as the centre of the light unless told."""
    if row is None or column is None:
        row, column = beam(scan)
    top, left = row - edge // 2, column - edge // 2
    rows, columns = scan.frames.shape[1:]
    if min(top, left) < 0 or top + edge > rows or left + edge > columns:
        raise ScanError(
            f"no square of {edge} pixels fits around row {row}, column {column} of {rows} x {columns}"
        )
    cut = np.s_[top : top + edge, left : left + edge]
    return scan.changed(frames=scan.frames[:, *cut], good=scan.good[cut])


def beam(scan: Scan) -> tuple[int, int]:
    """Return row and column of the centre of the mean pattern's brightest tenth."""
    mean = np.where(scan.good, scan.frames.mean(axis=0), 0)
    lit = mean > 0.1 * np.percentile(mean, 99.9)
    rows, columns = np.nonzero(lit)
    return int(np.rint(rows.mean())), int(np.rint(columns.mean()))


@preparations.put("background")
def background(scan: Scan, counts: Positive) -> Scan:
    """Subtract a level that is the same everywhere; nothing falls below zero."""
    frames = np.where(scan.good, np.maximum(scan.frames - counts, 0), 0)
    return scan.changed(frames=frames.astype(np.float32))


@preparations.put("mask_above")
def mask_above(scan: Scan, counts: Positive) -> Scan:
    """Leave out pixels that count more than they should in any frame: hot ones, or overloads."""
    good = scan.good & (scan.frames.max(axis=0) <= counts)
    return scan.changed(frames=np.where(good, scan.frames, 0), good=good)
