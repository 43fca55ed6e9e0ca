"""A tutorial's checks: what came out, against what is known to be true.

>>> from workbench import Checks
>>> checks = Checks("Calibration")
>>> checks.close("Distance", got=0.15000012, truth=0.15, within=1e-5, unit="m")
>>> checks.report()  # doctest: +SKIP
"""

import json
import math
import os
import re
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from .reporting import report
from .used import REPORTS

RESULTS_VARIABLE = "BEAMHUB_CHECKS"
ROW = (
    "<tr><td style='white-space:nowrap'>{state}</td><td style='text-align:left'>{name}</td>"
    "<td>{got}</td><td>{expected}</td><td>{tolerance}</td></tr>"
)

NOT_JUDGED = "could not be judged"
TEXT_STATES = {"passed": "ok", "failed": "FAILED", NOT_JUDGED: "unsure"}
HTML_STATES = {
    "passed": "✓ passed",
    "failed": "✗ <strong>failed</strong>",
    NOT_JUDGED: f"? {NOT_JUDGED}",
}


def state_of(passed: bool, judged: bool) -> str:
    """Return the state of a check in words."""
    return NOT_JUDGED if not judged else "passed" if passed else "failed"


@dataclass(frozen=True)
class Check:
    """One finished check, in the words and numbers that a person reads."""

    name: str
    expected: str
    got: str
    tolerance: str
    passed: bool
    judged: bool = True

    @property
    def state(self) -> str:
        """Its state in words."""
        return state_of(self.passed, self.judged)

    @property
    def text(self) -> str:
        """Its outcome as a line of text."""
        demanded = ", ".join(filter(None, (self.expected, self.tolerance)))
        wanted = f" (expected {demanded})" if demanded else ""
        return f"{TEXT_STATES[self.state]:6s} {self.name}: {self.got}{wanted}"


