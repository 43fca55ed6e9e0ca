"""Images: what is planned, what Docker is asked for, what is told; nothing here starts Docker."""

import importlib.util
import json
import os
import re
import stat
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from hub.cli import app
from hub.images import context, docker
from hub.images.building import Settings, build_all
from hub.images.commands import UID, build_arguments, self_test_arguments
from hub.images.labels import Origin, licences
from hub.images.plan import (
    RESERVED,
    Image,
    ImageError,
    plan_images,
    reference,
    select,
    with_arguments,
    with_needs,
)
from hub.images.record import Made, note, read_record
from hub.plan import Asked, plan
from hub.site import load_site, shipped_sites
from hub.usecases import NOTEBOOKS, UseCase, load_use_cases
from spawners import child_processes

ROOT = NOTEBOOKS.parent
USE_CASES = load_use_cases([NOTEBOOKS])
ORIGIN = Origin("0.1.0+dev", "0123abc", "https://git.example.org/beamhub")
DIGEST = "ghcr.io/beamhub/pyfai@sha256:" + "0" * 64


def planned(use_cases: dict[str, UseCase] = USE_CASES) -> dict[str, Image]:
    return plan_images(
        use_cases, registry="ghcr.io/beamhub", origin=ORIGIN, recipes=context.recipes()
    )


def beamhub(*arguments: object) -> tuple[int, str]:
    """Return the exit status and all that is said."""
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEAMHUB_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)


IMAGES = planned()
READY = [name for name, case in USE_CASES.items() if not case.manifest.coming]


# what there is


def test_every_use_case_has_an_image_and_every_folder_is_somebodys_recipe():
    assert {*USE_CASES, *RESERVED} <= set(IMAGES)
    assert {*context.recipes()} == {image.recipe for image in IMAGES.values() if not image.missing}


@pytest.mark.parametrize("name", READY)
def test_what_can_be_opened_can_be_built(name):
    assert not IMAGES[name].missing


def test_a_recipe_that_is_not_there_is_told():
    found = plan_images(USE_CASES, registry="r", origin=ORIGIN, recipes=set())
    assert found["pyfai"].missing == "no recipe yet: there is no images/python"


@pytest.mark.parametrize("name", USE_CASES)
def test_programs_with_windows_have_a_desktop_below_them(name):
    needed = with_needs(IMAGES, [IMAGES[name]])
    assert ("desktop" in needed) == bool(USE_CASES[name].manifest.desktop_apps)


def test_a_recipe_of_its_own_lies_below_what_all_use_cases_end_with():
    programs, last = IMAGES["crystfel.programs"], IMAGES["crystfel"]
    assert (programs.recipe, programs.needs) == ("crystfel", ("desktop",))
    assert (last.recipe, last.needs) == ("python", ("crystfel.programs", "build"))
    assert last.arguments["FOUNDATION"] == programs.reference
    assert not programs.published
    recipes = {"base": set(), "desktop": set(), "python": set()}
    found = plan_images(USE_CASES, registry="r", origin=ORIGIN, recipes=recipes)["crystfel"]
    assert found.missing == "no recipe yet: there is no images/crystfel"


@pytest.mark.parametrize("site_name", shipped_sites())
def test_a_launch_names_the_image_that_is_built(site_name):
    site = load_site(site_name)
    images = plan_images(USE_CASES, registry=site.registry, origin=ORIGIN, recipes=set())
    launch = plan("pyfai", Asked(), use_cases=USE_CASES, site=site, user="ada")
    assert launch.image == images["pyfai"].reference


def test_references_are_such_as_docker_takes():
    for image in IMAGES.values():
        assert re.fullmatch(r"[a-z0-9.:/-]+:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", image.reference)
    assert reference("r", "base", "1.0+x") == "r/base:1.0-x"


