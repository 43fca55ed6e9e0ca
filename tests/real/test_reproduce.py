"""From a notebook that was run, through its archive, to somebody else's server."""

import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from lab import run_all
from playwright.sync_api import Browser, BrowserContext, Page, expect
from portals import LOOKS, RunningPortal, log_in, shot, violations, xsrf

from workbench.archiving import pack
from workbench.hashing import sha256_of_bytes
from workbench.record import Archived

pytestmark = [pytest.mark.portal]

CELLS = [
    "DATA = 'lab6-image'\nSEED = 1",
    "import numpy as np\nimport pyFAI\nimport images\n"
    "from workbench import Checks, cite, data\n"
    "files = data.fetch(DATA, seed=SEED, progress=False)",
    "checks = Checks('Small')\nchecks.equal('Files', got=len(files) > 0, truth=True)\n"
    "checks.close('π', got=np.pi, truth=3.14159, within=1e-4, unit='rad')\nchecks.report()",
    "cite()",
]
OWNED = "<img src='x' onerror='document.body.dataset.owned=1'><script>top.owned=1</script>"


def notebook(cells: list[dict]) -> dict:
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernel},
        "cells": cells,
    }


def code(source: str, number: int, **more) -> dict:
    empty = {"cell_type": "code", "id": f"c{number}", "metadata": {}, "outputs": []}
    return {**empty, "execution_count": None, "source": source, **more}


def crate(body: dict, name: str = "stranger.ipynb", **changes) -> bytes:
    """Return an archive as somebody could make it by hand."""
    raw = json.dumps(body).encode()
    file = {"sha256": "f" * 64, "name": "lab6.npz", "size_bytes": 1_234_567}
    data = {"label": "pyfai/lab6-image", "title": "Powder rings of LaB₆", "licence": "CC0-1.0"}
    data |= {"source": "simulated", "seed": 1, "n_files": 1, "size_bytes": 1_234_567}
    check = {"name": "Distance", "expected": "0.15 m", "got": "0.150001 m", "tolerance": "± 1e-5 m"}
    report = {"title": "Calibration", "passed": True, "verdict": "All 2 checks passed"}
    rows = [{**check, "passed": True}, {**check, "name": "Wavelength", "passed": True}]
    record = {
        "run": "0" * 32,
        "finished": "2026-11-24T10:00:00Z",
        "use_case": "pyfai",
        "version": "0.0.1",
        "site": "Another Portal",
        "image": f"registry.example/beamhub/pyfai@sha256:{'a' * 64}",
        "python": "3.13.5",
        "machine": "x86_64",
        "packages": {"numpy": "1.0", "h5py": "1.0", "pyFAI": "1.0"},
        "software": [
            {"name": "pyFAI", "version": "1.0", "licence": "MIT", "url": "https://pyfai.example/"}
        ],
        "data_sets": [{**data, "sums": "0" * 64, "files": [file]}],
        "reports": [{**report, "checks": rows}],
        **changes,
    }
    packed = {"name": name, "size_bytes": len(raw), "sha256": sha256_of_bytes(raw)}
    parameters = {"DATA": "'lab6-image'", "SEED": "1"}
    told = Archived.model_validate({"notebook": packed, "record": record, "parameters": parameters})
    text = told.model_dump_json(exclude_none=True).encode()
    return pack({"run.json": text, name: raw}, told.record.finished)


STRANGER = crate(notebook([code("1 + 1", 1)]))


def send(client: httpx.Client, data: bytes, **fields: str) -> httpx.Response:
    """Upload an archive as the form does."""
    form = {"_xsrf": xsrf(client.get("/hub/reproduce").text), **fields}
    sent = {"archive": ("x.crate.zip", data)}
    answer = client.post("/hub/reproduce", data=form, files=sent, follow_redirects=False)
    # httpx would repeat the form's Content-Type without its body.
    return client.get(answer.headers["Location"]) if answer.is_redirect else answer


def contents(client: httpx.Client, user: str, path: str, **query: str) -> httpx.Response:
    return client.get(f"/user/{user}/pyfai/api/contents/beamhub/pyfai/{path}", params=query)


@pytest.fixture(scope="module")
def ruth(portal: RunningPortal) -> httpx.Client:
    return portal.login("ruth")


