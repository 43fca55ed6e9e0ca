"""Pods of a real cluster: what its faults do to servers, and what pages say of them."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import REGISTRY
from kernels import Kernel
from kube import NAMESPACE, Kube, programs
from portals import BEAMHUB, PATIENCE_S, RunningPortal, xsrf
from starts import failing_start

pytestmark = [
    pytest.mark.portal,
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.skipif(programs() is None, reason="BEAMHUB_KUBERNETES names no folder"),
]
POD = "beamhub-{}--pyfai"


def until(check: Callable[[], Any]) -> Any:
    """Return what a question is answered with once that isn't empty."""
    end = time.monotonic() + PATIENCE_S
    while not (found := check()):
        assert time.monotonic() < end
        time.sleep(0.5)
    return found


def until_told(client: httpx.Client, user: str, text: str) -> str:
    """Wait until a server's page says something, and return the page."""
    end = time.monotonic() + PATIENCE_S
    while text not in (page := client.get(f"/user/{user}/pyfai/lab").text):
        assert time.monotonic() < end, page
        time.sleep(0.5)
    return page


def test_the_account_that_the_docs_give_to_the_portal_is_enough(
    kube: Kube, kubernetes_portal: RunningPortal
):
    site = next(kube.folder.glob("site-*.yaml"))
    done = subprocess.run(
        [BEAMHUB, "check", str(site), f"--state={kubernetes_portal.state}"],
        capture_output=True,
        text=True,
    )
    assert "Kubernetes" not in done.stdout
    assert "namespace" not in done.stdout


def test_what_the_account_lacks_is_told_verb_by_verb(kube: Kube, kubernetes_portal: RunningPortal):
    site = next(kube.folder.glob("site-*.yaml"))
    role = json.loads(kube.kubectl("get", "role", "hub", f"-n={NAMESPACE}", "-o=json"))
    less = [{**rule, "verbs": ["get"]} for rule in role["rules"]]
    changed = {"apiVersion": role["apiVersion"], "kind": "Role", "rules": less}
    changed["metadata"] = {"name": "hub", "namespace": NAMESPACE}
    try:
        kube.kubectl("apply", "-f", "-", given=json.dumps(changed))
        done = subprocess.run(
            [BEAMHUB, "check", str(site), f"--state={kubernetes_portal.state}"],
            capture_output=True,
            text=True,
        )
    finally:
        kube.kubectl("apply", "-f", kube.folder / "settings/site.yaml")
    said = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert "may not list, watch, create, delete pods in the namespace" in said
    assert "may not create persistentvolumeclaims" in said


def test_a_pod_is_the_users_alone(kube: Kube, kubernetes_portal: RunningPortal):
    client = kubernetes_portal.login("ada")
    kubernetes_portal.start_server(client, "pyfai", size="small")
    kernel = Kernel(kubernetes_portal, client, "/user/ada/pyfai/")
    told = kernel.run("import os, pathlib; print(os.getuid(), pathlib.Path.home().stat().st_mode)")
    assert int(told.split()[0]) > 2_001_000_000
    said = kernel.run("open('/usr/x', 'w')")
    assert "Read-only file system" in said
    assert kernel.run("print(os.path.exists('/var/run/secrets/kubernetes.io'))") == "False\n"
    # Of services, a pod is always told where the API server is; of the namespace's own, nothing.
    services = "print(*[n for n in os.environ if n.endswith('_SERVICE_HOST')])"
    assert kernel.run(services) == "KUBERNETES_SERVICE_HOST\n"
    kubernetes_portal.stop_server(client, "pyfai")


def test_a_pod_that_an_operator_deletes_is_told_of(kube: Kube, kubernetes_portal: RunningPortal):
    client = kubernetes_portal.login("ben")
    kubernetes_portal.start_server(client, "pyfai", size="small")
    kube.kubectl("delete", "pod", POD.format("ben"), f"-n={NAMESPACE}", "--wait=true")
    assert "Your files are kept" in until_told(client, "ben", "deleted from outside")


