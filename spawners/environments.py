"""Python environments of the local backend: one a set of pinned requirements, made by uv.

An environment is named by what went into it, so it never changes once it is ready: another
requirement, workbench or Python is another environment, and a running server keeps its own.
"""

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO

from uv import find_uv_bin

from . import child_processes
from .payload import copy_for_all, files_below, shared_folder
from .state_folders import READY

Report = Callable[[int, str], None]
"""Takes progress in percent and a sentence."""

PYTORCH_INDEX = "download.pytorch.org"
LOCK_S = 3600
"""How long to wait for a package that somebody else compiles."""
INDEX_LOGIN = re.compile("UV_INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD)")
UNREACHABLE = r"dns error|error sending request|failed to fetch|timed out"
COMMAND = """\
#!{python} -P
from workbench.__main__ import app

app(prog_name="beamhub")
"""
"""The command's part for servers, on the PATH of every terminal in JupyterLab."""
NO_PIP = """\
from workbench.no_pip import main

main()
"""
LAB_SETTINGS = "overrides.json"
"""JupyterLab's settings for everybody, beside the workbench's modules."""
BASH = "kernel.json"
"""Tells Jupyter of the kernel for shell notebooks and that it can encrypt: its package does not."""
STEPS = (
    (re.compile(r"^Resolved (\d+) packages?"), 15, "{0} packages are needed"),
    (re.compile(r"^\s*Downloading (\S+)"), 25, "Downloading {0}"),
    (re.compile(r"^\s*Downloaded (\S+)"), 40, "Downloaded {0}"),
    (re.compile(r"^\s*Building (\S+)"), 45, "Compiling {0}, which takes a minute or two"),
    (re.compile(r"^\s*Built (\S+)"), 60, "Compiled {0}"),
    (re.compile(r"^Prepared (\d+) packages?"), 70, "{0} packages are downloaded"),
    (
        re.compile(r"^Installed (\d+) packages?"),
        80,
        "{0} packages are installed; getting them ready",
    ),
)


class BuildError(Exception):
    """An environment could not be made; the text is for the user, `log` for the details."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True)
class Recipe:
    """What goes into an environment.

    Parameters
    ----------
    requirements : Path
        The use case's own pinned requirements.
    constraints : Path or None
        Versions of everything else, None where nothing pins them.
    workbench : Path
        The package that notebooks import; it's copied in.
    """

    requirements: Path
    constraints: Path | None
    workbench: Path

    @classmethod
    def of(cls, use_case: Path, shared: Path | None, workbench: Path) -> "Recipe":
        """Return what goes into the environment of the use case in a folder.

        Parameters
        ----------
        use_case : Path
            Its folder, with ``requirements.txt``.
        shared : Path or None
            Versions that use cases have in common, for one without constraints of its own.
        workbench : Path
            The package that notebooks import.
        """
        return cls(use_case / "requirements.txt", constraints_of(use_case, shared), workbench)

    @property
    def name(self) -> str:
        """A name that changes with anything that goes in."""
        digest = hashlib.sha256()
        for part in (sys.version, sys.base_prefix, COMMAND, NO_PIP, *server_requirements()):
            digest.update(part.encode() + b"\0")
        for path in (self.requirements, self.constraints):
            digest.update((path.read_bytes() if path else b"") + b"\0")
        for path in workbench_files(self.workbench):
            name = str(path.relative_to(self.workbench))
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]


def constraints_of(use_case: Path, shared: Path | None) -> Path | None:
    """Return the constraints in a use case's folder, or the shared ones where it has none."""
    own = use_case / "constraints.txt"
    return own if own.is_file() else shared


def workbench_files(workbench: Path) -> list[Path]:
    """Return what of the workbench is copied: all but what Python makes when it runs."""
    return files_below(workbench)


def server_requirements() -> list[str]:
    """Return what every user's server needs: the ``server`` extra of this distribution."""
    return base_requirements() + server_extra()


def base_requirements() -> list[str]:
    """Return what this distribution needs without any extra."""
    return [r for r in metadata.requires("beamhub") or [] if "extra ==" not in r]


def server_extra() -> list[str]:
    """Return what the ``server`` extra of this distribution adds."""
    found = metadata.requires("beamhub") or []
    return [r.split(";")[0].strip() for r in found if re.search(r"extra == ['\"]server['\"]", r)]


async def ensure(folder: Path, recipe: Recipe, report: Report) -> Path:
    """Return the environment of `recipe` below `folder`, made where it is not there yet.

    Any number of processes may ask at the same moment: one builds, the others wait.

    Parameters
    ----------
    folder : Path
        Where environments lie, one folder each.
    recipe : Recipe
        What goes in.
    report : callable
        Called with a percentage and a sentence at every step.

    Raises
    ------
    BuildError
        uv could not make it; nothing half-made is left to be mistaken for it.
    """
    environment = folder / recipe.name
    if (environment / READY).exists():
        return environment
    shared_folder(folder)
    async with locked(folder / f"{recipe.name}.lock", report):
        if not (environment / READY).exists():
            shutil.rmtree(environment, ignore_errors=True)
            await build(environment, recipe, report)
            (environment / READY).touch()
    return environment


