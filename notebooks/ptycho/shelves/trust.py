"""Which counts can be trusted: marks of detectors, negative numbers, empty frames, masks by frame.

It is done to every scan, whichever reader it comes from: a reader returns what the file holds.
"""

import numpy as np

from workbench.readings import Reading
from workbench.readings.arrays import invalid

from .scan import Scan, ScanError

EMPTY = 0.02  # of the usual light: a frame with less was taken with the shutter closed
ENDS = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16, 20, 24))  # where detectors stop to count
LEAST_AT_END = 5  # pixels at such a number; fewer may be chance
FEW_PIXELS, MOST_PIXELS = 0.01, 0.2  # shares of a frame that are given up for all frames
MOST_FRAMES = 0.25  # share of the frames that is given up
NOISE = 8  # times the usual negative number: more isn't noise


def trusted(scan: Scan) -> Scan:
    """Return a scan of counts that can be trusted, and note what was left out or changed.

    A pixel that is bad in some frames is left out of all of them, or these frames are, whichever
    loses less. Small negative numbers, as a subtracted dark leaves them, become 0.

    Raises
    ------
    ScanError
        Too little is left.
    """
    reading = scan.reading or Reading("Your scan")
    frames = np.asarray(scan.frames, np.float32)
    bad = np.zeros(frames.shape, bool) if scan.bad is None else scan.bad.copy()
    bad |= ~scan.good
    if scan.bad is not None and scan.bad.any():
        reading.took(f"a mask for each frame, which calls {scan.bad.mean():.2%} of all pixels bad")
    for why, pixels in invalid(frames).items():
        if why != "negative":
            note(reading, why, pixels & ~bad)
            bad |= pixels
    ended = at_the_end(frames, bad)
    note(reading, "where the detector stops to count", ended)
    bad |= ended
    frames, outlying = without_negatives(frames, bad, reading)
    bad |= outlying
    kept, good = resolved(bad, lit(frames, bad), reading)
    frames = np.where(good, frames[kept], 0).astype(np.float32)
    positions = scan.positions_m[kept]
    return scan.changed(frames=frames, good=good, positions_m=positions, bad=None, reading=reading)


def note(reading: Reading, why: str, pixels: np.ndarray) -> None:
    """Note pixels that hold no count."""
    if pixels.any():
        always, some = pixels.all(axis=0).sum(), (pixels.any(axis=0) & ~pixels.all(axis=0)).sum()
        reading.left_out(f"{always:,} pixels in all frames and {some:,} in some: {why}")


def at_the_end(frames: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Return the pixels at the largest number where that is one at which detectors stop: bool."""
    highest = frames[~bad].max() if not bad.all() else 0
    ended = (frames == highest) & ~bad
    return (
        ended if highest in ENDS and ended.sum() >= LEAST_AT_END else np.zeros(frames.shape, bool)
    )


def without_negatives(
    frames: np.ndarray, bad: np.ndarray, reading: Reading
) -> tuple[np.ndarray, np.ndarray]:
    """Return frames without negative numbers, and the pixels where these aren't noise.

    A pixel with the same negative number in most frames is a gap; one far below the others' noise
    holds no count either. The rest is what a subtracted dark leaves.
    """
    negative = (frames < 0) & ~bad
    if not negative.any():
        return frames, negative
    usual = np.median(np.where(bad, 0, frames), axis=0)
    mark = (usual < 0) & (np.mean(frames == usual, axis=0) > 0.5)
    rest = frames[negative & ~mark]
    limit = -NOISE * np.median(-rest) if rest.size else 0.0
    far = negative & (mark | ((frames < limit) & (frames < -NOISE)))
    note(reading, "a negative number that isn't noise", far)
    small = negative & ~far
    if small.any():
        lifted = -frames[small].sum() / max(1, (~bad).sum())
        reading.assumed(
            f"{small.sum():,} of {frames.size:,} negative counts are noise about a dark that was subtracted, and 0: "
            f"that lifts the mean by {lifted:.3g} counts a pixel"
        )
    return np.where(small, 0, frames), far


def lit(frames: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Return the frames with light: (positions,) bool."""
    counted = ~bad
    light = np.where(counted, frames, 0).sum(axis=(1, 2)) / np.maximum(counted.sum(axis=(1, 2)), 1)
    whole = counted.mean(axis=(1, 2)) > 0.5 * np.median(counted.mean(axis=(1, 2)))
    return (
        np.asarray(light > EMPTY * np.median(light[whole])) | ~whole
    )  # those are judged by their pixels


def resolved(bad: np.ndarray, light: np.ndarray, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
    """Return which frames to keep, (positions,) bool, and which of their pixels, (rows, columns) bool."""
    kept = light.copy()
    if not kept.all():
        reading.left_out(
            f"{(~kept).sum()} of {len(kept)} frames that hold hardly any light: {few(~kept)}"
        )
    always = bad[kept].mean(axis=0) > 0.5
    single = bad & ~always & kept[:, None, None]
    torn = single.mean(axis=(1, 2)) > FEW_PIXELS
    pixels, frames = single[~torn].any(axis=0), single.any(axis=(1, 2))
    if pixels.mean() > FEW_PIXELS and frames.mean() <= MOST_FRAMES:
        torn, pixels = frames, np.zeros_like(pixels)
    if torn.mean() > MOST_FRAMES or pixels.mean() > MOST_PIXELS:
        raise ScanError(
            f"{torn.sum()} of {len(torn)} frames are torn by bad pixels, and {pixels.sum()} of {pixels.size} pixels are "
            "bad in some frame: too little is left of the scan. Look at its mask, and at what the detector writes where "
            "it doesn't count"
        )
    if torn.any():
        reading.left_out(
            f"{torn.sum()} of {len(torn)} frames with bad pixels of their own: {few(torn)}"
        )
    if pixels.any():
        reading.left_out(
            f"{pixels.sum():,} of {pixels.size:,} pixels, which are bad in some frame, of all frames"
        )
    kept &= ~torn
    good = ~(always | pixels)
    if not good.any():
        raise ScanError(
            "no pixel is left that holds a count: look at the mask, and at what 0 means in it"
        )
    reading.took(
        f"{kept.sum()} of {len(kept)} frames, {good.sum():,} of {good.size:,} pixels of each"
    )
    return kept, good


def few(which: np.ndarray, most: int = 6) -> str:
    """Return some numbers in words, counted from 0."""
    numbers = np.flatnonzero(which)
    return ", ".join(map(str, numbers[:most])) + (", …" if len(numbers) > most else "")
