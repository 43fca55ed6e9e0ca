"""Log-in by a directory of accounts."""

from collections.abc import Iterable

from traitlets import Instance

from .authenticator import Door
from .directory import Directory
from .people import Person, Typed


class DirectoryAuthenticator(Door):
    """Asks the directory that the profile names."""

    directory = Instance(Directory, help="Which it is").tag(config=True)

    def ask(self, entered: Typed) -> Person:
        """Return who has this name and password."""
        return self.directory.log_in(entered)

    def look_up(self, name: str) -> Person | None:
        """Return somebody without a password, where an account that searches may."""
        return self.directory.look_up(name)

    def faults(self) -> list[str]:
        """Return which of the directory's servers can't be used, and why."""
        return self.directory.faults()

    def groups_there(self, names: Iterable[str]) -> dict[str, bool]:
        """Return which groups the directory has."""
        return self.directory.groups_there(names)