def archive_of(portal: RunningPortal, browser: Browser, user: str, folder: Path) -> Path:
    """Run a small notebook in JupyterLab, press its button, and return the archive."""
    client = portal.login(user)
    portal.start_server(client, "pyfai")
    body = notebook([code(source, i) for i, source in enumerate(CELLS)])
    token = {"X-XSRFToken": client.cookies.get("_xsrf", path=f"/user/{user}/pyfai/") or ""}
    where = f"/user/{user}/pyfai/api/contents/beamhub/pyfai/small.ipynb"
    made = client.put(where, json={"type": "notebook", "content": body}, headers=token)
    assert made.status_code == 201, made.text

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    log_in(page, portal, user)
    page.goto(f"{portal.url}/user/{user}/pyfai/lab/tree/beamhub/pyfai/small.ipynb")
    run_all(page)
    button = page.get_by_role("button", name="Archive this notebook")
    expect(button).to_be_visible()
    # Nothing of this run is saved yet, so there is nothing to archive.
    button.click()
    expect(page.get_by_text("is not this run's")).to_be_visible()
    page.keyboard.press("Control+s")
    page.wait_for_timeout(1500)
    button.click()
    link = page.get_by_role("link").filter(has_text=re.compile(r"small-.*[.]crate[.]zip"))
    expect(link).to_be_visible()
    shot(page, f"archive-button-{user}", full=False)
    with page.expect_download() as coming:
        link.click()
    path = folder / "small.crate.zip"
    coming.value.save_as(path)
    context.close()
    return path


def show_it(page: Page, path: Path) -> None:
    """Send an archive, and wait for the page that tells what it is."""
    page.get_by_role("link", name="Reproduce it here").click()
    page.get_by_label("Archive, up to 50 MB").set_input_files(path)
    page.get_by_role("button", name="Show what it holds").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("small.ipynb")


def open_it(page: Page, user: str) -> str:
    """Open the archive that is shown, and return the name of the copy, drawn as it was run."""
    page.get_by_role("button", name="Open in Powder diffraction with pyFAI").click()
    page.wait_for_url(f"**/user/{user}/pyfai/lab/tree/**", timeout=300_000)
    expect(page.locator(".jp-NotebookPanel").get_by_text("All 2 checks passed")).to_be_visible()
    return page.url.rpartition("/")[2].partition("?")[0]


@pytest.mark.browser
@pytest.mark.slow
def test_a_run_is_archived_and_somebody_else_reproduces_it(
    portal: RunningPortal, browser: Browser, context: BrowserContext, tmp_path: Path
) -> None:
    path = archive_of(portal, browser, "rosalind", tmp_path)
    with zipfile.ZipFile(path) as packed:
        told = Archived.model_validate_json(packed.read("run.json"))
        original = packed.read("small.ipynb")
        bibliography = packed.read("citations.bib").decode()
    record = told.record
    assert (record.use_case, record.image) == ("pyfai", "")
    assert record.passed and record.n_checks == 2
    assert told.not_as_run == 0
    assert [d.label for d in record.data_sets] == ["pyfai/lab6-image"]
    assert all(f.sha256 for f in record.data_sets[0].files)
    assert "images.py" in [m.name for m in record.modules]
    assert "pyFAI" in [s.name for s in record.software]
    assert told.parameters == {"DATA": "'lab6-image'", "SEED": "1"}
    assert "Kieffer2020" in bibliography
    assert b"rosalind" not in packed_text(path)

    # Somebody else gets the file, and nothing but the file.
    page = context.new_page()
    log_in(page, portal, "bob")
    show_it(page, path)
    expect(page.get_by_text("The same version of the use case")).to_be_visible()
    expect(page.get_by_text("packages pinned here had the same version")).to_be_visible()
    expect(page.get_by_text("All of its code cells are as they were run")).to_be_visible()
    expect(page.get_by_text("Small: All 2 checks passed")).to_be_visible()
    shot(page, "found-real")
    name = open_it(page, "bob")
    assert ".reproduced-20" in name
    shot(page, "reproduced", full=False)
    bob = portal.client(cookies_of(context))
    there = contents(bob, "bob", name, type="file", format="text").json()["content"]
    assert there.encode() == original
    run_all(page)
    expect(page.get_by_role("button", name="Archive this notebook")).to_be_visible()

    # Going back and on again changes nothing; pressing again gives another copy, never over one.
    place = page.context.new_page()
    place.goto(f"{portal.url}/hub/usecases")
    names = [c["name"] for c in contents(bob, "bob", "").json()["content"]]
    assert [n for n in names if "reproduced" in n] == [name]


def packed_text(path: Path) -> bytes:
    with zipfile.ZipFile(path) as packed:
        return b"\n".join(map(packed.read, packed.namelist()))


def cookies_of(context: BrowserContext) -> httpx.Cookies:
    jar = httpx.Cookies()
    for cookie in context.cookies():
        jar.set(cookie["name"], cookie["value"], path=cookie["path"])
    return jar


