"""Where a notebook runs: what the plan puts into the environment is what it reads."""

import os
from pathlib import Path

from hub.plan import Asked, plan
from hub.site import load_site
from workbench.here import PREFIX, here


def clear(monkeypatch):
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_without_a_portal_nothing_is_claimed(monkeypatch):
    clear(monkeypatch)
    place = here()
    assert (place.site, place.use_case, place.size, place.memory_gib, place.gpus) == (
        "",
        "",
        "",
        None,
        0,
    )
    assert place.cores == len(os.sched_getaffinity(0))
    assert dict(place.rows())["Site"] == "none: not started by a portal"
    assert dict(place.rows())["Memory"] == "not limited"


def test_a_launch_tells_all_that_a_notebook_asks(monkeypatch, use_cases):
    clear(monkeypatch)
    site = load_site("laptop")
    roots = [Path("/data/reference"), Path("/gpfs/shared data")]
    site = site.model_copy(update={"data": site.data.model_copy(update={"roots": roots})})
    launch = plan("pyfai", Asked(size="medium"), use_cases=use_cases, site=site, user="ada")
    for name, value in launch.environment.items():
        monkeypatch.setenv(name, value)
    place = here()
    assert place.site == site.title
    assert (place.use_case, place.version) == ("pyfai", use_cases["pyfai"].manifest.version)
    assert (place.size, place.memory_gib, place.gpus) == ("medium", 8.0, 0)
    assert place.data_roots == tuple(roots)
    assert dict(place.rows())["Memory"] == "8 GiB"


def test_the_table_obeys_no_html(monkeypatch):
    monkeypatch.setenv("BEAMHUB_SITE", "<script>alert(1)</script>")
    assert "<script>" not in here()._repr_html_()
