"""Values for the Zero-to-JupyterHub chart: all keys are its own, and what they make of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from traitlets.config import Config

from hub.config import configure_serving
from hub.render import Placeholders, RenderError, values
from hub.render.chart import CHART, LABELS, PORT, RELEASE, TOKEN
from hub.site import load_site
from tests.rendering import GOLDEN, SITE, portal, render

pytest.importorskip("kubespawner")

FACTS_OF = "4.4.0"
"""The chart's version whose values.schema.yaml was read for what follows."""
KEYS = {
    "fullnameOverride": str,
    "imagePullSecrets": list,
    "hub.image.name": str,
    "hub.image.tag": str,
    "hub.args": list,
    "hub.config": dict,
    "hub.extraFiles": dict,
    "hub.extraEnv": dict,
    "hub.db.type": str,
    "hub.db.pvc.storage": str,
    "hub.db.pvc.storageClassName": str,
    "hub.podSecurityContext": dict,
    "hub.containerSecurityContext": dict,
    "hub.resources": dict,
    "hub.extraVolumes": list,
    "hub.extraVolumeMounts": list,
    "hub.extraPodSpec": dict,
    "proxy.service.type": str,
    "proxy.chp.resources": dict,
    "singleuser.image.name": str,
    "singleuser.image.tag": str,
    "singleuser.nodeSelector": dict,
    "singleuser.cloudMetadata.blockWithIptables": bool,
    "singleuser.cloudMetadata.ip": str,
    "singleuser.networkPolicy.enabled": bool,
    "singleuser.networkPolicy.egressAllowRules.cloudMetadataServer": bool,
    "singleuser.networkPolicy.egressAllowRules.nonPrivateIPs": bool,
    "singleuser.networkPolicy.egressAllowRules.privateIPs": bool,
    "singleuser.networkPolicy.egress": list,
    "scheduling.podPriority.enabled": bool,
    "scheduling.userScheduler.enabled": bool,
    "scheduling.userPlaceholder.enabled": bool,
    "scheduling.userPlaceholder.replicas": int,
    "scheduling.userPlaceholder.resources": dict,
    "prePuller.hook.enabled": bool,
    "prePuller.continuous.enabled": bool,
    "prePuller.extraTolerations": list,
    "prePuller.extraImages": dict,
    "ingress.enabled": bool,
    "ingress.ingressClassName": str,
    "ingress.hosts": list,
    "ingress.tls": list,
    "cull.enabled": bool,
}
"""Keys that the schema knows, and what they hold; below those that hold a dict it knows none."""
VOLUME = "/srv/jupyterhub"
"""Where the chart's deployment mounts the volume that it makes for 'sqlite-pvc'."""
SELECTOR = {"app": "jupyterhub", "release": RELEASE, "component": "singleuser-server"}
"""By which its network policy knows servers; KubeSpawner sets the first and the last itself."""


