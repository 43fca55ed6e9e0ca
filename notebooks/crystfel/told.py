"""What is told to a person in one sentence, and parameters that are looked at before they are used."""

from pathlib import Path

from workbench.told import ToldError


def existing(name: str, path: str | Path) -> Path:
    """Return a parameter's file.

    Raises
    ------
    ToldError
        It is not there.
    """
    found = Path(path).resolve()
    if not found.is_file():
        raise ToldError(f"{name} is {str(path)!r}, and there is no such file: {found}.")
    return found


def at_least(least: float, **parameters: float) -> None:
    """Look whether parameters are numbers that are large enough.

    Raises
    ------
    ToldError
        One is not.
    """
    for name, value in parameters.items():
        if not isinstance(value, int | float) or value < least:
            raise ToldError(f"{name} is {value!r}; it must be a number of at least {least:g}.")


def smaller(**parameters: float) -> None:
    """Look whether the first of two parameters is smaller than the second.

    Raises
    ------
    ToldError
        It is not.
    """
    (low, less), (high, more) = parameters.items()
    if not less < more:
        raise ToldError(f"{low} is {less:g} and {high} is {more:g}; {low} must be the smaller one.")
