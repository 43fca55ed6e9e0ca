"""From a curve to the counts of an image: pixels of a finite size, losses, shadows, faults, noise."""

import numpy as np
from flat_detector import Detector, Geometry, angles, polarisation, solid_angle
from powder import Crystal, Curve
from truths import Truth


def subpixels(geometry: Geometry, detector: Detector, per_side: int) -> list[np.ndarray]:
    """Return 2theta (ny, nx, rad) at the midpoints of per_side x per_side parts of every pixel."""
    at = (np.arange(per_side) + 0.5) / per_side
    return [angles(geometry, detector, (y, x)).two_theta for y in at for x in at]


def losses(geometry: Geometry, detector: Detector) -> np.ndarray:
    """Return the share of the curve that each pixel's solid angle and polarisation leave: (ny, nx).

    Both change slowly, so that the centre of the pixel stands for all of it.
    """
    centre = angles(geometry, detector)
    return solid_angle(centre) * polarisation(centre)


def average(curve: Curve, points: list[np.ndarray]) -> np.ndarray:
    """Return the curve's mean over the points within each pixel: (ny, nx)."""
    return sum(curve(two_theta) for two_theta in points) / len(points)


def beam_stop(geometry: Geometry, detector: Detector, radius_m: float, arm_m: float) -> np.ndarray:
    """Return the shadow of a disc on a horizontal arm: (ny, nx) bool.

    Nobody centres a beam stop to a pixel: it sits 3 pixels too high and 4 too far right.
    """
    centre_y, centre_x = np.add(geometry.beam_centre_px(detector), (3, 4))
    y = (np.arange(detector.shape[0])[:, None] + 0.5 - centre_y) * detector.pixel_m
    x = (np.arange(detector.shape[1])[None, :] + 0.5 - centre_x) * detector.pixel_m
    return (np.hypot(y, x) < radius_m) | ((np.abs(y) < arm_m / 2) & (x < 0))


def expose(
    rng: np.random.Generator,
    geometry: Geometry,
    detector: Detector,
    crystal: Crystal,
    curve: Curve,
) -> tuple[np.ndarray, Truth]:
    """Return one exposure with photon noise and the faults of a real detector, and its truth.

    The counts, (ny, nx) int32, are what the detector wrote: hot pixels far too high, everything
    else that is masked 0.
    """
    points = subpixels(geometry, detector, 3)
    expected = average(curve, points) * losses(geometry, detector)
    counts = rng.poisson(expected).astype(np.int32)
    dead, hot = (rng.random(detector.shape) < share for share in (3e-4, 2e-4))
    stop = beam_stop(geometry, detector, radius_m=6e-3, arm_m=2e-3)
    counts[detector.gaps | dead | stop] = 0
    counts[hot & ~detector.gaps] = rng.integers(10**5, 10**6, np.sum(hot & ~detector.gaps))
    mask = detector.gaps | dead | hot | stop
    return counts, Truth(mask, expected.astype(np.float32), geometry, detector, crystal, curve)
