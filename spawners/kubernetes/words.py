"""What a cluster says of pods, in the words of those who wait for a server or have lost one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..telling import ending_by_status

Object = Mapping[str, Any]
NO_CLUSTER = (
    "The Kubernetes cluster that runs servers doesn't answer. Nothing of yours is lost. Try again "
    "in a few minutes; an administrator can look with 'beamhub check'."
)
PULLS = 3
"""A registry that can't be reached is tried so often."""
NOT_FREE = (
    (r"Insufficient cpu", "{n} {has} too few cores free"),
    (r"Insufficient memory", "{n} {has} too little memory free"),
    (r"Insufficient ephemeral-storage", "{n} {has} too little disk free"),
    (r"Insufficient \S*gpu\S*", "{n} {has} no GPU free"),
    (r"Insufficient (?P<what>\S+)", "{n} {has} no {what} free"),
    (r"Too many pods", "{n} {has} no place for another server"),
    (r"unschedulable|were not ready|not-ready|unreachable", "{n} {is_} closed or not ready"),
    (r"had (untolerated )?taint", "{n} {is_} kept for other work"),
    (r"pod affinity", "{n} {is_} not the one on which your other server runs"),
    (r"volume node affinity", "{n} can't have your files"),
    (r"node (affinity|selector)|node selector", "{n} {is_} not of the kind that this size needs"),
    (r"volume count|max volume", "{n} can't have more volumes"),
)
"""Why nodes were passed over, as the scheduler counts them."""
PULL_FAULTS = (
    (
        r"not found|manifest unknown|does not exist|NotFound",
        "The image {image} is not in the registry. An administrator can push it, or correct "
        "'registry' in the site's profile.",
    ),
    (
        r"denied|unauthori[sz]ed|forbidden|authentication required|\b40[13]\b",
        "The cluster may not fetch the image {image}. An administrator can name a secret for it in "
        "backend.pull_secrets.",
    ),
    (
        r"no space left",
        "The disk of the node has no room for the image {image}. Try again: another node may have.",
    ),
)
REFUSALS = (
    (
        r"exceeded quota: \S+, requested: (?P<asked>\S+), used: (?P<used>\S+), "
        r"limited: (?P<limit>\S+)",
        "The site has no room left for it: it asks for {asked}, and of {limit} for all servers "
        "{used} are taken. Stop a server that you don't need, take a smaller size, or try again "
        "later.",
    ),
    (
        r"maximum (?P<what>cpu|memory) usage per (Container|Pod) is (?P<limit>[\w.]+)",
        "The cluster lets no server have more than {limit} of {what}. Choose a smaller size.",
    ),
    (
        r"no PriorityClass with name (?P<what>\S+)",
        "The cluster has no priority class {what}, which the site's profile names in "
        "backend.priority_class.",
    ),
    (
        r"violates PodSecurity \W*(?P<what>[a-z]+)",
        "The namespace of the portal doesn't let servers in (Pod Security level '{what}'). An "
        "administrator can look with 'beamhub check'.",
    ),
    (
        r'namespaces? "(?P<what>[^"]+)" not found',
        "The cluster has no namespace '{what}', which the site's profile names.",
    ),
    (
        r'cannot (?P<verb>\w+) resource "(?P<what>[\w/]+)"',
        "The portal may not {verb} {what} in the cluster. An administrator can look with 'beamhub "
        "check'.",
    ),
    (
        r"object is being deleted|already exists",
        "The pod of this server's last life has not ended yet: its node may not answer. Try again "
        "in a few minutes, or ask an administrator to remove it.",
    ),
    (
        r"is being terminated",
        "The namespace of the portal is being removed. Ask an administrator.",
    ),
)
ENDINGS = (
    (
        r"DeadlineExceeded",
        "Its time was over. Start it again to go on.",
    ),
    (
        r"Evicted|TerminationByKubelet|EvictionByEvictionAPI",
        "The cluster took it from its node{why}. Your files are kept: start it again.",
    ),
    (
        r"Preempt\w*",
        "The cluster gave its place to work that goes first. Your files are kept: start it again.",
    ),
    (
        r"NodeLost|NodeShutdown|Shutdown|Terminated|DeletionByTaintManager|DeletionByPodGC|"
        r"ContainerStatusUnknown",
        "The node that ran it was lost or shut down. Your files are kept: start it again.",
    ),
    (
        r"UnexpectedAdmissionError|OutOf\w+|NodeAffinity",
        "The node that was to run it had no room after all. Start it again.",
    ),
)
"""Why a pod was ended, by the reasons that the cluster gives."""


@dataclass(frozen=True)
class Step:
    """What a server that starts waits for.

    Parameters
    ----------
    percent : int
        How far it is.
    message : str
        In words, for its user.
    hopeless : bool, optional
        Whether waiting is of no use: the message says why, and what to do.
    """

    percent: int
    message: str
    hopeless: bool = False


