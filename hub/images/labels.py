"""The labels of images, in the words of the OCI. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..usecases import UseCase

LICENCE = "BSD-3-Clause"


@dataclass(frozen=True)
class Origin:
    """What images are made from.

    Parameters
    ----------
    version : str
        BeamHub's own.
    revision : str
        The commit, empty where it isn't known.
    source : str
        The address of the repository, empty where it isn't known.
    """

    version: str
    revision: str = ""
    source: str = ""


def common_labels(version: str, origin: Origin) -> dict[str, str]:
    """Return the labels that all images have."""
    labels = {
        "org.opencontainers.image.source": origin.source,
        "org.opencontainers.image.revision": origin.revision,
        "org.opencontainers.image.version": version,
    }
    return {name: value for name, value in labels.items() if value}


def own_labels(title: str, origin: Origin) -> dict[str, str]:
    """Return the labels of an image that belongs to no use case."""
    return {
        **common_labels(origin.version, origin),
        "org.opencontainers.image.title": title,
        "org.opencontainers.image.licenses": LICENCE,
    }


def use_case_labels(use_case: UseCase, origin: Origin) -> dict[str, str]:
    """Return the labels of a use case's image: what it is, its licences, documents and data."""
    manifest = use_case.manifest
    return {
        **common_labels(manifest.version, origin),
        "org.opencontainers.image.title": manifest.title,
        "org.opencontainers.image.description": manifest.summary,
        "org.opencontainers.image.authors": ", ".join(m.contact for m in manifest.maintainers),
        "org.opencontainers.image.documentation": str(manifest.software[0].url),
        "org.opencontainers.image.licenses": licences([s.licence for s in manifest.software]),
        "org.beamhub.use-case": use_case.name,
        # Data are never inside: the names tell what 'beamhub data fetch' can bring.
        "org.beamhub.data-sets": ", ".join(f"{use_case.name}/{n}" for n in manifest.data_sets),
    }


def licences(found: Iterable[str]) -> str:
    """Return one SPDX expression for software under several licences and our own files."""
    parts = sorted({LICENCE, *found})
    return " AND ".join(f"({part})" if " OR " in part else part for part in parts)
