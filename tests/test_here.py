"""Where a notebook runs: what the plan puts into the environment is what it reads."""

import os
from pathlib import Path

from hub.plan import Asked, plan
from hub.site import load_site
from workbench.here import PREFIX, here, usable_cores


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
    assert 1 <= place.cores <= len(os.sched_getaffinity(0))
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


def group(tmp_path, list_of_groups, **files):
    """Return a made-up list of control groups and where they are mounted."""
    (tmp_path / "cgroup").write_text(list_of_groups)
    for name, text in files.items():
        path = tmp_path / "mounted" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "cgroup", tmp_path / "mounted"


def test_cores_are_what_affinity_and_control_groups_leave(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert usable_cores(tmp_path / "none", tmp_path) == 64
    assert usable_cores(*group(tmp_path, "0::/\n", cpu_dot_max="max 100000\n")) == 64
    assert usable_cores(*group(tmp_path, "0::/\n", cpu_dot_max="250000 100000\n")) == 3
    assert usable_cores(*group(tmp_path, "0::/\n", cpu_dot_max="5000 100000\n")) == 1
    nested = {"a__cpu_dot_max": "200000 100000", "a__b__cpu_dot_max": "400000 100000"}
    (tmp_path / "mounted/cpu.max").unlink()
    assert usable_cores(*group(tmp_path, "0::/a/b\n", **nested)) == 2


def test_cores_by_control_groups_of_version_1(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    inside = "5:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n"
    limits = {"cpu,cpuacct__cpu.cfs_quota_us": "400000", "cpu,cpuacct__cpu.cfs_period_us": "100000"}
    assert usable_cores(*group(tmp_path, inside, **limits)) == 4
    limits["cpu,cpuacct__cpu.cfs_quota_us"] = "-1"
    assert usable_cores(*group(tmp_path, inside, **limits)) == 64


def test_a_quota_never_gives_more_than_affinity(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 7})
    assert usable_cores(*group(tmp_path, "0::/\n", cpu_dot_max="800000 100000\n")) == 2
