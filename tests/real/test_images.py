"""Images, built by a real Docker, proved by their own notebooks, moved through a real registry."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from portals import BEAMHUB

from hub.images.record import read_record
from hub.usecases import NOTEBOOKS, load_use_cases

READY = [n for n, u in load_use_cases([NOTEBOOKS]).items() if not u.manifest.coming]
LARGEST_BYTES = {"base": 700e6, "hub": 450e6, "pyfai": 1.2e9}
BUILDING_S = 1800
pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(BUILDING_S)]
Say = Callable[..., subprocess.CompletedProcess[str]]


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


def inside(reference: str, *command: str) -> str:
    """Return what a program says in a container of the image."""
    done = run("docker", "run", "--rm", "--network=none", reference, *command)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def images(docker, registry, tmp_path_factory) -> Iterator[Say]:
    """All images, built; returns what calls ``beamhub images`` for the site that has them."""
    folder = tmp_path_factory.mktemp("images")
    site = folder / "site.yaml"
    site.write_text(f"extends: laptop\nregistry: {registry}\n")

    def call(command: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        where = [f"--site={site}", f"--state={folder}/state"]
        return run(BEAMHUB, "images", command, *where, *arguments)

    call.state = folder / "state"
    call.registry = registry
    done = call("build")
    assert done.returncode == 0, done.stdout + done.stderr
    yield call
    for reference in read_record(call.state):
        run("docker", "image", "rm", "--force", reference)


def reference_of(images: Say, name: str) -> str:
    known = read_record(images.state)
    [found] = [r for r in known if f"/{name}:" in r and not r.endswith(("-build", "-foundation"))]
    return found


@pytest.mark.parametrize("name", ["base", "hub", *READY])
def test_an_image_proves_itself(images, name):
    done = images("test", name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All " in done.stdout


@pytest.mark.parametrize("name", LARGEST_BYTES)
def test_an_image_is_no_larger_than_promised(images, name):
    assert read_record(images.state)[reference_of(images, name)].size_bytes < LARGEST_BYTES[name]


@pytest.mark.parametrize("name", ["base", "hub", *READY])
def test_nothing_is_left_of_the_build(images, name):
    reference = reference_of(images, name)
    tools = ["cc", "gcc", "g++", "ld", "as", "make", "pip", "uv"]
    code = f"import shutil; print([t for t in {tools} if shutil.which(t)])"
    assert inside(reference, "python", "-c", code).strip() == "[]"
    history = run("docker", "history", "--no-trunc", reference).stdout
    about = run("docker", "image", "inspect", reference).stdout
    assert "BEGIN CERTIFICATE" not in history + about
    assert "secrets" not in inside(reference, "ls", "/run")


def test_everybody_is_an_ordinary_user_who_can_change_the_home_only(images):
    reference = reference_of(images, "pyfai")
    assert inside(reference, "id", "-u", "-n").strip() == "jovyan"
    script = "touch /home/jovyan/x /tmp/x; find / -xdev -writable -not -type l 2>/dev/null; true"
    found = inside(reference, "sh", "-c", script).split()
    allowed = ("/home/jovyan", "/tmp", "/var/tmp", "/run/lock", "/proc", "/dev")
    assert [p for p in found if not p.startswith(allowed)] == []


def test_the_command_and_both_kernels_are_there(images):
    reference = reference_of(images, "pyfai")
    assert "pyfai/lab6-image" in inside(reference, "beamhub", "data", "list")
    kernels = json.loads(inside(reference, "jupyter", "kernelspec", "list", "--json"))
    assert {"bash", "python3"} <= set(kernels["kernelspecs"])


def test_jupyterlab_answers_where_only_the_home_can_be_written(images):
    reference = reference_of(images, "base")
    confined = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    home = "--tmpfs=/home/jovyan:exec,uid=1000,gid=1000"
    server = ["jupyter", "lab", "--no-browser", "--IdentityProvider.token=secret"]
    started = run(
        *["docker", "run", "--detach", "--rm", "--network=none", *confined],
        *[home, "--tmpfs=/tmp", reference, *server],
    )
    assert started.returncode == 0, started.stderr
    container = started.stdout.strip()
    try:
        ask = ["curl", "--silent", "--fail", "--retry", "30", "--retry-connrefused"]
        url = "http://127.0.0.1:8888/lab?token=secret"
        page = run("docker", "exec", container, *ask, "--retry-delay", "1", "--location", url)
        assert page.returncode == 0, run("docker", "logs", container).stderr
        assert "JupyterLab" in page.stdout
    finally:
        run("docker", "kill", container)


def test_the_list_of_software_lies_inside_and_beside(images):
    beside = (images.state / "images/pyfai.cdx.json").read_text()
    reference = reference_of(images, "pyfai")
    assert inside(reference, "cat", "/opt/beamhub/software.cdx.json") == beside
    body = json.loads(beside)
    assert (body["bomFormat"], body["specVersion"]) == ("CycloneDX", "1.6")
    names = {part["purl"].partition("@")[0] for part in body["components"]}
    assert {"pkg:pypi/pyfai", "pkg:pypi/jupyterlab", "pkg:deb/debian/tini"} <= names
    assert not {"pkg:pypi/pocl-binary-distribution", "pkg:deb/debian/gcc"} & names


def test_labels_are_on_the_image(images):
    command = ["docker", "image", "inspect", "--format", "{{json .Config.Labels}}"]
    labels = json.loads(run(*command, reference_of(images, "pyfai")).stdout)
    assert labels["org.beamhub.data-sets"].startswith("pyfai/")
    assert "MIT" in labels["org.opencontainers.image.licenses"]


def test_what_is_pushed_comes_back_the_same(images):
    reference = reference_of(images, "base")
    before = read_record(images.state)[reference]
    assert images("digest", "base").returncode == 1
    assert images("push", "base").returncode == 0
    said = images("digest", "base")
    assert said.returncode == 0
    digest = said.stdout.split()[1]
    assert digest.startswith(f"{images.registry}/base@sha256:")
    run("docker", "image", "rm", "--force", before.id)
    assert images("test", "base").returncode == 1
    done = images("pull", "base")
    assert done.returncode == 0, done.stderr
    after = read_record(images.state)[reference]
    assert (after.id, after.digest) == (before.id, digest)
    assert images("test", "base").returncode == 0


def test_a_use_case_from_elsewhere_is_built_and_a_gated_program_is_refused(images, tmp_path):
    assert run(BEAMHUB, "new", "use-case", "mine", "--in", tmp_path).returncode == 0
    own = f"--use-cases={tmp_path}"
    done = images("build", "mine", own)
    assert done.returncode == 0, done.stdout + done.stderr
    done = images("test", "mine", own)
    assert done.returncode == 0, done.stdout + done.stderr
    with Path(tmp_path, "mine/usecase.yaml").open("a") as manifest:
        manifest.write(
            "\nlicence_gates:\n- program: Tini\n  terms: Stands for one that nobody may pass on.\n"
            "  url: https://example.org\n"
        )
    done = images("build", "mine", own)
    assert done.returncode == 1
    assert "tini is behind a licence gate, so no image may contain it." in done.stderr