@pytest.mark.parametrize("name", RESERVED)
def test_a_use_case_can_not_take_the_name_of_another_image(name):
    with pytest.raises(ImageError, match=f"can't be named '{name}'"):
        planned({name: USE_CASES["pyfai"]})


def test_what_an_image_needs_comes_with_it():
    assert set(with_needs(IMAGES, [IMAGES["ptycho"]])) == {"build", "foundation", "ptycho"}
    assert set(with_needs(IMAGES, [IMAGES["base"]])) == {"build", "foundation", "base"}
    assert set(with_needs(IMAGES, [IMAGES["hub"]])) == {"build", "hub"}


def test_without_names_what_users_can_open_is_meant_and_by_name_what_is_coming_too():
    assert {image.name for image in select(IMAGES, [])} == {"base", "hub", *READY}
    assert [image.name for image in select(IMAGES, ["savu"])] == ["savu"]


def test_a_wrong_name_gets_the_nearest_right_one():
    with pytest.raises(ImageError, match="Did you mean 'pyfai'"):
        select(IMAGES, ["pyfia"])
    with pytest.raises(ImageError, match=f"There are base, hub, {next(iter(USE_CASES))}, "):
        select(IMAGES, ["zzz"])
    bare = plan_images(USE_CASES, registry="r", origin=ORIGIN, recipes=set())
    with pytest.raises(ImageError, match="no recipe yet: there is no images/savu"):
        select(bare, ["savu"])


# labels


@pytest.mark.parametrize("name", USE_CASES)
def test_labels_tell_source_revision_licences_documentation_and_data(name):
    labels, manifest = IMAGES[name].labels, USE_CASES[name].manifest
    oci = "org.opencontainers.image."
    assert labels[f"{oci}source"] == ORIGIN.source
    assert labels[f"{oci}revision"] == ORIGIN.revision
    assert labels[f"{oci}version"] == manifest.version
    assert labels[f"{oci}documentation"].startswith("http")
    assert all(software.licence in labels[f"{oci}licenses"] for software in manifest.software)
    assert all(f"{name}/{data}" in labels["org.beamhub.data-sets"] for data in manifest.data_sets)
    assert not any("\n" in value for value in labels.values())


def test_licences_are_one_expression():
    assert licences(["MIT", "A OR B", "MIT"]) == "(A OR B) AND BSD-3-Clause AND MIT"


def test_what_is_not_known_is_no_label():
    image = plan_images(USE_CASES, registry="r", origin=Origin("1"), recipes=set())["pyfai"]
    assert not {"org.opencontainers.image.source", "org.opencontainers.image.revision"} & set(
        image.labels
    )


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("https://u:p@git.example.org/a/b.git", "https://git.example.org/a/b.git"),
        ("https://git.example.org:8443/a", "https://git.example.org:8443/a"),
        ("git@git.example.org:a/b.git", ""),
        ("/home/me/beamhub", ""),
        ("", ""),
    ],
)
def test_the_repository_is_told_without_a_password(address, public):
    assert context.without_credentials(address) == public


# what Docker is asked for


def test_a_build_is_told_its_parents_its_secrets_and_nothing_of_the_environment():
    arguments = build_arguments(
        IMAGES["pyfai"],
        secrets={"ca": Path("/tmp/s/ca")},
        passed=["HTTPS_PROXY"],
        network="host",
    )
    said = " ".join(arguments)
    assert arguments[0] == "build"
    assert arguments[-1] == "."
    assert "--file images/python/Dockerfile" in said
    assert "--build-arg BUILD=ghcr.io/beamhub/base:0.1.0-dev-build" in said
    assert "--build-arg FOUNDATION=ghcr.io/beamhub/base:0.1.0-dev-desktop" in said
    assert "--build-arg HTTPS_PROXY " in said
    assert "--secret id=ca,src=/tmp/s/ca" in said
    assert "--network host" in said
    assert "--target" not in said
    stage = build_arguments(IMAGES["build"], secrets={}, passed=[], network="default")
    assert stage[stage.index("--target") + 1] == "build"


