"""What every backend receives: one launch, already checked against the site's limits."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
)

ImageReference = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._:/-]*(@sha256:[0-9a-f]{64})?$")]
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
Value = Annotated[str, Field(pattern=r"^[^\x00-\x1f]*$")]
StartPage = Annotated[
    str, Field(pattern=r"^/(lab(/tree/[A-Za-z0-9._/-]+)?|beamhub/app/[a-z0-9-]+)$")
]


class Declared(BaseModel):
    """A model that refuses unknown keys and endless numbers, and never changes once read."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


Part = TypeVar("Part", bound=Declared)


def changed_by(kind: type[Part], whole: Part, instead: Part | None) -> Part:
    """Return what a part of some settings is, with what somebody has said instead.

    Parameters
    ----------
    kind : type
        The part, of which `whole` has all keys.
    whole : Declared
        The settings.
    instead : Declared, optional
        Only what was said of it counts, not what it is by default.
    """
    asked = whole.model_dump(include=set(kind.model_fields))
    said = instead.model_dump(exclude_unset=True) if instead else {}
    return kind.model_validate(asked | said)


class Resources(Declared):
    """What one server is given."""

    cores: PositiveFloat
    memory_gib: PositiveFloat
    gpus: NonNegativeInt = 0
    walltime_h: PositiveFloat = 8

    @property
    def whole_cores(self) -> int:
        """How many it computes on, where only whole ones can be had."""
        return max(1, round(self.cores))


def absolute(path: Path) -> Path:
    """Return `path` if it leads from the root to one folder, whatever reads it."""
    if not path.is_absolute() or ".." in path.parts or re.search(r"[:,\x00-\x1f]", str(path)):
        raise ValueError("expected a path that begins with '/', without '..', ':' and ','")
    return path


def source_of_a_mount(source: Path) -> Path:
    """Return `source` if it is a path from the root, or can be the name of a volume."""
    if re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", str(source)):
        return source
    return absolute(source)


class Mount(Declared):
    """A folder of the site that a server sees."""

    source: Annotated[Path, AfterValidator(source_of_a_mount)] = Field(
        description="Where it lies on the machine that runs the server; with Docker, the name of "
        "a volume is possible too"
    )
    target: Annotated[Path, AfterValidator(absolute)] = Field(
        description="Where the server sees it"
    )
    read_only: bool = True


class Launch(Declared):
    """One server to start.

    Parameters
    ----------
    use_case, version : str
        What is opened; the use case's name is the server's name too.
    folder : Path
        The use case's folder on the hub's host: notebooks, manifest and requirements.
    image : str
        The container image, for backends that run containers.
    resources : Resources
        What the chosen size grants.
    programs : tuple of str
        Programs that the use case, and the notebook to begin with, need on the PATH.
    start_page : str
        The page of JupyterLab to begin with.
    environment : dict
        Variables for the server, for `workbench.here` among others; never a secret.
    mounts : tuple of Mount
        Folders of the site to show to the server.
    """

    use_case: str
    version: str
    folder: Path
    image: ImageReference
    resources: Resources
    programs: tuple[str, ...] = ()
    start_page: StartPage = "/lab"
    environment: dict[Variable, Value] = {}
    mounts: tuple[Mount, ...] = ()


class Free(Declared):
    """What a site has now, and how much of it nobody uses."""

    cores: float
    cores_free: float
    memory_gib: float
    memory_free_gib: float


class Bound(Declared):
    """What a site's machine makes of a size, for one user."""

    closed: str = Field("", description="Why no server of it could run; empty where one could")
    walltime_h: PositiveFloat | None = Field(
        None, description="What is granted where the profile declares no walltime; None for that"
    )


@dataclass(frozen=True)
class PortalContext:
    """What a backend may know of the portal whose servers it starts.

    Parameters
    ----------
    identity : str
        What tells it from another portal.
    sockets_folder : Path
        Where the sockets of servers on this machine lie.
    tunnel_port : int
        Where servers elsewhere dial in.
    workbench_folder : Path
        The package that notebooks import.
    constraints_file : Path
        Versions for use cases that have none of their own.
    build_command : tuple of str
        What builds an image; the name of its use case follows.
    repositories : tuple of str
        Those of the use cases' images.
    """

    identity: str
    sockets_folder: Path
    tunnel_port: int
    workbench_folder: Path
    constraints_file: Path
    build_command: tuple[str, ...]
    repositories: tuple[str, ...]


class BackendError(Exception):
    """A backend can't do its part; the text is for the administrator."""