def test_a_home_is_kept_when_its_server_is_removed(kube: Kube, kubernetes_portal: RunningPortal):
    client = kubernetes_portal.login("cleo")
    kubernetes_portal.start_server(client, "pyfai", size="small")
    kubernetes_portal.stop_server(client, "pyfai")
    token = {"X-XSRFToken": client.cookies.get("_xsrf", path="/hub/") or ""}
    answer = client.request(
        "DELETE", "/hub/api/users/cleo/servers/pyfai", headers=token, json={"remove": True}
    )
    assert answer.status_code in (202, 204), answer.text
    claims = json.loads(kube.kubectl("get", "pvc", f"-n={NAMESPACE}", "-o=json"))["items"]
    assert "beamhub-cleo" in [claim["metadata"]["name"] for claim in claims]


def test_a_quota_that_is_used_up_ends_a_start_at_once(kube: Kube, kubernetes_portal: RunningPortal):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "little", "namespace": NAMESPACE},
        "spec": {"hard": {"pods": "0"}},
    }
    kube.kubectl("apply", "-f", "-", given=json.dumps(quota))
    try:
        until(
            lambda: "pods" in kube.kubectl("get", "quota", "little", f"-n={NAMESPACE}", "-o=yaml")
        )
        said = failing_start(kubernetes_portal.login("dan"), "pyfai", "dan")
    finally:
        kube.kubectl("delete", "quota", "little", f"-n={NAMESPACE}")
    assert "it asks for 1 servers" in said
    assert "HTTP response headers" not in said


def test_servers_are_kept_while_the_api_server_is_away(
    kube: Kube, kubernetes_portal: RunningPortal
):
    client = kubernetes_portal.login("eve")
    kubernetes_portal.start_server(client, "pyfai", size="small")
    with kube.without_api():
        until(lambda: "has not answered since" in client.get("/hub/home").text)
        assert client.get("/user/eve/pyfai/api/status").status_code == 200
    until(lambda: "has not answered since" not in client.get("/hub/home").text)
    assert client.get("/user/eve/pyfai/api/status").status_code == 200
    assert POD.format("eve") in until(kube.pods)
    kubernetes_portal.stop_server(client, "pyfai")
    assert POD.format("eve") not in kube.pods()


def test_servers_outlive_a_hub_that_is_killed(kube: Kube, state_folder: Callable[[], Path]):
    state = state_folder()
    first = kube.portal(state, REGISTRY)
    client = first.login("fay")
    first.start_server(client, "pyfai", size="small")
    kernel = Kernel(first, client, "/user/fay/pyfai/")
    kernel.run("kept = 42")
    uid = kube.pods()[POD.format("fay")]["metadata"]["uid"]
    first.process.kill()
    first.stop(signal.SIGKILL)
    second = kube.portal(state, REGISTRY, port=first.port)
    try:
        kernel.client = second.client(client.cookies)
        assert kernel.run("print(kept)") == "42\n"
        assert kube.pods()[POD.format("fay")]["metadata"]["uid"] == uid
        second.stop_server(kernel.client, "pyfai")
        assert POD.format("fay") not in kube.pods()
    finally:
        second.stop()


def test_what_a_start_waits_for_and_what_it_will_never_get_are_told(
    kube: Kube, state_folder: Callable[[], Path]
):
    portal = kube.portal(state_folder(), "127.0.0.1:9/nobody", cores_guaranteed=1)
    try:
        said = failing_start(portal.login("gus"), "pyfai", "gus")
        assert "127.0.0.1:9/nobody/pyfai" in said and "registry" in said
        client = portal.login("hal")
        token = xsrf(client.get("/hub/open/pyfai").text)
        client.post("/hub/open/pyfai", data={"_xsrf": token, "size": "large"})
        pending = "/hub/spawn-pending/hal/pyfai"
        until(lambda: "the only node has too few cores free" in client.get(pending).text)
        portal.stop_server(client, "pyfai")
        assert not {POD.format(name) for name in ("gus", "hal")} & set(kube.pods())
    finally:
        portal.stop()
