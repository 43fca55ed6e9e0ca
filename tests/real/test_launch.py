"""Starting, refusing, failing, stopping: by form, link and REST."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect
from portals import BEAMHUB, PATIENCE_S, RunningPortal, log_in, shot, violations, xsrf

pytestmark = [pytest.mark.portal]

HOSTILE = [
    {"image": "evil/miner"},
    {"cmd": "touch /tmp/owned"},
    {"size": "huge"},
    {"size": ["small", "large"]},
    {"size": {"cores": 99}},
    {"notebook": "../../.ssh/id_rsa"},
    {"notebook": "/etc/passwd"},
    {"environment": {"LD_PRELOAD": "x"}},
    {"size": "small\n#SBATCH --partition=gpu"},
]


@pytest.fixture(scope="module")
def mallory(portal: RunningPortal) -> httpx.Client:
    return portal.login("mallory")


def running(client: httpx.Client) -> str:
    return client.get("/hub/home").text


@pytest.mark.parametrize("options", HOSTILE, ids=str)
def test_hostile_options_by_rest(mallory: httpx.Client, options: dict) -> None:
    token = mallory.cookies.get("_xsrf", path="/hub/") or ""
    answer = mallory.post(
        "/hub/api/users/mallory/servers/pyfai", json=options, headers={"X-XSRFToken": token}
    )
    assert 400 <= answer.status_code < 500, answer.text
    assert len(answer.json()["message"]) > 20
    assert "Nothing of yours is running" in running(mallory)


FLAT = [o for o in HOSTILE if all(isinstance(v, str) for v in o.values())]


@pytest.mark.parametrize("options", FLAT, ids=str)
def test_hostile_options_by_link_and_form(mallory: httpx.Client, options: dict) -> None:
    link = mallory.get("/hub/open/pyfai", params=options)
    if options.keys() & {"size", "notebook"}:
        assert 400 <= link.status_code < 500
        assert "That is not possible" in link.text
    else:  # what isn't ours is passed over
        assert not any(value in link.text for value in options.values())
    token = xsrf(mallory.get("/hub/open/pyfai").text)
    form = mallory.post("/hub/open/pyfai", data={**options, "_xsrf": token})
    assert 400 <= form.status_code < 500
    assert "Nothing of yours is running" in running(mallory)


@pytest.mark.parametrize("name", ["", "evil", "_defaults", "a--b", "software.yaml"])
def test_unknown_server_names_leave_nothing_behind(mallory: httpx.Client, name: str) -> None:
    token = mallory.cookies.get("_xsrf", path="/hub/") or ""
    path = f"/hub/api/users/mallory/servers/{name}" if name else "/hub/api/users/mallory/server"
    answer = mallory.post(path, headers={"X-XSRFToken": token})
    assert 400 <= answer.status_code < 500, answer.text
    user = mallory.get("/hub/api/users/mallory?include_stopped_servers").json()
    assert name not in user["servers"] or name == ""


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_options_are_not_kept_without_a_start(mallory: httpx.Client, method: str) -> None:
    token = mallory.cookies.get("_xsrf", path="/hub/") or ""
    answer = mallory.request(
        method,
        "/hub/api/users/mallory/servers/pyfai",
        json={"user_options": {"image": "evil"}},
        headers={"X-XSRFToken": token},
    )
    assert answer.status_code == 405
    assert "evil" not in mallory.get("/hub/api/users/mallory?include_stopped_servers").text


def test_nobody_opens_servers_for_others(mallory: httpx.Client) -> None:
    assert mallory.get("/hub/spawn/somebody/pyfai").status_code == 403


def test_a_page_of_a_server_that_is_gone_says_so(mallory: httpx.Client) -> None:
    answer = mallory.get("/hub/spawn-pending/mallory/spectra")
    assert answer.status_code == 404
    assert "Page not found" in answer.text


@pytest.mark.parametrize("page", ["open/pyfai", "usecases/pyfai", "usecases", "home", "about"])
def test_an_address_leads_to_its_page_however_it_was_passed_on(
    mallory: httpx.Client, page: str
) -> None:
    answer = mallory.get(f"/hub/{page}/?utm_source=mail&size=small")
    assert (answer.status_code, answer.url.path) == (200, f"/hub/{page}")
    assert answer.url.params["size"] == "small"


def test_jupyterhubs_own_spawn_page_starts_nothing(mallory: httpx.Client) -> None:
    answer = mallory.get("/hub/spawn/mallory/pyfai?opt-size=small")
    assert answer.url.path == "/hub/open/pyfai"
    assert "Nothing of yours is running" in running(mallory)


def test_a_link_asks_for_login_and_then_for_consent(portal: RunningPortal) -> None:
    with httpx.Client(base_url=portal.url, follow_redirects=True) as client:
        client.headers["Sec-Fetch-Mode"] = "navigate"
        page = client.get("/hub/open/pyfai?notebook=02_integrate.ipynb&size=medium")
        assert page.url.path == "/hub/login"
        form = {"username": "lin", "password": portal.code, "_xsrf": xsrf(page.text)}
        after = client.post(str(page.url), data=form)
        assert after.url.path == "/hub/open/pyfai"
        assert "02_integrate.ipynb" in after.text
        assert "Start Powder diffraction with pyFAI?" in after.text
        assert "Nothing of yours is running" in running(client)


@pytest.mark.slow
def test_a_start_can_be_stopped(portal: RunningPortal) -> None:
    client = portal.login("quinn")
    token = xsrf(client.get("/hub/open/pyfai").text)
    pending = client.post("/hub/open/pyfai", data={"_xsrf": token, "size": "small"})
    if "/spawn-pending/" in pending.url.path:
        client.post("/hub/stop/pyfai", data={"_xsrf": xsrf(pending.text)})
        end = time.monotonic() + PATIENCE_S
        while "Nothing of yours is running" not in running(client):
            assert time.monotonic() < end, running(client)
            time.sleep(0.5)
    portal.start_server(client, "pyfai", size="small")
    assert client.get("/user/quinn/pyfai/api/status").status_code == 200


@pytest.fixture
def own_use_cases(tmp_path: Path) -> Path:
    made = subprocess.run(
        [BEAMHUB, "new", "use-case", "spectra", "--in", tmp_path], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return tmp_path


@pytest.mark.browser
@pytest.mark.slow
def test_a_sixth_use_case_is_one_folder(
    own_use_cases: Path, state_folder: Callable[[], Path], context: BrowserContext
) -> None:
    portal = RunningPortal(state_folder(), "laptop", f"--use-cases={own_use_cases}")
    try:
        page = context.new_page()
        log_in(page, portal, "sam")
        page.get_by_role("link", name="Open Spectra").click()
        page.get_by_role("button", name="Start Spectra").click()
        page.wait_for_url("**/spawn-pending/**")
        shot(page, "pending")
        assert violations(page) == []
        page.wait_for_url("**/user/sam/spectra/lab/tree/**", timeout=2 * PATIENCE_S * 1000)
        page.locator(".jp-NotebookPanel").wait_for()
    finally:
        portal.stop()


@pytest.mark.browser
@pytest.mark.slow
def test_a_failure_says_what_happened(
    own_use_cases: Path, state_folder: Callable[[], Path], context: BrowserContext
) -> None:
    (own_use_cases / "spectra/requirements.txt").write_text("no-such-package-at-all==9\n")
    portal = RunningPortal(state_folder(), "laptop", f"--use-cases={own_use_cases}")
    try:
        page = context.new_page()
        log_in(page, portal, "sam")
        page.goto(f"{portal.url}/hub/open/spectra")
        page.get_by_role("button", name="Start Spectra").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Spectra did not start")
        expect(page.get_by_role("alert")).to_contain_text("could not be installed")
        expect(page.get_by_role("link", name="Try again")).to_be_visible()
        page.locator("summary").click()
        expect(page.locator(".log")).to_contain_text("no-such-package-at-all")
        shot(page, "failed")
        assert violations(page) == []
    finally:
        portal.stop()


@pytest.mark.slow
def test_a_missing_program_is_said_on_the_card(
    own_use_cases: Path, state_folder: Callable[[], Path]
) -> None:
    manifest = own_use_cases / "spectra/usecase.yaml"
    manifest.write_text(manifest.read_text() + "programs: [no-such-program]\n")
    portal = RunningPortal(state_folder(), "laptop", f"--use-cases={own_use_cases}")
    try:
        client = portal.login("sam")
        assert "&#39;no-such-program&#39; is not installed" in client.get("/hub/usecases").text
        token = client.cookies.get("_xsrf", path="/hub/") or ""
        answer = client.post("/hub/api/users/sam/servers/spectra", headers={"X-XSRFToken": token})
        assert answer.status_code == 503
        assert "no-such-program" in answer.json()["message"]
    finally:
        portal.stop()


def test_only_its_user_is_told_of_a_servers_time(
    portal: RunningPortal, mallory: httpx.Client
) -> None:
    assert mallory.get("/hub/lifetime/pyfai").json() == {"state": "ended", "why": ""}
    assert mallory.get("/hub/lifetime/evil").status_code == 404
    assert httpx.get(f"{portal.url}/hub/lifetime/pyfai").status_code == 403
