"""Environments: named by what goes in, made once, by the real uv."""

import asyncio
import fcntl
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

import workbench
from hub.usecases import NOTEBOOKS
from spawners import environments
from spawners.environments import BuildError, Recipe, ensure, reason, server_requirements, tell

WORKBENCH = Path(workbench.__file__).parent


@pytest.fixture
def parts(tmp_path) -> Path:
    """A folder with everything that goes into a small environment."""
    (tmp_path / "workbench").mkdir()
    (tmp_path / "workbench/__init__.py").write_text("ANSWER = 42\n")
    (tmp_path / "workbench/overrides.json").write_text("{}\n")
    (tmp_path / "workbench/kernel.json").write_text("{}\n")
    (tmp_path / "workbench/labextensions/beamhub").mkdir(parents=True)
    (tmp_path / "workbench/labextensions/beamhub/package.json").write_text("{}\n")
    (tmp_path / "requirements.txt").write_text("one==1\ntwo==2\n")
    (tmp_path / "constraints.txt").write_text("three==3\n")
    return tmp_path


def recipe(folder: Path, constraints: str | None = "constraints.txt") -> Recipe:
    return Recipe(
        requirements=folder / "requirements.txt",
        constraints=folder / constraints if constraints else None,
        workbench=folder / "workbench",
    )


def test_constraints_of_its_own_take_the_place_of_the_shared_ones(parts, tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    shared = parts / "constraints.txt"
    (folder / "requirements.txt").write_text("one==1\n")
    assert Recipe.of(folder, shared, WORKBENCH).constraints == shared
    assert Recipe.of(folder, None, WORKBENCH).constraints is None
    (folder / "constraints.txt").write_text("three==2\n")
    assert Recipe.of(folder, shared, WORKBENCH).constraints == folder / "constraints.txt"


def test_the_same_parts_give_the_same_name(parts):
    assert recipe(parts).name == recipe(parts).name
    assert len(recipe(parts).name) == 16


@pytest.mark.parametrize(
    "file",
    [
        "requirements.txt",
        "constraints.txt",
        "workbench/__init__.py",
        "workbench/overrides.json",
        "workbench/kernel.json",
        "workbench/labextensions/beamhub/package.json",
    ],
)
def test_whatever_goes_in_changes_the_name(parts, file):
    before = recipe(parts).name
    (parts / file).write_text((parts / file).read_text() + "# more\n")
    assert recipe(parts).name != before


def test_a_new_or_renamed_module_of_the_workbench_changes_the_name(parts):
    names = {recipe(parts).name}
    (parts / "workbench/fit.py").write_text("x = 1\n")
    names.add(recipe(parts).name)
    (parts / "workbench/fit.py").rename(parts / "workbench/fits.py")
    names.add(recipe(parts).name)
    assert len(names) == 3


def test_a_pin_that_becomes_a_constraint_changes_the_name(parts):
    before = recipe(parts).name
    (parts / "requirements.txt").write_text("one==1\n")
    (parts / "constraints.txt").write_text("two==2\nthree==3\n")
    assert recipe(parts).name != before


def test_what_servers_need_changes_the_name(parts, monkeypatch):
    before = recipe(parts).name
    monkeypatch.setattr(environments, "server_requirements", lambda: ["jupyterlab==99"])
    assert recipe(parts).name != before


def test_the_shipped_use_cases_have_environments_of_their_own():
    folders = [path.parent for path in NOTEBOOKS.glob("*/requirements.txt")]
    names = {Recipe(f / "requirements.txt", None, WORKBENCH).name for f in folders}
    assert len(names) == len(folders) > 0


def test_every_server_gets_what_notebooks_and_their_pages_need():
    needed = " ".join(server_requirements())
    for package in ("pydantic", "pyyaml", "jupyterlab", "jupyterhub", "ipykernel", "ipympl"):
        assert package in needed
    assert "extra ==" not in needed
    assert "dockerspawner" not in needed


# What uv says, in a person's words


def test_progress_is_told_in_words_and_only_upwards():
    told = []
    log = """\
    Resolved 1 package in 3ms
    Resolved 120 packages in 1.2s
       Downloading scipy (35.1MiB)
     Downloaded scipy
       Building fisx==1.3.2
          Built fisx==1.3.2
    Prepared 120 packages in 9s
    Installed 120 packages in 2s
     + scipy==1.17.1
    warning: something else
    """
    for line in textwrap.dedent(log).splitlines():
        tell(line, lambda percent, text: told.append((percent, text)))
    assert [percent for percent, _ in told] == sorted(percent for percent, _ in told)
    assert (15, "120 packages are needed") in told
    assert (45, "Compiling fisx==1.3.2, which takes a minute or two") in told
    assert len(told) == 8


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("error: command 'g++' failed: No such file or directory", "apt-get install g++"),
        ("fatal error: Python.h: No such file or directory", "python3-dev"),
        ("error sending request for url (https://pypi.org/simple/x/)", "could not be reached"),
        ("failed to lookup address information: dns error", "could not be reached"),
        ("error: No space left on device (os error 28)", "disk is full"),
        ("No solution found when resolving dependencies", "don't resolve here"),
    ],
)
def test_a_failure_says_what_to_do(log, words):
    said = reason(["Resolved 3 packages", log])
    assert words in said
    assert "\n" not in said


