"""Where the file is wrong, or silent, about the experiment."""

from ..scan import Scan
from ..shelf import Positive, preparations


@preparations.put("geometry")
def geometry(
    scan: Scan, wavelength_m: Positive | None = None, distance_m: Positive | None = None,
    pixel_m: Positive | None = None,
) -> Scan:  # fmt: skip
    """Set wavelength, distance or pixel, whichever are given."""
    given = {"wavelength_m": wavelength_m, "distance_m": distance_m, "pixel_m": pixel_m}
    return scan.changed(**{name: value for name, value in given.items() if value is not None})
