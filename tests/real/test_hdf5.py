"""HDF5 files in JupyterLab: opened by double click, and large ones by a part of their bytes."""

import httpx
import pytest
from kernels import Kernel
from lab import open_hdf5
from playwright.sync_api import BrowserContext, Page, Response, expect
from portals import RunningPortal, shot

pytestmark = [
    pytest.mark.browser,
    pytest.mark.portal,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]
FILES = ("scan.h5", "scan.nxs", "scan.cxi")
LARGE = "large.h5"
FRAMES, SIDE = 2500, 1000
"""5 GB of frames of two bytes a pixel."""
FRAME = 2 * SIDE**2
MAKE = f"""
import os, h5py, numpy as np
rows, columns = np.mgrid[:{SIDE}, :{SIDE}]
frame = (1000 * np.exp(-((rows - 400) ** 2 + (columns - 600) ** 2) / 2e4)).astype("uint16")

def write(name, n):
    with h5py.File(name, "w") as file:
        data = file.create_group("entry/data")
        for group, kind, default in (file, "NXroot", "entry"), (file["entry"], "NXentry", "data"):
            group.attrs.update(NX_class=kind, default=default)
        data.attrs.update(NX_class="NXdata", signal="frames")
        frames = data.create_dataset("frames", (n, {SIDE}, {SIDE}), "uint16")
        # Those between take no room on the disk, but count for whoever reads the file.
        frames[0] = frames[n - 1] = frame

for name in {FILES}:
    write(name, 3)
write({LARGE!r}, {FRAMES})
print(os.path.getsize({LARGE!r}))
"""


@pytest.fixture(scope="module")
def helen(portal: RunningPortal) -> httpx.Client:
    client = portal.login("helen")
    portal.start_server(client, "pyfai")
    return client


@pytest.fixture(scope="module")
def kernel(portal: RunningPortal, helen: httpx.Client) -> Kernel:
    made = Kernel(portal, helen, "/user/helen/pyfai/")
    assert int(made.run(f"%cd -q ~\n{MAKE}")) > 5e9
    return made


@pytest.fixture
def page(portal: RunningPortal, helen: httpx.Client, context: BrowserContext) -> Page:
    context.add_cookies(
        [
            {"name": c.name, "value": c.value or "", "url": f"{portal.url}{c.path}"}
            for c in helen.cookies.jar
        ]
    )
    made = context.new_page()
    made.goto(f"{portal.url}/user/helen/pyfai/lab/tree/{FILES[0]}?reset")
    return made


@pytest.mark.parametrize("name", FILES)
def test_a_double_click_draws_what_is_in_it(kernel: Kernel, page: Page, name: str) -> None:
    figure = open_hdf5(page, name)
    expect(figure).to_contain_text("1e+3")
    shot(page, f"h5web-{name}", full=False)


def test_a_large_file_is_read_as_far_as_it_is_drawn(kernel: Kernel, page: Page) -> None:
    answers: list[Response] = []
    page.on("response", lambda r: answers.append(r) if "/pyfai/h5web/" in r.url else None)
    open_hdf5(page, LARGE)
    page.get_by_role("slider", name="D0").press("ArrowUp")
    with page.expect_response(lambda r: f"selection={FRAMES - 1}" in r.url) as last:
        page.get_by_role("slider", name="D0").press("End")
    assert max(last.value.body()) > 0
    assert FRAME <= sum(len(answer.body()) for answer in answers) < 5 * FRAME
