"""Homes in which JupyterLab can't run: said each time, and a safe start that leads out."""

import html
import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from kernels import Kernel, in_a_terminal
from portals import RunningPortal, xsrf
from starts import failing_start

pytestmark = [pytest.mark.portal, pytest.mark.slow]
SAFE_LINK = "/hub/open/pyfai?safe=yes"
CONFIG = "c.ServerApp.contents_manager_class = 'lost_package.Manager'\n"


@pytest.fixture(scope="module")
def hugo(portal: RunningPortal) -> httpx.Client:
    """Somebody whose tutorials' folder is a link to a disk that is gone."""
    home = home_of(portal)
    home.mkdir(parents=True)
    (home / "beamhub").symlink_to("/scratch/gone")
    return portal.login("hugo")


def home_of(portal: RunningPortal) -> Path:
    return portal.state / "homes/hugo"


def test_a_start_that_fails_is_told_with_the_remedy_each_time(hugo: httpx.Client) -> None:
    for _ in range(3):
        page = failing_start(hugo, "pyfai", "hugo")
        assert "~/beamhub is a link to /scratch/gone, which is not there" in page
        assert "rm ~/beamhub" in page
        assert SAFE_LINK in page


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda home: (home / ".local").mkdir(mode=0o755), id="root's"),
        pytest.param(lambda home: (home / ".ipython").write_text(""), id="file"),
    ],
)
def test_what_is_in_the_way_is_named(
    portal: RunningPortal, hugo: httpx.Client, spoil: Callable[[Path], None]
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make folders of root's")
    home = home_of(portal)
    spoil(home)
    [name] = [path.name for path in home.iterdir() if path.name in (".local", ".ipython")]
    page = failing_start(hugo, "pyfai", "hugo")
    assert f"~/{name} " in page
    (home / name).rename(home / f"{name[1:]}.old")


def test_a_safe_start_leads_out_of_all_of_it(portal: RunningPortal, hugo: httpx.Client) -> None:
    home = home_of(portal)
    settings, owner = home / ".jupyter", home.stat()
    settings.mkdir(exist_ok=True)
    os.chown(settings, owner.st_uid, owner.st_gid)
    (settings / "jupyter_server_config.py").write_text(CONFIG)
    page = hugo.get(SAFE_LINK)
    assert "It will start without anything of your own" in page.text
    portal.start_server(hugo, "pyfai", size="small", safe="yes")
    base = "/user/hugo/pyfai/"
    assert Kernel(portal, hugo, base).run("print(6 * 7)") == "42\n"
    in_a_terminal(portal, hugo, base, "rm ~/beamhub")
    assert not os.path.lexists(home / "beamhub")
    portal.stop_server(hugo, "pyfai")
    page = failing_start(hugo, "pyfai", "hugo")
    assert "names something that this use case's software doesn't have" in html.unescape(page)
    assert "lost_package" in page
    assert xsrf(hugo.get("/hub/open/pyfai").text)
