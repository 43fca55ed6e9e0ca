"""Write the list of an image's software, and refuse what may not be passed on.

Run as root in the last step of an image's build: ``python software.py NAME VERSION [PROGRAM ...]``,
where the programs are those of the use case's licence gates. ``ACCEPTED`` in the environment holds
beginnings of the names of packages that aren't free but may be passed on, with spaces between them.
Needs cyclonedx-python-lib, which the build mounts beside.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

LIST = Path("/opt/beamhub/software.cdx.json")
PACKAGES = "/opt/venv/lib/python3.*/site-packages"
NODE_LOCK = Path("/opt/venv/lib/node_modules/.package-lock.json")
"""What npm has installed, where it was used."""
CONDA = "/opt/*/conda-meta/*.json"
BY_RECIPE = "/opt/beamhub/programs/*"
"""Where a recipe names a program that isn't a package, with version and licence, in a line."""
PROGRAMS = (*os.get_exec_path(), "/opt", "/usr/local/lib", "/usr/lib")
"""Where a program that somebody installed by hand would show."""
PROPRIETARY = "License :: Other/Proprietary License"
NOT_FREE = re.compile(r"proprietary|nvidia|end.user", re.IGNORECASE)
"""Words in the licence of a package that isn't free."""


@dataclass(frozen=True)
class Part:
    """One package of an image.

    Parameters
    ----------
    kind : str
        ``pypi``, ``npm``, ``deb``, ``conda`` or ``generic``, as package URLs have it.
    name, version : str
        As the package says.
    licences : tuple of str
        As the package says, which isn't always SPDX; empty where it says nothing.
    copyright : str
        The file that holds the licences' text, empty where none is known.
    private : bool
        Whether its own description says that it isn't free to pass on.
    """

    kind: str
    name: str
    version: str
    licences: tuple[str, ...] = ()
    copyright: str = ""
    private: bool = False


def main(arguments: list[str]) -> None:
    """Write the list, or exit with what may not be in the image."""
    name, version, *gated = arguments
    installed = {*python_parts(), *node_parts(), *debian_parts(), *conda_parts()}
    found = {*installed, *parts_by_recipe()}
    parts = sorted(found, key=lambda p: (p.kind, p.name.lower(), p.version))
    accepted = tuple(os.environ.get("ACCEPTED", "").lower().split())
    findings = [*not_to_be_passed_on(parts, gated, accepted), *programs_found(gated)]
    if findings:
        sys.exit("\n".join(findings))
    LIST.parent.mkdir(parents=True, exist_ok=True)
    LIST.write_text(as_cyclonedx(name, version, parts), encoding="utf-8")
    print(f"{len(parts)} packages are listed in {LIST}")  # noqa: T201


def python_parts() -> Iterator[Part]:
    """Yield the Python packages of the image."""
    folders = [str(path) for path in Path("/").glob(PACKAGES.lstrip("/"))]
    for found in metadata.distributions(path=folders):
        about: Any = found.metadata
        classifiers = about.get_all("Classifier") or []
        licences = tuple(python_licences(about, classifiers))
        yield Part(
            kind="pypi",
            name=about["Name"],
            version=found.version,
            licences=licences,
            private=PROPRIETARY in classifiers or is_not_free(licences),
        )


def python_licences(about: Any, classifiers: Iterable[str]) -> list[str]:
    """Return a Python package's licences: as an expression, in one line, or from classifiers."""
    text = about.get("License-Expression") or about.get("License") or ""
    if text.strip() and len(text) < 100 and "\n" not in text.strip() and text != "UNKNOWN":
        return [text.strip()]
    said = [c for c in classifiers if c.startswith("License ::")]
    return [c.rpartition(" :: ")[2] for c in said if not c.endswith("OSI Approved")]


def node_parts() -> Iterator[Part]:
    """Yield the packages that came from npm."""
    installed = json.loads(NODE_LOCK.read_text(encoding="utf-8")) if NODE_LOCK.exists() else {}
    for place, about in installed.get("packages", {}).items():
        name = place.rpartition("node_modules/")[2]
        licence = about.get("license", "")
        yield Part("npm", name, about["version"], licences=(licence,) if licence else ())


def debian_parts() -> Iterator[Part]:
    """Yield the Debian packages of the image."""
    form = "${db:Status-Status}\t${binary:Package}\t${Version}\t${Section}\n"
    said = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={form}"], capture_output=True, text=True, check=True
    )
    for line in said.stdout.splitlines():
        status, package, version, section = line.split("\t")
        if status != "installed":
            continue
        name = package.partition(":")[0]
        copyright_ = Path("/usr/share/doc", name, "copyright")
        yield Part(
            kind="deb",
            name=name,
            version=version,
            licences=tuple(debian_licences(copyright_)),
            copyright=str(copyright_) if copyright_.exists() else "",
            private=section.startswith("non-free"),
        )


