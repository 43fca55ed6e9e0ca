"""What `beamhub check` finds of a machine's Docker."""

import gc
from ipaddress import IPv4Network

import psutil

from spawners.docker_checks import elsewhere, findings, nameless, unguarded, unlimited

FREE = IPv4Network("10.213.0.0/16")


def test_a_daemon_that_is_not_there_is_said_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/socket")
    monkeypatch.setenv("PATH", str(tmp_path))
    build, daemon = findings(FREE, ["pull", "build"])
    assert "apt-get install docker.io" in build
    assert "systemctl start docker" in daemon
    assert list(findings(FREE, ["pull"])) == [daemon]
    gc.collect()


def test_limits_that_the_kernel_lacks_are_named():
    assert list(unlimited({"MemoryLimit": True, "CpuCfsQuota": True, "PidsLimit": True})) == []
    [found] = unlimited({"MemoryLimit": False, "PidsLimit": True})
    assert "can't limit memory" in found


def test_addresses_that_the_machine_has_itself_are_not_free():
    assert list(elsewhere(FREE)) == []
    [found] = elsewhere(IPv4Network("127.0.0.0/16"))
    assert "backend.addresses" in found
    assert any(name in found for name in psutil.net_if_addrs())


def test_a_daemon_without_its_own_walls_is_said():
    usual = {"SecurityOptions": ["name=seccomp,profile=default", "name=cgroupns"]}
    assert list(unguarded(usual, 2_001_000_000)) == []
    for options in ([], None, ["name=seccomp,profile=unconfined"]):
        [found] = unguarded({"SecurityOptions": options}, 0)
        assert "filters no system calls" in found


def test_numbers_that_a_daemon_of_its_own_namespace_lacks_are_said():
    rootless = {"SecurityOptions": ["name=seccomp,profile=default", "name=rootless"]}
    [found] = unguarded(rootless, 2_001_000_000)
    assert "backend.first_number: 20000" in found
    assert list(unguarded(rootless, 20_000)) == []


def test_a_name_server_that_is_closed_is_said(tmp_path):
    file = tmp_path / "resolv.conf"
    file.write_text(
        "search x\nnameserver 169.254.169.254\nnameserver 9.9.9.9\nnameserver fd00::1\n"
    )
    [found] = nameless([tmp_path / "none", file], [IPv4Network("169.254.0.0/16")])
    assert "name server 169.254.169.254" in found
    assert list(nameless([tmp_path / "none"], [IPv4Network("0.0.0.0/0")])) == []