def test_programs_behind_a_gate_reach_the_build_as_one_word_each():
    gates = USE_CASES["crystfel"].manifest.licence_gates
    words = IMAGES["crystfel"].arguments["GATED"].split()
    assert {gate.program for gate in gates} < set(words)
    assert "ipmosflm" in words


def test_builds_take_the_arguments_that_their_recipes_know():
    known = context.recipes()
    images = with_needs(IMAGES, [IMAGES["crystfel"], IMAGES["ptycho"]])
    found = with_arguments(images, {"CRYSTFEL": "mirror/crystfel:1", "TORCH": "cu130"}, known)
    assert found["crystfel.programs"].arguments["CRYSTFEL"] == "mirror/crystfel:1"
    assert found["ptycho"].arguments["TORCH"] == "cu130"
    assert "TORCH" not in found["crystfel.programs"].arguments
    for name in ("TROCH", "GATED", "VERSION"):
        with pytest.raises(ImageError, match=f"an argument '{name}'. There are ACCEPTED, CRYSTFEL"):
            with_arguments(images, {name: "x"}, known)


def test_an_argument_without_a_value_is_told():
    status, said = beamhub("images", "build", "ptycho", "--build-arg", "TORCH")
    assert status == 1
    assert "--build-arg TORCH: write NAME=VALUE." in said


@pytest.mark.parametrize("name", READY)
def test_a_test_is_the_use_cases_own_notebooks_in_a_container_that_can_do_nothing_else(name):
    arguments = self_test_arguments(IMAGES[name])
    image = arguments.index(IMAGES[name].reference)
    assert {
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--rm",
    } <= set(arguments[:image])
    assert any(a.startswith("--memory=") for a in arguments[:image])
    # As in a portal, under a number that the image doesn't know.
    assert [a for a in arguments if a.startswith("--user")] == [f"--user={UID}:{UID}"]
    assert not any(a.startswith(("--privileged", "--volume", "-v")) for a in arguments)
    notebooks = [n.file for n in USE_CASES[name].manifest.notebooks]
    assert arguments[image + 1 : image + 5] == ["python", "-P", "-m", "workbench.run"]
    assert arguments[-len(notebooks) :] == notebooks


def test_one_notebook_can_be_tested_alone():
    assert self_test_arguments(IMAGES["pyfai"], "02_integrate.ipynb")[-1] == "02_integrate.ipynb"
    with pytest.raises(ImageError, match="has no notebook '--rm'"):
        self_test_arguments(IMAGES["pyfai"], "--rm")
    with pytest.raises(ImageError, match="It has none yet"):
        self_test_arguments(without_notebooks("crystfel"), "01.ipynb")


def without_notebooks(name):
    """Return the image of a use case as it was before its tutorials were written."""
    case = USE_CASES[name]
    changes = {"notebooks": [], "programs": ["indexamajig", "partialator"], "coming": ["Notebooks"]}
    return replace(
        IMAGES[name],
        use_case=replace(case, manifest=case.manifest.model_copy(update=changes)),
    )


def test_what_has_no_notebooks_is_tested_by_its_parts():
    image = without_notebooks("crystfel")
    arguments = self_test_arguments(image)
    command = arguments[arguments.index(image.reference) + 1 :]
    assert command[:4] == ["python", "-P", "-m", "workbench.parts"]
    assert "--requirements=/opt/beamhub/notebooks/crystfel/requirements.txt" in command
    assert {"--program=indexamajig", "--program=partialator"} <= set(command)


# what is sent


