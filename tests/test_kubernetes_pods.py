"""Pods from launches: KubeSpawner's own object, as the cluster would be asked for it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiClient
from pydantic import ValidationError
from traitlets.config import Config

from hub.deployment import Deployment
from hub.plan import Asked, plan
from hub.refusal import Refused
from hub.site import load_site
from hub.usecases import NOTEBOOKS, UseCase, load_use_cases
from spawners.kubernetes import KubernetesBackend
from spawners.kubernetes.storage import home_claim, site_volumes, unshown
from spawners.launch import Mount, PortalContext
from spawners.numbers import Numbers

kubernetes_validate = pytest.importorskip("kubernetes_validate")

CLOUD = load_site("cloud")
USE_CASES = {
    name: UseCase(name, case.folder, case.manifest.model_copy(update={"coming": []}))
    for name, case in load_use_cases([NOTEBOOKS]).items()
}
HOSTILE = [
    "ada",
    "Ada.Lovelace@example.org",
    "{pod_name}",
    "$(JUPYTERHUB_API_TOKEN)",
    "../../etc",
    "-x",
    "名前",
    "a" * 60,
    "a\nb",
]
NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
SCHEMA = "1.28"
PORTAL = PortalContext("ab12", Path("/s"), 8082, Path("/w"), Path("/c"), (), ())


def backend(**changes: Any) -> KubernetesBackend:
    """Return the backend of the profile for clouds, changed."""
    given = CLOUD.backend.model_dump(mode="json", exclude_unset=True)
    return KubernetesBackend.model_validate({**given, **changes})


def pod_of(
    a_user: Any,
    user: str = "ada",
    use_case: str = "pyfai",
    size: str = "small",
    **given: Any,
) -> dict[str, Any]:
    """Return the pod that a user's launch becomes, as it is sent to the cluster."""
    chosen = backend(**given.pop("backend", {}))
    site = CLOUD.model_copy(update={"backend": chosen, "limits": CLOUD.limits, **given})
    deployment = Deployment("cloud", site, USE_CASES, NOTEBOOKS)

    async def made() -> dict[str, Any]:
        launch = plan(use_case, Asked(size=size), use_cases=USE_CASES, site=site, user=user)
        one = a_user(deployment, user)
        one.settings["config"].PodSpawner = Config(chosen.configured(PORTAL))
        spawner = one.get_or_create_spawner(use_case, use_case)
        for trait, value in chosen.traits(launch).items():
            setattr(spawner, trait, value)
        spawner._slug = "a-user"
        spawner.put_inside(Numbers("a-user", 2_001_000_001, 2_001_000_001, (700,)))
        async with ApiClient() as client:
            sent: dict[str, Any] = client.sanitize_for_serialization(
                await spawner.get_pod_manifest()
            )
        return sent

    return asyncio.run(made())


def env_of(pod: dict[str, Any]) -> dict[str, str]:
    return {v["name"]: v.get("value", "") for v in pod["spec"]["containers"][0]["env"]}


@pytest.mark.parametrize("use_case", USE_CASES)
@pytest.mark.parametrize("size", CLOUD.sizes)
def test_a_launch_is_a_valid_pod_of_its_use_case_and_size(a_user, cluster_address, use_case, size):
    try:
        pod = pod_of(a_user, use_case=use_case, size=size)
    except Refused:
        return  # the size is too small for it
    kubernetes_validate.validate(pod, SCHEMA, strict=True)
    [container] = pod["spec"]["containers"]
    amount = CLOUD.sizes[size]
    assert container["image"].startswith(f"{CLOUD.registry}/{use_case}:")
    assert container["resources"]["limits"]["memory"] == amount.memory_gib * 2**30
    assert container["resources"]["limits"]["cpu"] == amount.cores
    assert container["resources"]["limits"].get("nvidia.com/gpu", "0") == str(amount.gpus)
    assert container["resources"]["requests"]["memory"] == amount.memory_gib * 2**30
    assert "command" not in container and "args" not in container  # the image's own
    assert env_of(pod)["OMP_NUM_THREADS"] == str(round(amount.cores))
    assert pod["spec"]["activeDeadlineSeconds"] > amount.walltime_h * 3600
    assert pod["metadata"]["labels"]["org.beamhub.size"] == size


