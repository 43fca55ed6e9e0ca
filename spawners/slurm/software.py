"""How a job of a cluster gets at its software: image files, environments, or the site's modules."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from ..launch import Declared, Launch, absolute
from .image_files import faults, image_file, missing_text, origin_of
from .script import HOME, Need

Folder = Annotated[Path, AfterValidator(absolute)]
BEGIN = ("python", "-P", "-m", "workbench.job")
PROVE = ("python", "-P", "-c", "import workbench.job")
CONTAINER = (
    "apptainer",
    "exec",
    # Nothing of the node but what is named below: no variables, processes, other homes, devices.
    "--containall",
    # Values stay what they are: without this Apptainer lets a shell evaluate them.
    "--no-eval",
    HOME,
    # Those of a container's own hold 64 MiB in memory.
    "--bind=/tmp",
    "--bind=/var/tmp",
)
NO_APPTAINER = (
    "The node that it was sent to has no command 'apptainer', so the image of this use case can't "
    "run there."
)
NO_FILE = "The node that it was sent to can't read the image file {file}."
NO_FOLDER = (
    "The node that it was sent to has no folder {folder}, which this site shows to its servers."
)
NO_WORKBENCH_INSIDE = (
    "The image file {file} can't be run on its node, or there is no BeamHub workbench in it: "
    "'Details' has what was said. 'beamhub images sif' makes one that has it."
)
NO_MODULES = (
    "The node that it was sent to has no command 'module'. A line of the site's, in "
    "backend.prologue, has to bring it."
)
NO_MODULE = "The module '{module}' can't be loaded on its node: 'Details' has what was said."
NO_WORKBENCH = (
    "The Python of the modules {modules} doesn't have BeamHub's workbench, or isn't 3.11 or newer, "
    "so no server can begin there."
)


class Apptainer(Declared):
    """Image files that every node sees."""

    from_images: ClassVar[bool] = True
    kind: Literal["apptainer"]
    folder: Folder = Field(description="Where <use case>-<version>.sif lie")

    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return how a job gets at its software."""
        file = image_file(self.folder, launch.use_case, launch.version)
        gpu = ["--nv"] if launch.resources.gpus else []
        begin = [*CONTAINER, *gpu, *binds(launch), str(file)]
        needs = [
            Need(("command", "-v", "apptainer"), NO_APPTAINER),
            Need(("test", "-r", str(file)), NO_FILE.format(file=file)),
        ]
        for mount in launch.mounts:
            said = NO_FOLDER.format(folder=mount.source)
            needs.append(Need(("test", "-e", str(mount.source)), said))
        if origin_of(file) is None:
            # Another start of a container, which those that we made ourselves don't need.
            needs.append(Need((*begin, *PROVE), NO_WORKBENCH_INSIDE.format(file=file)))
        return {"command": [*begin, *BEGIN], "needs": needs, "variable_prefix": "APPTAINERENV_"}

    def told(self, launch: Launch) -> dict[str, str]:
        """Return the launch's variables, the image being the one that the file was made from."""
        known = origin_of(image_file(self.folder, launch.use_case, launch.version))
        return {**launch.environment, **({"BEAMHUB_IMAGE": known.image} if known else {})}

    def obstacles(self, launch: Launch) -> list[str]:
        """Return that the image file is missing, as far as this machine sees its folder."""
        file = image_file(self.folder, launch.use_case, launch.version)
        if not self.folder.is_dir() or file.is_file():
            return []
        return [missing_text(self.folder, launch.use_case, launch.version)]

    def faults(self, versions: Mapping[str, str]) -> Iterator[str]:
        """Yield what is wrong with the image files of use cases."""
        if self.folder.is_dir():
            for use_case, version in versions.items():
                yield from faults(self.folder, use_case, version)


class Shared(Declared):
    """Software that lies in a folder which all nodes see."""

    from_images: ClassVar[bool] = False

    def told(self, launch: Launch) -> dict[str, str]:
        """Return the launch's variables; no image is named where none runs."""
        return {k: v for k, v in launch.environment.items() if k != "BEAMHUB_IMAGE"}

    def obstacles(self, launch: Launch) -> list[str]:
        """Return nothing: the hub makes what is needed, or only nodes know."""
        del launch
        return []

    def faults(self, versions: Mapping[str, str]) -> Iterator[str]:
        """Yield nothing: see `obstacles`."""
        del versions
        yield from ()


class Environment(Shared):
    """Python environments that the hub makes, as the local backend does."""

    kind: Literal["environment"]
    folder: Folder = Field(
        description="On a file system that all nodes see at the same path; the hub's account "
        "writes it, all others read it"
    )

    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return how a job gets at its software."""
        del launch
        shared = str(self.folder)
        return {"command": list(BEGIN), "shared_folder": shared, "makes_environment": True}


class Modules(Shared):
    """Environment modules of the site, which hold a use case's packages and the workbench."""

    kind: Literal["modules"]
    folder: Folder = Field(description="As of 'environment'; notebooks are put there")
    load: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9{][A-Za-z0-9_.+/{}-]*$")]] = Field(
        min_length=1, description="Names for 'module load'; {use_case} and {version} are filled in"
    )

    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return how a job gets at its software."""
        filled = {"{use_case}": launch.use_case, "{version}": launch.version}
        names = list(self.load)
        for mark, value in filled.items():
            names = [name.replace(mark, value) for name in names]
        needs = [
            Need(("command", "-v", "module"), NO_MODULES),
            *(Need(("module", "load", name), NO_MODULE.format(module=name)) for name in names),
            Need(PROVE, NO_WORKBENCH.format(modules=", ".join(names))),
        ]
        return {"command": list(BEGIN), "needs": needs, "shared_folder": str(self.folder)}


Software = Annotated[Apptainer | Environment | Modules, Field(discriminator="kind")]


def binds(launch: Launch) -> list[str]:
    """Return the folders of the site that a container shows, as Apptainer has them."""
    return [f"--bind={m.source}:{m.target}{':ro' if m.read_only else ''}" for m in launch.mounts]