def step_of(pod: Object, events: Iterable[Object]) -> Step:
    """Return what a pod waits for.

    Parameters
    ----------
    pod : mapping
        As the cluster tells of it.
    events : iterable of mapping
        What has happened to it, in order.
    """
    told = list(events)
    if not pod.get("spec", {}).get("nodeName"):
        return unplaced(pod, told)
    status = server_status(pod)
    state = status.get("state", {})
    if "running" in state:
        return Step(90, "Starting JupyterLab")
    image = str(pod["spec"]["containers"][0]["image"])
    if why := stuck(state.get("waiting", {}), image, told):
        return why
    return on_its_node(image, told)


def unplaced(pod: Object, events: list[Object]) -> Step:
    """Return why a pod has no node yet."""
    said = condition(pod, "PodScheduled").get("message", "")
    reasons = [event.get("reason") for event in events]
    if "TriggeredScaleUp" in reasons:
        return Step(20, "A further node is started for it, which takes some minutes")
    if not said:
        return Step(15, "Waiting for a node")
    text = waiting_text(said)
    if "NotTriggerScaleUp" in reasons:
        text += "; the cluster doesn't grow further for it"
    return Step(20, text)


def waiting_text(said: str) -> str:
    """Return what the scheduler says of the nodes, in words."""
    if re.search("unbound immediate|persistentvolumeclaim .* not found", said, re.IGNORECASE):
        return "Waiting until the cluster has made room for your files"
    total = re.search(r"\d+/(\d+) nodes are available", said)
    if not total:
        return "Waiting for a node"
    counted = re.split(r"(?<=\S)\. |preemption:", said.partition("available:")[2])[0]
    alone = total[1] == "1"
    parts = [
        text
        for count, what in re.findall(r"(\d+) (.+?)(?=, \d+ |\.?$)", counted.strip())
        if (text := not_free(int(count), what, alone=alone))
    ]
    if not parts:
        return "Waiting for a node"
    of = "" if alone else f"of {total[1]} nodes, "
    return f"Waiting for room: {of}{' and '.join(dict.fromkeys(parts))}"


def not_free(count: int, what: str, *, alone: bool) -> str:
    """Return why some nodes were passed over, empty where the reason isn't a known one."""
    which = "the only node" if alone else count
    for pattern, words in NOT_FREE:
        if found := re.search(pattern, what):
            verbs = {"has": "has" if count == 1 else "have", "is_": "is" if count == 1 else "are"}
            return words.format(n=which, **verbs, **found.groupdict())
    return ""


def on_its_node(image: str, events: list[Object]) -> Step:
    """Return what a node does before a server can begin."""
    for event in reversed(events):
        reason, said = event.get("reason", ""), event.get("message", "")
        if reason in ("FailedMount", "FailedAttachVolume", "FailedMapVolume"):
            return Step(35, volume_text(said))
        if reason == "SuccessfulAttachVolume":
            return Step(40, "Your files are at hand")
        if reason == "Pulling":
            return Step(50, f"Fetching the image {image}, which takes some minutes the first time")
        if reason in ("Pulled", "Created"):
            return Step(80, "Making the server")
        if reason == "FailedCreatePodSandBox":
            return Step(35, "The node has trouble beginning it, and tries again")
    return Step(30, "A node was found")


def volume_text(said: str) -> str:
    """Return why a volume isn't there yet."""
    if re.search("Multi-Attach|already (exclusively )?attached", said):
        return "Waiting for your files, which another node still holds"
    if found := re.search(r"hostPath type check failed: (\S+)", said):
        return f"Waiting for the site's folder {found[1]}, which the node doesn't have"
    if found := re.search(r'(?:claim|persistentvolumeclaim) "([^"]+)" not found', said):
        return f"Waiting for the volume claim {found[1]}, which isn't there"
    if re.search(r"driver name (\S+) not found", said):
        return "Waiting for a volume whose driver the node doesn't have"
    return "Waiting for a volume that the node can't have yet"


def stuck(waiting: Object, image: str, events: list[Object]) -> Step | None:
    """Return why a server can't begin, None where it still may."""
    reason, said = waiting.get("reason", ""), waiting.get("message", "")
    if reason in ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"):
        return pull_fault(image, said, events)
    if reason in ("InvalidImageName", "ErrImageNeverPull"):
        return Step(
            0, f"The node can't have the image {image}. Ask an administrator.", hopeless=True
        )
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        return Step(0, config_text(said), hopeless=True)
    return None


