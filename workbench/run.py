"""Run notebooks without a person and tell how their checks came out.

Run as ``python -m workbench.run SOURCE TARGET NOTEBOOK...`` in a use case's own environment.
"""

import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checks import RESULTS_VARIABLE
from .tutorials import place

CELL_TIMEOUT_S = 600


@dataclass(frozen=True)
class Outcome:
    """How one notebook went."""

    notebook: str
    passed: bool
    text: str


def run_notebook(folder: Path, name: str) -> Outcome:
    """Run a notebook of `folder` in place and return how its checks came out.

    Parameters
    ----------
    folder : Path
        Where the notebook and all that it needs lie; its outputs are written into it.
    name : str
        The notebook's file.
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


def main(arguments: list[str]) -> int:
    """Run the notebooks and return the exit status."""
    source, target, *names = arguments
    folder = Path(target)
    place(Path(source), folder)
    outcomes = []
    for name in names:
        outcomes.append(run_notebook(folder, name))
        print(outcomes[-1].text, flush=True)  # noqa: T201
    failed = [outcome.notebook for outcome in outcomes if not outcome.passed]
    last = f"Failed: {', '.join(failed)}" if failed else f"All {len(outcomes)} notebooks passed"
    print(last, flush=True)  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
