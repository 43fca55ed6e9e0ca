"""Images, built by a real Docker, proved by their own notebooks, moved through a real registry."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desktop import FIRST_BUTTON, wait_for_board, wait_for_window
from portals import BEAMHUB

from hub.images.commands import HOME, UID, confined
from hub.images.record import read_record
from hub.usecases import NOTEBOOKS, load_use_cases

MANIFESTS = {name: case.manifest for name, case in load_use_cases([NOTEBOOKS]).items()}
READY = ["pyfai", "pymca", "quasar"]
"""Of the use cases those whose images begin from Debian and PyPI alone, which are everywhere."""
DESKTOPS = ["pyfai", "pymca"]
"""Those whose windows open without a tutorial's folder, which only a portal's start makes."""
NEEDS_PIP = ["quasar"]
"""Orange's dialog of add-ons calls it."""
INNER = ("-build", "-foundation", "-desktop", "-programs")
LARGEST_BYTES = {"base": 700e6, "hub": 500e6, "pyfai": 1.2e9}
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
    done = call("build", "base", "hub", *READY)
    assert done.returncode == 0, done.stdout + done.stderr
    yield call
    for reference in read_record(call.state):
        run("docker", "image", "rm", "--force", reference)


def reference_of(images: Say, name: str) -> str:
    known = read_record(images.state)
    [found] = [r for r in known if f"/{name}:" in r and not r.endswith(INNER)]
    return found


@pytest.mark.parametrize("name", ["base", "hub", *READY])
def test_an_image_proves_itself(images, name):
    # All of its notebooks run by `beamhub run`, with the same packages; here the first shows that
    # an image has what they need beside those.
    first = [n.file for n in MANIFESTS[name].notebooks[:1]] if name in READY else []
    done = images("test", name, *first)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All " in done.stdout


@pytest.mark.parametrize("name", LARGEST_BYTES)
def test_an_image_is_no_larger_than_promised(images, name):
    assert read_record(images.state)[reference_of(images, name)].size_bytes < LARGEST_BYTES[name]


@pytest.mark.parametrize("name", ["base", "hub", *READY])
def test_nothing_is_left_of_the_build(images, name):
    reference = reference_of(images, name)
    tools = ["cc", "gcc", "g++", "ld", "as", "make", "uv"]
    code = f"import shutil; print([t for t in {tools} if shutil.which(t)])"
    assert inside(reference, "python", "-c", code).strip() == "[]"
    pip = run("docker", "run", "--rm", "--network=none", reference, "python", "-m", "pip", "list")
    assert (pip.returncode == 0) == (name in NEEDS_PIP)
    assert name in [*NEEDS_PIP, "hub"] or "There is no pip here" in pip.stderr
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


@pytest.fixture
def no_way_out(docker) -> Iterator[str]:
    """A network from which only this machine is reached."""
    name = f"beamhub-test-{os.getpid()}"
    run("docker", "network", "create", "--internal", name)
    yield name
    run("docker", "network", "rm", name)


@pytest.fixture
def server(images, no_way_out, tmp_path) -> Iterator[Callable[[str], tuple[str, str]]]:
    """Start JupyterLab in an image, as servers are confined; returns container and address."""
    started: list[str] = []
    # As a portal puts it inside: the screen's program asks who it is.
    names = tmp_path / "passwd"
    names.write_text(f"jovyan:x:{UID}:{UID}::{HOME}:/bin/bash\n")

    def start(name: str) -> tuple[str, str]:
        options = [o for o in confined(memory_gib=4) if not o.startswith("--network")]
        command = ["jupyter", "lab", "--no-browser", "--ip=0.0.0.0"]
        done = run(
            *["docker", *options, "--detach", f"--network={no_way_out}"],
            f"--volume={names}:/etc/passwd:ro",
            *[reference_of(images, name), *command, "--IdentityProvider.token=secret"],
        )
        assert done.returncode == 0, done.stderr
        started.append(done.stdout.strip())
        form = f'{{{{(index .NetworkSettings.Networks "{no_way_out}").IPAddress}}}}'
        address = run("docker", "inspect", "--format", form, started[-1]).stdout.strip()
        return started[-1], f"http://{address}:8888"

    yield start
    for container in started:
        run("docker", "kill", container)


def eventually(true: Callable[[], bool], within_s: float = 60) -> bool:
    end = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


def processes(container: str) -> str:
    return run("docker", "exec", container, "ps", "-eo", "args").stdout


