"""What a cluster says, in the words of those who wait for a server or have lost one."""

from typing import Any

import pytest

from spawners.kubernetes.words import NO_CLUSTER, ending_of, is_over, refusal_of, step_of

IMAGE = "ghcr.io/beamhub/pyfai:1.0.0"


def pod(
    *,
    node: str = "n1",
    waiting: dict[str, str] | None = None,
    running: bool = False,
    terminated: dict[str, Any] | None = None,
    unplaced: str = "",
    **status: Any,
) -> dict[str, Any]:
    """Return a pod as a cluster tells of it."""
    state = {"waiting": waiting} if waiting else {}
    state |= {"running": {}} if running else {}
    state |= {"terminated": terminated} if terminated else {}
    conditions = list(status.pop("conditions", []))
    if unplaced:
        conditions.append({"type": "PodScheduled", "status": "False", "message": unplaced})
    return {
        "metadata": {"name": "beamhub-ada--pyfai"},
        "spec": {"nodeName": "" if unplaced else node, "containers": [{"image": IMAGE}]},
        "status": {
            "conditions": conditions,
            "containerStatuses": [{"name": "notebook", "state": state}] if state else None,
            **status,
        },
    }


def event(reason: str, message: str = "", count: int = 1) -> dict[str, Any]:
    return {"reason": reason, "message": message, "count": count}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("0/1 nodes are available: 1 Insufficient cpu.", "the only node has too few cores free"),
        (
            "0/3 nodes are available: 1 Insufficient memory, 2 node(s) had taint {gpu: true}, that "
            "the pod didn't tolerate.",
            "of 3 nodes, 1 has too little memory free and 2 are kept for other work",
        ),
        (
            "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: 0/2 nodes are "
            "available: 2 No preemption victims found for incoming pod.",
            "of 2 nodes, 2 have no GPU free",
        ),
        (
            "0/3 nodes are available: 1 node(s) didn't match pod affinity rules, 2 node(s) were "
            "unschedulable.",
            "1 is not the one on which your other server runs and 2 are closed or not ready",
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            "2 are not of the kind that this size needs",
        ),
        ("0/4 nodes are available: 4 node(s) are blue.", "Waiting for a node"),
        (
            "0/1 nodes are available: 1 pod has unbound immediate PersistentVolumeClaims.",
            "Waiting until the cluster has made room for your files",
        ),
    ],
)
def test_why_there_is_no_node_yet(said, words):
    step = step_of(pod(unplaced=said), [])
    assert step.message.endswith(words)
    assert not step.hopeless


def test_a_cluster_that_grows_says_so():
    waits = pod(unplaced="0/1 nodes are available: 1 Insufficient cpu.")
    assert "some minutes" in step_of(waits, [event("TriggeredScaleUp")]).message
    assert "doesn't grow" in step_of(waits, [event("NotTriggerScaleUp")]).message


@pytest.mark.parametrize(
    ("happened", "words"),
    [
        ([], "A node was found"),
        ([event("Scheduled"), event("Pulling", f'Pulling image "{IMAGE}"')], "Fetching the image"),
        ([event("Pulling"), event("Pulled")], "Making the server"),
        (
            [event("FailedAttachVolume", "Multi-Attach error for volume pvc-1")],
            "which another node still holds",
        ),
        (
            [event("FailedMount", "hostPath type check failed: /dls is not a directory")],
            "the site's folder /dls",
        ),
        ([event("FailedMount", "timed out")], "a volume that the node can't have yet"),
    ],
)
def test_what_a_node_does_before_a_server_begins(happened, words):
    assert words in step_of(pod(), happened).message


def test_a_server_whose_program_runs_is_nearly_there():
    assert step_of(pod(running=True), [event("Failed", "pull", 9)]).percent == 90


def pull(message: str, count: int = 1) -> Any:
    waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{IMAGE}"'}
    failed = event("Failed", f'Failed to pull image "{IMAGE}": {message}', count)
    return step_of(pod(waiting=waiting), [event("Pulling"), failed])


def test_an_image_that_will_never_come_ends_the_start():
    absent = pull("rpc error: code = NotFound desc = failed to resolve: not found")
    assert absent.hopeless and "not in the registry" in absent.message and IMAGE in absent.message
    closed = pull("pull access denied, repository does not exist or may require authorization")
    assert closed.hopeless
    secret = pull("unexpected status: 401 Unauthorized")
    assert secret.hopeless and "pull_secrets" in secret.message


