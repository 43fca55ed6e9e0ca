"""Programs with licences of their own: who gets them in a server that was really started."""

import csv
import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from kernels import Kernel, in_a_terminal
from playwright.sync_api import Browser, Page, expect
from portals import BEAMHUB, LOOKS, RunningPortal, log_in, shot, violations

from hub.usecases import NOTEBOOKS

pytestmark = [pytest.mark.portal]

GATES = """
licence_gates:
- program: Peeler
  terms: Free of charge for academic use; it may not be passed on to anybody else.
  url: https://example.org/peeler/licence
  declaration: |
    I use Peeler for academic work only. I have read its terms and follow them.
    I do not pass it on.
  required: {required}
- program: Corer
  terms: A licence of the facility covers its own staff, and nobody else.
  url: https://example.org/corer
  declaration: I use Corer for my work at this facility only, and do not pass it on.
- program: Zester
  terms: No licence is stated; binaries can be downloaded by each user from the author's page.
  url: https://example.org/zester
  declaration: I have read its author's page, and do not pass it on.
"""
SITE = """
extends: laptop
programs:
  peeler: {{source: {folder}/peeler, bin: bin, vouched_groups: [cooks]}}
  corer: {{source: {folder}/corer, vouched_groups: [cooks], by_declaration: false}}
"""
FOUND = "import shutil; print(shutil.which('peeler'), shutil.which('corer'))"
HOSTILE = [
    {},
    {"action": "accepted"},
    {"action": "accepted", "declared": "yes"},
    {"action": "accepted", "declared": "yes", "version": "0" * 64},
    {"action": "accepted", "declared": "no", "version": "@"},
    {"action": "granted", "declared": "yes", "version": "@"},
]
"""Forms that accept nothing; '@' stands for the version of the present text."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A site's folder, which every account may read, with programs and two use cases."""
    made = Path(tempfile.mkdtemp(prefix="bh-licences-"))
    for program in ("peeler/bin/peeler", "peeler/bin/python", "corer/corer"):
        path = made / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\necho peeled by $0\n")
        path.chmod(0o755)
    for name in ("spectra", "strict"):
        subprocess.run([BEAMHUB, "new", "use-case", name, "--in", made], check=True)
        with (made / name / "usecase.yaml").open("a") as manifest:
            manifest.write(GATES.format(required=str(name == "strict").lower()))
    (made / "site.yaml").write_text(SITE.format(folder=made))
    for path in [made, *made.rglob("*")]:
        path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def kitchen(folder: Path, state_folder: Callable[[], Path]) -> Iterator[RunningPortal]:
    running = RunningPortal(state_folder(), str(folder / "site.yaml"), f"--use-cases={folder}")
    yield running
    running.stop()


def version_of(text: str) -> str:
    return text.partition('name="version" value="')[2][:64]


def send(client: httpx.Client, use_case: str, program: str = "peeler", **form: str):
    """Send the form of a use case's page, with its token."""
    page = client.get(f"/hub/usecases/{use_case}").text
    form = {k: version_of(page) if v == "@" else v for k, v in form.items()}
    token = client.cookies.get("_xsrf", path="/hub/") or ""
    return client.post(
        f"/hub/usecases/{use_case}/licences/{program}", data={"_xsrf": token, **form}
    )


def accept(client: httpx.Client, use_case: str, program: str = "peeler"):
    return send(client, use_case, program, action="accepted", declared="yes", version="@")


