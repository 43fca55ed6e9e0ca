"""Who asks for a server: what of a user decides which one they may have.

Pure, as `plan` is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .gates import NOBODY, Standing
from .site import Size
from .sizing import Holding


@dataclass(frozen=True)
class Requester:
    """A user, as plans see one.

    Parameters
    ----------
    name : str
        The user's name.
    standing : Standing, optional
        The user's groups, and what they have accepted.
    running : mapping, optional
        The sizes of the servers that they have running or starting, by the names of these; None
        where it is unknown.
    """

    name: str
    standing: Standing = NOBODY
    running: Mapping[str, Size | None] = field(default_factory=dict)

    def holding(self, *, besides: str) -> Holding:
        """Return what they have running, one server left out."""
        others = [size for server, size in self.running.items() if server != besides]
        return Holding(
            servers=len(others),
            cores=sum(size.cores for size in others if size),
            memory_gib=sum(size.memory_gib for size in others if size),
        )