@pytest.mark.browser
@pytest.mark.docker
@pytest.mark.slow
def test_a_run_in_a_container_tells_its_image(
    docker_portal: RunningPortal, browser: Browser, context: BrowserContext, tmp_path: Path
) -> None:
    path = archive_of(docker_portal, browser, "maria", tmp_path)
    with zipfile.ZipFile(path) as packed:
        told = Archived.model_validate_json(packed.read("run.json"))
        graph = json.loads(packed.read("ro-crate-metadata.json"))["@graph"]
    assert told.record.image == container_image("maria")
    (image,) = [thing for thing in graph if thing["@type"] == "ContainerImage"]
    assert image["identifier"] == told.record.image
    assert b"maria" not in packed_text(path)

    page = context.new_page()
    log_in(page, docker_portal, "bert")
    show_it(page, path)
    shot(page, "found-of-a-container")
    open_it(page, "bert")


def container_image(user: str) -> str:
    """Return the image of a user's container, as Docker was asked for it."""
    names = ["docker", "ps", "--quiet", "--filter", f"name=-{user}--pyfai$"]
    found = subprocess.check_output(names, text=True).strip()
    about = ["docker", "inspect", "--format={{.Config.Image}}", found]
    return subprocess.check_output(about, text=True).strip()


@pytest.mark.browser
@pytest.mark.slow
def test_a_strangers_notebook_does_nothing_by_being_opened(
    portal: RunningPortal, browser: Browser
) -> None:
    html = {"output_type": "display_data", "metadata": {}, "data": {"text/html": OWNED}}
    trusted = {"metadata": {"trusted": True}, "outputs": [html], "execution_count": 1}
    body = notebook([code("'hello'", 1, **trusted)])
    body["metadata"]["trusted"] = True
    eve = portal.login("eve")
    found = send(eve, crate(body))
    page_form = {"_xsrf": xsrf(found.text), "size": "small"}
    answer = eve.post(found.url.path, data=page_form)
    for _ in range(600):
        if "/user/" in answer.url.path:
            break
        answer = eve.get(str(answer.url))
    names = [c["name"] for c in contents(eve, "eve", "").json()["content"]]
    (name,) = [n for n in names if n.startswith("stranger.reproduced-")]
    cells = contents(eve, "eve", name, type="notebook").json()["content"]["cells"]
    assert [c["metadata"]["trusted"] for c in cells] == [False]

    context = browser.new_context()
    context.add_cookies(
        [
            {"name": c.name, "value": c.value or "", "url": f"{portal.url}{c.path}"}
            for c in eve.cookies.jar
        ]
    )
    page = context.new_page()
    page.goto(f"{portal.url}/user/eve/pyfai/lab/tree/beamhub/pyfai/{name}")
    expect(page.locator(".jp-NotebookPanel").get_by_text("'hello'")).to_be_visible()
    page.wait_for_timeout(1500)
    assert page.evaluate("[window.owned, document.body.dataset.owned]") == [None, None]

    # Once more: another copy beside, and the first as it was.
    before = contents(eve, "eve", name, type="file", format="text").json()["content"]
    eve.post(found.url.path, data=page_form)
    names = [c["name"] for c in contents(eve, "eve", "").json()["content"]]
    assert sorted(n for n in names if "reproduced" in n) == [
        name.replace(".ipynb", "-2.ipynb"),
        name,
    ]
    assert contents(eve, "eve", name, type="file", format="text").json()["content"] == before
    again = eve.get(f"{found.url.path}/notebook")
    assert again.url.path.endswith("-2.ipynb")
    notes = [t["note"] for t in eve.get("/hub/api/users/eve/tokens").json()["api_tokens"]]
    assert not [note for note in notes if "archive" in note]
    context.close()


