"""Engines in series, each starting from what the one before returned."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import device
from .recipe import Recipe
from .scan import Model, Scan, State
from .shelf import engines, outputs

Watch = Callable[[State], None]
"""Is given the state after some epochs, to draw it."""


@dataclass(frozen=True)
class Pace:
    """How far an engine runs before it shows where it is.

    Parameters
    ----------
    epochs : int
        In all.
    every : int
        Between two looks.
    note : callable
        Is given the epoch and the state.
    """

    epochs: int
    every: int
    note: Callable[[int, State], None]

    def stretches(self) -> list[tuple[int, int]]:
        """Return how many epochs to run each time, and how many that makes."""
        ends = sorted({*range(self.every, self.epochs, self.every), self.epochs})
        return [(end - begin, end) for begin, end in zip([0, *ends], ends, strict=False)]


@dataclass(frozen=True)
class Report:
    """What a recipe made of a scan.

    Parameters
    ----------
    recipe : Recipe
    scan : Scan
        As prepared.
    states : list of State
        The first guess, then what each engine returned.
    device : str
        Where it was computed: ``cpu`` or ``cuda``.
    """

    recipe: Recipe
    scan: Scan
    states: list[State]
    device: str

    @property
    def state(self) -> State:
        """The last."""
        return self.states[-1]

    def write(self, path: Path) -> Path:
        """Write the result as the recipe says."""
        step = self.recipe.output
        outputs.use(step.use, step.options, path, self.scan, self.state)
        return path


def reconstruct(
    recipe: Recipe,
    scan: Scan,
    *,
    start: State | None = None,
    watch: Watch | None = None,
    every: int = 5,
) -> Report:
    """Run the engines of a recipe in series.

    Parameters
    ----------
    recipe : Recipe
    scan : Scan
        Prepared.
    start : State, optional
        Another beginning than the recipe's.
    watch : callable, optional
        Is given the state now and then.
    every : int, optional
        Epochs between two errors, and two calls of `watch`.

    Raises
    ------
    ValueError
        The scan can't be reconstructed as it is, or a GPU is wanted and there is none.
    FloatingPointError
        An engine diverged: what it has aren't numbers any more.
    MemoryError
        The GPU or the machine has too little memory.
    """
    place = device.choose(recipe.device)
    device.settle(scan)
    model = Model(scan)
    states = [start.copy() if start else recipe.begin(scan)]
    for number, step in enumerate(recipe.engines):
        state, before = states[-1].copy(), states[-1].epochs

        def note(epoch: int, state: State, name: str = step.use, before: int = before) -> None:
            state.errors.append((name, before + epoch, finite(model.error(state), name, epoch)))
            if watch:
                watch(state)

        pace = Pace(step.epochs, every, note)
        with device.room(scan, step.use):
            given = scan, state, pace, recipe.seed + number, place
            states.append(engines.use(step.use, step.options, *given))
    return Report(recipe, scan, states, place)


def finite(error: float, engine: str, epoch: int) -> float:
    """Return an error that is a number; where it isn't, the engine has diverged."""
    if not np.isfinite(error):
        raise FloatingPointError(
            f"{engine} diverged: by epoch {epoch} its images hold no numbers any more. Take fewer "
            "epochs, smaller steps, another start, or another engine"
        )
    return error
