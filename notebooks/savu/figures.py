"""Small helpers for the figures of these notebooks."""

from typing import Any

import numpy as np
from ipympl.backend_nbagg import Canvas, FigureManager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

INK, GOOD, BAD, ACCENT = "#222222", "#2e7d32", "#c8102e", "#1f77b4"


def live_figure(rows: int = 1, columns: int = 1, **settings: Any) -> tuple[Figure, Any]:
    """Return a figure that callbacks can change, and its axes.

    Its canvas is a widget: show it with ``display(figure.canvas)``. It stays outside pyplot, so
    the notebook's other figures can be plain pictures.

    Parameters
    ----------
    rows, columns : int
        Grid of axes.
    **settings
        What ``Figure`` and ``Figure.subplots`` take: ``figsize``, ``layout``, ``sharex``,
        ``height_ratios``.
    """
    of_figure = {key: settings.pop(key) for key in ("figsize", "layout") if key in settings}
    figure = Figure(**of_figure)
    canvas = Canvas(figure)
    FigureManager(canvas, 0)
    canvas.header_visible = canvas.footer_visible = False
    canvas.toolbar_position = "right"
    return figure, figure.subplots(rows, columns, **settings)


def show_slice(
    axes: Axes,
    image: np.ndarray,
    limits: tuple[float, float],
    *,
    pixel_mm: float = 1.0,
    title: str = "",
) -> AxesImage:
    """Draw a slice with a scale bar instead of ticks, and return what a callback would change."""
    drawn = axes.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=10)
    side = image.shape[0]
    length = round_length(side * pixel_mm / 4)
    words = (
        f"{length:g} px"
        if pixel_mm == 1
        else f"{length:g} mm"
        if length >= 0.1
        else f"{1000 * length:g} µm"
    )
    length /= pixel_mm
    x, y = 0.04 * side, 0.955 * side
    axes.plot([x, x + length], [y, y], color="white", linewidth=3, solid_capstyle="butt")
    axes.text(x, y - 0.02 * side, words, color="white", ha="left", va="bottom", fontsize=8)
    return drawn


def round_length(most: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that isn't larger than `most`."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9)))


def grey_limits(image: np.ndarray, low: float = 1.0, high: float = 99.7) -> tuple[float, float]:
    """Return between which values an image is drawn from black to white."""
    dark, bright = np.percentile(image, (low, high))
    return float(dark), float(bright)
