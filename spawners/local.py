"""One machine without containers: processes, one Python environment a use case."""

import asyncio
import os
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, model_validator

from .launch import Backend, BackendError, Free, Launch, PortalContext
from .payload import readable_by_others
from .rights import asking
from .state_folders import DATA


def octal(value: object) -> object:
    """Return a umask's digits: YAML reads 027 as the number 23."""
    return f"{value:03o}" if isinstance(value, int) else value


class LocalBackend(Backend):
    """Processes on the hub's own machine."""

    spawner_class: ClassVar[str] = "spawners.process.EnvironmentSpawner"
    title: ClassVar[str] = "Processes on one machine"
    outlives_hub: ClassVar[bool] = False
    on_this_machine: ClassVar[bool] = True
    shares_cores: ClassVar[bool] = True
    has_helper: ClassVar[bool] = True
    kind: Literal["local"]
    accounts: Literal["portal", "system"] = Field(
        "portal",
        description=(
            "'portal': accounts that the portal makes, one a user, where it runs as root; where it "
            "runs as an ordinary account, every server runs as that one. "
            "'system': each user's own account of this machine, of the same name (needs root)"
        ),
    )
    umask: Annotated[Literal["077", "027", "007"], BeforeValidator(octal)] = Field(
        "077",
        description=(
            "What others don't get of the files that servers make, with 'accounts: system'. "
            "'027': the group of a file may read it, '007': and change it"
        ),
    )
    start_timeout_min: PositiveFloat = Field(
        20, description="Longest time to start, an environment's first building included"
    )

    confinement: Literal["required", "available", "off"] = Field(
        "available",
        description=(
            "What keeps a server's processes within it, where root starts the portal: limits of "
            "the server as a whole, a temporary folder, devices and a list of processes of its "
            "own, no rights by programs such as sudo. 'available': as much as the machine gives; "
            "'required': the portal doesn't start where a part of it can't be had; 'off': none"
        ),
    )
    processes_max: PositiveInt = Field(
        1024, description="Processes and threads of one server, where confinement limits them"
    )
    forkserver: bool = Field(
        True,
        description=(
            "Whether servers start as copies of a process that has imported JupyterLab, one for "
            "each use case: a tenth of the work, a quarter of the memory. Where root starts the "
            "portal, what servers need of a use case's packages is imported as root. 'false': each "
            "server starts in a Python of its own"
        ),
    )
    disk_mb_s: PositiveFloat | None = Field(
        None,
        description=(
            "Most that one server reads from each disk of the machine in a second, and as much "
            "again that it writes, in MB (a million bytes), where confinement limits it; left out, "
            "any. Version 1 of control groups doesn't limit what is written by way of memory, nor "
            "does any version what lies on other machines"
        ),
    )

    @model_validator(mode="after")
    def groups_are_of_the_machine(self) -> Self:
        """Refuse to share files by groups where the portal makes the accounts."""
        if self.umask != "077" and self.accounts != "system":
            raise ValueError(
                f"umask '{self.umask}' shares users' files with their groups, which they only have "
                "with 'accounts: system'. Leave it out, or add that"
            )
        return self

    @property
    def names_are_accounts(self) -> bool:
        """Whether a user's name is that of an account of the machine."""
        return self.accounts == "system"

    @property
    def from_images(self) -> bool:
        """Whether servers come from images: never."""
        return False

    def traits(self, launch: Launch) -> dict[str, Any]:
        """Return what the process runs, in which environment, within which limits."""
        return {
            "use_case_folder": str(launch.folder),
            "programs": list(launch.programs),
            "accounts": self.accounts,
            "cpu_limit": launch.resources.cores,
            "mem_limit": f"{launch.resources.memory_gib:g}G",
            "default_url": launch.start_page,
            # Processes come from no image, so none is named to them.
            "environment": {k: v for k, v in launch.environment.items() if k != "BEAMHUB_IMAGE"},
            "start_timeout": round(self.start_timeout_min * 60),
        }

    def configured(self, portal: PortalContext) -> dict[str, Any]:
        """Return how servers are confined, and of what their environments are made."""
        return {
            "confinement": self.confinement,
            "processes_max": self.processes_max,
            "forkserver": self.forkserver,
            "disk_bytes_s": self.disk_bytes_s,
            "umask": self.umask,
            "portal": portal.identity,
            "workbench_folder": str(portal.workbench_folder),
            "constraints_file": str(portal.constraints_file),
            "sockets_folder": str(portal.sockets_folder),
        }

    @property
    def shares_account(self) -> bool:
        """Whether all servers run under the portal's account, which isn't root's."""
        return not asking.has_roots_rights()

    @property
    def disk_bytes_s(self) -> int | None:
        """See `disk_mb_s`, in bytes."""
        return round(self.disk_mb_s * 1_000_000) if self.disk_mb_s else None

    def data_folder(self, state: Path) -> Path:
        """Return a folder beside the homes: all servers are on this machine."""
        return state / DATA

    def why_not_public(self) -> str:
        """Return that only accounts of the machine keep strangers apart."""
        if self.accounts == "system":
            return ""
        return "each user's servers must run under their own account: backend.accounts: system"

    def why_not_by_this_account(self) -> str:
        """Return that other accounts need root."""
        if self.accounts != "system" or os.geteuid() == 0:
            return ""
        return (
            "backend.accounts is 'system': servers run under their users' own accounts, which "
            "only root can do. Start the portal as root, or choose 'portal' for this machine only."
        )

    def prepare(self) -> None:
        """Make this process's control groups ready for those of servers.

        Raises
        ------
        BackendError
            The site demands what this machine can't give.
        """
        lacking = self.walls_lacking()
        if lacking and self.confinement == "required":
            raise BackendError(
                "\n".join(["backend.confinement is 'required', which can't be had here.", *lacking])
            )

    def helper_settings(self) -> dict[str, Any]:
        """Return what the helper of a hub without rights has to know of servers."""
        from . import confinement

        confined = self.confinement != "off"
        offer = confinement.offer() if confined else confinement.NOTHING
        return {
            "accounts": self.accounts,
            "umask": self.umask,
            "confined": confined,
            "processes_max": self.processes_max,
            "forkserver": self.forkserver,
            "disk_bytes_s": self.disk_bytes_s,
            "limits": {name: str(folder) for name, folder in offer.trees.limits.items()},
            "unified": str(offer.trees.unified or ""),
            "lacking": dict(offer.lacking),
        }

    def walls_lacking(self) -> list[str]:
        """Return what the machine can't give of the confinement of servers, a sentence each."""
        from . import confinement

        if self.confinement == "off":
            offer = confinement.NOTHING
        elif not asking.has_roots_rights():
            offer = confinement.ORDINARY
        else:
            offer = confinement.offer()
        return confinement.told(offer, unwanted=() if self.disk_mb_s else ("io",))

    async def sweep(self, spawners: Collection[Any], *, portal: str, state: Path) -> int:
        """End what is confined as a server that nobody knows, such as one of a killed hub's."""
        from . import confinement

        del state
        if self.confinement == "off" or not asking.has_roots_rights():
            return 0
        helper, found = asking.helper, confinement.offer()
        # First those that are there: what starts meanwhile is known then.
        there = set(await helper.asked("present")) if helper else confinement.present(found, portal)
        strays = there - {spawner.confined_as for spawner in spawners}
        for name in strays:
            if helper:
                await helper.asked("finish", name=name)
            else:
                await asyncio.to_thread(confinement.restored(found, portal, name).end)
        return len(strays)

    def obstacles(self, launch: Launch) -> list[str]:
        """Return which of the launch's programs are not on the PATH, in one sentence."""
        *others, last = [f"'{p}'" for p in missing(launch.programs, launch.environment)] or [""]
        if others:
            names = f"{', '.join(others)} and {last}"
            return [f"The programs {names} are not installed on this machine."]
        return [f"The program {last} is not installed on this machine."] if last else []

    def free(self) -> Free | None:
        """Return what this machine has and what nobody uses now."""
        from .machine import free_here

        return free_here()

    def live_checks(self) -> list[str]:
        """Return what is missing to build environments and to run servers here."""
        findings = []
        if self.accounts == "system" and os.geteuid() != 0:
            findings.append("accounts: 'system' needs a portal that root starts.")
        if shutil.which("g++") is None:
            findings.append(
                "There is no C++ compiler (g++), which some use cases need to be installed: "
                "apt-get install g++ python3-dev"
            )
        findings += self.walls_lacking() if self.confinement == "required" else []
        python = Path(sys.executable).resolve()
        if os.geteuid() == 0 and not readable_by_others(python):
            findings.append(
                f"Other accounts can't read {python}, so no server can run it: start the portal "
                "with the system's own Python (/usr/bin/python3)."
            )
        return findings


def missing(programs: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Return which programs a server with that environment would not have on its PATH."""
    more = environment.get("BEAMHUB_PATHS", "")
    path = os.pathsep.join(filter(None, [os.environ.get("PATH", os.defpath), more]))
    lacking = [program for program in programs if shutil.which(program, path=path) is None]
    # A hub without rights can't look into what is for some accounts only: the user's may be one.
    return [] if lacking and any(map(closed, path.split(os.pathsep))) else lacking


def closed(folder: str) -> bool:
    """Return whether a folder is there, and not for this hub, whose servers have other accounts."""
    if asking.helper is None:
        return False
    try:
        return Path(folder).is_dir() and not os.access(folder, os.X_OK)
    except PermissionError:
        return True
    except OSError:
        return False
