"""Why something can't be read: the file, what was found, what was expected, what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..told import ToldError


@dataclass(frozen=True)
class Place:
    """Where something was looked for.

    Parameters
    ----------
    file : str or Path
        The file; its name is shown without folders.
    within : str
        The path, scan, header or line in it; empty for the whole file.
    parameter : str
        The parameter at the top of the notebook that would change what is read here.
    """

    file: str | Path
    within: str = ""
    parameter: str = ""

    def at(self, within: str, parameter: str = "") -> "Place":
        """Return another place in the same file."""
        return Place(self.file, within, parameter)

    def __str__(self) -> str:
        return ", ".join(filter(None, (Path(str(self.file)).name, self.within)))


class ReadingError(ToldError):
    """Something in a file is not what it must be.

    Parameters
    ----------
    place : Place
        Where.
    found : str
        What is there, as the end of a sentence that begins with "found".
    expected : str
        What should be there instead.
    advice : str
        What to do next, a whole sentence.
    """

    def __init__(self, place: Place, found: str, expected: str = "", advice: str = "") -> None:
        self.place, self.found, self.expected = place, found, expected
        wanted = f", expected {expected}" if expected else ""
        super().__init__(" ".join(filter(None, (f"{place}: found {found}{wanted}.", advice))))


class QuestionError(ReadingError):
    """A file can be read in several ways, and only who measured knows the right one.

    Parameters
    ----------
    place : Place
        Where; its parameter is the one that answers.
    found : str
        What makes it ambiguous.
    answers : sequence of str
        Values to choose from, as they are typed at the top of the notebook.
    """

    def __init__(self, place: Place, found: str, answers: list[str], why: str = "") -> None:
        self.answers = answers
        which = any_of(answers)
        answer = (
            f"Answer with {place.parameter} = {which}" if place.parameter else f"It may be {which}"
        )
        end = ", at the top." if place.parameter else "."
        asked = f"Which is right? {answer}{why and f' ({why})'}{end}"
        super().__init__(place, found, "", asked)


def any_of(words: list[str], most: int = 8) -> str:
    """Return alternatives as a person says them, a long list cut."""
    shown = words[:most] + (["…"] if len(words) > most else [])
    return ", ".join(shown[:-1]) + " or " + shown[-1] if len(shown) > 1 else "".join(shown)


@contextmanager
def refusing(place: Place, expected: str) -> Iterator[None]:
    """Turn whatever a library raises within into a sentence.

    Parameters
    ----------
    place : Place
        What is being read.
    expected : str
        What it should be, such as ``an image that FabIO reads``.

    Raises
    ------
    ReadingError
        In place of any other exception.
    """
    try:
        yield
    except ToldError:
        raise
    except Exception as error:  # a library may raise anything for a file that it doesn't know
        raise ReadingError(place, words_of(error, place), expected, advice(place)) from error


def words_of(error: Exception, place: Place) -> str:
    """Return what went wrong as the end of a sentence that begins with "found"."""
    if isinstance(error, FileNotFoundError) or not Path(str(place.file)).exists():
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "a folder"
    if isinstance(error, PermissionError):
        return "a file that you may not read"
    said = " ".join(str(error).strip("'\"").split())[:200]
    return f"something else ({said or type(error).__name__})"


def advice(place: Place) -> str:
    """Return which parameter to look at."""
    return f"Look at {place.parameter} at the top." if place.parameter else ""
