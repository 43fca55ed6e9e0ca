"""Which folders a site can't show to servers in containers together."""

import pytest

from hub.overlaps import Shown, problems
from spawners import Mount


def show(key: str, source: str, target: str, *, writable: bool = False) -> Shown:
    return Shown(key, Mount(source=source, target=target, read_only=not writable))


def found(*shown: Shown, volumes: str = "") -> str:
    return "\n".join(problems(shown, volumes=volumes))


CACHE = show("data.cache", "/data/cache", "/data/cache")


@pytest.mark.parametrize(
    "target", ["/data", "/data/cache", "/data/cache/inside", "/data/./cache", "/data//cache"]
)
def test_nothing_that_can_be_written_is_over_or_below_what_must_not(target):
    said = found(show("storage[0]", "/elsewhere", target, writable=True), CACHE)
    assert "storage[0]" in said and "data.cache" in said and "keep" in said


@pytest.mark.parametrize("source", ["/data", "/data/cache", "/data/cache/inside"])
def test_nor_does_it_lie_there_under_another_name(source):
    said = found(show("storage[0]", source, "/work", writable=True), CACHE)
    assert "storage[0] lets servers write in" in said


def test_a_link_is_followed(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    closed = show("data.roots[0]", str(tmp_path / "data"), "/reference")
    assert found(show("storage[0]", str(tmp_path / "link"), "/work", writable=True), closed)


def test_folders_that_can_only_be_read_may_lie_in_one_another():
    assert found(show("storage[0]", "/data", "/data"), CACHE) == ""
    assert found(show("storage[0]", "/work", "/work", writable=True), CACHE) == ""
    assert found(show("storage[0]", "/data2", "/data2", writable=True), CACHE) == ""


def test_no_two_have_the_same_place():
    said = found(show("storage[0]", "/a", "/x"), show("storage[1]", "/b", "/x"))
    assert said == "storage[0] and storage[1] are both shown at /x: keep one of them"


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/home", "/home/jovyan", "/home/jovyan/data", "/tmp", "/tmp/x", "/opt"),
        *("/opt/venv", "/opt/venv/bin", "/usr", "/etc", "/etc/ssl", "/proc/1", "/var"),
    ],
)
@pytest.mark.parametrize("writable", [True, False])
def test_nothing_covers_what_a_server_has_or_runs(target, writable):
    assert "choose another target" in found(show("storage[0]", "/a", target, writable=writable))


@pytest.mark.parametrize("target", ["/data", "/opt/xds", "/usr/local/xds", "/home/group", "/srv"])
def test_other_places_are_free(target):
    assert found(show("storage[0]", "/a", target)) == ""


def test_nobody_is_shown_another_s_home():
    volume = show("storage[0]", "beamhub-ada", "/x")
    assert "can be a user's own home" in found(volume, volumes="beamhub-")
    assert found(show("storage[0]", "beamhub_data", "/x"), volumes="beamhub-") == ""
