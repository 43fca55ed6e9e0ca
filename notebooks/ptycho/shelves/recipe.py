"""A recipe: which modules of the shelves are stacked, in which order, with which options."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from .scan import Model, Scan, State
from .shelf import Shelf, engines, outputs, preparations, readers, starts

Watch = Callable[[State], None]
"""Is given the state after some epochs, to draw it."""


class Step(BaseModel):
    """A module of a shelf, and its options; a bare name will do."""

    model_config = ConfigDict(extra="allow", frozen=True)
    use: str

    @model_validator(mode="before")
    @classmethod
    def from_name(cls, value: object) -> object:
        """Take a bare name as a module without options."""
        return {"use": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict:
        """What the recipe says besides the name."""
        return dict(self.model_extra or {})


class EngineStep(Step):
    """An engine, how long it runs and with which options."""

    epochs: int = Field(gt=0)


class Recipe(BaseModel):
    """A series of modules, from file to file.

    Parameters
    ----------
    reader : Step
        Of the file; ``auto`` takes the first that knows it.
    preparations : list of Step
        Of the scan: frames, mask, positions.
    start : Step
        The first guess.
    engines : list of EngineStep
        In series, each starting from what the one before returned.
    output : Step
        How the result is written.
    seed : int
        Of everything random.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    reader: Step = Step(use="auto")
    preparations: list[Step] = []
    start: Step = Step(use="mean_pattern")
    engines: list[EngineStep] = Field(min_length=1)
    output: Step = Step(use="cxi")
    seed: int = 0

    @model_validator(mode="after")
    def on_the_shelves(self) -> "Recipe":
        """Refuse names and options that no module has, before anything runs."""
        for shelf, steps, given in self.places():
            for step in steps:
                if step.use == "auto":
                    continue
                try:
                    shelf.check(step.use, step.options, given)
                except KeyError as error:
                    raise ValueError(error.args[0]) from error
        return self

    def places(self) -> list[tuple[Shelf, list, int]]:
        """Return every shelf with the steps that use it and how many parameters aren't options."""
        return [
            (readers, [self.reader], 1),
            (preparations, self.preparations, 1),
            (starts, [self.start], 1),
            (engines, self.engines, 5),
            (outputs, [self.output], 3),
        ]

    @classmethod
    def from_yaml(cls, text: str) -> "Recipe":
        """Return the recipe that a YAML text holds."""
        return cls.model_validate(yaml.safe_load(text))

    def to_yaml(self) -> str:
        """Return the recipe as YAML."""
        return yaml.safe_dump(self.model_dump(exclude_defaults=True), sort_keys=False)

    def read(self, path: Path) -> Scan:
        """Return the scan of a file, prepared.

        Raises
        ------
        ValueError
            No reader knows the file.
        """
        scan = read(path) if self.reader.use == "auto" else readers[self.reader.use](
            path, **self.reader.options
        )
        return self.prepare(scan)

    def prepare(self, scan: Scan) -> Scan:
        """Return a scan after all preparations, in their order."""
        for step in self.preparations:
            scan = preparations[step.use](scan, **step.options)
        return scan

    def begin(self, scan: Scan) -> State:
        """Return the first guess: the object is empty, the probe from the start's module."""
        at, shape = scan.positions_px()
        probe = np.asarray(starts[self.start.use](scan, **self.start.options), np.complex64)
        return State(np.ones(shape, np.complex64), probe, at)


def read(path: Path) -> Scan:
    """Return the scan of a file, by the first reader that knows it.

    Raises
    ------
    ValueError
        No reader knows the file.
    """
    reasons = []
    for name in readers:
        try:
            return readers[name](Path(path))
        except (KeyError, OSError, ValueError) as error:
            reasons.append(f"  {name}: {' '.join(str(error.args[0] if error.args else error).split())}")
    raise ValueError(f"no reader knows {Path(path).name}:\n" + "\n".join(reasons))


@dataclass(frozen=True)
class Report:
    """What a recipe made of a scan.

    Parameters
    ----------
    scan : Scan
        As prepared.
    states : list of State
        The first guess, then what each engine returned.
    """

    recipe: Recipe
    scan: Scan
    states: list[State]

    @property
    def state(self) -> State:
        """The last."""
        return self.states[-1]

    def write(self, path: Path) -> Path:
        """Write the result as the recipe says."""
        step = self.recipe.output
        outputs[step.use](path, self.scan, self.state, **step.options)
        return path


def reconstruct(
    recipe: Recipe, scan: Scan, *, start: State | None = None, watch: Watch | None = None, every: int = 5
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
    """
    settle(scan)
    model = Model(scan)
    states = [start.copy() if start else recipe.begin(scan)]
    for number, step in enumerate(recipe.engines):
        state, before = states[-1].copy(), states[-1].epochs

        def note(epoch: int, state: State, name: str = step.use, before: int = before) -> None:
            state.errors.append((name, before + epoch, model.error(state)))
            if watch:
                watch(state)

        pace = Pace(step.epochs, every, note)
        engine = engines[step.use]
        states.append(engine(scan, state, pace, recipe.seed + number, device(), **step.options))
    return Report(recipe, scan, states)


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


def settle(scan: Scan) -> None:
    """Let frames too small to be shared among cores be computed on one, which is faster."""
    import torch

    torch.set_num_threads(1 if scan.edge <= 128 else len(os.sched_getaffinity(0)))


def device() -> str:
    """Return where engines compute: the GPU where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
