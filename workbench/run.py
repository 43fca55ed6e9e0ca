"""Run notebooks without a person and tell how their checks came out.

Run as ``python -m workbench.run SOURCE TARGET NOTEBOOK...`` in a use case's own environment. With
``--settings JSON``, a list of values for parameters, all notebooks run once for each of them.
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import kernels
from .checks import RESULTS_VARIABLE, Check
from .parameters import set_parameters
from .steps import Steps
from .tutorials import place
from .words import time_text

CELL_TIMEOUT_S = 600
START_TIMEOUT_S = 300


@dataclass(frozen=True)
class Outcome:
    """How one notebook went."""

    notebook: str
    passed: bool
    text: str


def run_notebook(
    folder: Path,
    name: str,
    values: Mapping[str, Any] | None = None,
    at_cell: Callable[[Mapping[str, Any], int], None] = lambda notebook, index: None,
) -> Outcome:
    """Run a notebook of `folder` in place and return how its checks came out.

    Parameters
    ----------
    folder : Path
        Where the notebook and all that it needs lie; its outputs are written into it.
    name : str
        The notebook's file.
    values : mapping, optional
        New values of parameters; those that the notebook hasn't are passed over.
    at_cell : callable
        Called with the notebook and the index of each cell that begins.
    """
    import nbformat

    results = folder / "checks" / Path(name).stem
    shutil.rmtree(results, ignore_errors=True)
    os.environ[RESULTS_VARIABLE] = str(results)
    # As Jupyter's server tells kernels which notebook they belong to.
    os.environ["JPY_SESSION_NAME"] = str((folder / name).resolve())
    notebook = nbformat.read(folder / name, as_version=4)
    set_parameters(notebook, values or {})
    began = time.monotonic()
    try:
        wrong = execute(notebook, folder / name, at_cell)
    finally:
        nbformat.write(notebook, folder / name)
    if wrong:
        return Outcome(name, False, f"{name}: {wrong}")
    seconds = time.monotonic() - began
    return judge(name, results, f"{name} ({seconds:.0f} s)")


def execute(
    notebook: Any, path: Path, at_cell: Callable[[Mapping[str, Any], int], None]
) -> str | None:
    """Run all cells of a notebook that lies at `path`; return why it stopped, None at its end."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        startup_timeout=START_TIMEOUT_S,
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=lambda cell, cell_index: at_cell(notebook, cell_index),
    )
    client.km = client.create_kernel_manager()
    # Two kernels that start at the same time may be given the same TCP ports. Sockets in a folder
    # of one's own can't meet; in TMPDIR their paths might exceed the 107 characters allowed.
    with tempfile.TemporaryDirectory(prefix="beamhub-kernel-", dir="/tmp") as sockets:
        client.km.transport, client.km.ip = "ipc", f"{sockets}/kernel"
        try:
            client.execute()
        except CellExecutionError as error:
            return told(notebook) or f"a cell failed\n{error}"
        except CellTimeoutError:
            return f"a cell took more than {time_text(CELL_TIMEOUT_S)}, and was stopped."
        except DeadKernelError:
            return (
                "Python ended in the middle of a cell. Either there was too little memory, "
                "or a compiled library crashed."
            )
        except RuntimeError as error:
            return f"its kernel could not be started: {error}"
    return None


def told(notebook: Any) -> str | None:
    """Return the sentence of an error that shows itself without a traceback, None of any other."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    for output in outputs:
        if output["output_type"] == "error" and output["traceback"] == [output["evalue"]]:
            return str(output["evalue"])
    return None


def judge(name: str, results: Path, heading: str) -> Outcome:
    """Return the outcome that the reports of a notebook tell, each a file of `results`."""
    reports = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(results.glob("*.json"))]
    if not reports:
        return Outcome(name, False, f"{heading}\n  FAILED: it made no checks")
    passed = all(report["passed"] for report in reports)
    return Outcome(name, passed, "\n".join([heading, *map(report_text, reports)]))


def report_text(report: dict[str, Any]) -> str:
    """Return a report as lines of text, its verdict last."""
    lines = [f"  {Check(**c).text}" for c in report["checks"]]
    return "\n".join([*lines, f"  {report['title']}: {report['verdict']}"])


def words_of(values: Mapping[str, Any]) -> str:
    """Return values of parameters as a person reads them: ``SEED=2, DATA=lab6-image``."""
    return ", ".join(f"{name}={value}" for name, value in values.items())


def folder_of(values: Mapping[str, Any]) -> str:
    """Return values of parameters as the name of a folder."""
    return re.sub(r"[^A-Za-z0-9=_.-]+", "-", "_".join(f"{k}={v}" for k, v in values.items()))


def main(arguments: list[str]) -> int:
    """Run the notebooks and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m workbench.run")
    parser.add_argument("--settings", type=json.loads, default=[{}])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("notebook", nargs="*")
    asked = parser.parse_args(arguments)
    os.environ[kernels.VARIABLE] = kernels.environment_first()
    outcomes = []
    steps = Steps(len(asked.settings) * len(asked.notebook), sys.stdout)
    for values in asked.settings:
        several = len(asked.settings) > 1
        folder = asked.target / folder_of(values) if several else asked.target
        place(asked.source, folder)
        if values:
            print(f"With {words_of(values)}:", flush=True)  # noqa: T201
        for name in asked.notebook:
            steps.begin(name)
            outcome = run_notebook(folder, name, values, steps.cell)
            steps.end()
            print(outcome.text, flush=True)  # noqa: T201
            label = f"{name} with {words_of(values)}" if several else name
            outcomes.append(replace(outcome, notebook=label))
    failed = [outcome.notebook for outcome in outcomes if not outcome.passed]
    what = "runs" if len(asked.settings) > 1 else "notebooks"
    last = f"Failed: {', '.join(failed)}" if failed else f"All {len(outcomes)} {what} passed"
    print(last, flush=True)  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