@pytest.fixture
def old_umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_a_context_holds_what_the_image_is_made_of_and_no_more(old_umask):
    with context.build_context(IMAGES["pyfai"]) as folder:
        files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
        assert {
            "images/python/Dockerfile",
            "images/software.py",
            "notebooks/constraints.txt",
            "notebooks/pyfai/requirements.txt",
            "pyproject.toml",
            "workbench/overrides.json",
            "workbench/run.py",
        } <= set(files)
        assert {name.partition("/")[0] for name in files} == {
            "images",
            "notebooks",
            "pyproject.toml",
            "workbench",
        }
        assert not [name for name in files if "pymca" in name or name.endswith(".pyc")]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o644}
        assert sum(path.stat().st_size for path in files.values()) < 2e6
        project = tomllib.loads(files["pyproject.toml"].read_text())["project"]
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for found, meant in [
        (project["dependencies"], shipped["dependencies"]),
        (project["optional-dependencies"]["server"], shipped["optional-dependencies"]["server"]),
    ]:
        assert sorted(map(plain, found)) == sorted(map(plain, meant))


def test_the_portals_own_image_is_made_of_all_that_a_portal_is(old_umask):
    with context.build_context(IMAGES["hub"]) as folder:
        files = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
        assert {
            "constraints.txt",
            "hub/templates/catalogue.html",
            "images/hub/Dockerfile",
            "notebooks/pymca/usecase.yaml",
            "package-lock.json",
            "site_profiles/compose.yaml",
            "spawners/container.py",
            "workbench/overrides.json",
        } <= set(files)
        assert not [name for name in files if name.endswith(".pyc") or name.startswith("tests")]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o644}


def test_without_a_checkout_the_portals_own_image_can_not_be_made(monkeypatch, tmp_path):
    monkeypatch.setattr(context, "CHECKOUT", tmp_path)
    hub = planned()["hub"]
    assert hub.missing == "can only be made in a checkout of BeamHub"
    assert "base" in {image.name for image in select(planned(), [])}


def plain(requirement: str) -> tuple[str, list[str]]:
    name = re.match(r"[A-Za-z0-9_-]+", requirement)[0]
    return name.replace("_", "-").lower(), sorted(requirement[len(name) :].split(","))


def test_a_use_case_from_elsewhere_is_sent_too(tmp_path):
    beamhub("new", "use-case", "mine", "--in", tmp_path)
    image = planned(load_use_cases([tmp_path]))["mine"]
    assert not image.missing
    with context.build_context(image) as folder:
        assert (folder / "notebooks/mine/01_first_steps.ipynb").is_file()


def test_recipes_copy_only_what_is_sent():
    for path in sorted((ROOT / "images").glob("*/Dockerfile")):
        text = path.read_text().replace("\\\n", " ")
        for line in re.findall(r"^COPY (?!--from).*$", text, re.MULTILINE):
            for source in [w for w in line.split()[1:-1] if not w.startswith("--")]:
                # A pattern is for what only some use cases have.
                name = "*" if "[" in source else "pyfai"
                there = list(ROOT.glob(source.replace("${NAME}", name)))
                assert there, f"{path}: {source}"


def test_recipes_ask_for_no_image_from_a_registry_but_debian_and_those_of_upstream():
    for path in sorted((ROOT / "images").glob("*/Dockerfile")):
        text = path.read_text()
        assert "# syntax" not in text, "a frontend would have to come from a registry"
        stages = set(re.findall(r"^FROM \S+ AS (\w+)$", text, re.MULTILINE))
        begun = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE))
        upstream = {"${CRYSTFEL}"} if path.parent.name == "crystfel" else {"${MICROMAMBA}"}
        upstream = upstream if path.parent.name in ("crystfel", "savu") else set()
        assert begun - stages <= {"${DEBIAN}", "${BUILD}", "${FOUNDATION}", *upstream}


def test_certificates_and_index_are_secrets(tmp_path, monkeypatch):
    (tmp_path / "my,ca.pem").write_text("certificate")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://u:p@pypi.example.org/simple")
    with context.build_secrets(tmp_path / "my,ca.pem") as secrets:
        assert secrets["ca"].read_text() == "certificate"
        assert secrets["index"].read_text() == "https://u:p@pypi.example.org/simple"
        assert "," not in str(secrets["ca"])
        assert stat.S_IMODE(secrets["ca"].parent.stat().st_mode) == 0o700
    assert not secrets["ca"].exists()
    with pytest.raises(ImageError, match="can't be read: No such file"):
        context.build_secrets(tmp_path / "none").__enter__()