async def build(environment: Path, recipe: Recipe, report: Report) -> None:
    """Make the environment."""
    report(5, "Making a Python environment for this use case, the first time only")
    await uv(["venv", "--python", base_python(), str(environment)], report)
    report(10, "Choosing package versions")
    constraints = ["--constraint", str(recipe.constraints)] if recipe.constraints else []
    python = environment / "bin/python"
    install = ["pip", "install", "--python", str(python), "--compile-bytecode", *constraints]
    wanted = ["--requirement", str(recipe.requirements), *server_requirements()]
    await install_packages([*install, *wanted], report, torch=holds_torch(recipe.requirements))
    report(85, "Adding the workbench")
    packages = next(environment.glob("lib/python*/site-packages"))
    copy_for_all(recipe.workbench, workbench_files(recipe.workbench), packages / "workbench")
    command = environment / "bin/beamhub"
    command.write_text(COMMAND.format(python=python), encoding="utf-8")
    command.chmod(0o755)
    stand_in_for_pip(environment, packages)
    settings = environment / "share/jupyter/lab/settings"
    copy_for_all(recipe.workbench, [recipe.workbench / LAB_SETTINGS], settings)
    kernels = environment / "share/jupyter/kernels/bash"
    copy_for_all(recipe.workbench, [recipe.workbench / BASH], kernels)


def stand_in_for_pip(environment: Path, packages: Path) -> None:
    """Let ``pip``, which has no place here, say what to do; a use case may bring its own."""
    if (packages / "pip").exists():
        return
    shared_folder(packages / "pip")
    (packages / "pip/__main__.py").write_text(NO_PIP, encoding="utf-8")
    (packages / "pip/__main__.py").chmod(0o644)
    command = environment / "bin/pip"
    command.write_text(f"#!{environment / 'bin/python'} -P\n{NO_PIP}", encoding="utf-8")
    command.chmod(0o755)


def holds_torch(requirements: Path) -> bool:
    """Return whether a use case asks for PyTorch itself, and so says which version."""
    text = requirements.read_text(encoding="utf-8")
    return bool(re.search(r"^torch\b(?!-)", text, re.MULTILINE))


async def install_packages(arguments: list[str], report: Report, *, torch: bool) -> None:
    """Run uv's installation, with the build of PyTorch that fits this machine.

    PyPI has one build a platform: on Linux with an x86-64 processor the one for NVIDIA GPUs, with
    several GB of CUDA. PyTorch's own index has one for processors alone, ten times smaller, and
    one for each version of CUDA; uv picks by the GPU and the driver that it finds. If
    ``UV_TORCH_BACKEND`` is set, that decides.

    Raises
    ------
    BuildError
        uv failed, and not only because PyTorch's own index is out of reach.
    """
    if not torch or "UV_TORCH_BACKEND" in os.environ:
        await uv(arguments, report)
        return
    try:
        await uv([*arguments, "--torch-backend", "auto"], report)
    except BuildError as error:
        if PYTORCH_INDEX not in error.log:
            raise
        report(
            12,
            "PyTorch's own index can't be reached: taking the build of the package index, which on "
            "most machines is the one for NVIDIA GPUs, several GB large",
        )
        await uv(arguments, report)


async def uv(arguments: list[str], report: Report) -> None:
    """Run uv, its progress told as it goes."""
    process = await child_processes.start(
        [find_uv_bin(), *arguments],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        umask=0o022,
        env=uv_environment(),
    )
    lines: list[str] = []
    try:
        assert process.stderr is not None
        async for raw in process.stderr:
            lines.append(raw.decode(errors="replace").rstrip())
            tell(lines[-1], report)
        if await process.wait():
            raise BuildError(reason(lines), "\n".join(lines))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def uv_environment() -> dict[str, str]:
    """Return what uv is told: where packages come from, and nothing of the folder it's started in.

    Packages that have to be compiled run programs of their own, with this environment.
    """
    told = child_processes.child_environment(
        [*child_processes.FOR_UV, *filter(INDEX_LOGIN.fullmatch, os.environ)],
        # uv.toml and pyproject.toml of the folder and those above it, and the account's own.
        UV_NO_CONFIG="1",
        # A package that another environment's making compiles at this moment is waited for.
        UV_LOCK_TIMEOUT=str(LOCK_S),
    )
    # Facilities behind inspecting proxies trust what their machines trust.
    return {"UV_SYSTEM_CERTS": "1", **told}


def tell(line: str, report: Report) -> None:
    """Report a line of uv's in a person's words, if it means a step."""
    for pattern, percent, text in STEPS:
        if found := pattern.match(line):
            report(percent, text.format(*found.groups()))


def reason(lines: list[str]) -> str:
    """Return why uv failed, and what to do, in one or two sentences."""
    text = "\n".join(lines)
    if re.search(r"g\+\+|gcc|cc1plus|C compiler|Python\.h", text):
        return (
            "A package had to be compiled and this machine has no complete C++ compiler. "
            "An administrator can install it: apt-get install g++ python3-dev"
        )
    if re.search(UNREACHABLE, text, re.IGNORECASE):
        return (
            "The package index could not be reached, so the software could not be downloaded. "
            "Try again; if it keeps failing, check the site's proxy and network."
        )
    if re.search(r"No space left", text):
        return "The disk is full, so the software could not be installed."
    return "The use case's software could not be installed: its requirements don't resolve here."


def base_python() -> str:
    """Return the interpreter that environments are made from: the one below the hub's own."""
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


@asynccontextmanager
async def locked(path: Path, report: Report) -> AsyncIterator[None]:
    """Hold the lock file at `path`, waited for without blocking anybody else."""
    with path.open("w") as file:
        waiting = False
        while not take(file):
            if not waiting:
                report(5, "Somebody else is opening this use case: waiting for its software")
                waiting = True
            await asyncio.sleep(0.5)
        yield


def take(file: IO[str]) -> bool:
    """Return whether the lock on an open file could be had at once."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