def debian_licences(path: Path) -> list[str]:
    """Return the licences that a Debian copyright file names, in Debian's words."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return sorted(set(re.findall(r"^License:[ \t]*(\S[^\n]{0,78})$", text, re.MULTILINE)))


def conda_parts() -> Iterator[Part]:
    """Yield the packages of conda environments."""
    for path in sorted(Path("/").glob(CONDA.lstrip("/"))):
        about = json.loads(path.read_text(encoding="utf-8"))
        licences = tuple(filter(None, [about.get("license")]))
        yield Part(
            kind="conda",
            name=about["name"],
            version=about["version"],
            licences=licences,
            private=is_not_free(licences),
        )


def parts_by_recipe() -> Iterator[Part]:
    """Yield the programs that recipes tell of."""
    for path in sorted(Path("/").glob(BY_RECIPE.lstrip("/"))):
        name, version, licence = path.read_text(encoding="utf-8").rstrip("\n").split("\t")
        yield Part("generic", name, version, (licence,))


def is_not_free(licences: Iterable[str]) -> bool:
    """Return whether the words of a licence say that it isn't a free one."""
    return any(NOT_FREE.search(text) for text in licences)


def not_to_be_passed_on(
    parts: Iterable[Part], gated: Iterable[str], accepted: tuple[str, ...] = ()
) -> list[str]:
    """Return a sentence for each package that must not be in an image."""
    names = {plain(program) for program in gated}
    findings = []
    for part in parts:
        if part.private and not part.name.lower().startswith(accepted):
            findings.append(
                f"{part.name} {part.version} says of itself that it isn't free software, so it "
                "can't be passed on in an image."
            )
        elif is_named(part.name, names):
            findings.append(f"{part.name} is behind a licence gate, so no image may contain it.")
    return findings


def programs_found(gated: Iterable[str], folders: Iterable[str] = PROGRAMS) -> list[str]:
    """Return a sentence for each gated program that lies in one of the usual folders."""
    names = {plain(program) for program in gated}
    found = {
        str(entry)
        for folder in folders
        if Path(folder).is_dir()
        for entry in Path(folder).iterdir()
        if is_named(entry.name, names)
    }
    return [
        f"{path} is behind a licence gate, so no image may contain it." for path in sorted(found)
    ]


def is_named(text: str, names: set[str]) -> bool:
    """Return whether a file or package has one of the names, alone or before a version or suffix.

    For XDS: ``xds``, ``xds_par``, ``xds-2024``, ``XDS2024``, but not ``xdsgui``.
    """
    first = plain(re.split(r"[-_.]", text)[0])
    return bool({plain(text), first, first.rstrip("0123456789")} & names)


def plain(text: str) -> str:
    """Return a name in lower case, its hyphens, dots and underscores left out."""
    return re.sub(r"[-_.\s]", "", text.lower())


def as_cyclonedx(name: str, version: str, parts: Iterable[Part]) -> str:
    """Return the list as CycloneDX 1.6, checked against its schema."""
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    image = Component(type=ComponentType.CONTAINER, name=name, version=version, bom_ref="image")
    components = [component(part) for part in parts]
    bom = Bom(components=components)
    bom.metadata.component = image
    bom.register_dependency(image, components)
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"The list of software doesn't fit CycloneDX's schema: {error}")
    return text


def component(part: Part) -> Any:
    """Return a package as CycloneDX has it."""
    from cyclonedx.factory.license import LicenseFactory
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    space, _, name = part.name.rpartition("/")
    if part.kind == "deb":
        space = "debian"
    make = LicenseFactory()
    # An expression may only stand alone; of several licences each is given by its name.
    licences = (
        [make.make_from_string(part.licences[0])]
        if len(part.licences) == 1
        else [make.make_with_name(text) for text in part.licences]
    )
    purl = PackageURL(part.kind, space or None, name, part.version)
    return Component(
        type=ComponentType.LIBRARY,
        name=part.name,
        version=part.version,
        purl=purl,
        bom_ref=str(purl),
        licenses=licences,
        properties=[Property(name="beamhub:copyright", value=part.copyright)]
        if part.copyright
        else [],
    )


if __name__ == "__main__":
    main(sys.argv[1:])