def test_only_proxies_are_passed_on():
    found = context.passed_variables({"HTTPS_PROXY": "http://p", "no_proxy": "x", "TOKEN": "t"})
    assert found == ["HTTPS_PROXY", "no_proxy"]


# what is told


PROGRESS = """\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s

#4 [system 1/3] FROM docker.io/library/debian:trixie-slim
#4 DONE 0.0s

#9 [build 5/5] RUN --mount=type=secret,id=ca     sh /opt/online.sh   uv pip install
#10 [stage-1 4/7] COPY workbench /opt/beamhub/lib/workbench
#9 0.531 Resolved 99 packages in 313ms
#10 CACHED
#9 DONE 40.6s
#11 [stage-1 5/7] RUN false
#11 ERROR: process "/bin/sh -c false" did not complete successfully: exit code: 1
"""


def test_progress_is_a_line_a_step():
    assert list(docker.steps(iter(PROGRESS.splitlines(keepends=True)))) == [
        "[stage-1 4/7] COPY workbench /opt/beamhub/lib/workbench  as before",
        "[build 5/5] RUN sh /opt/online.sh uv pip install  41 s",
        "[stage-1 5/7] RUN false  FAILED",
    ]


def test_a_registry_out_of_reach_is_told():
    log = (
        "#4 [internal] load metadata for r/base:1\n#4 DONE 0.0s\n"
        "#3 [internal] load metadata for docker.io/a/b:2.3.0\n#3 sha256:d8\n"
        '#3 ERROR: failed to do request: Head "https://registry-1.docker.io": no such host\n'
    )
    assert docker.failure(log).startswith("The recipe begins from docker.io/a/b:2.3.0, which can't")
    assert docker.failure(PROGRESS) == "The build failed."


def test_the_record_survives_what_is_not_one(tmp_path):
    made = Made(id="sha256:1", size_bytes=5)
    assert read_record(tmp_path) == {}
    note(tmp_path, {"a": made})
    note(tmp_path, {"b": made.model_copy(update={"digest": DIGEST})})
    assert read_record(tmp_path)["a"] == made
    assert read_record(tmp_path)["b"].digest == DIGEST
    for text in ("", "[]", '{"a": 1}', '{"a": {"id": 1, "huge": 2}}'):
        (tmp_path / "images.json").write_text(text)
        assert read_record(tmp_path) == {}


# a program named docker that is not Docker: how it's called, and what follows from what it says


