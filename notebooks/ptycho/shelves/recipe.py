"""A recipe: which modules of the shelves are stacked, in which order, with which options."""

from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from workbench.told import ToldError

from .device import Wanted
from .scan import Scan, ScanError, State
from .shelf import Shelf, engines, outputs, preparations, readers, starts
from .trust import trusted

WORDS = {"missing": "is missing", "extra_forbidden": "a recipe has no such part"}


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
    device : {"auto", "cpu", "cuda"}
        Where engines compute; ``auto`` takes the GPU where there is one.

    Raises
    ------
    ValueError
        Something in it makes no sense; every finding is a line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    reader: Step = Step(use="auto")
    preparations: list[Step] = []
    start: Step = Step(use="mean_pattern")
    engines: list[EngineStep] = Field(min_length=1)
    output: Step = Step(use="cxi")
    seed: int = Field(0, ge=0, lt=2**31)
    device: Wanted = "auto"

    def __init__(self, **parts: object) -> None:
        try:
            super().__init__(**parts)
        except ValidationError as error:
            raise ToldError("\n".join(findings(error))) from None

    @model_validator(mode="after")
    def on_the_shelves(self) -> "Recipe":
        """Refuse names and options that no module has, before anything runs."""
        for shelf, steps, given in self.places():
            for step in steps:
                if step.use == "auto" and shelf is readers:
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
        """Return the recipe that a YAML text holds.

        Raises
        ------
        ValueError
            The text isn't YAML, or the recipe makes no sense.
        """
        try:
            parts = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"line {mark.line + 1}" if mark else "the text"
            raise ToldError(f"the recipe isn't YAML: {where} can't be read") from None
        if not isinstance(parts, dict):
            raise ToldError("a recipe consists of lines such as 'engines:', see its how-to")
        return cls(**{str(name): value for name, value in parts.items()})

    def to_yaml(self) -> str:
        """Return the recipe as YAML."""
        return yaml.safe_dump(self.model_dump(exclude_defaults=True), sort_keys=False)

    def read(self, path: Path) -> Scan:
        """Return the scan of a file, prepared.

        Raises
        ------
        ValueError
            There is no such file, no reader knows it, or what it says can't be.
        """
        name = self.reader.use
        if name == "auto":
            return self.prepare(read(path)).checked()
        existing(path)
        try:
            return self.prepare(
                trusted(readers.use(name, self.reader.options, Path(path)))
            ).checked()
        except Exception as error:  # a reader is anybody's code, given a file of any kind
            raise ScanError(f"{Path(path).name} by reader {name!r}: {sentence(error)}") from error

    def prepare(self, scan: Scan) -> Scan:
        """Return a scan after all preparations, in their order."""
        for step in self.preparations:
            scan = preparations.use(step.use, step.options, scan)
        return scan

    def begin(self, scan: Scan) -> State:
        """Return the first guess: the object is empty, the probe from the start's module.

        Raises
        ------
        ScanError
            The positions can't be, or the first guess of the probe holds no light.
        """
        at, shape = scan.positions_px()
        with np.errstate(all="ignore"):  # what comes of it is said below
            probe = np.asarray(starts.use(self.start.use, self.start.options, scan), np.complex64)
        if not np.isfinite(probe).all() or not probe.any():
            raise ScanError(
                f"start {self.start.use!r} made a probe without light: check its options against "
                "the scan's wavelength, distance and pixel, and that the frames hold counts"
            )
        return State(np.ones(shape, np.complex64), probe, at)


def findings(error: ValidationError) -> list[str]:
    """Return what is wrong with a recipe, a line each: ``engines, number 1, epochs: ...``."""
    found = []
    for problem in error.errors(include_url=False):
        words = WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
        where = ", ".join(map(place, problem["loc"]))
        found.append(f"{where}: {words}" if where else words)
    return found


def place(part: str | int) -> str:
    """Return a part of a recipe's place in words: counted from 1."""
    return f"number {part + 1}" if isinstance(part, int) else part


def read(path: Path) -> Scan:
    """Return the scan of a file, by the first reader that knows it.

    Raises
    ------
    ValueError
        There is no such file, no reader knows it, or what it says can't be.
    """
    existing(path)
    reasons = []
    for name in readers:
        try:
            return trusted(readers[name](Path(path)))
        except ToldError as error:
            raise ScanError(f"{Path(path).name}: {error}") from error
        except Exception as error:  # noqa: BLE001 - a reader is anybody's code, given a file of any kind
            reasons.append(f"  {name}: {sentence(error)}")
    raise ScanError(f"no reader knows {Path(path).name}:\n" + "\n".join(reasons))


def existing(path: Path) -> None:
    """Refuse a path where no file is."""
    if not Path(path).is_file():
        raise ScanError(f"there is no file {path}, seen from {Path.cwd()}")


def sentence(error: Exception) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error.args[0] if error.args else error).split())
