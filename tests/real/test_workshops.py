"""A workshop on one portal: made in a browser, joined by code, watched live, attacked, killed."""

import csv
import io
import json
import re
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from kernels import Kernel
from playwright.sync_api import Browser, Page, expect
from portals import BEAMHUB, LOOKS, PATIENCE_S, RunningPortal, log_in, shot, violations, xsrf

pytestmark = [pytest.mark.browser, pytest.mark.portal, pytest.mark.slow]

TITLE = "<script>document.title = 'taken'</script> Powder & more"
MESSAGE = "<b>Break</b> until 10:15, then [02](https://example.org)"
FORMULA = '=HYPERLINK("https://example.org")'
REPORT = """
from workbench import Checks
checks = Checks("Calibration")
checks.close("Distance", got=0.1, truth=0.1, within=1e-6)
checks.above({name!r}, got={got}, limit=1)
checks.report()
"""


def field_time(**ahead: float) -> str:
    """Return a time as a form's field has it, in UTC."""
    return (datetime.now(UTC) + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M")


PROFILE = """\
extends: laptop
title: A laptop with two trainers
workshops: {trainers: [trainer, tess], capacity_max: 40}
"""


class Hall:
    """A portal that can be killed and started again, with a trainer and a participant."""

    def __init__(self, state: Path, profile: Path) -> None:
        self.state, self.profile = state, profile
        profile.write_text(PROFILE)
        self.portal = RunningPortal(state, str(profile))
        self.trainer = self.portal.login("trainer")
        self.ada = self.portal.login("ada")
        self.code = self.number = self.small = ""

    def kill_and_start(self) -> None:
        """End the hub as a power cut does, and start the portal again."""
        self.portal.hub.kill()
        cookies = [client.cookies for client in (self.trainer, self.ada)]
        self.portal.stop()
        self.portal = RunningPortal(self.state, str(self.profile), port=self.portal.port)
        self.trainer, self.ada = (self.portal.client(c) for c in cookies)

    def make(self, **changes: str) -> str:
        """Make a workshop by the form, and return its number."""
        page = self.trainer.get("/hub/workshops/new")
        form = {
            "_xsrf": xsrf(page.text),
            "title": "Another",
            "opens": "pyfai/01_calibrate.ipynb",
            "size": "small",
            "capacity": "5",
            "begins": field_time(hours=-1),
            "ends": field_time(hours=1),
            "zone": "UTC",
            "who": "link",
        }
        answer = self.trainer.post("/hub/workshops/new", data={**form, **changes})
        assert answer.status_code == 200, answer.text
        return answer.url.path.rpartition("/")[2]

    def code_of(self, number: str) -> str:
        """Return the code that a workshop's page shows."""
        found = re.search(r'join-code">([^<]+)<', self.trainer.get(f"/hub/workshops/{number}").text)
        assert found
        return found[1]

    def command(self, *arguments: str) -> str:
        """Run a command about workshops beside the portal, and return what it says."""
        options = [f"--site={self.profile}", f"--state={self.state}"]
        command = [BEAMHUB, "workshop", *arguments, *options]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def hall(
    state_folder: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hall]:
    made = Hall(state_folder(), tmp_path_factory.mktemp("site") / "two.yaml")
    yield made
    made.portal.stop()


@pytest.fixture(scope="module")
def page(browser: Browser, hall: Hall) -> Iterator[Page]:
    """The trainer's browser."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_S * 1000)
    opened = context.new_page()
    log_in(opened, hall.portal, "trainer")
    yield opened
    context.close()


@pytest.fixture(scope="module")
def ada(browser: Browser, hall: Hall) -> Iterator[Page]:
    """A participant's browser; she has logged in already."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_S * 1000)
    context.add_cookies(
        [
            {"name": c.name, "value": c.value or "", "domain": "127.0.0.1", "path": c.path}
            for c in hall.ada.cookies.jar
        ]
    )
    yield context.new_page()
    context.close()


def look_at(page: Page, name: str) -> None:
    """Look at a page in both colours and widths."""
    for scheme, width in LOOKS:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        page.reload()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        shot(page, f"{name}-{scheme}-{width}")
        assert violations(page) == [], name
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 900})


