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
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .checks import RESULTS_VARIABLE
from .parameters import set_parameters
from .tutorials import place

CELL_TIMEOUT_S = 600


@dataclass(frozen=True)
class Outcome:
    """How one notebook went."""

    notebook: str
    passed: bool
    text: str


def run_notebook(folder: Path, name: str, values: Mapping[str, Any] | None = None) -> Outcome:
    """Run a notebook of `folder` in place and return how its checks came out.

    Parameters
    ----------
    folder : Path
        Where the notebook and all that it needs lie; its outputs are written into it.
    name : str
        The notebook's file.
    values : mapping, optional
        New values of parameters; those that the notebook hasn't are passed over.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    results = folder / "checks" / Path(name).stem
    shutil.rmtree(results, ignore_errors=True)
    os.environ[RESULTS_VARIABLE] = str(results)
    # As Jupyter's server tells kernels which notebook they belong to.
    os.environ["JPY_SESSION_NAME"] = str((folder / name).resolve())
    notebook = nbformat.read(folder / name, as_version=4)
    set_parameters(notebook, values or {})
    resources = {"metadata": {"path": str((folder / name).parent)}}
    client = NotebookClient(notebook, timeout=CELL_TIMEOUT_S, resources=resources)
    # Kernels listen on loopback, where other accounts of the machine could read along.
    client.km = client.create_kernel_manager()
    client.km.transport_encryption = "required"
    began = time.monotonic()
    try:
        client.execute()
    except CellExecutionError as error:
        return Outcome(name, False, f"{name}: a cell failed\n{error}")
    except DeadKernelError:
        return Outcome(
            name,
            False,
            f"{name}: Python ended in the middle of a cell. Either there was too little memory, "
            "or a compiled library crashed.",
        )
    finally:
        nbformat.write(notebook, folder / name)
    seconds = time.monotonic() - began
    return judge(name, results, f"{name} ({seconds:.0f} s)")


def judge(name: str, results: Path, heading: str) -> Outcome:
    """Return the outcome that the reports of a notebook tell, each a file of `results`."""
    reports = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(results.glob("*.json"))]
    if not reports:
        return Outcome(name, False, f"{heading}\n  FAILED: it made no checks")
    passed = all(report["passed"] for report in reports)
    return Outcome(name, passed, "\n".join([heading, *map(report_text, reports)]))


def report_text(report: dict[str, Any]) -> str:
    """Return a report as lines of text, its verdict last."""
    lines = [
        f"  {'ok    ' if c['passed'] else 'FAILED'} {c['name']}: {c['got']}"
        f" (expected {c['expected']}{', ' + c['tolerance'] if c['tolerance'] else ''})"
        for c in report["checks"]
    ]
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
    outcomes = []
    for values in asked.settings:
        several = len(asked.settings) > 1
        folder = asked.target / folder_of(values) if several else asked.target
        place(asked.source, folder)
        if values:
            print(f"With {words_of(values)}:", flush=True)  # noqa: T201
        for name in asked.notebook:
            outcome = run_notebook(folder, name, values)
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
