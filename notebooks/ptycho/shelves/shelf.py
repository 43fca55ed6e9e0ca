"""A shelf: the modules of one folder, each putting functions on it under names."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from inspect import Parameter, signature
from typing import Annotated, Any, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

# Of options in a recipe: what a function's parameter is annotated with is what it is checked for.
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
EXACT = ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True)


class Shelf:
    """Exchangeable functions, found by name; a file in the shelf's folder is all that one needs.

    Parameters
    ----------
    folder : str
        The package beside this module that holds the shelf's files.
    noun : str
        What lies on it, in the words of a message.
    """

    def __init__(self, folder: str, noun: str) -> None:
        self.folder, self.noun = folder, noun
        self._functions: dict[str, Callable] = {}

    def put(self, name: str) -> Callable[[Callable], Callable]:
        """Return a decorator that puts a function on the shelf under a name."""

        def keep(function: Callable) -> Callable:
            self._functions[name] = function
            return function

        return keep

    def load(self) -> None:
        """Import every file of the shelf's folder; files added meanwhile are found too."""
        package = importlib.import_module(f"{__package__}.{self.folder}")
        importlib.invalidate_caches()
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")

    def __iter__(self) -> Iterator[str]:
        self.load()
        return iter(sorted(self._functions))

    def __getitem__(self, name: str) -> Callable:
        """Return the function of a name.

        Raises
        ------
        KeyError
            Nothing of this name lies on the shelf.
        """
        self.load()
        if name not in self._functions:
            near = get_close_matches(name, self._functions, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self)}"
            raise KeyError(f"no {self.noun} {name!r}: {hint}")
        return self._functions[name]

    def use(self, name: str, options: dict, *given: Any) -> Any:
        """Call a function with what its shelf gives and with the options of a recipe."""
        return self[name](*given, **self.check(name, options, len(given)))

    def check(self, name: str, options: dict, given: int) -> dict:
        """Return options as a function takes them, such as a number that YAML took for a text.

        Parameters
        ----------
        name : str
        options : dict
            What a recipe says.
        given : int
            How many of the function's first parameters don't come from the recipe.

        Raises
        ------
        KeyError
            Nothing of this name lies on the shelf.
        ValueError
            The function has no such option, needs another one, or can't take a value.
        """
        function = self[name]
        known = dict(list(signature(function).parameters.items())[given:])
        types = get_type_hints(function, include_extras=True)
        lacking = [o for o, p in known.items() if p.default is Parameter.empty and o not in options]
        taken = {}
        for option, value in options.items():
            if option not in known:
                near = get_close_matches(option, known, n=1)
                hint = (
                    f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known) or 'none'}"
                )
                raise ValueError(f"{self.noun} {name!r} has no option {option!r}: {hint}")
            try:
                taken[option] = fit(types.get(option, object), value)
            except ValueError as problem:
                raise ValueError(f"{self.noun} {name!r}: {option}: {problem}") from None
        if lacking:
            raise ValueError(f"{self.noun} {name!r} needs {' and '.join(lacking)}")
        return taken

    def table(self) -> list[tuple[str, str]]:
        """Return a name and a sentence for everything on the shelf."""
        return [(name, (self[name].__doc__ or "").strip().splitlines()[0]) for name in self]


def fit(kind: Any, value: Any) -> Any:
    """Return a value as a kind, such as ``Count``.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        return TypeAdapter(kind, config=EXACT).validate_python(value)
    except ValidationError as error:
        words = error.errors(include_url=False)[0]["msg"]
        raise ValueError(f"{words[0].lower()}{words[1:]}, not {value!r}") from None


readers = Shelf("readers", "reader")
preparations = Shelf("preparations", "preparation")
starts = Shelf("starts", "start")
engines = Shelf("engines", "engine")
outputs = Shelf("outputs", "output")
SHELVES = (readers, preparations, starts, engines, outputs)
