"""What `beamhub check` and `beamhub serve` say of a cluster."""

from typing import Any

import pytest

from hub.site import load_site
from spawners.kubernetes import checks, client
from spawners.kubernetes.checks import refusal, too_large, trial_pod
from spawners.launch import BackendError

kubernetes_validate = pytest.importorskip("kubernetes_validate")

CLOUD = load_site("cloud")


def test_a_cluster_that_does_not_answer_is_told_once(cluster_address):
    [told] = CLOUD.backend.live_checks()
    assert "doesn't answer" in told
    assert "KUBECONFIG" in told
    assert too_large(CLOUD.backend, CLOUD.sizes) == []


def test_a_portal_without_a_cluster_does_not_begin(monkeypatch):
    def nothing() -> None:
        raise client.ConfigException("Invalid kube-config file.\n No configuration found.")

    monkeypatch.setattr(client, "load_config", nothing)
    with pytest.raises(BackendError, match="knows no Kubernetes cluster") as caught:
        CLOUD.backend.prepare()
    assert "\n" not in str(caught.value)
    assert CLOUD.backend.live_checks() == [str(caught.value)]


@pytest.mark.parametrize("size", CLOUD.sizes)
def test_what_is_tried_of_a_size_is_a_pod_like_its_servers(size):
    backend = type(CLOUD.backend).model_validate(
        {
            **CLOUD.backend.model_dump(mode="json", exclude_unset=True),
            "volumes": {"n": {"kind": "host", "path": "/local"}},
            "by_size": {size: {"priority_class": "users"}},
        }
    )
    pod: dict[str, Any] = trial_pod(backend, size, CLOUD.sizes[size])
    kubernetes_validate.validate(pod, "1.28", strict=True)
    [container] = pod["spec"]["containers"]
    memory = round(CLOUD.sizes[size].memory_gib * 2**30)
    assert container["resources"]["limits"]["memory"] == str(memory)
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["spec"]["priorityClassName"] == "users"
    # What a namespace doesn't let in is found, too.
    assert pod["spec"]["volumes"][0]["hostPath"]["path"] == "/local"


def test_a_refusal_is_told_in_words():
    error = checks.ApiException(status=403, reason="Forbidden")
    error.body = '{"message": "pods \\"x\\" is forbidden: no PriorityClass with name p was found"}'
    assert "no priority class p" in refusal(error)
    error.body = "<html>a proxy's own page</html>"
    assert "status 403" in refusal(error)
