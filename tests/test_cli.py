"""The command, as people type it: help, findings, exits."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from hub.cli import app
from hub.cli.run import runnable
from hub.schemas import SCHEMAS
from hub.site import load_site, shipped_sites
from hub.usecases import load_use_cases

RUNNER = CliRunner()
COMMANDS = [
    [],
    ["serve"],
    ["check"],
    ["show"],
    ["schema"],
    ["run"],
    ["new"],
    ["new", "use-case"],
    ["new", "site"],
    ["images"],
    ["licences"],
    ["licences", "list"],
    ["licences", "export"],
    *(["images", name] for name in ("list", "build", "test", "push", "pull", "digest", "sif")),
]
SECRET = "hunter2-Xq9"


def beamhub(*arguments: object) -> tuple[int, str]:
    """Return the exit status and all that is said."""
    result = RUNNER.invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEAMHUB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_teaches(command):
    status, said = beamhub(*command, "--help")
    assert status == 0
    assert f"Usage: {' '.join(['beamhub', *command])} " in said.replace("root ", "beamhub ")
    assert len(said) > 200
    assert "`" not in said


def test_the_command_is_installed():
    program = Path(sys.executable).with_name("beamhub")
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    for command in ("serve", "check", "show", "schema", "run", "new", "data", "images"):
        assert re.search(rf"^  {command} ", said.stdout, re.MULTILINE)


def test_an_option_that_does_not_exist_is_refused():
    assert beamhub("serve", "--prot", 9000)[0] == 2
    assert beamhub("serve", "--port", 80)[0] == 2
    assert beamhub("no-such-command")[0] == 2


# check


@pytest.mark.parametrize("name", shipped_sites())
def test_check_passes_a_whole_profile_and_lists_what_a_template_lacks(name):
    status, said = beamhub("check", name, "--declarations-only")
    template = load_site(name).template
    assert status == (1 if template else 0)
    assert f"✓ site profile '{name}'" in said
    assert all(f"✗ to fill in: {sentence}" in said for sentence in template)
    assert ("All is well." in said) is not bool(template)


def test_check_names_file_and_line():
    Path("mine.yaml").write_text("extends: laptop\nsizes:\n  small: {title: S, coers: 1}\n")
    status, said = beamhub("check", "mine.yaml")
    assert status == 1
    assert "mine.yaml:3: sizes.small.coers: unknown key: did you mean 'cores'?" in said
    assert "Traceback" not in said


def test_check_finds_wrong_manifests_of_ones_own():
    beamhub("new", "use-case", "mine", "--in", "own")
    with Path("own/mine/usecase.yaml").open("a") as file:
        file.write("minuts: 3\n")
    status, said = beamhub("check", "--use-cases", "own", "--declarations-only")
    assert status == 1
    assert "own/mine/usecase.yaml:" in said
    assert "did you mean 'minutes'?" in said


def test_check_names_folders_for_data_that_are_not_there():
    text = "extends: laptop\ndata: {roots: [/no/such/root], cache: /no/such/cache}\n"
    Path("mine.yaml").write_text(text, encoding="utf-8")
    status, said = beamhub("check", "mine.yaml")
    assert status == 1
    assert "data.roots: there is no folder /no/such/root." in said
    assert "install -d -m 1777 /no/such/cache" in said
    Path("open").mkdir()
    Path("open").chmod(0o777)
    Path("mine.yaml").write_text(text.replace("/no/such/cache", str(Path("open").resolve())))
    assert f"chmod +t {Path('open').resolve()}" in beamhub("check", "mine.yaml")[1]


def test_check_names_restricted_programs_that_are_missing_or_everybodys(monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    text = "extends: laptop\nprograms:\n  xds: {source: /no/such/folder, bin: b}\n"
    text += f"  dirax: {{source: {tmp_path}, bin: bin}}\n"
    Path("mine.yaml").write_text(text, encoding="utf-8")
    status, said = beamhub("check", "mine.yaml")
    assert status == 1
    assert "programs.xds: there is no folder /no/such/folder/b." in said
    assert f"programs.dirax: {tmp_path}/bin is on the PATH of this account" in said


def test_check_says_what_this_machine_lacks(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    status, said = beamhub("check", "workstation")
    assert status == 1
    assert "✗ The command 'docker' is not installed on this machine" in said


def test_a_proxy_alone_is_started_only_where_the_profile_has_one():
    status, said = beamhub("proxy", "laptop")
    assert status == 1
    assert "'laptop' has no 'serving.apart': its hub starts the proxy itself." in said


def test_a_proxy_that_somebody_else_runs_is_not_started(tmp_path):
    site = tmp_path / "mine.yaml"
    apart = "{proxy_url: http://proxy-api:8001, proxy_token: {env: TOKEN}}"
    site.write_text(f"extends: cloud\nserving: {{apart: {apart}}}\n")
    status, said = beamhub("proxy", site)
    assert status == 1
    assert "whoever runs the proxy at http://proxy-api:8001/ starts it" in said


def test_a_proxy_alone_does_not_start_without_its_secret(tmp_path):
    site = tmp_path / "mine.yaml"
    token = tmp_path / "token"
    site.write_text(
        "extends: compose\n"
        f"serving: {{apart: {{proxy_socket: {tmp_path}/s, proxy_token: {{file: {token}}}}}}}\n"
    )
    assert f"The secret in {token} can't be read" in beamhub("proxy", site)[1]
    token.write_text("hunter2-Xq9")
    token.chmod(0o644)
    status, said = beamhub("proxy", site)
    assert status == 1
    assert f"Others can read the secret in {token}" in said
    assert "hunter2" not in said


def test_an_unknown_site_is_told():
    for command in ("check", "show", "serve"):
        status, said = beamhub(command, "marsbase")
        assert status == 1
        assert "There is no site profile 'marsbase'. Shipped are " in said


# show


@pytest.mark.parametrize("name", shipped_sites())
def test_show_is_a_whole_profile_again(name):
    status, said = beamhub("show", name)
    assert status == 0
    Path("shown.yaml").write_text(said)
    assert "extends" not in yaml.safe_load(said)
    assert load_site("./shown.yaml") == load_site(name)


def test_what_a_profile_says_is_shown_as_it_is_on_any_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    contact = 'Wide enough, :rocket: [bold]and[/bold] "so"' + " on" * 20
    Path("mine.yaml").write_text(f"extends: laptop\ncontact: {json.dumps(contact)}\n")
    shown = yaml.safe_load(beamhub("show", "mine.yaml")[1])
    assert shown["contact"] == contact


def test_show_never_shows_a_secret(monkeypatch, tmp_path):
    file = tmp_path / "secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    monkeypatch.setenv("FACILITY_SECRET", SECRET)
    for place in ("{env: FACILITY_SECRET}", f"{{file: {file}}}"):
        Path("mine.yaml").write_text(f"extends: cloud\nlogin: {{client_secret: {place}}}\n")
        status, said = beamhub("show", "mine.yaml")
        if "file" in place:  # the parent's env still counts beside it: told, not guessed
            assert status == 1
            assert "one of both" in said
        else:
            assert status == 0
            assert "FACILITY_SECRET" in said
        assert SECRET not in said


# schema


@pytest.mark.parametrize("kind", SCHEMAS)
def test_schema_is_what_an_editor_reads(kind):
    status, said = beamhub("schema", kind)
    assert status == 0
    assert json.loads(said) == SCHEMAS[kind].model_json_schema()


def test_a_schema_of_nothing_is_refused():
    assert beamhub("schema", "moon")[0] == 2


# new


def test_a_new_use_case_passes_check_and_joins_the_catalogue():
    status, said = beamhub("new", "use-case", "my-fit", "--in", "own")
    assert status == 0
    assert "beamhub serve --use-cases own" in said
    assert load_use_cases([Path("own")])["my-fit"].manifest.title == "My fit"
    status, said = beamhub("check", "--use-cases", "own", "--declarations-only")
    assert status == 0
    assert "my-fit" in said


@pytest.mark.parametrize("parent", shipped_sites())
def test_a_new_site_passes_check_as_far_as_its_parent_does(parent):
    status, _ = beamhub("new", "site", "my-lab", "--extends", parent)
    assert status == 0
    assert load_site("my-lab.yaml").title == "My Lab"
    status, said = beamhub("check", "my-lab.yaml", "--declarations-only")
    assert status == (1 if load_site(parent).template else 0)
    assert "✓ site profile 'my-lab': My Lab" in said


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "Mine",
        "my lab",
        "my_lab",
        "../mine",
        "/tmp/mine",
        "mine\n",
        "ä-b",
        "a" * 31,
        "a--b",
        "1a",
    ],
)
@pytest.mark.parametrize("kind", ["use-case", "site"])
def test_a_name_that_cannot_be_one_is_refused(kind, name, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    status, said = beamhub("new", kind, name)
    assert status == 1
    assert "can't be a name: it needs 2 to 30 lower-case letters" in said
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("kind", "made"), [("use-case", "mine"), ("site", "mine.yaml")])
def test_what_is_there_is_never_overwritten(kind, made):
    assert beamhub("new", kind, "mine")[0] == 0
    before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    status, said = beamhub("new", kind, "mine")
    assert status == 1
    assert f"{made} is there already; nothing was changed." in said
    assert {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()} == before


def test_a_site_of_an_unknown_parent_leaves_no_file():
    status, said = beamhub("new", "site", "mine", "--extends", "laptpo")
    assert status == 1
    assert "did you mean 'laptop'?" in said
    assert not Path("mine.yaml").exists()


@pytest.mark.parametrize("kind", ["use-case", "site"])
def test_a_place_that_cannot_be_written_is_told(kind):
    Path("file").write_text("")
    status, said = beamhub("new", kind, "mine", "--in", "file")
    assert status == 1
    assert "file" in said
    assert "Traceback" not in said


# run


def test_an_unknown_use_case_lists_those_there_are():
    status, said = beamhub("run", "moonbase")
    assert status == 1
    assert "There is no use case 'moonbase'. There are " in said
    assert "pyfai" in said


def test_an_unknown_notebook_lists_those_there_are():
    status, said = beamhub("run", "pyfai", "04_none.ipynb")
    assert status == 1
    assert "'pyfai' has no notebook '04_none.ipynb'. There are 01_calibrate.ipynb" in said


def test_what_is_coming_cannot_run(use_cases):
    coming = [name for name, case in use_cases.items() if case.manifest.coming]
    for name in coming:
        status, said = beamhub("run", name)
        assert status == 1
        assert use_cases[name].manifest.coming[0] in said


@pytest.fixture
def needing():
    """Declare two notebooks, of which the second needs a program that nobody has."""
    beamhub("new", "use-case", "mine")
    manifest = yaml.safe_load(Path("mine/usecase.yaml").read_text())
    (one,) = manifest["notebooks"]
    manifest["notebooks"].append({**one, "file": "02_more.ipynb", "programs": ["no-such-program"]})
    Path("mine/02_more.ipynb").write_bytes(Path("mine", one["file"]).read_bytes())
    Path("mine/usecase.yaml").write_text(yaml.safe_dump(manifest))
    return load_use_cases([Path()])["mine"]


def test_notebooks_that_lack_a_program_are_left_out_and_named(needing):
    names = list(needing.notebooks)
    left, left_out = runnable(needing, names)
    assert left == names[:1]
    assert left_out == ["02_more.ipynb needs no-such-program, not found on the PATH."]


def test_where_no_notebook_can_run_the_command_fails_and_says_why(needing):
    status, said = beamhub("run", "mine", "02_more.ipynb", "--use-cases", ".")
    assert status == 1
    assert said.strip() == "02_more.ipynb needs no-such-program, not found on the PATH."


def test_requirements_that_do_not_resolve_are_told_with_uvs_log(monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(Path("cache").resolve()))
    beamhub("new", "use-case", "mine")
    Path("mine/requirements.txt").write_text("no-such-package==1.0\n")
    status, said = beamhub("run", "mine", "--use-cases", ".")
    assert status == 1
    assert "read from the cache" in said
    assert "could not be installed: its requirements don't resolve here." in said
    assert "Traceback" not in said


# serve


@pytest.mark.parametrize("name", [n for n in shipped_sites() if load_site(n).template])
def test_a_template_is_not_served(name):
    status, said = beamhub("serve", name)
    assert status == 1
    assert f"The profile '{name}' is a template." in said
    assert all(f"- {sentence}" in said for sentence in load_site(name).template)
    assert not Path("state").exists()


EXPOSED = (
    "extends: laptop\nserving: {bind: 0.0.0.0, tls: proxy, public_url: 'https://a.example.org'}\n"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("extends: laptop\nserving: {bind: 0.0.0.0}\n", "serving.tls must be 'proxy' or 'own'"),
        ("extends: laptop\nserving: {bind: '::'}\n", "serving.tls must be"),
        (EXPOSED, "login must be a real one: pam, ldap or oidc"),
        (f"{EXPOSED}login: {{kind: pam}}\n", "backend.accounts: system"),
    ],
)
def test_what_others_could_reach_unsafely_is_not_served(text, words):
    Path("mine.yaml").write_text(text)
    status, said = beamhub("serve", "mine.yaml")
    assert status == 1
    assert words in said
    assert "mine.yaml:" in said
    assert not Path("state").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="is about portals of ordinary accounts")
def test_accounts_of_the_system_need_root():
    Path("mine.yaml").write_text("extends: laptop\nbackend: {kind: local, accounts: system}\n")
    status, said = beamhub("serve", "mine.yaml")
    assert status == 1
    assert "only root can do" in said


@pytest.fixture
def same_umask():
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)


def test_a_folder_that_cannot_keep_state_is_told(same_umask):
    Path("file").write_text("")
    status, said = beamhub("serve", "--state", "file/state")
    assert status == 1
    assert "can't keep its state in" in said
    assert "Choose another folder" in said


def test_a_log_goes_to_one_of_two_places(same_umask):
    status, said = beamhub("serve", "--log", "moon")
    assert status == 1
    assert "--log is 'file' or 'stderr', not 'moon'." in said
    assert not Path("state").exists()