def test_a_pod_has_the_sites_labels_and_none_of_them_is_in_the_place_of_the_portals(
    a_user, cluster_address
):
    given = {"release": "beamhub", "component": "hub", "org.beamhub.size": "huge"}
    labels = pod_of(a_user, backend={"labels": given})["metadata"]["labels"]
    assert labels["release"] == "beamhub"
    assert labels["component"] == "singleuser-server"
    assert labels["org.beamhub.size"] == "small"


@pytest.mark.parametrize("network", ["0.0.0.0/0", "169.254.169.254", "::/0"])
def test_no_way_out_leads_to_the_credentials_of_machines(network):
    with pytest.raises(ValidationError, match="name only the networks that are needed"):
        backend(ways_out=[{"to": network}])


def test_a_pod_may_nothing_that_it_does_not_need(a_user, cluster_address):
    spec = pod_of(a_user)["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["restartPolicy"] == "Never"
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"}
    own = 2_001_000_001
    pod, container = spec["securityContext"], spec["containers"][0]["securityContext"]
    assert (container["runAsUser"], container["runAsGroup"], pod["fsGroup"]) == (own, own, own)
    assert pod["supplementalGroups"] == [700]
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert container["allowPrivilegeEscalation"] is False
    assert container["readOnlyRootFilesystem"] is True
    assert container["runAsNonRoot"] is pod["runAsNonRoot"] is True
    for context in (pod, container):
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    written = {v["name"]: v for v in spec["volumes"]}
    assert {n for n, v in written.items() if "emptyDir" in v} == {"tmp", "shm", "names"}
    assert all(written[n]["emptyDir"]["medium"] == "Memory" for n in ("tmp", "shm", "names"))
    assert written["home"]["persistentVolumeClaim"]["claimName"] == "beamhub-a-user"


@pytest.mark.parametrize("user", HOSTILE)
def test_what_a_user_is_called_reaches_names_and_variables_as_text_only(
    a_user, cluster_address, user
):
    pod = pod_of(a_user, user)
    kubernetes_validate.validate(pod, SCHEMA, strict=True)
    assert pod["metadata"]["name"] == "beamhub-a-user--pyfai"
    assert pod["metadata"]["annotations"]["org.beamhub.user"] == user
    for value in pod["metadata"]["labels"].values():
        assert len(value) <= 63
        assert value.isascii()
        assert "{" not in value
    # A node takes $(NAME) for a reference, and $$ for a dollar sign.
    assert env_of(pod)["JUPYTERHUB_USER"].replace("$$", "") == user.replace("$", "")


def test_a_name_of_a_server_is_one_of_a_pod_however_long(a_user, cluster_address):
    name = "a-use-case-of-thirty-letters-x"
    case = USE_CASES["pyfai"]
    site = CLOUD
    cases = {name: UseCase(name, case.folder, case.manifest)}
    deployment = Deployment("cloud", site, cases, NOTEBOOKS)

    async def called() -> str:
        one = a_user(deployment)
        one.settings["config"].PodSpawner = Config(backend().configured(PORTAL))
        spawner = one.get_or_create_spawner(name, name)
        spawner._slug = "u" * 30
        spawner.put_inside(Numbers("u", 5000, 5000))
        return spawner.pod_name

    found = asyncio.run(called())
    assert len(found) <= 63
    assert found.startswith("beamhub-" + "u" * 30 + "--a-use-case")


def test_braces_of_a_site_are_no_template(a_user, cluster_address):
    pod = pod_of(a_user, title="Beam {userid} -")
    assert env_of(pod)["BEAMHUB_SITE"] == "Beam {userid} -"


def test_servers_of_one_user_share_a_node_where_the_home_is_on_one(a_user, cluster_address):
    affinity = pod_of(a_user)["spec"]["affinity"]["podAffinity"]
    [term] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    labels = pod_of(a_user)["metadata"]["labels"]
    assert term["labelSelector"]["matchLabels"].items() <= labels.items()
    anywhere = pod_of(a_user, backend={"home_access": "ReadWriteMany"})
    assert "affinity" not in anywhere["spec"]


def test_pods_of_a_size_go_where_the_site_says(a_user, cluster_address):
    taint = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
    gpu = {"node_selector": {"gpu": "a100"}, "tolerations": [taint], "priority_class": "gpus"}
    placed = {"by_size": {"gpu": gpu}, "node_selector": {"pool": "users"}}
    spec = pod_of(a_user, size="gpu", backend=placed)["spec"]
    assert spec["nodeSelector"] == {"gpu": "a100"}
    assert spec["tolerations"] == [{**taint, "operator": "Exists"}]
    assert spec["priorityClassName"] == "gpus"
    assert pod_of(a_user, backend=placed)["spec"]["nodeSelector"] == {"pool": "users"}


# The site's folders

VOLUMES = {
    "dls": {"kind": "nfs", "server": "files.example.org", "path": "/export", "holds": "/dls"},
    "sets": {"kind": "claim", "claim": "data-sets", "holds": "/sets"},
    "cvmfs": {"kind": "csi", "driver": "cvmfs.csi.cern.ch", "attributes": {"repository": "x"}},
    "node": {"kind": "host", "path": "/local", "holds": "/local"},
}


def shown(*mounts: Mount) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return site_volumes(mounts, backend(volumes=VOLUMES).volumes)


def test_folders_of_the_site_come_from_the_volumes_that_hold_them():
    volumes, views = shown(
        Mount(source="/dls/i18/data", target="/data"),
        Mount(source="/sets/a", target="/a"),
        Mount(source="/sets/b", target="/b", read_only=False),
        Mount(source="cvmfs", target="/cvmfs"),
        Mount(source="/local/scratch", target="/scratch", read_only=False),
    )
    assert volumes[0]["nfs"]["path"] == "/export/i18/data"
    claims = [v["persistentVolumeClaim"] for v in volumes if "persistentVolumeClaim" in v]
    assert claims == [{"claimName": "data-sets", "readOnly": False}]  # once, since one is written
    assert [view.get("subPath") for view in views] == [None, "a", "b", None, None]
    assert [view["readOnly"] for view in views] == [True, True, False, True, False]
    [csi] = [v["csi"] for v in volumes if "csi" in v]
    assert csi["driver"] == "cvmfs.csi.cern.ch"
    [host] = [v["hostPath"] for v in volumes if "hostPath" in v]
    # A folder that isn't there is never made.
    assert host == {"path": "/local/scratch", "type": "Directory"}
    assert {view["name"] for view in views} == {v["name"] for v in volumes}


def test_a_folder_that_no_volume_holds_is_refused_with_what_to_write():
    told = list(unshown([Mount(source="/gpfs", target="/gpfs")], backend(volumes=VOLUMES).volumes))
    assert "/gpfs" in told[0] and "backend.volumes" in told[0]
    body = CLOUD.model_dump(mode="json", exclude_unset=True)
    storage = [{"source": "/gpfs", "target": "/gpfs"}]
    with pytest.raises(ValidationError, match=r"storage\[0\]: pods can't see /gpfs"):
        type(CLOUD).model_validate({**body, "template": [], "storage": storage})


@pytest.mark.parametrize(
    "wrong",
    [
        {"namespace": "a/b"},
        {"prefix": "Beam-Hub"},
        {"volumes": {"x": {"kind": "nfs", "server": "a b", "path": "/x"}}},
        {"volumes": {"x": {"kind": "host", "path": "/x/../etc"}}},
        {"volumes": {"x": {"kind": "claim", "claim": "{username}"}}},
        {"volumes": {"x": {"kind": "claim", "claim": "beamhub-ada"}}},
        {"by_size": {"gpu": {"node_selector": {"a b": "c"}}}},
        {"pull_secrets": ["$(X)"]},
        {"first_number": 0},
        {"hub_url": "ftp://hub"},
    ],
)
def test_settings_that_a_cluster_would_refuse_are_refused_at_once(wrong):
    with pytest.raises(ValidationError):
        backend(**wrong)


def test_a_home_is_a_claim_that_the_cluster_takes():
    claim = home_claim(
        "beamhub-ada",
        storage_class="fast",
        capacity="10Gi",
        access="ReadWriteOnce",
        labels={"org.beamhub.portal": "ab12"},
        annotations={"org.beamhub.user": "ada"},
    )
    kubernetes_validate.validate(claim, SCHEMA, strict=True)
    assert claim["spec"]["storageClassName"] == "fast"


def test_a_removed_server_leaves_its_users_home(a_user, cluster_address):
    deployment = Deployment("cloud", CLOUD, USE_CASES, NOTEBOOKS)

    async def deleted() -> bool:
        one = a_user(deployment)
        spawner = one.get_or_create_spawner("pyfai", "pyfai")
        asked: list[str] = []
        spawner.api = type("Api", (), {"__getattr__": lambda _, name: asked.append(name)})()
        await spawner.delete_forever()
        return not asked

    assert asyncio.run(deleted())