def leaves(made: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key that the schema should know, and its value."""
    for key, value in made.items():
        path = f"{above}{key}"
        if isinstance(value, dict) and path not in KEYS:
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


def made(**more: Any) -> dict[str, Any]:
    """Return the values of the golden profile."""
    return values(portal(), **more)


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((GOLDEN / "helm.yaml").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def inside(golden, tmp_path) -> Path:
    """Return the profile that the chart's hub reads, as a file."""
    path = tmp_path / "site.yaml"
    path.write_text(golden["hub"]["extraFiles"]["site.yaml"]["stringData"], encoding="utf-8")
    return path


def test_every_key_is_one_that_the_charts_schema_knows():
    assert CHART == FACTS_OF
    everything = made(ingress_class="nginx", placeholders=Placeholders("small", 20))
    found = dict(leaves(everything))
    assert set(found) == set(KEYS)
    assert [key for key, value in found.items() if not isinstance(value, KEYS[key])] == []
    # Of these the schema knows what is below, too.
    for file in everything["hub"]["extraFiles"].values():
        assert set(file) == {"mountPath", "stringData"}
    for image in everything["prePuller"]["extraImages"].values():
        assert set(image) == {"name", "tag"}


def test_the_text_is_those_values_and_says_for_which_chart(golden):
    assert golden == made()
    text = (GOLDEN / "helm.yaml").read_text(encoding="utf-8")
    assert f"--version {CHART}" in text.partition("fullnameOverride")[0]


def test_the_hub_is_ours_and_reads_the_profile_that_is_mounted(golden):
    hub = golden["hub"]
    command = [argument.partition("{{")[0] for argument in hub["args"]]
    mounted = hub["extraFiles"]["site.yaml"]["mountPath"]
    assert command == ["beamhub", "serve", mounted, "--log", "stderr"]
    assert hub["extraEnv"]["BEAMHUB_STATE"].startswith(f"{VOLUME}/")
    # Should the arguments be lost, the chart's default would let everybody in.
    assert hub["config"]["JupyterHub"]["authenticator_class"] == "null"


def test_other_releases_and_namespaces_are_refused_since_no_policy_would_hold(golden):
    [guard] = [argument for argument in golden["hub"]["args"] if "{{" in argument]
    assert f'ne .Release.Name "{RELEASE}"' in guard
    assert 'ne .Release.Namespace "photons"' in guard
    assert guard.count('"') % 2 == 0


def test_its_proxy_is_the_charts_and_servers_are_those_that_its_policies_know(inside, monkeypatch):
    monkeypatch.setenv(TOKEN, "hunter2-Xq9")
    deployment = portal(inside)
    c = Config()
    configure_serving(c, deployment)
    assert c.ConfigurableHTTPProxy.should_start is False
    assert c.ConfigurableHTTPProxy.api_url == "http://proxy-api:8001"
    assert c.ConfigurableHTTPProxy.auth_token == "hunter2-Xq9"
    assert c.JupyterHub.hub_bind_url == f"http://0.0.0.0:{PORT + 81}"
    assert c.JupyterHub.hub_connect_url == f"http://hub:{PORT + 81}"
    assert deployment.site.backend.labels == LABELS
    assert LABELS["release"] == SELECTOR["release"]


def test_secrets_are_references_and_the_proxys_is_the_charts_own(golden):
    named = {n: v for n, v in golden["hub"]["extraEnv"].items() if isinstance(v, dict)}
    assert named == {
        name: {"valueFrom": {"secretKeyRef": {"name": "beamhub-secrets", "key": name}}}
        for name in ("BEAMHUB_OIDC_SECRET", "DATABASE_PASSWORD")
    }


def test_exactly_the_offered_images_are_pulled_by_digest_where_it_is_known(golden):
    pulled = {n: f"{i['name']}:{i['tag']}" for n, i in golden["prePuller"]["extraImages"].items()}
    site = load_site(str(SITE))
    assert set(pulled) == set(site.use_cases)
    [digest] = site.digests.values()
    assert pulled["pyfai"] == digest
    assert pulled["pymca"] == "registry.institute.example/beamhub/pymca:1.0.0"


def test_the_hub_starts_servers_from_the_images_that_were_pulled(inside, golden):
    here = portal(inside)
    [(tagged, digest)] = here.digests.items()
    assert tagged.rpartition(":")[0].endswith("/pyfai")
    pyfai = golden["prePuller"]["extraImages"]["pyfai"]
    assert digest == f"{pyfai['name']}:{pyfai['tag']}"


def test_images_are_pulled_where_servers_of_any_size_run(golden):
    assert golden["singleuser"]["nodeSelector"] == {"pool": "users"}
    assert [t["key"] for t in golden["prePuller"]["extraTolerations"]] == ["nvidia.com/gpu"]


def test_no_container_has_all_rights_to_keep_servers_from_clouds_credentials(golden):
    single = golden["singleuser"]
    assert single["cloudMetadata"]["blockWithIptables"] is False
    assert not any(single["networkPolicy"]["egressAllowRules"].values())


def test_placeholders_are_as_large_as_servers_and_below_them():
    chosen = made(placeholders=Placeholders("medium", 12))["scheduling"]
    assert chosen["podPriority"] == {"enabled": True}
    assert chosen["userPlaceholder"]["replicas"] == 12
    wanted = chosen["userPlaceholder"]["resources"]["requests"]
    assert wanted == {"cpu": "2.0", "memory": str(16 * 2**30)}


@pytest.mark.parametrize(
    ("placeholders", "told"),
    [("huge=3", "no size 'huge'"), ("gpu=3", "nodes of their own"), ("small", "SIZE=NUMBER")],
)
def test_placeholders_that_cannot_be_are_refused(placeholders, told):
    status, text = render("helm", SITE, "--placeholders", placeholders)
    assert status == 1
    assert told in text


def test_a_port_that_is_not_the_charts_is_refused(tmp_path):
    path = tmp_path / "site.yaml"
    text = SITE.read_text(encoding="utf-8").replace("hub:8081", "hub:9081")
    path.write_text(text.replace("serving: {", "serving: {port: 9000, "), encoding="utf-8")
    with pytest.raises(RenderError, match=r"serving\.port: the chart's proxy listens at 8000"):
        values(portal(path))
