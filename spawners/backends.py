"""Every kind of backend there is: those here, and those of other packages.

A package that is installed beside BeamHub names its own as an entry point of the group
``beamhub.backends``.
"""

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from .docker import DockerBackend
from .kubernetes import KubernetesBackend
from .launch import Backend
from .local import LocalBackend
from .slurm import SlurmBackend

GROUP = "beamhub.backends"


def backend_of(entry: EntryPoint) -> type[Backend]:
    """Return the backend of another package.

    Raises
    ------
    ImportError
        It can't be loaded, or isn't a backend.
    """
    named = f"The backend '{entry.name}' ({entry.value}), which an installed package brings,"
    try:
        found = entry.load()
    except (ImportError, AttributeError) as error:
        raise ImportError(
            f"{named} can't be loaded: {error}. Mend that package, or remove it."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Backend)):
        raise ImportError(f"{named} isn't a subclass of spawners.Backend.")
    return found


BACKENDS: tuple[type[Backend], ...] = (
    LocalBackend,
    DockerBackend,
    SlurmBackend,
    KubernetesBackend,
    *map(backend_of, entry_points(group=GROUP)),
)

if TYPE_CHECKING:
    # What only one kind has is nobody's business outside of it.
    AnyBackend = Backend
else:
    AnyBackend = Annotated[Union[BACKENDS], Field(discriminator="kind")]  # noqa: UP007