class Backend(Declared, ABC):
    """Settings of one kind of site, and their translation into spawner traits.

    Only `traits` must be written. What else the portal asks has an answer here that fits a backend
    whose servers run on other machines, under accounts of their own, from the use cases' images.
    """

    kind: str
    spawner_class: ClassVar[str]
    title: ClassVar[str]
    """What servers run as, in the words of the page about the portal."""
    ends_servers: ClassVar[bool] = False
    """Whether the backend itself ends a server when its time is over."""
    queues: ClassVar[bool] = False
    """Whether a server may have to wait for its turn before it begins."""
    outlives_hub: ClassVar[bool] = True
    """Whether servers go on when the portal ends."""
    on_this_machine: ClassVar[bool] = False
    """Whether servers are processes beside the hub, so that they and it need no port to meet."""
    shares_cores: ClassVar[bool] = False
    """Whether servers run on the hub's machine, so that too many starts at once slow down all."""
    has_helper: ClassVar[bool] = False
    """Whether the hub of a portal that root starts has no rights itself, see `spawners.rights`."""
    fills_cache: ClassVar[bool] = True
    """Whether servers may write what they fetch into the cache that all users share."""
    sees_mounts_only: ClassVar[bool] = False
    """Whether servers see no folder of the machine but those that the portal mounts for them."""

    @property
    def optional_packages(self) -> str:
        """The extra of BeamHub with what it needs."""
        return self.kind

    @property
    def shares_account(self) -> bool:
        """Whether the servers of all users run under one account."""
        return False

    @property
    def volume_prefix(self) -> str:
        """What the names of users' own volumes begin with, empty where there are no such."""
        return ""

    @property
    def image_folder(self) -> Path | None:
        """Where image files of the use cases lie, None where servers need none."""
        return None

    @property
    def starts_at_once(self) -> int | None:
        """How many servers start at the same time, if the site says nothing; None for no limit."""
        # One more than there are cores: a start waits for the disk too.
        return len(os.sched_getaffinity(0)) + 1 if self.shares_cores else None

    def data_folder(self, state: Path) -> Path | None:
        """Return where servers share what they fetch, if the site names no folder for that.

        Parameters
        ----------
        state : Path
            Where the portal keeps its state.
        """
        del state
        return None

    @property
    def names_are_accounts(self) -> bool:
        """Whether a user's name is that of an account which exists without the portal."""
        return False

    @abstractmethod
    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return the spawner's trait values for this launch."""

    def helper_settings(self) -> dict[str, Any]:
        """Return what the helper of a hub without rights has to know of servers."""
        return {}

    def configured(self, portal: PortalContext) -> dict[str, Any]:
        """Return the spawner's trait values that are the same for all servers."""
        del portal
        return {}

    def why_not_apart(self) -> str:
        """Return what the profile lacks where hub and proxy are containers; empty for nothing."""
        return ""

    def why_not_public(self) -> str:
        """Return what keeps a portal that other machines reach from being safe, or nothing."""
        return "servers of all users must not run under one account" if self.shares_account else ""

    def why_not_by_this_account(self) -> str:
        """Return why the account that starts the portal can't run servers, or nothing."""
        return ""

    @property
    def hub_address(self) -> str:
        """The address of this machine at which servers reach the hub."""
        return "127.0.0.1"

    @property
    def hub_connect_url(self) -> str:
        """Where servers reach the hub, if not where it listens; empty for there."""
        return ""

    @property
    def tunnel_address(self) -> str:
        """The address of this machine at which servers elsewhere dial in; empty where none do."""
        return ""

    @property
    def from_images(self) -> bool:
        """Whether servers come from the use cases' images, with all programs that lie in those.

        The others see the machine's folders where they are, without mounts.
        """
        return True

    def prepare(self) -> None:
        """Make what has to be there before the hub listens.

        Raises
        ------
        BackendError
            It can't be made.
        """

    async def sweep(self, spawners: Collection[Any], *, portal: str, state: Path) -> int:
        """End what this portal once started and what belongs to no server now.

        Parameters
        ----------
        spawners : collection
            Those of all servers that the hub knows.
        portal : str
            What tells this portal's from another's.
        state : Path
            Where the portal keeps its state.

        Returns
        -------
        int
            How many were ended.
        """
        del spawners, portal, state
        return 0

    def unshown(self, mounts: Iterable[Mount]) -> list[str]:
        """Return why folders of the site can't be shown to servers, a sentence each."""
        del mounts
        return []

    def obstacles(self, launch: Launch) -> list[str]:
        """Return why this machine can't start the launch, a sentence each; empty where it can."""
        del launch
        return []

    def free(self) -> Free | None:
        """Return what is free now, None where the backend can't tell."""
        return None

    def bounds(self, resources: Mapping[str, Resources], user: str) -> Mapping[str, Bound]:
        """Return what bounds sizes for a user, as far as it is known now; nothing is asked.

        Parameters
        ----------
        resources : mapping
            What each size grants, by its name.
        user : str
            Whose server it would be.
        """
        del resources, user
        return {}

    async def outlook(
        self, resources: Mapping[str, Resources], *, user: str, state: Path
    ) -> dict[str, str]:
        """Return what servers of each size would find now, in a few words; empty for nothing.

        Parameters
        ----------
        resources : mapping
            What each size grants, by its name.
        user : str
            Whose server it would be.
        state : Path
            Where the portal keeps its state.
        """
        del resources, user, state
        return {}

    def live_checks(self) -> list[str]:
        """Return what this machine lacks for the backend, a sentence each; empty for nothing."""
        return []

    def walls_lacking(self) -> list[str]:
        """Return what of the walls between servers this machine can't give, a sentence each."""
        return []

    def size_checks(self, resources: Mapping[str, Resources]) -> list[str]:
        """Return why servers of some sizes could not run, a sentence each; empty for nothing."""
        del resources
        return []

    def job_checks(self, resources: Mapping[str, Resources], user: str, port: int) -> list[str]:
        """Run a job where servers would run, and return what it lacks there, a sentence each.

        Parameters
        ----------
        resources : mapping
            What each size grants, by its name.
        user : str
            Under whose account.
        port : int
            Where servers dial in.

        Raises
        ------
        BackendError
            This backend has no jobs.
        """
        raise BackendError(f"{self.title}: there are no jobs to run.")

    def faults(self, versions: Mapping[str, str]) -> list[str]:
        """Return what is wrong with the software of use cases, a sentence each.

        Parameters
        ----------
        versions : mapping
            Those that the site offers, by the name of the use case.
        """
        del versions
        return []