def press(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Press the button of a page."""
    token = xsrf(client.get("/hub/reproduce").text)
    return client.post(path, data={"_xsrf": token, **fields})


def test_a_trainer_makes_one_by_keyboard_and_loses_nothing_by_mistakes(
    page: Page, hall: Hall
) -> None:
    page.goto(f"{hall.portal.url}/hub/workshops")
    page.get_by_role("link", name="New workshop").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Title").focus()
    page.keyboard.type(TITLE)
    page.keyboard.press("Tab")
    page.keyboard.type("Calibrate")
    page.get_by_label("Participants").fill("9999")
    page.get_by_label("Begins").fill(field_time(hours=-1))
    page.get_by_label("Ends").fill(field_time(hours=2))
    expect(page.get_by_label("Time zone")).not_to_have_value("")
    page.get_by_label("Time zone").fill("UTC")
    page.get_by_role("button", name="Create the workshop").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("1 to 40 participants")
    expect(page.get_by_label("Title")).to_have_value(TITLE)
    assert violations(page) == []
    page.get_by_label("Participants").fill("2")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/hub/workshops/\d+$"))
    expect(page.get_by_role("heading", level=1)).to_have_text(TITLE)
    assert page.title().startswith(TITLE)
    hall.number = page.url.rpartition("/")[2]
    hall.code = page.locator(".join-code").inner_text()
    look_at(page, "workshop")
    for name, path in (("workshops", ""), ("workshop-new", "/new")):
        page.goto(f"{hall.portal.url}/hub/workshops{path}")
        look_at(page, name)


def test_a_participant_types_the_code_and_reads_what_is_told(page: Page, hall: Hall) -> None:
    page.goto(f"{hall.portal.url}/hub/join")
    look_at(page, "join-code")
    page.get_by_label("Code").fill(hall.code.upper().replace("-", " "))
    page.keyboard.press("Enter")
    page.wait_for_url("**/hub/join/*")
    expect(page.get_by_role("heading", name="What trainer sees of you")).to_be_visible()
    look_at(page, "join")


def test_checks_are_on_the_board_while_it_is_open(page: Page, hall: Hall) -> None:
    page.goto(f"{hall.portal.url}/hub/workshops/{hall.number}/board")
    expect(page.get_by_text("Nobody has joined yet")).to_be_visible()
    answer = press(hall.ada, f"/hub/join/{hall.code}")
    row = page.get_by_role("row", name="ada")
    expect(row).to_be_visible()
    end = time.monotonic() + 2 * PATIENCE_S
    while "/user/ada/pyfai/lab/tree/beamhub/pyfai/01_calibrate.ipynb" not in answer.url.path:
        assert time.monotonic() < end and "did not start" not in answer.text, answer.text
        time.sleep(0.5)
        answer = hall.ada.get(str(answer.url))
    expect(row).to_contain_text("Running")
    kernel = Kernel(
        hall.portal, hall.ada, "/user/ada/pyfai/", notebook="beamhub/pyfai/01_calibrate.ipynb"
    )
    assert "Traceback" not in kernel.run(REPORT.format(name="<b>Tilt</b>", got=0))
    expect(row).to_contain_text("✕ <b>Tilt</b>")
    expect(row).to_contain_text("✓ Distance")
    expect(page.get_by_text("<b>Tilt</b> (01_calibrate.ipynb): 1")).to_be_visible()
    look_at(page, "board")
    kernel.run(REPORT.format(name="<b>Tilt</b>", got=2))
    expect(page.get_by_text("all checks that were told hold")).to_be_visible()
    kernel.run(REPORT.format(name=FORMULA, got=0))
    expect(row).to_contain_text(FORMULA)


def test_the_table_holds_no_formula(hall: Hall) -> None:
    answer = hall.trainer.get(f"/hub/workshops/{hall.number}/checks.csv")
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert f"'{FORMULA}" in [row[2] for row in rows]
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]
    assert ["ada", "01_calibrate.ipynb", "Distance", "passed"] in [row[:4] for row in rows]


def test_hands_and_messages_are_seen_without_a_reload(page: Page, ada: Page, hall: Hall) -> None:
    page.goto(f"{hall.portal.url}/hub/workshops/{hall.number}/board")
    ada.goto(f"{hall.portal.url}/hub/join/{hall.code}")
    ada.get_by_role("button", name="Raise your hand").click()
    expect(ada.get_by_text("Your hand is raised.")).to_be_visible()
    expect(page.get_by_role("row", name="ada")).to_contain_text("raised just now")
    page.get_by_label("Message to all").fill(MESSAGE)
    page.get_by_role("button", name="Send it").click()
    expect(ada.get_by_text(MESSAGE)).to_be_visible()
    look_at(ada, "taking-part")
    look_at(page, "board-hand")
    lab = ada.context.new_page()
    lab.goto(f"{hall.portal.url}/user/ada/pyfai/lab")
    # Among JupyterLab's notices: what pops up beside them may be missed, by a test too.
    lab.get_by_title(re.compile(r"\d notification")).click()
    notice = lab.get_by_role("listitem").filter(has_text=f"Workshop: {MESSAGE}")
    expect(notice).to_be_visible()
    expect(lab.get_by_role("link", name="Hand raised")).to_be_visible()
    shot(lab, "workshop-in-lab", full=False)
    page.get_by_role("button", name="Take down the hand of ada").click()
    expect(ada.get_by_role("button", name="Raise your hand")).to_be_visible()
    page.get_by_role("button", name="Take it back").click()
    expect(ada.get_by_text(MESSAGE)).to_be_hidden()
    # As when its reader comes back to the tab; otherwise it asks twice a minute.
    lab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(lab.get_by_role("link", name="Workshop: raise your hand")).to_be_visible()
    expect(notice).to_be_hidden()
    lab.close()


def test_a_message_that_can_not_be_shown_is_not_lost(hall: Hall) -> None:
    long = "<i>" + "x" * 200
    answer = press(hall.trainer, f"/hub/workshops/{hall.number}/message", text=long)
    assert answer.status_code == 400
    assert "at most 120 characters" in answer.text and "&lt;i&gt;" + "x" * 200 in answer.text


def test_nobody_else_sees_the_board(hall: Hall) -> None:
    for path in ("", "/board", "/board/events", "/checks.csv", "/end", "/delete"):
        answer = hall.ada.get(f"/hub/workshops/{hall.number}{path}")
        assert answer.status_code == 403, path
        assert "Distance" not in answer.text and hall.code not in answer.text
    for action in ("end", "delete"):
        assert press(hall.ada, f"/hub/workshops/{hall.number}/{action}").status_code == 403
    assert press(hall.ada, "/hub/workshops/new", title="Mine").status_code == 403


def test_a_server_tells_of_its_own_checks_with_its_own_token_alone(hall: Hall) -> None:
    kernel = Kernel(hall.portal, hall.ada, "/user/ada/pyfai/")
    token = kernel.run("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])").strip()
    body = {"notebook": "forged.ipynb", "checks": [{"name": "Forged", "passed": True}]}
    api = f"{hall.portal.url}/hub/api"
    scope = {"scopes": ["access:servers!user=ada"]}
    personal = hall.ada.post(
        "/hub/api/users/ada/tokens",
        json=scope,
        headers={"X-XSRFToken": hall.ada.cookies.get("_xsrf", path="/hub/") or ""},
    ).json()["token"]

    def tell(place: str, key: str, sent: object = body) -> int:
        headers = {"Authorization": f"token {key}"} if key else {}
        url = f"{api}/beamhub/checks/{place}"
        return httpx.post(url, headers=headers, content=json.dumps(sent)).status_code

    assert tell("bob/pyfai", token) == 404
    assert tell("ada/pymca", token) == 404
    assert tell("ada/pyfai", personal) == 403
    assert tell("ada/pyfai", "") == 403
    assert tell("ada/pyfai", "0" * 32) == 403
    own = f"{hall.portal.url}/hub/api/beamhub/checks/ada/pyfai"
    cookies = {"X-XSRFToken": hall.ada.cookies.get("_xsrf", path="/hub/") or ""}
    assert hall.ada.post(own, json=body, headers=cookies).status_code == 403
    for wrong in ([], {"notebook": "x"}, {**body, "user": "bob"}, {**body, "notebook": "a\nb"}):
        assert tell("ada/pyfai", token, wrong) == 400
    many = [{"name": str(i), "passed": True} for i in range(101)]
    assert tell("ada/pyfai", token, {**body, "checks": many}) == 400
    assert "Forged" not in hall.trainer.get(f"/hub/workshops/{hall.number}/checks.csv").text
    # The same body with the right token counts: only that was missing.
    assert tell("ada/pyfai", token) == 204
    assert "Forged" in hall.trainer.get(f"/hub/workshops/{hall.number}/checks.csv").text


def test_what_the_site_does_not_have_can_not_be_asked_for(hall: Hall) -> None:
    page = hall.trainer.get("/hub/workshops/new")
    form = {
        "_xsrf": xsrf(page.text),
        "title": "T",
        "begins": field_time(),
        "ends": field_time(hours=1),
        "zone": "UTC",
    }
    for wrong in (
        {"opens": "nothing/01.ipynb"},
        {"opens": "pyfai/../../etc/passwd"},
        {"opens": "pyfai/01_calibrate.ipynb", "size": "huge"},
        {"opens": "pyfai/01_calibrate.ipynb", "capacity": "41"},
    ):
        answer = hall.trainer.post("/hub/workshops/new", data={**form, "capacity": "5", **wrong})
        assert answer.status_code == 400, wrong
        assert 'role="alert"' in answer.text


def test_who_waits_has_a_place_in_order_and_sees_it_change(page: Page, hall: Hall) -> None:
    hall.small = hall.make(capacity="1", title="Small")
    code = hall.code_of(hall.small)
    cyd = hall.portal.login("cyd")
    press(hall.ada, f"/hub/join/{code}")
    full = press(cyd, f"/hub/join/{code}")
    assert full.status_code == 403 and "all 1 places are taken" in full.text
    assert "Join and start" not in cyd.get(f"/hub/join/{code}").text
    press(cyd, f"/hub/join/{code}/wait")
    page.goto(f"{hall.portal.url}/hub/join/{code}")
    expect(page.get_by_text("and 1 person waits")).to_be_visible()
    page.get_by_role("button", name="Put me on the waiting list").click()
    expect(page.get_by_text("You are number 2")).to_be_visible()
    look_at(page, "waiting")
    assert "Waiting for a place, the next one first: cyd, trainer" in hall.command(
        "status", hall.small
    )
    press(hall.ada, f"/hub/join/{code}/leave")
    expect(page.get_by_text("You are number 1")).to_be_visible()
    assert "Go back to the workshop" in cyd.get(f"/hub/join/{code}").text
    # Whoever left and comes back is behind those who wait.
    assert press(hall.ada, f"/hub/join/{code}").status_code == 403
    press(hall.ada, f"/hub/join/{code}/wait")
    assert "You are number 2" in hall.ada.get(f"/hub/join/{code}").text


def test_what_changes_something_needs_a_page_of_ours_and_the_right_person(hall: Hall) -> None:
    tess = hall.portal.login("tess")
    own = hall.make(title="Of the trainer's own")
    sent = {"capacity": "9", "text": "Taken over", "user": "ada"}
    mine = f"/hub/join/{hall.code_of(own)}"
    press(hall.ada, mine)
    for action in ("hand/raise", "hand/lower", "folder"):
        refused = press(tess, f"{mine}/{action}")
        assert 400 <= refused.status_code < 500 and "Only who" in refused.text, action
    press(hall.ada, f"{mine}/hand/raise")
    for path in ("/places", "/message", "/hand", "/end", "/delete"):
        address = f"/hub/workshops/{own}{path}"
        assert press(hall.ada, address, **sent).status_code == 403, path
        other = press(tess, address, **sent)
        assert other.status_code == 404 and "no such workshop of yours" in other.text, path
        assert hall.trainer.post(address, data=sent).status_code == 403, path
    assert tess.get(f"/hub/workshops/{own}/board").status_code == 404
    for action in ("wait", "hand/raise", "hand/lower", "folder", "leave"):
        assert hall.ada.post(f"{mine}/{action}").status_code == 403, action
    press(hall.trainer, f"/hub/workshops/{own}/places", capacity="41")
    told = hall.command("status", own)
    assert "1 of 5 places taken" in told and "hand raised" in told
    assert "Taken over" not in hall.ada.get(mine).text
    press(hall.trainer, f"/hub/workshops/{own}/end")
    for client, action in ((tess, "/wait"), (tess, ""), (hall.ada, "/hand/raise"), (hall.ada, "")):
        over = press(client, f"{mine}{action}")
        assert over.status_code == 403 and "is over since" in over.text, action
    # Who took part has the way to their files here still.
    page = hall.ada.get(mine)
    assert "Download your folder" in page.text and "This page is here until" in page.text
    assert tess.get(mine).status_code == 403
    sent_on = press(hall.ada, f"{mine}/folder")
    assert sent_on.url.path == "/user/ada/pyfai/beamhub/folder" and "folder.zip" in sent_on.text
    answer = hall.ada.get("/user/ada/pyfai/beamhub/folder.zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="pyfai.zip"'
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    assert packed.testzip() is None and "pyfai/01_calibrate.ipynb" in packed.namelist()
    assert tess.get("/user/ada/pyfai/beamhub/folder.zip").status_code in (403, 404)
    press(hall.ada, f"{mine}/leave")
    assert "Download your folder" not in hall.ada.get(mine).text


def test_full_over_and_guessed(hall: Hall) -> None:
    bob, cyd = hall.portal.login("bob"), hall.portal.login("cyd")
    small = hall.make(capacity="1", title="Small")
    code = hall.code_of(small)
    press(bob, f"/hub/join/{code}")
    # The place is his, whatever becomes of the server.
    hall.portal.stop_server(bob, "pyfai")
    press(hall.trainer, f"/hub/workshops/{small}/end")
    over = press(bob, f"/hub/join/{code}")
    assert over.status_code == 403 and "is over since" in over.text
    press(hall.trainer, f"/hub/workshops/{small}", ends=field_time(hours=3))
    assert "Go back to the workshop" in bob.get(f"/hub/join/{code}").text
    listed = hall.code_of(hall.make(who="list", invited="bob", title="Listed"))
    refused = cyd.get(f"/hub/join/{listed}")
    assert refused.status_code == 403 and "cyd is not on it" in refused.text
    guesses = [cyd.get(f"/hub/join/aaaa-aaa{letter}").status_code for letter in "abcdefg"]
    assert guesses == [404] * 5 + [429] * 2
    # Not even the right one, for a while; who takes part comes in however many were guessed.
    assert cyd.get(f"/hub/join/{code}").status_code == 429
    for letter in "abcdefg":
        bob.get(f"/hub/join/aaaa-aaa{letter}")
    assert bob.get(f"/hub/join/{code}").status_code == 200


def test_everything_is_there_after_the_hub_was_killed(page: Page, hall: Hall) -> None:
    page.goto(f"{hall.portal.url}/hub/workshops/{hall.number}/board")
    row = page.get_by_role("row", name="ada")
    expect(row).to_contain_text("Running")
    press(hall.ada, f"/hub/join/{hall.code}/hand/raise")
    press(hall.trainer, f"/hub/workshops/{hall.number}/message", text=MESSAGE)
    hall.kill_and_start()
    assert "Your hand is raised" in hall.ada.get(f"/hub/join/{hall.code}").text
    assert "&lt;b&gt;Break&lt;/b&gt;" in hall.ada.get(f"/hub/join/{hall.code}").text
    press(hall.ada, f"/hub/join/{hall.code}")
    # The page that was open goes on by itself, and knows what was told before.
    expect(page.locator("#live")).to_be_hidden()
    expect(row).to_contain_text("forged.ipynb")
    assert hall.code_of(hall.number) == hall.code
    # Places, hands and their order are as they were, and a command beside the hub makes room.
    small = f"/hub/join/{hall.code_of(hall.small)}"
    assert "You are number 1" in hall.trainer.get(small).text
    assert "You are number 2" in hall.ada.get(small).text
    hall.command("extend", hall.small, "--capacity=2")
    assert "Go back to the workshop" in hall.trainer.get(small).text
    assert "You are number 1" in hall.ada.get(small).text
    again = hall.portal.login("dan")
    assert "Join and start" in again.get(f"/hub/join/{hall.code}").text
