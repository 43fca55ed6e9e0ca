"""Small helpers for the figures of these notebooks."""

from typing import Any

import numpy as np
from ipympl.backend_nbagg import Canvas, FigureManager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, FIT, CONTINUUM, ACCENT = "#222222", "#c8102e", "#1f77b4", "#2e7d32"


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


def map_axes(
    axes: Axes, shape: tuple[int, int], pixel_um: float, *, bar_um: float = 50.0, unit: str = "µm"
) -> None:
    """Turn the axes of an image into micrometres, or another unit, with a scale bar instead of ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    length = bar_um / pixel_um
    x, y = 0.04 * shape[1], 0.955 * shape[0] - 0.5
    axes.plot([x, x + length], [y, y], color="black", linewidth=5, solid_capstyle="butt")
    axes.plot([x, x + length], [y, y], color="white", linewidth=3, solid_capstyle="butt")
    axes.text(
        x + length / 2, y - 0.025 * shape[0], f"{bar_um:g} {unit}", color="white", ha="center", va="bottom", fontsize=8,
        bbox={"facecolor": "black", "alpha": 0.45, "linewidth": 0, "pad": 1.2},
    )  # fmt: skip


def scaled(image: np.ndarray, *, percentile: float = 99.5, gamma: float = 1.0) -> np.ndarray:
    """Return an image scaled to 0..1 for a colour channel: (ny, nx) float64.

    Parameters
    ----------
    image : (ny, nx) array_like
        Any unit; NaN, where nothing was measured, is shown as nothing.
    percentile : float
        The value shown at full brightness is this percentile of the image.
    gamma : float
        Below 1 lifts what is faint, above 1 hides it.
    """
    low, high = 0.0, float(np.nanpercentile(image, percentile))
    return np.clip((np.nan_to_num(image) - low) / (high - low or 1.0), 0, 1) ** gamma
