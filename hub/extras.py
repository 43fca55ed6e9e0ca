"""Optional packages: which extras of BeamHub a site needs, and whether they are installed."""

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .site import SiteProfile

CHECKOUT = Path(__file__).parents[1]


def extras_of(site: "SiteProfile") -> list[str]:
    """Return the extras that a portal of this site needs.

    An extra is called as the kind that needs it; most kinds need none.
    """
    database = [site.database.kind] if site.database else []
    return ["portal", site.backend.optional_packages, *database]


def lacking(extras: list[str]) -> str:
    """Return in a sentence what is not installed of these extras, and the remedy; or nothing."""
    missing = {extra: names for extra in extras if (names := missing_packages(extra))}
    if not missing:
        return ""
    packages = ", ".join(name for names in missing.values() for name in names)
    return f"Not installed here, and needed: {packages}. To install: {remedy(list(missing))}"


def missing_packages(extra: str) -> list[str]:
    """Return the packages of an extra that are not installed."""
    marker = re.compile(rf"""\bextra == ['"]{re.escape(extra)}['"]""")
    lines = [line for line in metadata.requires("beamhub") or [] if marker.search(line)]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines]
    return [name for name in names if not installed(name)]


def installed(name: str) -> bool:
    """Return whether a package is installed, whatever its version."""
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def remedy(extras: list[str]) -> str:
    """Return the command that installs extras, as BeamHub itself was installed."""
    wanted = f"[{','.join(extras)}]"
    if not (CHECKOUT / "constraints.txt").exists():
        return f"pip install 'beamhub{wanted}'"
    program = Path(sys.executable)
    return (
        f"{program.with_name('uv')} pip install --python {program} "
        f"--constraint {CHECKOUT}/constraints.txt --editable '{CHECKOUT}{wanted}'"
    )