# The real uv, with packages made here: no network


def wheel(folder: Path, name: str, *, needs: str = "") -> Path:
    """Make a package of one module, as small as one can be."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "VALUE = 7\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)
    return path


@pytest.fixture
def tiny(parts, monkeypatch) -> Recipe:
    """An environment with one small package, and nothing that a server needs."""
    monkeypatch.setattr(environments, "server_requirements", list)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(parts / "cache"))
    (parts / "requirements.txt").write_text(f"{wheel(parts, 'tinypackage')}\n")
    return recipe(parts, None)


def made(folder: Path, recipe: Recipe) -> tuple[Path, list[tuple[int, str]]]:
    told: list[tuple[int, str]] = []
    path = asyncio.run(ensure(folder, recipe, lambda percent, text: told.append((percent, text))))
    return path, told


def run(environment: Path, code: str) -> str:
    command = [environment / "bin/python", "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, cwd="/"
    ).stdout.strip()


def test_an_environment_holds_the_requirements_and_the_workbench(parts, tiny):
    environment, told = made(parts / "environments", tiny)
    code = "import tinypackage, workbench; print(tinypackage.VALUE, workbench.ANSWER)"
    assert run(environment, code) == "7 42"
    assert told[0][1].startswith("Making a Python environment")
    assert [percent for percent, _ in told] == sorted(percent for percent, _ in told)
    assert made(parts / "environments", tiny) == (environment, [])


def test_every_account_can_read_an_environment(parts, tiny):
    environment, _ = made(parts / "environments", tiny)
    for path in [environment, *environment.rglob("*")]:
        if not path.is_symlink():
            needed = 0o055 if path.is_dir() else 0o044
            assert path.stat().st_mode & needed == needed or path.name == ".lock", path


def test_two_at_the_same_moment_build_once(parts, tiny):
    told: list[str] = []

    async def both():
        one = ensure(parts / "environments", tiny, lambda _, text: told.append(text))
        two = ensure(parts / "environments", tiny, lambda _, text: told.append(text))
        return await asyncio.gather(one, two)

    first, second = asyncio.run(both())
    assert first == second
    assert sum(text.startswith("Making a Python environment") for text in told) == 1
    assert sum("waiting for its software" in text for text in told) == 1


def test_another_process_that_builds_is_waited_for(parts, tiny):
    folder = parts / "environments"
    folder.mkdir()
    code = (
        "import fcntl, pathlib, sys, time\n"
        "lock = open(sys.argv[1] + '.lock', 'w'); fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "print('locked', flush=True); time.sleep(1)\n"
        "made = pathlib.Path(sys.argv[1]); made.mkdir(); (made / '.ready').touch()\n"
    )
    command = [sys.executable, "-c", code, str(folder / tiny.name)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        environment, told = made(folder, tiny)
    assert told == [(5, "Somebody else is opening this use case: waiting for its software")]
    assert not (environment / "bin").exists()  # what the other made counts


def test_what_a_broken_build_left_is_not_mistaken_for_an_environment(parts, tiny):
    half = parts / "environments" / tiny.name
    half.mkdir(parents=True)
    (half / "rubbish").touch()
    environment, _ = made(parts / "environments", tiny)
    assert not (environment / "rubbish").exists()
    assert run(environment, "import tinypackage; print(1)") == "1"


@pytest.mark.parametrize(
    "requirement",
    [
        "no-such-package-anywhere==1.0",
        "tinypackage==2.0\n--find-links .",
        "not a requirement at all",
    ],
)
def test_an_impossible_requirement_is_told_and_leaves_nothing_ready(parts, tiny, requirement):
    (parts / "requirements.txt").write_text(requirement.replace(" .", f" {parts}") + "\n")
    with pytest.raises(BuildError) as caught:
        made(parts / "environments", tiny)
    assert str(caught.value) == (
        "The use case's software could not be installed: its requirements don't resolve here."
    )
    assert caught.value.log
    assert not list((parts / "environments").rglob(".ready"))


def test_requirements_that_contradict_each_other_are_told(parts, tiny):
    other = wheel(parts, "otherpackage", needs="Requires-Dist: tinypackage>=2\n")
    with (parts / "requirements.txt").open("a") as file:
        file.write(f"{other}\n")
    with pytest.raises(BuildError, match="don't resolve here"):
        made(parts / "environments", tiny)


def test_an_unreachable_index_is_told(parts, tiny, monkeypatch):
    monkeypatch.delenv("UV_OFFLINE")
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (parts / "requirements.txt").write_text("no-such-package==1.0\n")
    with pytest.raises(BuildError, match="could not be reached"):
        made(parts / "environments", tiny)


def test_a_start_that_is_given_up_ends_uv_and_frees_the_lock(parts, tiny, monkeypatch):
    slow = parts / "uv"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(environments, "find_uv_bin", lambda: str(slow))

    async def given_up():
        task = asyncio.ensure_future(ensure(parts / "environments", tiny, lambda *_: None))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(given_up())
    with (parts / "environments" / f"{tiny.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


# PyTorch: the build that fits the machine


@pytest.mark.parametrize(
    ("line", "held"),
    [
        ("torch==2.14.1", True),
        ("torch>=2.4  # any", True),
        ("torch", True),
        ("torchvision==0.29.1", False),
        ("torch-geometric==2.7", False),
        ("# torch is not needed", False),
    ],
)
def test_only_who_asks_for_pytorch_itself_gets_a_build_for_the_machine(tmp_path, line, held):
    (tmp_path / "requirements.txt").write_text(f"numpy==2.4.6\n{line}\n")
    assert environments.holds_torch(tmp_path / "requirements.txt") is held


@pytest.fixture
def pytorch(tiny, monkeypatch) -> list[list[str]]:
    """The real uv behind a record of what it was asked; PyTorch's own index is out of reach."""
    asked: list[list[str]] = []
    real = environments.uv

    async def recorded(arguments, report):
        asked.append(arguments)
        if "--torch-backend" in arguments:
            raise BuildError("no", f"Failed to fetch: https://{environments.PYTORCH_INDEX}/whl/cpu")
        await real(arguments, report)

    monkeypatch.setattr(environments, "uv", recorded)
    monkeypatch.setattr(environments, "holds_torch", lambda path: True)
    monkeypatch.delenv("UV_TORCH_BACKEND", raising=False)
    return asked


def test_without_pytorchs_index_the_package_index_will_do_and_that_is_said(parts, tiny, pytorch):
    environment, told = made(parts / "environments", tiny)
    assert [arguments[-1] == "auto" for arguments in pytorch] == [False, True, False]
    assert any("several GB large" in text for _, text in told)
    assert [percent for percent, _ in told] == sorted(percent for percent, _ in told)
    assert run(environment, "import tinypackage; print(1)") == "1"


def test_a_build_of_pytorch_that_an_administrator_chose_is_not_second_guessed(
    parts, tiny, pytorch, monkeypatch
):
    monkeypatch.setenv("UV_TORCH_BACKEND", "cpu")
    made(parts / "environments", tiny)
    assert not any("--torch-backend" in arguments for arguments in pytorch)
