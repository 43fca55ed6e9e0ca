"""The description of an archive, ``ro-crate-metadata.json``, built with the library of RO-Crate."""

import base64
import warnings
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from .data_sources import SOURCES
from .hashing import sha256_of_bytes
from .record import Archived, Record, UsedData, UsedFile

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
PYTHON = "https://www.python.org/"
KINDS = {".ipynb": "application/x-ipynb+json", ".json": "application/json", ".txt": "text/plain"}
KINDS |= {".bib": "application/x-bibtex", ".py": "text/x-python"}
ABOUT = {
    "run.json": "What the run used and how its checks came out, for the portal to read",
    "requirements.txt": "Every installed Python package and its version",
    "citations.bib": "What to cite",
}


def description(about: Archived, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the crate's metadata as JSON-LD.

    Parameters
    ----------
    about : Archived
        What the run used.
    files : dict of str to bytes
        What the crate contains, by name.
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    # The version that the profile extends, and that most programs read.
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)

    def add(kind: str | list[str], identifier: str, /, **properties: Any) -> Any:
        told = {k: v for k, v in properties.items() if v not in (None, "", [])}
        return crate.add(ContextEntity(crate, identifier, properties={"@type": kind, **told}))

    record = about.record
    when = record.finished.isoformat()
    profile = add("CreativeWork", PROFILE, name="Process Run Crate", version="0.5")
    language = add("ComputerLanguage", PYTHON, name="Python", version=record.python, url=PYTHON)
    programs = [
        add(
            "SoftwareApplication",
            f"#software-{number}",
            name=s.name,
            softwareVersion=s.version,
            url=str(s.url),
            license=f"https://spdx.org/licenses/{s.licence}" if spdx(s.licence) else s.licence,
        )
        for number, s in enumerate(record.software, 1)
    ]
    for name, data in files.items():
        kind = ["File", "SoftwareSourceCode"] if name.endswith((".ipynb", ".py")) else "File"
        crate.add_file(dest_path=name, properties={"@type": kind, **file_properties(name, data)})
    notebook = crate.get(about.notebook.name)
    notebook["programmingLanguage"] = language
    notebook["softwareRequirements"] = programs
    inputs = [data_entity(add, d) for d in record.data_sets]
    root = crate.root_dataset
    for data in inputs:  # parts of the crate, though their bytes lie elsewhere
        root.append_to("hasPart", data.get("hasPart", []))
    inputs += [
        add("PropertyValue", f"#parameter-{name}", name=name, value=value)
        for name, value in about.parameters.items()
    ]
    checks = [
        add(
            "PropertyValue",
            f"#check-{i}-{j}",
            name=f"{report.title}: {c.name}",
            value=c.got,
            description=f"{c.state}: {c.expected} {c.tolerance}".strip(),
        )
        for i, report in enumerate(record.reports, 1)
        for j, c in enumerate(report.checks, 1)
    ]
    action = add("CreateAction", f"#run-{record.run}", name=f"Run of {about.notebook.name}")
    action["endTime"] = when
    action["instrument"] = notebook
    action["object"] = inputs
    action["result"] = [notebook, *checks]
    if record.image:
        action["containerImage"] = image_entity(add, record)
    if about.author:
        action["agent"] = root["author"] = add("Person", "#author", name=about.author)
    if record.site:
        root["publisher"] = add("Organization", "#site", name=record.site)
    root["name"] = f"{about.notebook.name}, run in BeamHub"
    root["description"] = summary(record)
    root["datePublished"] = when
    root["license"] = add(
        "CreativeWork", "#licence", name="Not stated", description="Ask who gave you this file."
    )
    root["conformsTo"] = profile
    root["mentions"] = action
    made: dict[str, Any] = crate.metadata.generate()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        ROCrate(deepcopy(made))  # read back: refuses what others wouldn't find in it
    return made


def file_properties(name: str, data: bytes) -> dict[str, Any]:
    """Return what there is to say of a file of the crate."""
    suffix = "." + name.rpartition(".")[2]
    told = {
        "name": name,
        "description": ABOUT.get(name, ""),
        "contentSize": str(len(data)),
        "encodingFormat": KINDS.get(suffix, "application/octet-stream"),
        "sha256": sha256_of_bytes(data),
    }
    return {key: value for key, value in told.items() if value}


def data_entity(add: Any, data: UsedData) -> Any:
    """Return a data set, by its identifier, with files named by their contents."""
    address = f"https://doi.org/{data.doi}" if data.doi else str(data.url or "")
    files = [
        add("File", content_name(f), name=f.name, contentSize=str(f.size_bytes), sha256=f.sha256)
        for f in data.files
        if f.sha256
    ]
    return add(
        "Dataset",
        f"#data-{data.label}" if data.seed is None else f"#data-{data.label}-{data.seed}",
        name=data.title,
        identifier=address or data.label,
        url=str(data.url or "") or None,
        license=data.licence,
        description=f"{data.label}: {data.n_files} files, {data.size_bytes} bytes, {origin(data)}",
        hasPart=files,
    )


def origin(data: UsedData) -> str:
    """Return in words where a data set is from."""
    return SOURCES[data.source].origin.format(seed=data.seed)


def content_name(file: UsedFile) -> str:
    """Return a file's name by its contents alone, as RFC 6920 has it."""
    digest = base64.urlsafe_b64encode(bytes.fromhex(file.sha256 or "")).rstrip(b"=").decode()
    return f"ni:///sha-256;{digest}"


def image_entity(add: Any, record: Record) -> Any:
    """Return the container image that the run was made in."""
    name, _, digest = record.image.partition("@sha256:")
    return add("ContainerImage", "#image", name=name, identifier=record.image, sha256=digest)


def spdx(licence: str) -> bool:
    """Return whether a licence is one of SPDX's own and not an expression."""
    return " " not in licence and not licence.startswith("LicenseRef-")


def summary(record: Record) -> str:
    """Return what the crate is about, in a sentence or two."""
    use_case = f"use case {record.use_case} {record.version}" if record.use_case else "no use case"
    held = sum(c.passed for r in record.reports for c in r.checks)
    where = f" at {record.site}" if record.site else ""
    checks = f"{held} of {record.n_checks} checks passed." if record.n_checks else "No checks."
    return f"A notebook of {use_case}{where}. {checks}"