BAD = {
    "text": b"hello",
    "empty": b"",
    "a notebook alone": json.dumps(notebook([])).encode(),
    "another zip": pack(
        {"x": b"1"},
        Archived.model_validate_json(
            zipfile.ZipFile(BytesIO(STRANGER)).read("run.json")
        ).record.finished,
    ),
    "cut": STRANGER[:-40],
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_archive_is_refused_in_words(ruth: httpx.Client, what: str) -> None:
    answer = send(ruth, BAD[what])
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "Traceback" not in answer.text


def test_no_file_at_all(ruth: httpx.Client) -> None:
    """A browser sends the form in parts then too, with a file that has neither name nor content."""
    token = xsrf(ruth.get("/hub/reproduce").text)
    part = '--x\r\nContent-Disposition: form-data; name="'
    body = f'{part}_xsrf"\r\n\r\n{token}\r\n{part}archive"; filename=""\r\n\r\n\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = ruth.post("/hub/reproduce", content=body, headers=kind)
    assert answer.status_code == 400
    assert "choose one that ends in .crate.zip" in answer.text


def test_a_foreign_page_can_send_nothing(ruth: httpx.Client, portal: RunningPortal) -> None:
    answer = ruth.post("/hub/reproduce", files={"archive": ("x", STRANGER)})
    assert answer.status_code == 403
    with httpx.Client(base_url=portal.url) as nobody:
        assert nobody.get("/hub/reproduce").status_code == 302


def test_an_archive_is_its_senders_alone(ruth: httpx.Client, portal: RunningPortal) -> None:
    found = send(ruth, STRANGER)
    assert found.status_code == 200, found.text
    assert "/hub/reproduce/" in found.url.path
    sam = portal.login("sam")
    answer = sam.get(found.url.path)
    assert answer.status_code == 404
    assert "no longer here" in answer.text


def test_nothing_is_opened_before_the_button_was_pressed(ruth: httpx.Client) -> None:
    found = send(ruth, STRANGER)
    answer = ruth.get(f"{found.url.path}/notebook")
    assert answer.url.path == found.url.path
    assert "Nothing of yours is running" in ruth.get("/hub/home").text


@pytest.mark.parametrize("size", ["huge", "small; rm -rf /", "../small"])
def test_only_a_size_of_the_site_reaches_a_launch(ruth: httpx.Client, size: str) -> None:
    found = send(ruth, STRANGER)
    form = {"_xsrf": xsrf(found.text), "size": size, "image": "evil", "notebook": "../x"}
    answer = ruth.post(found.url.path, data=form)
    assert answer.status_code == 400
    assert "Nothing of yours is running" in ruth.get("/hub/home").text


@pytest.mark.parametrize(
    ("use_case", "says"),
    [
        ("spectra", "doesn't offer"),
        (None, "names no use case"),
    ],
)
def test_what_cannot_be_opened_here_says_why(
    ruth: httpx.Client, use_case: str | None, says: str
) -> None:
    found = send(ruth, crate(notebook([]), use_case=use_case))
    assert found.status_code == 200
    assert "opened" in found.text
    assert says in found.text.replace("&#39;", "'")
    assert '<button class="btn btn-primary' not in found.text


@pytest.fixture(scope="module")
def session(browser: Browser, portal: RunningPortal) -> dict:
    context = browser.new_context()
    log_in(context.new_page(), portal, "petra")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(params=LOOKS, ids=str)
def page(browser: Browser, session: dict, request: pytest.FixtureRequest) -> Iterator[Page]:
    scheme, width = request.param
    size = {"width": width, "height": 800}
    context = browser.new_context(color_scheme=scheme, viewport=size, storage_state=session)
    made = context.new_page()
    made.variant = f"{scheme}-{width}"  # type: ignore[attr-defined]
    yield made
    context.close()


def looks_right(page: Page, name: str) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways"
    shot(page, f"{name}-{page.variant}")  # type: ignore[attr-defined]
    assert violations(page) == []


@pytest.mark.browser
def test_the_pages_are_accessible_and_fit(
    page: Page, portal: RunningPortal, tmp_path: Path
) -> None:
    (tmp_path / "bad.zip").write_bytes(b"hello")
    (tmp_path / "good.crate.zip").write_bytes(STRANGER)
    page.goto(f"{portal.url}/hub/reproduce")
    looks_right(page, "reproduce")
    page.get_by_label("Archive, up to").set_input_files(tmp_path / "bad.zip")
    page.get_by_role("button", name="Show what it holds").click()
    expect(page.get_by_role("alert")).to_contain_text("isn't an archive of a notebook")
    looks_right(page, "reproduce-refused")
    page.get_by_label("Archive, up to").set_input_files(tmp_path / "good.crate.zip")
    page.get_by_role("button", name="Show what it holds").click()
    expect(page.get_by_text("Another version: 0.0.1 there")).to_be_visible()
    looks_right(page, "found")


@pytest.mark.browser
def test_it_works_by_keyboard_and_without_javascript(
    browser: Browser, portal: RunningPortal, tmp_path: Path
) -> None:
    (tmp_path / "good.crate.zip").write_bytes(STRANGER)
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    log_in(page, portal, "noel")
    page.goto(f"{portal.url}/hub/reproduce")
    page.get_by_label("Archive, up to").set_input_files(tmp_path / "good.crate.zip")
    page.get_by_label("Archive, up to").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Show what it holds")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("stranger.ipynb")
    expect(page.get_by_role("button", name="Open in Powder diffraction")).to_be_visible()
    context.close()
