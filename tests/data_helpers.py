"""Data sets to fetch in tests: what a manifest declares, and the work that fetches it."""

import hashlib
import io
import os
import random
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.data_server import DataServer
from workbench.data.cache import Cache
from workbench.data.cache_records import Entry
from workbench.data.catalogue import Known
from workbench.data.fetch_job import Fetch
from workbench.data.progress import Progress
from workbench.data.settings import Manners, Settings
from workbench.manifest import DataSet

QUICK = Manners(pause_s=0.02, timeout_s=1)
MB = 1_000_000

Offered = DataServer | str | Sequence[str] | Mapping[str, Sequence[str]]
"""A server, the address of a folder, several, or the addresses of each file."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that can't be compressed, the same in every run."""
    return random.Random(seed).randbytes(size)


def tar_of(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def addresses(offered: Offered, name: str) -> list[str]:
    if isinstance(offered, DataServer):
        return [offered.url(name)]
    if isinstance(offered, str):
        return [f"{offered.rstrip('/')}/{name}"]
    if isinstance(offered, Mapping):
        return list(offered[name])
    return [f"{folder.rstrip('/')}/{name}" for folder in offered]


def known_set(
    folder: Path,
    offered: Offered,
    files: Mapping[str, bytes],
    /,
    unpack: Sequence[str] = (),
    **overrides: Any,
) -> Known:
    """A data set "test/frames" with these files as a manifest declares them.

    What `overrides` says replaces a key of every file, or else of the whole data set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    of_files = {"size_bytes", "sha256", "md5", "urls"} & overrides.keys()
    declared = []
    for name, data in files.items():
        file: dict[str, Any] = {
            "name": name,
            "urls": addresses(offered, name),
            "size_bytes": len(data),
            "sha256": sha256(data),
            "unpack": name in unpack,
        }
        declared.append(file | {key: overrides[key] for key in of_files})
    body = {
        "title": "Frames to test with",
        "licence": "CC0-1.0",
        "source": "download",
        "files": declared,
    } | {key: value for key, value in overrides.items() if key not in of_files}
    return Known("test", "frames", folder, DataSet.model_validate(body))


def make_fetch(
    known: Known,
    tmp_path: Path,
    *,
    unverified: bool = False,
    manners: Manners = QUICK,
    **places: Any,
) -> Fetch:
    """The work that brings `known` into the cache of `tmp_path`."""
    settings = Settings(cache=tmp_path / "cache", manners=manners, **places)
    return Fetch(
        known,
        settings,
        Cache(tmp_path / "cache", tmp_path / "memory"),
        unverified=unverified,
        progress=Progress(known.label, known.size_bytes),
    )


def contents_of(entry: Entry) -> dict[str, bytes]:
    """What the files of an entry hold, by name."""
    return {f.name: (entry.folder / f.name).read_bytes() for f in entry.record.files}


def published(tmp_path: Path) -> list[Path]:
    """The records of what is complete in the cache of `tmp_path`."""
    return sorted((tmp_path / "cache" / str(os.geteuid()) / "sets").glob("*/*/*.json"))


def visible(tmp_path: Path) -> dict[str, bytes]:
    """All files outside the work folders, complete sets or not."""
    found = {}
    for path in sorted((tmp_path / "cache" / str(os.geteuid()) / "sets").glob("*/*/*/**/*")):
        if path.is_file() and ".work" not in "/".join(path.parts[-4:]):
            found[path.name] = path.read_bytes()
    return found


def offer_in_manifest(folder: Path, *sets: Known, use_case: str = "test") -> Path:
    """Write a use case that declares these data sets; return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    body = {
        "title": "Test",
        "summary": "A use case for tests of data",
        "description": "It exists for the tests of reference data and for nothing else at all.",
        "leading_house": {"name": "DESY", "url": "https://www.desy.de"},
        "science_domain": "testing",
        "maintainers": [{"name": "Ada", "contact": "ada@example.org"}],
        "version": "1.0.0",
        "software": [
            {
                "name": "x",
                "version": "1",
                "licence": "MIT",
                "url": "https://example.org",
            }
        ],
        "resources": {
            "least": {"cores": 1, "memory_gib": 1},
            "advised": {"cores": 1, "memory_gib": 1},
        },
        "coming": ["Everything that a use case has."],
        "data_sets": {
            known.name: known.data.model_dump(mode="json", exclude_none=True) for known in sets
        },
    }
    for known in sets:
        for path in known.folder.iterdir():
            with suppress(OSError):
                if path.is_file() and path.parent != folder:
                    (folder / path.name).write_bytes(path.read_bytes())
    (folder / "usecase.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")
    return folder


def renamed(known: Known, name: str) -> Known:
    return replace(known, name=name)


def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's settings come between a test and its server."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
