"""The simulated experiment: what stands where, and how the beam arrives."""

from dataclasses import dataclass

import numpy as np

HC_J_M = 1.98644586e-25  # Planck constant times speed of light, CODATA 2018
KEV_J = 1.602176634e-16
MAY_BE_ZERO = ("central_stop_m", "source_px")


@dataclass(frozen=True)
class Setup:
    """The experiment: photon energy and detector as at cSAXS, Swiss Light Source, the rest to fit.

    Parameters
    ----------
    energy_kev : float
        Of the monochromatic beam.
    distance_m : float
        From the sample to the detector.
    pixel_m : float
        Edge of a detector pixel, that of a Pilatus.
    frame_px, object_px : int
        Edges of a cut-out frame and of the object, pixels.
    zone_plate_m, outermost_zone_m, central_stop_m : float
        The Fresnel zone plate's diameter, the width of its outermost zone, and the diameter of the
        stop in its middle.
    positions : int
        Of the scan.
    step_px : float
        Edge of a square as large as the area a position, pixels of the object.
    photons : float
        That fall on the sample for every frame.
    source_px : float
        Standard deviation, along rows, of the source's image on the sample, pixels of the object:
        0 for a point. Storage rings' sources are wide and low.

    Raises
    ------
    ValueError
        There is no such experiment, or the scan doesn't fit on the object.
    """

    energy_kev: float = 6.2
    distance_m: float = 2.2
    pixel_m: float = 172e-6
    frame_px: int = 64
    object_px: int = 140
    zone_plate_m: float = 170e-6
    outermost_zone_m: float = 100e-9
    central_stop_m: float = 50e-6
    positions: int = 120
    step_px: float = 5.0
    photons: float = 4e4
    source_px: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name in MAY_BE_ZERO else np.nextafter(0, 1)
            if not least <= value < np.inf:
                raise ValueError(
                    f"{name} must be {'0 or more' if least == 0 else 'above 0'}, not {value}"
                )
        if self.central_stop_m >= self.zone_plate_m:
            raise ValueError("the central stop must be smaller than the zone plate")
        if self.object_px < self.least_object_px:
            raise ValueError(
                f"the scan needs an object of {self.least_object_px} pixels, not {self.object_px}: take "
                "fewer positions, smaller steps or smaller frames, or a larger object"
            )

    @property
    def least_object_px(self) -> int:
        """Pixels along the object that hold all frames, with some room for the stage's misses."""
        reach = 2 * self.step_px * np.sqrt((self.positions - 0.5) / np.pi)
        return int(np.ceil(reach + self.frame_px + 4))

    @property
    def energy_j(self) -> float:
        """Energy of a photon in joules."""
        return self.energy_kev * KEV_J

    @property
    def wavelength_m(self) -> float:
        """Wavelength in metres."""
        return HC_J_M / self.energy_j

    @property
    def object_pixel_m(self) -> float:
        """Edge of the object's pixels, wavelength times distance over the frame's edge, metres."""
        return self.wavelength_m * self.distance_m / (self.frame_px * self.pixel_m)

    @property
    def numerical_aperture(self) -> float:
        """Sine of the angle at the cone's edge: wavelength / (2 outermost zone) in first order."""
        return self.wavelength_m / (2 * self.outermost_zone_m)

    @property
    def focal_length_m(self) -> float:
        """Diameter times outermost zone over the wavelength, metres."""
        return self.zone_plate_m * self.outermost_zone_m / self.wavelength_m


@dataclass(frozen=True)
class Optics:
    """How the beam arrives.

    Parameters
    ----------
    defocus_m : float
        How far the sample stands downstream of the focus.
    astigmatism_rad : float
        Phase at the zone plate's edge on the x axis; on the y axis it is the opposite.
    tilt : float, optional
        By how much the beam is stronger at the zone plate's right edge than at its middle, as a
        share.
    """

    defocus_m: float
    astigmatism_rad: float = 0.0
    tilt: float = 0.0