def exported(portal: RunningPortal) -> list[dict[str, str]]:
    command = [BEAMHUB, "licences", "export", f"--state={portal.state}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return list(csv.DictReader(io.StringIO(said)))


def entries_of(portal: RunningPortal, user: str) -> list[tuple[str, str]]:
    return [(e["program"], e["action"]) for e in exported(portal) if e["user"] == user]


def rest_start(client: httpx.Client, user: str, use_case: str, options: dict | None = None):
    token = client.cookies.get("_xsrf", path="/hub/") or ""
    return client.post(
        f"/hub/api/users/{user}/servers/{use_case}",
        json=options or {},
        headers={"X-XSRFToken": token},
    )


# What opens a gate, and what does not


@pytest.mark.parametrize("form", HOSTILE, ids=str)
def test_a_form_that_lacks_something_accepts_nothing(kitchen: RunningPortal, form: dict) -> None:
    client = kitchen.login("mallory")
    answer = send(client, "spectra", **form)
    assert 400 <= answer.status_code < 500
    assert "That is not possible" in answer.text
    assert entries_of(kitchen, "mallory") == []


def test_nothing_is_accepted_by_a_link_another_page_or_somebody_unknown(
    kitchen: RunningPortal,
) -> None:
    client = kitchen.login("mallory")
    version = version_of(client.get("/hub/usecases/spectra").text)
    form = {"action": "accepted", "declared": "yes", "version": version}
    address = "/hub/usecases/spectra/licences/peeler"
    assert client.get(address, params=form).status_code == 405
    assert client.post(address, data=form).status_code == 403  # no token
    assert kitchen.client().post(address, data=form).status_code == 403
    assert client.put(address, data=form).status_code in (403, 405)
    for use_case, program in (("spectra", "zester"), ("pyfai", "peeler"), ("none", "peeler")):
        answer = send(client, use_case, program, **form)
        assert answer.status_code == 404, (use_case, program)
    only_members = send(client, "spectra", "corer", **form)
    assert only_members.status_code == 403
    assert "members of certain groups only" in only_members.text
    assert entries_of(kitchen, "mallory") == []


@pytest.mark.parametrize(
    "options",
    [
        {"licences": ["peeler"]},
        {"accepted": "peeler"},
        {"groups": ["cooks"]},
        {"environment": {"BEAMHUB_PATHS": "/opt"}},
        {"size": "small", "programs": "peeler"},
    ],
    ids=str,
)
def test_what_is_sent_with_a_start_opens_nothing(kitchen: RunningPortal, options: dict) -> None:
    client = kitchen.login("mallory")
    for use_case in ("spectra", "strict"):
        answer = rest_start(client, "mallory", use_case, options)
        assert 400 <= answer.status_code < 500, answer.text
    assert "Nothing of yours is running" in client.get("/hub/home").text


def test_a_program_that_is_needed_refuses_by_form_link_and_rest(kitchen: RunningPortal) -> None:
    client = kitchen.login("rose")
    card = client.get("/hub/usecases").text.partition('data-use-case="strict"')[2]
    assert "Needs a licence" in card.partition("</li>")[0]
    assert "Needs a licence" not in card.partition('data-use-case="spectra"')[2][:900]
    link = client.get("/hub/open/strict?size=small")
    assert link.status_code == 403
    assert "needs Peeler, whose terms you have not accepted" in link.text
    assert "/hub/usecases/strict#licences" in link.text
    form = client.post(
        "/hub/open/strict",
        data={"_xsrf": client.cookies.get("_xsrf", path="/hub/") or "", "size": "small"},
    )
    assert form.status_code == 403
    rest = rest_start(client, "rose", "strict", {"size": "small"})
    assert rest.status_code == 403
    message = rest.json()["message"]
    assert message.endswith(f"See {kitchen.url}/hub/usecases/strict#licences")
    assert "Nothing of yours is running" in client.get("/hub/home").text


# In a server


def ends_up(portal: RunningPortal, client: httpx.Client, user: str, use_case: str) -> Kernel:
    portal.start_server(client, use_case, size="small")
    return Kernel(portal, client, f"/user/{user}/{use_case}/")


@pytest.mark.slow
def test_a_server_has_the_program_exactly_while_its_terms_are_accepted(
    kitchen: RunningPortal, folder: Path
) -> None:
    client = kitchen.login("ada")
    program = f"{folder}/peeler/bin/peeler"
    kernel = ends_up(kitchen, client, "ada", "spectra")
    assert kernel.run(FOUND) == "None None\n"
    # Accepting counts from the next start, and the page says so.
    page = accept(client, "spectra").text
    assert "Available to you: accepted on" in page
    assert "keeps the programs it was started with" in page
    assert kernel.run(FOUND) == "None None\n"
    kitchen.stop_server(client, "spectra")

    kernel = ends_up(kitchen, client, "ada", "spectra")
    assert kernel.run(FOUND) == f"{program} None\n"
    ran = kernel.run("import subprocess; print(subprocess.getoutput('peeler'))")
    assert ran == f"peeled by {program}\n"
    # What lies beside it takes nothing's place.
    found = kernel.run("import shutil; print(shutil.which('python'))").strip()
    assert found.endswith("/bin/python")
    assert str(folder) not in found
    terminal = in_a_terminal(kitchen, client, "/user/ada/spectra/", "peeler; command -v python")
    assert f"peeled by {program}" in terminal
    assert found in terminal

    # Taking it back leaves alone what runs, and counts from the next start.
    assert "Not accepted" in send(client, "spectra", action="revoked").text
    assert kernel.run(FOUND) == f"{program} None\n"
    kitchen.stop_server(client, "spectra")
    kernel = ends_up(kitchen, client, "ada", "spectra")
    assert kernel.run(FOUND) == "None None\n"
    kitchen.stop_server(client, "spectra")

    first, second = (e for e in exported(kitchen) if e["user"] == "ada")
    assert (first["program"], first["action"], first["use_case"]) == (
        "peeler",
        "accepted",
        "spectra",
    )
    assert second["action"] == "revoked"
    assert first["text"].startswith("I use Peeler for academic work only.")
    assert first["time"] < second["time"]


@pytest.mark.slow
def test_what_needs_a_program_starts_once_accepted_and_goes_on_when_it_is_taken_back(
    kitchen: RunningPortal,
) -> None:
    client = kitchen.login("carl")
    accept(client, "strict")
    kernel = ends_up(kitchen, client, "carl", "strict")
    assert "peeler" in kernel.run(FOUND)
    send(client, "strict", action="revoked")
    assert "Go to it" in client.get("/hub/usecases").text
    assert client.get("/hub/open/strict").url.path.startswith("/user/carl/strict/")
    kitchen.stop_server(client, "strict")
    assert client.get("/hub/open/strict").status_code == 403
    assert rest_start(client, "carl", "strict").status_code == 403


@pytest.fixture
def docker_kitchen(
    docker_site: Path, folder: Path, state_folder: Callable[[], Path], tmp_path: Path
) -> Iterator[RunningPortal]:
    """A site with containers, whose pyFAI has the gates too."""
    shutil.copytree(NOTEBOOKS / "pyfai", tmp_path / "pyfai")
    with (tmp_path / "pyfai/usecase.yaml").open("a") as manifest:
        manifest.write(GATES.format(required="false"))
    site = tmp_path / "site.yaml"
    site.write_text(
        f"{docker_site.read_text()}programs:\n"
        f"  peeler: {{source: {folder}/peeler, target: /sw/peeler, bin: bin}}\n"
    )
    running = RunningPortal(state_folder(), str(site), f"--use-cases={tmp_path}")
    yield running
    running.stop()


@pytest.mark.slow
@pytest.mark.docker
def test_in_a_container_what_is_not_accepted_is_not_there(docker_kitchen: RunningPortal) -> None:
    client, path = docker_kitchen.login("lucy"), "/user/lucy/pyfai/"
    found = "import os, shutil; print(os.path.exists('/sw/peeler'), shutil.which('peeler'))"
    said = []
    for form in (
        None,
        {"action": "accepted", "declared": "yes", "version": "@"},
        {"action": "revoked"},
    ):
        if form:
            send(client, "pyfai", **form)
        docker_kitchen.start_server(client, "pyfai")
        kernel = Kernel(docker_kitchen, client, path)
        said.append(kernel.run(found).strip())
        if "True" in said[-1]:
            ran = kernel.run("import subprocess; print(subprocess.getoutput('peeler'))")
            assert ran == "peeled by /sw/peeler/bin/peeler\n"
            denied = kernel.run("open('/sw/peeler/bin/peeler', 'a')")
            assert "Read-only file system" in denied or "PermissionError" in denied
            terminal = in_a_terminal(docker_kitchen, client, path, "peeler; command -v python")
            assert "peeled by /sw/peeler/bin/peeler" in terminal
            assert "/opt/venv/bin/python" in terminal
        docker_kitchen.stop_server(client, "pyfai")
    assert said == ["False None", "True /sw/peeler/bin/peeler", "False None"]


def test_a_form_that_is_sent_twice_counts_once(kitchen: RunningPortal) -> None:
    client = kitchen.login("dora")
    accept(client, "spectra")
    version = version_of(client.get("/hub/usecases/strict").text)
    for _ in range(2):
        send(client, "spectra", action="accepted", declared="yes", version=version)
        send(client, "spectra", action="revoked")
        send(client, "spectra", action="revoked")
    actions = [action for _, action in entries_of(kitchen, "dora")]
    assert actions == ["accepted", "revoked"]


def test_the_record_is_the_portals_alone(kitchen: RunningPortal) -> None:
    accept(kitchen.login("emil"), "spectra")
    assert (kitchen.state / "licences.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_record_that_can_not_be_used_opens_nothing_and_says_so(
    folder: Path, state_folder: Callable[[], Path]
) -> None:
    state = state_folder()
    (state / "licences.sqlite").write_text("no database at all" * 100)
    portal = RunningPortal(state, str(folder / "site.yaml"), f"--use-cases={folder}")
    try:
        client = portal.login("fay")
        assert "Not accepted" in client.get("/hub/usecases/strict").text
        answer = accept(client, "strict")
        assert answer.status_code == 503
        assert "could not be noted, so nothing has changed" in answer.text
        assert client.get("/hub/open/strict").status_code == 403
    finally:
        portal.stop()


# In the browser


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_the_page_is_accessible_and_fits(
    kitchen: RunningPortal, browser: Browser, scheme: str, width: int
) -> None:
    size = {"width": width, "height": 900}
    context = browser.new_context(color_scheme=scheme, viewport=size)
    log_in(context.new_page(), kitchen, f"gil{scheme}{width}")
    for name in ("closed", "open"):
        # Another page each: axe sets styles of its own, and so offends the policy.
        page = context.new_page()
        complaints: list[str] = []
        page.on("console", lambda m, c=complaints: c.append(m.text) if m.type == "error" else None)
        page.goto(f"{kitchen.url}/hub/usecases/strict")
        if name == "open":
            page.get_by_label("I declare this for Peeler").check()
            page.get_by_role("button", name="Accept the terms of Peeler").click()
            expect(page.get_by_text("Available to you: accepted on")).to_be_visible()
        assert complaints == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shot(page, f"licence-{name}-{scheme}-{width}")
        assert violations(page) == []
    page.goto(f"{kitchen.url}/hub/usecases")
    shot(page, f"licence-catalogue-{scheme}-{width}")
    page.goto(f"{kitchen.url}/hub/usecases/crystfel")
    shot(page, f"licence-crystfel-{scheme}-{width}")
    context.close()


def tab_to(page: Page, locator) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if locator.evaluate("e => e === document.activeElement"):
            return
    raise AssertionError(f"{locator} can't be reached by the keyboard")


@pytest.mark.browser
@pytest.mark.parametrize("scripts", [True, False])
def test_by_keyboard_with_and_without_javascript(
    kitchen: RunningPortal, browser: Browser, scripts: bool
) -> None:
    user = f"hal{scripts}".lower()
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    log_in(page, kitchen, user)
    page.goto(f"{kitchen.url}/hub/open/strict")
    expect(page.get_by_role("alert")).to_contain_text("needs Peeler")
    shot(page, "licence-refused")
    page.get_by_role("link", name="Read the terms").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/hub/usecases/strict#licences")
    button = page.get_by_role("button", name="Accept the terms of Peeler")
    box = page.get_by_label("I declare this for Peeler")
    if scripts:
        tab_to(page, box)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # without the box: the browser goes to what is missing
        expect(box).to_be_focused()
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
    else:
        box.check()
        button.click()
    page.wait_for_url("**/hub/usecases/strict#licence-peeler")
    expect(page.get_by_text("Available to you: accepted on")).to_be_visible()
    expect(page.get_by_role("button", name="Start Strict")).to_be_visible()
    page.get_by_role("button", name="Withdraw for Peeler").press("Enter")
    expect(page.locator("#licence-peeler")).to_contain_text("Not accepted")
    assert entries_of(kitchen, user) == [("peeler", "accepted"), ("peeler", "revoked")]
    context.close()