class Checks:
    """The checks that one notebook ends with.

    Parameters
    ----------
    title : str
        What is checked, as the table's caption.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._checks: dict[str, Check] = {}

    def close(
        self,
        name: str,
        *,
        got: float,
        truth: float,
        within: float | None = None,
        within_percent: float | None = None,
        unit: str = "",
    ) -> None:
        """Check that `got` lies within a distance of the known truth.

        Parameters
        ----------
        name : str
            What is checked; a second check of the same name replaces the first.
        got, truth : float
            What came out and what is true, in `unit`.
        within : float, optional
            The largest distance allowed, in `unit`.
        within_percent : float, optional
            The same as a percentage of the truth. Exactly one of both is needed.
        unit : str, optional
            The unit of all numbers, empty for none.

        Raises
        ------
        ValueError
            Not exactly one tolerance was given, or it is not a positive number.
        """
        if (within is None) == (within_percent is None):
            raise ValueError("give exactly one of 'within' and 'within_percent'")
        percent = within_percent is not None
        allowed = abs(truth) * within_percent / 100 if within_percent is not None else within
        if allowed is None or not 0 < allowed < math.inf:
            raise ValueError(f"a tolerance must be a positive number, not {allowed}")
        tolerance = f"± {within_percent:g} %" if percent else f"± {quantity(allowed, unit)}"
        passed = abs(float(got) - float(truth)) <= allowed
        self._keep(name, quantity(truth, unit), quantity(got, unit), tolerance, passed)

    def below(self, name: str, *, got: float, limit: float, unit: str = "") -> None:
        """Check that `got` is smaller than `limit`, both in `unit`."""
        expected = f"below {quantity(limit, unit)}"
        self._keep(name, expected, quantity(got, unit), "", float(got) < float(limit))

    def above(self, name: str, *, got: float, limit: float, unit: str = "") -> None:
        """Check that `got` is larger than `limit`, both in `unit`."""
        expected = f"above {quantity(limit, unit)}"
        self._keep(name, expected, quantity(got, unit), "", float(got) > float(limit))

    def equal(self, name: str, *, got: object, truth: object) -> None:
        """Check that `got` is exactly what is true: a count, a word, a shape."""
        self._keep(name, str(truth), str(got), "exact", bool(got == truth))

    def not_judged(self, name: str, *, why: str, expected: str = "") -> None:
        """Note a check that these data don't allow; it counts neither as passed nor as failed.

        Parameters
        ----------
        name : str
            What would be checked.
        why : str
            What is missing, in a few words.
        expected : str, optional
            What would be demanded.
        """
        self._checks[name] = Check(name, expected, why, "", passed=False, judged=False)

    def _keep(self, name: str, expected: str, got: str, tolerance: str, passed: bool) -> None:
        self._checks[name] = Check(name, expected, got, tolerance, bool(passed))

    @property
    def results(self) -> list[Check]:
        """The checks made so far, in their order."""
        return list(self._checks.values())

    @property
    def passed(self) -> bool:
        """Whether checks could be judged, and all of these hold."""
        judged = [check for check in self.results if check.judged]
        return bool(judged) and all(check.passed for check in judged)

    @property
    def verdict(self) -> str:
        """One sentence that says how many checks hold."""
        judged = [check for check in self.results if check.judged]
        total, failed = len(judged), sum(not check.passed for check in judged)
        left = len(self._checks) - total
        if not total:
            return "No check could be judged" if left else "No checks were made"
        if failed:
            said = f"{failed} of {total} {'check' if total == 1 else 'checks'} failed"
        else:
            said = "The check passed" if total == 1 else f"All {total} checks passed"
        return f"{said}, {left} could not be judged" if left else said

    def report(self) -> None:
        """Show the checks as a table, and write them down for a run without a person.

        They go into the folder that the environment variable ``BEAMHUB_CHECKS`` names, or into
        ``checks`` below the present one; the file is named by the title. While a workshop of the
        user's runs, its trainer sees which of them hold.
        """
        path = Path(os.environ.get(RESULTS_VARIABLE, "checks")) / f"{slug(self.title)}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        body = {
            "title": self.title,
            "passed": self.passed,
            "verdict": self.verdict,
            "checks": [asdict(check) for check in self.results],
        }
        REPORTS[self.title] = body
        path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        report({check.name: check.passed for check in self.results if check.judged})
        show(self)

    def __str__(self) -> str:
        """Return the table as plain text."""
        rows = [("", "Check", "Got", "Expected", "Tolerance")]
        rows += [
            (TEXT_STATES[c.state], c.name, c.got, c.expected, c.tolerance) for c in self.results
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows
        ]
        return "\n".join([self.title, *(line.rstrip() for line in lines), self.verdict])

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it: every state in a word, none by colour alone."""
        cells = "".join(
            ROW.format(
                state=HTML_STATES[c.state],
                **{key: escape(str(value)) for key, value in asdict(c).items()},
            )
            for c in self.results
        )
        head = "".join(
            f"<th scope='col'>{h}</th>" for h in ("State", "Check", "Got", "Expected", "Tolerance")
        )
        return (
            f"<table><caption>{escape(self.title)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{cells}</tbody></table><p><strong>{escape(self.verdict)}</strong></p>"
        )


def show(shown: object) -> None:
    """Display checks or what was read: as HTML in a notebook, as text anywhere else."""
    try:
        from IPython.core.getipython import get_ipython
        from IPython.display import display
    except ImportError:
        print(shown)  # noqa: T201
        return
    if get_ipython() is None:
        print(shown)  # noqa: T201
    else:
        display(shown)


def quantity(value: float, unit: str) -> str:
    """Return a number with six significant digits and its unit."""
    number = float(value)
    text = f"{number:.6g}" if math.isfinite(number) else str(number)
    return f"{text} {unit}".strip()


def slug(text: str) -> str:
    """Return `text` as a file name: lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "checks"
