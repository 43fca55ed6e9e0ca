"""``beamhub run``: a tutorial without a person."""

import asyncio
import itertools
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from spawners import child_processes
from spawners.state_folders import ENVIRONMENTS, USE_CASES
from workbench.documents import nearest
from workbench.parameters import parameters_of, read_setting

from ..state import StateError, prepare_state
from ..usecases import CONSTRAINTS, UseCase
from .common import StateOption, UseCasesOption, deployment_of, err, fail, out

FOR_RUNS = ("BEAMHUB_", "XDG_CACHE_HOME", "CUDA_VISIBLE_DEVICES", "OMP_", "MKL_", "OPENBLAS_")
"""Beginnings of the variables that root's runs are told."""


def run(
    use_case: Annotated[str, typer.Argument(help="The use case: pyfai, pymca, ...")],
    notebook: Annotated[
        str | None, typer.Argument(help="One of its notebooks; all of them where left out.")
    ] = None,
    state: StateOption = None,
    use_cases: UseCasesOption = None,
    keep: Annotated[
        Path | None, typer.Option(help="Folder to keep the executed notebooks and results in.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="NAME=VALUE of a parameter at a notebook's top, or NAME=VALUE,VALUE for one run "
            "each; may be repeated, and then every combination is run.",
        ),
    ] = None,
) -> None:
    """Run a use case's notebooks from top to bottom and print their checks.

    The exit status is 0 where every notebook ran and every check passed. Notebooks that need
    programs which are not on the PATH are left out and named, unless none is left.
    """
    deployment = deployment_of("laptop", state, use_cases)
    found = deployment.use_cases.get(use_case)
    if found is None:
        known = ", ".join(deployment.use_cases)
        raise fail(f"There is no use case '{use_case}'. There are {known}.")
    names, left_out = runnable(found, chosen(found, notebook))
    settings = combinations(found, names, set_ or [])
    try:
        prepare_state(deployment.state)
    except StateError as error:
        raise fail(str(error)) from None
    python = environment(found, deployment.state)
    from spawners.payload import payload

    with tempfile.TemporaryDirectory(prefix="beamhub-run-") as scratch:
        folder = (keep or Path(scratch)).resolve()
        source = payload(deployment.state / USE_CASES, found.folder)
        asked = ["--settings", json.dumps(settings), str(source), str(folder), *names]
        command = [str(python), "-P", "-m", "workbench.run", *asked]
        status = child_processes.run(command, env=variables(found, python, source))
    for sentence in left_out:
        out.print(f"Skipped: {sentence}")
    raise typer.Exit(status.returncode)


def chosen(use_case: UseCase, notebook: str | None) -> list[str]:
    """Return the notebooks to run, or exit."""
    files = [n.file for n in use_case.manifest.notebooks]
    if use_case.manifest.coming:
        raise fail(f"{use_case.manifest.title} can't run yet. {use_case.manifest.coming[0]}")
    if notebook is None:
        return files
    if notebook not in files:
        raise fail(f"'{use_case.name}' has no notebook '{notebook}'. There are {', '.join(files)}.")
    return [notebook]


def runnable(use_case: UseCase, names: list[str]) -> tuple[list[str], list[str]]:
    """Return the notebooks whose programs are on the PATH, and why others are not among them.

    Exits where none is left.
    """
    needed = {n: [*use_case.manifest.programs, *use_case.notebooks[n].programs] for n in names}
    missing = {n: [p for p in programs if not shutil.which(p)] for n, programs in needed.items()}
    left_out = [
        f"{name} needs {' and '.join(programs)}, not found on the PATH."
        for name, programs in missing.items()
        if programs
    ]
    left = [name for name in names if not missing[name]]
    if not left:
        raise fail("\n".join(left_out))
    return left, left_out


def combinations(use_case: UseCase, names: list[str], asked: list[str]) -> list[dict[str, Any]]:
    """Return the values of parameters for each run, or exit where no notebook has one of them."""
    try:
        wanted = dict(read_setting(text) for text in asked)
    except ValueError as error:
        raise fail(f"--set: {error}.") from None
    texts = {n: (use_case.folder / n).read_text(encoding="utf-8") for n in names}
    there = [name for text in texts.values() for name in parameters_of(json.loads(text))]
    for name in wanted:
        if name not in there:
            known = ", ".join(dict.fromkeys(there))
            guess = nearest(name, there) or "."
            raise fail(f"--set: no notebook has a parameter '{name}'{guess} There are {known}.")
    return [
        dict(zip(wanted, values, strict=True)) for values in itertools.product(*wanted.values())
    ]


def environment(use_case: UseCase, state: Path) -> Path:
    """Return the Python of the use case's environment, made where it isn't there yet."""
    import workbench
    from spawners.environments import BuildError, Recipe, ensure

    recipe = Recipe.of(use_case.folder, CONSTRAINTS, Path(workbench.__file__).parent)
    try:
        made = asyncio.run(
            # By its real path, as servers make it: those don't see what is behind a link in /tmp.
            ensure((state / ENVIRONMENTS).resolve(), recipe, lambda _, text: err.print(f"  {text}"))
        )
    except BuildError as error:
        out.print(error.log)
        raise fail(str(error)) from None
    return made / "bin/python"


def variables(use_case: UseCase, python: Path, source: Path) -> dict[str, str]:
    """Return the environment of a run: this one's, the use case's programs first on the PATH.

    A person's own programs may need any variable; what root runs gets a short list.
    """
    root = os.geteuid() == 0
    names = [name for name in os.environ if name.startswith(FOR_RUNS if root else "")]
    kept = child_processes.child_environment(filter(child_processes.harmless, names))
    path = kept["PATH"] if root else child_processes.absolute_path()
    path = os.pathsep.join([str(python.parent), path])
    return {
        **kept,
        "PATH": path,
        "VIRTUAL_ENV": str(python.parents[1]),
        "BEAMHUB_USE_CASE": use_case.name,
        "BEAMHUB_USE_CASE_VERSION": use_case.manifest.version,
        "BEAMHUB_NOTEBOOKS": str(source),
    }
