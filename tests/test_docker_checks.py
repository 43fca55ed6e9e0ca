"""What `beamhub check` finds of a machine's Docker."""

import gc
from ipaddress import IPv4Network

import psutil

from spawners.docker_checks import elsewhere, findings, unlimited

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
