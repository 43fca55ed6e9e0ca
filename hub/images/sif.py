"""Image files for Apptainer, made of the container images that a Docker daemon or a file has."""

import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from spawners import child_processes
from spawners.records import atomic_write
from spawners.slurm.image_files import Origin, image_file, note_beside, origin_of

from . import docker
from .plan import Image, ImageError
from .record import Made

APPTAINER = "apptainer"
FAST = "--mksquashfs-args=-comp zstd -Xcompression-level 3"
"""As small as Apptainer's usual gzip within 5 %, and faster to read."""
TAIL = 15
"""Lines of Apptainer's output that are shown where it fails."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """A container image: what it is, and a file of ``docker save`` or None for the daemon."""

    reference: str
    made: Made
    archive: Path | None = None

    @property
    def name(self) -> str:
        """What a server from its image file is told that it runs."""
        return self.made.digest or self.reference


def require_apptainer() -> None:
    """Make sure that Apptainer is there.

    Raises
    ------
    ImageError
        It isn't; the text says what to do.
    """
    if shutil.which(APPTAINER) is None:
        raise ImageError(
            "Apptainer is not installed on this machine, so no image file can be made here: see "
            "https://apptainer.org/docs/admin/main/installation.html. Where another machine has "
            "it, write the image into a file there is Docker (docker save -o FILE IMAGE), take "
            "that along and name it with --archive."
        )


def from_docker(image: Image) -> Source:
    """Return the image that Docker has.

    Raises
    ------
    ImageError
        It hasn't got it.
    """
    made = docker.made(image.reference)
    if made is None:
        raise ImageError(
            f"{image.reference} isn't on this machine. Build it: beamhub images build "
            f"{image.name}; or name a file of 'docker save' with --archive."
        )
    return Source(image.reference, made)


def from_archive(image: Image, archive: Path, known: Made | None) -> Source:
    """Return the image in a file of ``docker save``.

    Parameters
    ----------
    known : Made or None
        What is noted of this image.

    Raises
    ------
    ImageError
        The file can't be read, or holds something else.
    """
    names, ids = contents(archive)
    if known and known.id not in ids:
        raise ImageError(
            f"{archive} holds {' and '.join(sorted(ids))}, but {image.reference} is noted as "
            f"{known.id}: it isn't the same image."
        )
    if image.reference not in names and not known:
        there = ", ".join(names) or "an image without a name"
        raise ImageError(f"{archive} holds {there}, not {image.reference}.")
    found = known or Made(id=min(ids), size_bytes=archive.stat().st_size)
    return Source(image.reference, found, archive)


def contents(archive: Path) -> tuple[list[str], set[str]]:
    """Return the names of the one image in a file of ``docker save``, and its digests.

    Raises
    ------
    ImageError
        It can't be read, or holds several.
    """
    try:
        with tarfile.open(archive) as tar:
            [listed] = read_json(tar, "manifest.json")
            index = read_json(tar, "index.json") if "index.json" in tar.getnames() else {}
            # 'blobs/sha256/<digest>' since Docker 25, '<digest>.json' before.
            config = Path(listed["Config"]).name.removesuffix(".json")
            digests = {entry["digest"] for entry in index.get("manifests", [])}
            return list(listed["RepoTags"] or []), {f"sha256:{config}", *digests}
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError):
        raise ImageError(
            f"{archive} isn't a file with one image: write it with docker save -o FILE IMAGE."
        ) from None


def read_json(tar: tarfile.TarFile, name: str) -> Any:
    """Return a file of an archive, read as JSON."""
    member = tar.extractfile(name)
    assert member is not None
    return json.load(member)


def target(image: Image, folder: Path) -> Path:
    """Return where the image file of a use case belongs."""
    assert image.use_case is not None
    return image_file(folder, image.name, image.use_case.manifest.version)


def is_made(file: Path, source: Source) -> bool:
    """Return whether an image file is there, made of this very image."""
    known = origin_of(file)
    return known is not None and known.id == source.made.id


def make(file: Path, source: Source, say: Say) -> None:
    """Make an image file, in place in one step: servers go on with the one that they have.

    Raises
    ------
    ImageError
        It can't be made; the text ends with what was said last.
    """
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with archive_of(source, say) as archive:
            say("Making the image file")
            build(partial, archive)
        partial.chmod(0o644)
        note_beside(file).unlink(missing_ok=True)
        partial.rename(file)
    except OSError as error:
        raise ImageError(f"{file} can't be written: {error.strerror}.") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def note(file: Path, source: Source) -> None:
    """Note beside an image file what it was made from."""
    origin = Origin(image=source.name, id=source.made.id, size_bytes=file.stat().st_size)
    beside = note_beside(file)
    atomic_write(beside, origin.model_dump_json() + "\n")
    beside.chmod(0o644)


@contextmanager
def archive_of(source: Source, say: Say) -> Iterator[Path]:
    """Have a file with the image, at a path that nothing reads as more than a path."""
    with TemporaryDirectory(prefix="beamhub-sif-") as scratch:
        file = Path(scratch) / "image.tar"
        if source.archive:
            file.symlink_to(source.archive.resolve())
        else:
            say("Taking the image out of Docker")
            docker.said("save", "--output", str(file), source.reference)
        yield file


def build(file: Path, archive: Path) -> None:
    """Let Apptainer make an image file.

    Raises
    ------
    ImageError
        It failed.
    """
    command = [APPTAINER, "build", FAST, str(file), f"docker-archive:{archive}"]
    environment = child_processes.child_environment(child_processes.FOR_APPTAINER)
    done = child_processes.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-TAIL:])
        raise ImageError(f"Apptainer could not make the image file. It said last:\n{said}")