FAKE = """\
#!{python}
import json, os, sys, time
open(os.environ["CALLS"], "a").write(json.dumps(sys.argv[1:]) + "\\n")
words = sys.argv[1:]
if words[0] == "build":
    name = words[words.index("--tag") + 1]
    print(f"#5 [build 1/1] RUN {{name}}", flush=True)
    if os.environ.get("FAILS", "none") in name:
        sys.exit("no space left on device")
    print("#5 DONE 0.2s")
elif words[:2] == ["image", "inspect"]:
    print(json.dumps([{{"Id": "sha256:5", "Size": 7, "RepoDigests": []}}]))
elif words[0] == "version":
    print(os.environ.get("VERSION", "20.10.24"))
elif words[0] == "buildx":
    sys.exit(1)
elif words[0] == "history":
    print("7\\tRUN something")
elif words[0] == "run":
    print("{{}}")
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Returns the calls of a program that stands in for Docker at the edge."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(FAKE.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    told = (*child_processes.FOR_DOCKER, "CALLS", "FAILS", "VERSION")
    monkeypatch.setattr(child_processes, "FOR_DOCKER", told)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    path = tmp_path / "calls"
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


def test_images_are_built_after_those_they_need(calls):
    status, said = beamhub("images", "build", "pyfai", "base", "--jobs", 3)
    assert status == 0, said
    tags = [c[c.index("--tag") + 1] for c in calls() if c[0] == "build"]
    assert [t.rpartition("-")[2] for t in tags[:2]] == ["build", "foundation"]
    rest = [t.rpartition("/")[2] for t in tags[2:]]
    assert sorted(rest) == ["base:0.1.0", "base:0.1.0-desktop", "pyfai:1.0.0"]
    assert rest.index("pyfai:1.0.0") > rest.index("base:0.1.0-desktop")
    assert "pyfai       [build 1/1] RUN ghcr.io/beamhub/pyfai:1.0.0  0 s" in said
    assert Path("state/logs/images/pyfai.log").is_file()
    assert Path("state/images/pyfai.cdx.json").is_file()
    assert not Path("state/images/build.cdx.json").exists()
    assert len(read_record(Path("state"))) == 5


def test_a_build_that_fails_stops_those_that_need_it_and_ends_with_the_log(calls, monkeypatch):
    monkeypatch.setenv("FAILS", "foundation")
    status, said = beamhub("images", "build", "pyfai")
    assert status == 1
    assert "foundation: The build failed. " in said
    assert said.rstrip().endswith("no space left on device")
    assert "Traceback" not in said
    assert len([c for c in calls() if c[0] == "build"]) == 2


def test_one_failure_leaves_the_others_finished(calls, monkeypatch, tmp_path):
    monkeypatch.setenv("FAILS", "pymca")
    wanted = {
        n: Image(n, f"r/{n}:1", "base", needs=needs)
        for n, needs in [("pymca", ()), ("base", ()), ("pyfai", ("base",))]
    }
    said: list[str] = []
    with pytest.raises(ImageError, match="pymca: The build failed"):
        build_all(wanted, Settings(tmp_path, {}), jobs=2, say=lambda name, text: said.append(name))
    assert "r/base:1" in read_record(tmp_path)
    assert "r/pymca:1" not in read_record(tmp_path)


def test_a_client_without_its_build_plugin_is_told(calls, monkeypatch):
    monkeypatch.setenv("VERSION", "28.2.2")
    status, said = beamhub("images", "build", "base")
    assert status == 1
    assert "apt-get install docker-buildx" in said


def test_a_machine_without_docker_is_told(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    for command in ("build", "test", "push", "pull"):
        status, said = beamhub("images", command, "pyfai")
        assert status == 1
        assert "Docker is not installed on this machine: apt-get install docker.io" in said


def test_list_and_digest_need_no_docker(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    status, said = beamhub("images", "list")
    assert status == 0
    assert "pyfai  ghcr.io/beamhub/pyfai:1.0.0  images/python" in said
    assert "not made yet: beamhub images build pyfai" in said
    version = USE_CASES["crystfel"].manifest.version
    assert f"crystfel  ghcr.io/beamhub/crystfel:{version}  images/crystfel" in said
    assert "desktop" not in said
    status, said = beamhub("images", "digest", "pyfai")
    assert status == 1
    assert said == "ghcr.io/beamhub/pyfai:1.0.0  not made yet\n"
    Path("state").mkdir()
    note(
        Path("state"),
        {"ghcr.io/beamhub/pyfai:1.0.0": Made(id="sha256:1", size_bytes=875_000_000, digest=DIGEST)},
    )
    assert beamhub("images", "digest", "pyfai") == (
        0,
        f"ghcr.io/beamhub/pyfai:1.0.0  {DIGEST}\n",
    )
    assert f"875 MB  {DIGEST}" in beamhub("images", "list")[1]


def test_references_follow_the_sites_registry():
    Path("mine.yaml").write_text("extends: laptop\nregistry: registry.example.org/photon\n")
    assert (
        "registry.example.org/photon/pyfai:" in beamhub("images", "list", "--site", "mine.yaml")[1]
    )


# the list of software, whose script runs inside builds


@pytest.fixture(scope="module")
def software() -> ModuleType:
    spec = importlib.util.spec_from_file_location("software", ROOT / "images/software.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["software"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["software"]


@pytest.mark.parametrize(
    ("about", "licences_found"),
    [
        ({"License-Expression": "MIT"}, ["MIT"]),
        ({"License": "BSD 3-Clause"}, ["BSD 3-Clause"]),
        ({"License": "Copyright (c) ...\n\nPermission is"}, ["MIT License"]),
        ({"License": "UNKNOWN"}, ["MIT License"]),
        ({}, ["MIT License"]),
    ],
)
def test_licences_of_python_packages_are_read(software, about, licences_found):
    classifiers = ["License :: OSI Approved", "License :: OSI Approved :: MIT License"]
    assert software.python_licences(about, classifiers) == licences_found


def test_licences_of_debian_packages_are_read(software, tmp_path):
    path = tmp_path / "copyright"
    path.write_text("Files: *\nLicense: GPL-2+\n text\n\nFiles: x\nLicense: Expat\n\nLicense:\n")
    assert software.debian_licences(path) == ["Expat", "GPL-2+"]
    assert software.debian_licences(tmp_path / "none") == []


def test_a_program_behind_a_gate_is_found_however_it_came(software, tmp_path):
    for name in ("xds_par", "ccp4-9", "DirAx", "ccp40", "felixible"):
        (tmp_path / name).write_text("")
    found = software.programs_found(["XDS", "CCP4", "DirAx", "Felix"], [str(tmp_path), "/none"])
    assert [re.match(r"\S+", f)[0] for f in found] == [
        str(tmp_path / n) for n in ("DirAx", "ccp4-9", "xds_par")
    ]
    parts = [software.Part("pypi", "dirax", "1"), software.Part("deb", "x", "1", private=True)]
    parts.append(software.Part("pypi", "nvidia-cublas", "13", private=True))
    said = software.not_to_be_passed_on(parts, ["DirAx"], ("nvidia",))
    assert said == [
        "dirax is behind a licence gate, so no image may contain it.",
        "x 1 says of itself that it isn't free software, so it can't be passed on in an image.",
    ]


@pytest.mark.parametrize(
    ("licence", "free"),
    [
        ("LGPL-3.0-only OR GPL-2.0-only OR GPL-3.0-only", True),
        ("BSD 3-Clause", True),
        ("LicenseRef-NVIDIA-Proprietary", False),
        ("NVIDIA Proprietary Software", False),
        ("NVIDIA End User License Agreement", False),
        ("Intel Proprietary", False),
    ],
)
def test_a_licence_that_is_not_a_free_one_is_known_by_its_words(software, licence, free):
    assert software.is_not_free([licence]) is not free


def test_conda_packages_and_programs_of_recipes_are_listed(software, tmp_path, monkeypatch):
    (tmp_path / "conda-meta").mkdir()
    about = {"name": "savu-lite", "version": "4.2", "license": "Apache-2.0 AND GPL-3.0-only"}
    (tmp_path / "conda-meta/savu.json").write_text(json.dumps(about))
    (tmp_path / "crystfel").write_text("CrystFEL\t0.12.0\tGPL-3.0-or-later\n")
    monkeypatch.setattr(software, "CONDA", f"{tmp_path}/conda-meta/*.json")
    monkeypatch.setattr(software, "BY_RECIPE", f"{tmp_path}/crystfel")
    assert [*software.conda_parts(), *software.parts_by_recipe()] == [
        software.Part("conda", "savu-lite", "4.2", ("Apache-2.0 AND GPL-3.0-only",)),
        software.Part("generic", "CrystFEL", "0.12.0", ("GPL-3.0-or-later",)),
    ]