def pull_fault(image: str, said: str, events: list[Object]) -> Step:
    """Return what is wrong with an image, or that it's tried again."""
    failed = [e for e in events if e.get("reason") == "Failed" and "pull" in e.get("message", "")]
    text = " ".join([said, *(event.get("message", "") for event in failed)])
    for pattern, words in PULL_FAULTS:
        if re.search(pattern, text):
            return Step(0, words.format(image=image), hopeless=True)
    if sum(event.get("count") or 1 for event in failed) >= PULLS:
        return Step(
            0,
            f"The node could not fetch the image {image}: its registry doesn't answer as it "
            "should. Try again later, or ask an administrator.",
            hopeless=True,
        )
    return Step(50, f"Fetching the image {image} failed; the node tries again")


def config_text(said: str) -> str:
    """Return what a node found wrong with a container."""
    if "runAsNonRoot" in said or "non-root" in said:
        return (
            "The node doesn't let it run, since its account would be root's. Ask an administrator."
        )
    if found := re.search(r'(secret|configmap) "([^"]+)" not found', said):
        return f"The cluster has no {found[1]} '{found[2]}', which it needs. Ask an administrator."
    return "The node could not make the server as the site's profile asks. Ask an administrator."


def refusal_of(status: int, said: str) -> str:
    """Return why the API server refused to make a pod or a home."""
    for pattern, words in REFUSALS:
        if found := re.search(pattern, said):
            told = {name: amounts(text) for name, text in found.groupdict().items()}
            return words.format(**told)
    if status == 401:
        return "The cluster doesn't know the portal any more: its token or certificate is over."
    if status == 429 or status >= 500:
        return NO_CLUSTER
    if "admission webhook" in said:
        return "A rule of the cluster (admission webhook) refuses it. Ask an administrator."
    return (
        f"The cluster refused to start it (status {status}). The portal's log says why: ask an "
        "administrator."
    )


def amounts(said: str) -> str:
    """Return amounts as quotas have them (``limits.cpu=2,pods=1``) in words, else the text."""
    found = re.findall(r"([\w./-]+)=([\w.]+)", said)
    if not found:
        return said
    return ", ".join(f"{number} {unit_of(name)}" for name, number in found)


def unit_of(name: str) -> str:
    """Return what a quota counts."""
    kind = name.removeprefix("limits.").removeprefix("requests.")
    known = {"cpu": "cores", "pods": "servers", "persistentvolumeclaims": "homes"}
    known |= {"memory": "of memory", "storage": "of storage"}
    return "GPUs" if "gpu" in kind else known.get(kind, kind)


def ending_of(pod: Object, memory: str, output: str = "") -> str:
    """Return why a pod ended, empty where it ended in order.

    Parameters
    ----------
    pod : mapping
        As the cluster told of it last, empty where nothing is known.
    memory : str
        What it had been given, in words.
    output : str, optional
        What the server said last.
    """
    ended = server_status(pod).get("state", {}).get("terminated")
    if ended and ended.get("reason") == "OOMKilled":
        return (
            f"It ran out of memory: it wanted more than the {memory} of its size. Start it with a "
            "larger size, or work on less at a time."
        )
    status = pod.get("status", {})
    given = [
        condition(pod, "DisruptionTarget").get("reason", ""),
        status.get("reason", ""),
        (ended or {}).get("reason", ""),
    ]
    for pattern, words in ENDINGS:
        if any(re.fullmatch(pattern, reason) for reason in given):
            return words.format(why=shortage(status.get("message", "")))
    deleted = pod.get("metadata", {}).get("deletionTimestamp")
    if ended and not deleted and status.get("phase") in ("Failed", "Succeeded"):
        code = int(ended.get("exitCode", 0))
        return ending_by_status(128 - code if code > 128 else code, output)
    return (
        "Its pod was deleted from outside of the portal, by an operator of the cluster for "
        "example. Your files are kept: start it again."
    )


def shortage(said: str) -> str:
    """Return what a node lacked when it took a pod from itself."""
    found = re.search(r"low on resource: \[?(memory|ephemeral-storage|\w*[fF]s\w*|pids?)", said)
    if not found:
        return ""
    what = {"memory": "memory", "pid": "process numbers", "pids": "process numbers"}
    return f", which was short of {what.get(found[1], 'disk')}"


def is_over(pod: Object) -> bool:
    """Return whether a pod's server has ended."""
    over = pod.get("status", {}).get("phase") in ("Failed", "Succeeded")
    return over or "terminated" in server_status(pod).get("state", {})


def server_status(pod: Object) -> Object:
    """Return what is told of the container that is the server."""
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if status.get("name") == "notebook":
            found: Object = status
            return found
    return {}


def condition(pod: Object, kind: str) -> Object:
    """Return a pod's condition of that type, empty where it has none."""
    for found in pod.get("status", {}).get("conditions") or ():
        if found.get("type") == kind:
            known: Object = found
            return known
    return {}