@pytest.mark.browser
@pytest.mark.parametrize("name", DESKTOPS)
def test_programs_with_windows_start_on_the_desktop_in_the_browser(server, context, name):
    container, address = server(name)
    page = context.new_page()
    assert eventually(lambda: answers(f"{address}/api"))
    page.goto(f"{address}/desktop/?token=secret")
    wait_for_board(page)
    first, *others = MANIFESTS[name].desktop_apps.values()
    for app in others:
        program = f"/opt/venv/bin/{app.command[0]}"
        run("docker", "exec", "--detach", "--env=DISPLAY=:1", container, *app.command)
        wait_for_window(page)
        assert program in processes(container)
        run("docker", "exec", container, "pkill", "--full", program)
        wait_for_board(page)
    page.mouse.click(**FIRST_BUTTON)
    wait_for_window(page)
    # One that can't go on is gone within seconds, and a window says so.
    page.wait_for_timeout(5000)
    assert f"/opt/venv/bin/{first.command[0]}" in processes(container)


@pytest.mark.parametrize("name", DESKTOPS)
def test_the_screen_is_reached_by_jupyter_alone(server, name):
    container, address = server(name)
    assert eventually(lambda: answers(f"{address}/api"))
    # The greeting of a VNC server, through the websocket that the page opens.
    code = (
        "import websocket; s = websocket.create_connection("
        "'ws://127.0.0.1:8888/desktop-websockify/?token=secret', timeout=60); print(s.recv())"
    )
    said = run("docker", "exec", container, "python", "-c", code)
    assert "RFB 003.008" in said.stdout, said.stderr
    code = (
        "for kind in 'tcp', 'tcp6':\n"
        " for line in open(f'/proc/net/{kind}'):\n"
        "  local, _, state = line.split()[1:4]\n"
        "  if state == '0A' and not local.startswith('0B00007F'): print(int(local[-4:], 16))\n"
    )
    # 127.0.0.11 is the name server that Docker puts into networks.
    assert run("docker", "exec", container, "python", "-c", code).stdout.split() == ["8888"]
    refused = "curl --silent --output /dev/null --write-out '%{http_code}' "
    for path in ("desktop/", "desktop-websockify/"):
        page = run("docker", "exec", container, "sh", "-c", f"{refused} 127.0.0.1:8888/{path}")
        assert page.stdout in ("302", "403"), path


def answers(url: str) -> bool:
    return run("curl", "--silent", "--noproxy", "*", "--output", "/dev/null", url).returncode == 0


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
            "  declaration: I have obtained this program under the conditions of its authors.\n"
        )
    done = images("build", "mine", own)
    assert done.returncode == 1
    assert "tini is behind a licence gate, so no image may contain it." in done.stderr


STAND_IN = """\
FROM debian:trixie-slim
RUN for name in {programs} mosflm ipmosflm; do \\
        printf '#!/bin/sh\\necho "CrystFEL: 0.12.0"\\n' > "/usr/local/bin/$name"; \\
        chmod 755 "/usr/local/bin/$name"; \\
    done \\
    && mkdir -p /usr/local/lib/x86_64-linux-gnu \\
    && touch /usr/local/lib/x86_64-linux-gnu/libcrystfel.so
"""
"""Laid out as upstream's image, whose registry no test can count on."""


def test_of_upstreams_image_only_crystfels_own_programs_are_taken(images, tmp_path):
    take = (NOTEBOOKS.parent / "images/crystfel/take.sh").read_text().replace("\\\n", " ")
    [programs] = re.findall(r"^for name in (.+); do$", take, re.MULTILINE)
    (tmp_path / "Dockerfile").write_text(STAND_IN.format(programs=programs))
    upstream = f"{images.registry}/upstream:1"
    done = run("docker", "build", "--tag", upstream, tmp_path)
    assert done.returncode == 0, done.stderr
    done = images("build", "crystfel", f"--build-arg=CRYSTFEL={upstream}")
    run("docker", "image", "rm", "--force", upstream)
    assert done.returncode == 0, done.stdout + done.stderr
    # Its tutorials need the real programs; these only answer.
    reference = reference_of(images, "crystfel")
    asked = [f"--program={name}" for name in ("indexamajig", "partialator")]
    assert "2 programs answer" in inside(reference, "python", "-m", "workbench.parts", *asked)
    listing = inside(reference, "ls", "/usr/local/bin").split()
    assert listing == sorted(programs.split())
    beside = json.loads((images.state / "images/crystfel.cdx.json").read_text())
    [part] = [p for p in beside["components"] if p["name"] == "CrystFEL"]
    assert (part["version"], part["purl"]) == ("0.12.0", "pkg:generic/CrystFEL@0.12.0")