def test_a_registry_that_is_away_is_tried_a_few_times():
    said = "dial tcp 10.0.0.1:443: i/o timeout"
    assert not pull(said).hopeless
    assert pull(said, 3).hopeless


@pytest.mark.parametrize(
    ("waiting", "words"),
    [
        (("CreateContainerConfigError", 'secret "x" not found'), "no secret 'x'"),
        (("CreateContainerConfigError", "container has runAsNonRoot and image"), "root"),
        (("InvalidImageName", ""), "can't have the image"),
        (("RunContainerError", "OCI runtime create failed"), "as the site's profile asks"),
    ],
)
def test_what_a_node_can_not_make_ends_the_start(waiting, words):
    step = step_of(pod(waiting={"reason": waiting[0], "message": waiting[1]}), [])
    assert step.hopeless
    assert words in step.message


@pytest.mark.parametrize(
    ("status", "said", "words"),
    [
        (
            403,
            'pods "x" is forbidden: exceeded quota: q, requested: limits.cpu=2, used: '
            "limits.cpu=7, limited: limits.cpu=8",
            "it asks for 2 cores, and of 8 cores for all servers 7 cores are taken",
        ),
        (
            403,
            'pods "x" is forbidden: maximum memory usage per Container is 4Gi, but limit is 8Gi',
            "no server have more than 4Gi of memory",
        ),
        (403, 'pods "x" is forbidden: no PriorityClass with name gpus was found', "class gpus"),
        (403, 'pods "x" is forbidden: violates PodSecurity "restricted:latest"', "'restricted'"),
        (
            403,
            'pods is forbidden: User "system:serviceaccount:a:hub" cannot create resource "pods" '
            'in API group "" in the namespace "a"',
            "may not create pods",
        ),
        (409, 'object is being deleted: pods "x" already exists', "has not ended yet"),
        (404, 'namespaces "beamhub" not found', "no namespace 'beamhub'"),
        (400, 'admission webhook "policy.example.org" denied the request: no', "A rule"),
        (401, "Unauthorized", "token or certificate"),
        (429, "Too many requests", NO_CLUSTER),
        (503, "etcdserver: leader changed", NO_CLUSTER),
        (422, "Pod is invalid: <secret detail>", "status 422"),
    ],
)
def test_why_the_cluster_refuses(status, said, words):
    text = refusal_of(status, said)
    assert words in text
    assert "<secret detail>" not in text
    assert "\n" not in text


def ended(reason: str = "Error", code: int = 1, **status: Any) -> dict[str, Any]:
    given = {"phase": "Failed", **status}
    return pod(terminated={"reason": reason, "exitCode": code}, **given)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (ended("OOMKilled", 137), "more than the 4 GiB of its size"),
        (ended(code=3), "exit status 3"),
        (ended(code=137), "signal 9"),
        # One that an operator deletes is killed if it doesn't end in time.
        ({**ended(code=137), "metadata": {"deletionTimestamp": "now"}}, "deleted from outside"),
        (ended("Completed", 0, phase="Succeeded"), "shut down from inside"),
        (pod(phase="Failed", reason="DeadlineExceeded"), "Its time was over"),
        (
            pod(
                phase="Failed",
                reason="Evicted",
                message="The node was low on resource: memory. Container was using 5Gi",
            ),
            "took it from its node, which was short of memory",
        ),
        (
            ended(conditions=[{"type": "DisruptionTarget", "reason": "PreemptionByScheduler"}]),
            "work that goes first",
        ),
        (pod(phase="Failed", reason="NodeShutdown"), "lost or shut down"),
        (ended("ContainerStatusUnknown", 137), "lost or shut down"),
        (pod(phase="Failed", reason="OutOfcpu"), "no room after all"),
        (pod(phase="Running", running=True), "deleted from outside"),
        ({}, "deleted from outside"),
    ],
)
def test_why_a_server_has_ended(found, words):
    assert words in ending_of(found, "4 GiB")


def test_a_pod_is_over_once_its_server_is():
    assert is_over(ended())
    assert is_over(pod(phase="Failed", reason="Evicted"))
    assert not is_over(pod(phase="Running", running=True))
    assert not is_over(pod(phase="Pending"))
