"""Prove that an image without notebooks has its parts: packages can be imported, programs answer.

Run as ``python -m workbench.parts``, with as many ``--import NAME``, ``--requirements FILE`` and
``--program NAME`` as there are.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path

ANSWER_S = 60
"""How long a program may take to answer."""


def main(arguments: list[str]) -> int:
    """Tell of each part whether it's there, and return 0 if all are."""
    parser = argparse.ArgumentParser(prog="workbench.parts")
    for option in ("import", "requirements", "program"):
        parser.add_argument(f"--{option}", action="append", default=[], dest=option)
    asked = vars(parser.parse_args(arguments))
    names = [*asked["import"], *(m for f in asked["requirements"] for m in modules_of(Path(f)))]
    findings = [*map(import_finding, names), *map(program_finding, asked["program"])]
    failures = [finding for finding in findings if finding]
    there = (
        f"All {len(findings)} parts are there: {len(names)} packages can be imported, "
        f"{len(asked['program'])} programs answer"
    )
    print("\n".join(failures) or there)  # noqa: T201
    return 1 if failures else 0


def modules_of(requirements: Path) -> Iterator[str]:
    """Yield the modules that the packages of a requirements file are imported by."""
    text = requirements.read_text(encoding="utf-8")
    wanted = {
        plain(name) for name in re.findall(r"^[A-Za-z0-9][A-Za-z0-9._-]*", text, re.MULTILINE)
    }
    for module, packages in metadata.packages_distributions().items():
        public = module.isidentifier() and not module.startswith("_")
        if public and wanted & {plain(name) for name in packages}:
            yield module


def plain(name: str) -> str:
    """Return the name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def import_finding(name: str) -> str:
    """Return why a module can't be imported, empty if it can."""
    try:
        import_module(name)
    except Exception as error:  # noqa: BLE001 # whatever a package does when it's imported
        return f"{name} can't be imported: {error}"
    return ""


def program_finding(name: str) -> str:
    """Return why a program isn't of use, empty if it answers ``--version`` or ``--help``."""
    if shutil.which(name) is None:
        return f"{name} isn't on the PATH"
    said = ""
    for question in ("--version", "--help"):
        try:
            done = subprocess.run(
                [name, question],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=ANSWER_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"{name} {question} doesn't end"
        if done.returncode == 0:
            return ""
        said = (done.stderr or done.stdout).strip()
    return f"{name} answers neither --version nor --help: {said[-200:]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
