"""Small helpers for the figures of these notebooks."""

from typing import Any

import numpy as np
from ipympl.backend_nbagg import Canvas, FigureManager
from IPython.display import DisplayHandle, display
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle

INK, ACCENT, WARN = "#222222", "#1f77b4", "#c8102e"


def live_figure(rows: int = 1, columns: int = 1, **settings: Any) -> tuple[Figure, Any]:
    """Return a figure that callbacks can change, and its axes.

    Its canvas is a widget: show it with ``display(figure.canvas)``. It stays outside pyplot, so
    the notebook's other figures can be plain pictures.

    Parameters
    ----------
    rows, columns : int
        Grid of axes.
    **settings
        What ``Figure`` and ``Figure.subplots`` take: ``figsize``, ``layout``, ``width_ratios``.
    """
    of_figure = {key: settings.pop(key) for key in ("figsize", "layout") if key in settings}
    figure = Figure(**of_figure)
    canvas = Canvas(figure)
    FigureManager(canvas, 0)
    canvas.header_visible = canvas.footer_visible = False
    canvas.toolbar_position = "right"
    return figure, figure.subplots(rows, columns, **settings)


def phase(
    axes: Axes, image: np.ndarray, pixel_m: float, title: str, *, range_rad: float = 2.0
) -> object:
    """Draw the phase of a sample, its mean taken out, with a scale bar; return the image artist.

    Parameters
    ----------
    axes : Axes
    image : (rows, columns) complex
    pixel_m : float
    title : str
    range_rad : float, optional
        From black to white.
    """
    shown = axes.imshow(
        flat_phase(image),
        cmap="gray",
        vmin=-range_rad / 2,
        vmax=range_rad / 2,
        interpolation="nearest",
    )
    scale_bar(axes, image.shape, pixel_m)
    axes.set_title(title, fontsize=10)
    return shown


def flat_phase(image: np.ndarray) -> np.ndarray:
    """Return the phase about its mean: (rows, columns), rad."""
    return np.angle(image * np.exp(-1j * np.angle(np.sum(image))))


def colours(wave: np.ndarray, brightest: float | None = None) -> np.ndarray:
    """Return a complex wave as colours: (rows, columns, 3); hue is phase, brightness amplitude."""
    size = np.abs(wave) / (brightest or np.abs(wave).max() or 1)
    hue = (np.angle(wave) / (2 * np.pi)) % 1
    return hsv_to_rgb(np.stack([hue, np.full(hue.shape, 0.85), np.clip(size, 0, 1)], axis=-1))


def wave(
    axes: Axes, image: np.ndarray, pixel_m: float, title: str, brightest: float | None = None
) -> object:
    """Draw a probe, hue its phase and brightness its amplitude, and return the image artist."""
    shown = axes.imshow(colours(image, brightest), interpolation="nearest")
    scale_bar(axes, image.shape, pixel_m)
    axes.set_title(title, fontsize=10)
    return shown


def scale_bar(axes: Axes, shape: tuple[int, ...], pixel_m: float) -> None:
    """Turn the axes of an image into metres: a bar of a round length instead of ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    wanted = 0.3 * shape[1] * pixel_m
    power = 10.0 ** np.floor(np.log10(wanted))
    bar_m = max(step * power for step in (1, 2, 5) if step * power <= wanted)
    label = f"{bar_m * 1e6:g} µm" if bar_m >= 1e-6 else f"{bar_m * 1e9:g} nm"
    x, y, length = 0.05 * shape[1], 0.95 * shape[0], bar_m / pixel_m
    axes.plot([x, x + length], [y, y], color="black", lw=5, solid_capstyle="butt")
    axes.plot([x, x + length], [y, y], color="white", lw=3, solid_capstyle="butt")
    axes.text(
        x + length / 2, y - 0.025 * shape[0], label, color="white", ha="center", va="bottom", fontsize=8,
        bbox={"facecolor": "black", "alpha": 0.45, "linewidth": 0, "pad": 1.2},
    )  # fmt: skip


def footprints(axes: Axes, positions_px: np.ndarray, diameter_px: float) -> None:
    """Draw where the beam was, each a circle."""
    for row, column in positions_px:
        axes.add_patch(
            Circle((column, row), diameter_px / 2, fill=False, ec=ACCENT, lw=0.6, alpha=0.7)
        )
    axes.plot(positions_px[:, 1], positions_px[:, 0], ".", color=WARN, ms=3)


class Live:
    """A reconstruction as it goes: sample, probe and error; give it as ``watch``.

    >>> with Live(pixel_m) as live:  # doctest: +SKIP
    ...     report = reconstruct(recipe, scan, watch=live)

    A notebook stores a figure as it was when it was shown. So when the reconstruction is done, it
    is shown once more in the same place: what is stored, or archived, has the last picture.
    """

    def __init__(self, pixel_m: float) -> None:
        self.pixel_m = pixel_m
        self.figure, self.axes = live_figure(1, 3, figsize=(10, 3.4), layout="constrained")
        self.place: DisplayHandle | None = None

    def __enter__(self) -> "Live":
        """Show the figure."""
        self.show()
        return self

    def __exit__(self, *problem: object) -> None:
        """Leave its last picture."""
        self.keep()

    def show(self) -> None:
        """Show the figure below the cell that runs."""
        self.place = display(self.figure.canvas, display_id=True)

    def keep(self) -> None:
        """Let the notebook store the figure as it is now."""
        if self.place:
            self.place.update(self.figure.canvas)

    def __call__(self, state: Any) -> None:
        """Draw a state."""
        left, middle, right = self.axes
        for axes in self.axes:
            axes.clear()
        phase(left, state.sample, self.pixel_m, "sample, phase")
        wave(middle, state.probe[0], self.pixel_m, "probe")
        names, epochs, errors = zip(*state.errors, strict=True)
        for name in dict.fromkeys(names):
            chosen = [k for k, n in enumerate(names) if n == name]
            right.plot(
                [epochs[k] for k in chosen], [errors[k] for k in chosen], "o-", ms=3, label=name
            )
        right.set(xlabel="epoch", ylabel="distance to the data (no unit)", yscale="log")
        right.legend(fontsize=8)
        self.figure.canvas.draw_idle()
