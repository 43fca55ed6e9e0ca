"""Image files of Apptainer: which is there, what it was made from, what is wrong with it."""

import json
import tarfile
from io import BytesIO

import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.images import sif
from hub.images.plan import Image, ImageError
from hub.images.record import Made
from hub.usecases import NOTEBOOKS, load_use_cases
from spawners import Launch, Resources
from spawners.launch import Mount
from spawners.slurm.image_files import faults, image_file, note_beside, origin_of
from spawners.slurm.software import Apptainer, Environment, Modules

PYFAI = load_use_cases([NOTEBOOKS])["pyfai"]
ID = "sha256:" + "1" * 64
DIGEST = "r.example.org/pyfai@sha256:" + "2" * 64
IMAGE = Image("pyfai", "r.example.org/pyfai:1.0.0", "python", use_case=PYFAI)


@pytest.fixture
def file(tmp_path):
    """An image file, noted as what it was made from."""
    made = image_file(tmp_path, "pyfai", "1.0.0")
    made.write_bytes(b"a whole file system")
    sif.note(made, sif.Source(IMAGE.reference, Made(id=ID, size_bytes=1, digest=DIGEST)))
    return made


def launch(**more):
    return Launch(
        use_case="pyfai",
        version="1.0.0",
        folder=PYFAI.folder,
        image="r.example.org/pyfai:1.0.0",
        resources=Resources(cores=1, memory_gib=1, **more),
        environment={"BEAMHUB_IMAGE": "r.example.org/pyfai:1.0.0"},
        mounts=[Mount(source="/gpfs/data", target="/data")],
    )


def software(folder):
    return Apptainer(kind="apptainer", folder=folder)


def test_a_server_is_told_what_its_file_was_made_from(file):
    assert software(file.parent).told(launch())["BEAMHUB_IMAGE"] == DIGEST
    file.write_bytes(b"half")
    assert origin_of(file) is None
    assert software(file.parent).told(launch())["BEAMHUB_IMAGE"] == IMAGE.reference


@pytest.mark.parametrize("kind", [Environment, Modules])
def test_where_no_image_runs_none_is_told(kind, tmp_path):
    more = {"load": ["a"]} if kind is Modules else {}
    found = kind(kind=kind.__name__.lower(), folder=tmp_path, **more)
    assert "BEAMHUB_IMAGE" not in found.told(launch())
    assert not found.from_images


def test_a_container_sees_what_the_site_shows_and_nothing_else_of_the_node(file):
    [*command] = software(file.parent).traits(launch(gpus=1))["command"]
    for word in ("--containall", "--no-eval", "--bind=/gpfs/data:/data:ro", "--nv"):
        assert word in command
    assert command.index(str(file)) + 1 == command.index("python")
    assert "--nv" not in software(file.parent).traits(launch())["command"]


def test_one_that_is_known_is_not_started_twice(file):
    asked = [need.command for need in software(file.parent).traits(launch())["needs"]]
    assert not any("import workbench.job" in command for command in asked)
    note_beside(file).unlink()
    asked = [need.command for need in software(file.parent).traits(launch())["needs"]]
    assert "import workbench.job" in asked[-1]


def test_a_missing_file_is_an_obstacle_where_this_machine_sees_the_folder(file):
    where = software(file.parent)
    assert where.obstacles(launch()) == []
    file.rename(image_file(file.parent, "pyfai", "0.9.0"))
    [said] = where.obstacles(launch())
    assert "of version 1.0.0, only of version 0.9.0" in said
    assert software(file.parent / "elsewhere").obstacles(launch()) == []


def test_what_is_wrong_with_a_file_is_found(file):
    assert list(faults(file.parent, "pyfai", "1.0.0")) == []
    file.chmod(0o640)
    with file.open("ab") as more:
        more.write(b"x")
    unreadable, changed = faults(file.parent, "pyfai", "1.0.0")
    assert "can't read" in unreadable
    assert "isn't the file that was noted" in changed
    [missing] = faults(file.parent, "pymca", "1.0.0")
    assert "beamhub images sif pymca" in missing


def archive(path, config, tags, **more):
    """Write what ``docker save`` writes, as far as it's read."""
    files = {"manifest.json": [{"Config": config, "RepoTags": tags}], **more}
    with tarfile.open(path, "w") as tar:
        for name, body in files.items():
            data = json.dumps(body).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, BytesIO(data))
    return path


OLD = f"{'1' * 64}.json"
NEW = f"blobs/sha256/{'3' * 64}"
INDEX = {"index.json": {"manifests": [{"digest": ID}]}}


@pytest.mark.parametrize(("config", "more"), [(OLD, {}), (NEW, INDEX)])
def test_an_archive_is_taken_for_what_is_noted(tmp_path, config, more):
    known = Made(id=ID, size_bytes=1, digest=DIGEST)
    found = sif.from_archive(IMAGE, archive(tmp_path / "a", config, None, **more), known)
    assert (found.made, found.name) == (known, DIGEST)


def test_an_archive_of_another_image_is_refused(tmp_path):
    path = archive(tmp_path / "a", NEW, [IMAGE.reference])
    with pytest.raises(ImageError, match="isn't the same image"):
        sif.from_archive(IMAGE, path, Made(id=ID, size_bytes=1))
    assert sif.from_archive(IMAGE, path, None).made.id == "sha256:" + "3" * 64
    with pytest.raises(ImageError, match=r"holds x:1, not r.example.org/pyfai:1.0.0"):
        sif.from_archive(IMAGE, archive(tmp_path / "b", NEW, ["x:1"]), None)
    (tmp_path / "c").write_text("no archive")
    with pytest.raises(ImageError, match="docker save"):
        sif.from_archive(IMAGE, tmp_path / "c", None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["base"], "'base' is no use case"),
        (["pyfai", "--site=laptop"], "say where they shall lie: --to FOLDER"),
        (["pyfai"], "There is no folder /software/beamhub on this machine."),
        (["pyfai", "--to=/tmp", "--archive=/etc/passwd"], "Apptainer is not installed"),
        (["pyfai", "pymca", "--to=/tmp", "--archive=/etc/passwd"], "name the one use case"),
    ],
)
def test_what_the_command_can_not_do_is_said(arguments, words, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(app, ["images", "sif", *arguments, f"--state={tmp_path}/state"])
    assert result.exit_code == 1
    assert words in " ".join(result.output.split())
