"""``beamhub data``: what it prints, and how it ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.cli import app as portal
from tests.data_helpers import known_set, noise, offer_in_manifest, renamed
from tests.data_processes import unused_for
from tests.data_server import DataServer
from workbench.__main__ import app
from workbench.data import catalogue
from workbench.data.cache_records import file_name

FILES = {"a.bin": noise(5000), "d/b.bin": noise(7000, 1)}


@pytest.fixture
def server() -> Iterator[DataServer]:
    with DataServer(FILES) as found:
        yield found


@pytest.fixture
def sets(tmp_path, server, monkeypatch):
    """What a server of a use case with two data sets sees."""
    environment = {
        "BEAMHUB_NOTEBOOKS": tmp_path / "shipped",
        "BEAMHUB_USE_CASE": "test",
        "BEAMHUB_DATA_CACHE": tmp_path / "cache",
        "XDG_CACHE_HOME": tmp_path / "home",
    }
    for name in ("BEAMHUB_DATA_ROOTS", "BEAMHUB_DATA_MIRRORS", "BEAMHUB_DATA_QUOTA_GB"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(catalogue, "SHIPPED", tmp_path / "none")
    frames = known_set(tmp_path / "uc", server, FILES)
    unknown = renamed(known_set(tmp_path / "uc", server, FILES, sha256="unknown"), "unknown")
    offer_in_manifest(tmp_path / "shipped", frames, unknown)
    return [frames, unknown]


def run(*words: str, status: int = 0, of=app) -> str:
    """Return what a command prints, both streams together."""
    result = CliRunner().invoke(of, ["data", *words])
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


@pytest.mark.parametrize("of", [app, portal], ids=["workbench", "portal"])
def test_both_programs_have_the_commands(of):
    text = run("--help", of=of)
    for word in ("list", "fetch", "verify", "status", "mirror", "prune"):
        assert f"\n  {word} " in text
    assert run(status=2, of=of).startswith("Usage:")


@pytest.mark.parametrize("word", ["list", "fetch", "verify", "status", "mirror", "prune"])
def test_every_command_says_what_it_does(word):
    lines = [line.strip() for line in run(word, "--help").splitlines() if line.strip()]
    assert lines[0].startswith("Usage: ")
    assert f" data {word} " in lines[0]
    assert "." in lines[1] + lines[2]


def test_the_list_names_size_licence_and_where_each_comes_from(sets, server):
    lines = run("list").splitlines()
    assert lines[0].split() == ["data", "set", "size", "licence", "where"]
    words = " ".join(lines[1].split())
    assert words == f"test/frames 12 kB CC0-1.0 its publisher at 127.0.0.1:{server.port}"
    assert run("list", "--use-case", "test").splitlines() == lines
    text = run("list", "--use-case", "tset", status=1)
    assert text == "There is no use case 'tset' with data. There are test.\n"


def test_a_set_is_fetched_and_its_place_printed(sets, tmp_path):
    text = run("fetch", "frames")
    assert text.startswith(
        f"test/frames: 2 files in {tmp_path}/cache/{os.geteuid()}/sets/test/frames/"
    )
    folder = Path(text.rpartition(" in ")[2].strip())
    assert (folder / "a.bin").read_bytes() == FILES["a.bin"]
    assert "here, fetched before" in run("list")


def test_files_are_put_into_a_folder_too(sets, tmp_path):
    text = run("fetch", "test/frames", "--into", str(tmp_path / "mine"))
    assert text == f"test/frames: 2 files in {tmp_path}/mine\n"
    assert (tmp_path / "mine/d/b.bin").read_bytes() == FILES["d/b.bin"]


def test_what_cannot_be_fetched_is_told_in_sentences(sets, server):
    server.put("a.bin", b"other")
    text = run("fetch", "frames", status=1)
    assert "a.bin of test/frames could not be had." in text
    assert f"127.0.0.1:{server.port}" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("name", ["frmaes", "test/frmaes", "../x"])
def test_a_name_that_nobody_knows_is_told(sets, name):
    assert run("fetch", name, status=1).startswith(f"There is no data set '{name}'.")
    assert run("status", name, status=1).startswith(f"There is no data set '{name}'.")


def test_what_nobody_can_verify_has_to_be_named_twice(sets):
    assert "Nobody has published a checksum of" in run("fetch", "unknown", status=1)
    assert run("fetch", "unknown", "--unverified", "unknown").startswith("test/unknown: 2 files")


def test_the_status_tells_the_cost_and_what_the_cache_holds(sets, tmp_path, monkeypatch):
    text = run("status")
    assert "its publisher at 127.0.0.1" in text
    assert "12 kB" in text
    assert f"Cache {tmp_path}/cache: 0 data sets, 0 B" in text
    run("fetch", "frames")
    monkeypatch.setenv("BEAMHUB_DATA_QUOTA_GB", "2")
    text = run("status", "frames")
    assert "nothing to fetch" in text
    assert f"Cache {tmp_path}/cache: 1 data sets, 1" in text
    assert text.rstrip().endswith("of 2 GB")
    assert "unknown" not in text


def test_verifying_says_how_many_are_right(sets, tmp_path):
    assert "There was nothing to verify." in run("verify", status=1)
    folder = Path(run("fetch", "frames").rpartition(" in ")[2].strip())
    assert run("verify") == "2 files are right, 0 are not.\n"
    assert run("verify", "frames") == "2 files are right, 0 are not.\n"
    assert "There was nothing to verify." in run("verify", "unknown", status=1)
    (folder / "a.bin").chmod(0o644)
    (folder / "a.bin").write_bytes(bytes(5000))
    text = run("verify", status=1)
    assert f"test/frames: {folder}/a.bin is not what it was: its checksum differs" in text
    assert "1 files are right, 1 are not." in text
    assert "beamhub data prune NAME" in text


def test_a_mirror_is_made_verified_and_used(sets, tmp_path, server, monkeypatch):
    folder = tmp_path / "mirror"
    text = run("mirror", str(folder), status=1)
    assert "test/frames: 2 files" in text
    assert "test/unknown: Nobody has published a checksum of" in text
    text = run("mirror", str(folder), "--unverified", "unknown", "--use-case", "test")
    assert text == "test/frames: 2 files\ntest/unknown: 2 files\n"
    assert run("verify", "--mirror", str(folder)) == "4 files are right, 0 are not.\n"
    before = server.count()
    monkeypatch.setenv("BEAMHUB_DATA_ROOTS", str(folder))
    monkeypatch.setenv("BEAMHUB_DATA_CACHE", str(tmp_path / "other"))
    assert run("fetch", "frames", "unknown").splitlines() == [
        f"test/frames: 2 files in {folder}/test/frames",
        f"test/unknown: 2 files in {folder}/test/unknown",
    ]
    assert server.count() == before
    (folder / "test/frames/a.bin").unlink()
    assert "a.bin is missing" in run("verify", "--mirror", str(folder), status=1)
    assert "nothing to verify" in run("verify", "--mirror", str(tmp_path / "none"), status=1)


def test_sets_are_removed_by_name_by_age_and_by_size(sets, tmp_path):
    for options in (["frames"], ["test/frames"], ["--unused-days", "30"], ["--to-gb", "0.000001"]):
        run("fetch", "frames")
        unused_for(tmp_path / f"cache/{os.geteuid()}/used" / file_name(sets[0]), 40)
        assert run("prune", *options) == "test/frames: removed 12 kB\n12 kB are free again.\n"
    assert run("prune", "--unused-days", "1") == "0 B are free again.\n"


def test_what_was_used_a_moment_ago_is_kept_and_told(sets):
    run("fetch", "frames")
    text = run("prune", "frames", status=1)
    assert "test/frames: kept, it is being read or belongs to another account" in text
    assert "0 B are free again." in text


def test_pruning_has_to_be_told_what(sets):
    assert run("prune", status=2) == "Say what to remove: names, --unused-days or --to-gb.\n"
    assert "frmaes: the cache has no such data set" in run("prune", "frmaes", status=1)


def test_it_works_as_a_module_without_the_portal(sets):
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "data", "list"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "test/frames" in done.stdout
    assert done.stderr == ""
