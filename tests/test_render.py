"""A cloud profile becomes manifests that a cluster takes, or a sentence that says why not."""

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from hub.deployment import Deployment
from hub.render import RenderError, as_yaml, manifests, values
from hub.render.inside import Manifest
from hub.site import load_site
from spawners.kubernetes.checks import NEEDED
from tests.rendering import GOLDEN, NO_STATE, SITE, portal, render

kubernetes_validate = pytest.importorskip("kubernetes_validate")

Made = dict[tuple[str, str], Manifest]
SCHEMAS = ("1.25", "1.37")
"""The oldest and the newest that the package has."""
IN_1_20 = {
    "Namespace": "v1",
    "ServiceAccount": "v1",
    "ConfigMap": "v1",
    "PersistentVolumeClaim": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "Role": "rbac.authorization.k8s.io/v1",
    "RoleBinding": "rbac.authorization.k8s.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Ingress": "networking.k8s.io/v1",
}
"""Kinds, and in which version Kubernetes has had them from 1.20 or before until today."""
PROFILE = """\
extends: cloud
login: {issuer: https://login.institute.example, client_id: beamhub}
serving: {public_url: https://beamhub.institute.example}
backend: {namespace: photons, hub_url: "http://hub:8081"}
"""
DATABASE = "database: {kind: postgresql, host: db, password: {env: DATABASE_PASSWORD}}\n"


def deployment(folder: Path, text: str) -> Deployment:
    """Return the portal of a profile."""
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return portal(path)


def by_kind(made: Iterable[Manifest]) -> Made:
    return {(m["kind"], m["metadata"]["name"]): m for m in made}


@pytest.fixture(scope="module")
def golden() -> Made:
    """Return the manifests of the golden profile, by kind and name."""
    text = (GOLDEN / "kubernetes.yaml").read_text(encoding="utf-8")
    return by_kind(yaml.safe_load_all(text))


@pytest.mark.parametrize("way", ["kubernetes", "helm"])
def test_the_same_profile_gives_the_same_text(way):
    file = GOLDEN / f"{way}.yaml"
    command = (
        f"beamhub render {way} tests/golden/site.yaml --state {NO_STATE} > tests/golden/{way}.yaml"
    )
    wanted = file.read_text(encoding="utf-8") if file.exists() else ""
    status, text = render(way, SITE, "--state", NO_STATE)
    assert status == 0, text
    assert text == wanted, f"If that is meant, look through it and keep it: {command}"


def test_every_manifest_fits_kubernetes_and_lies_in_the_namespace(golden):
    for ((kind, _), manifest), schema in itertools.product(golden.items(), SCHEMAS):
        kubernetes_validate.validate(manifest, schema, strict=True)
        assert kind == "Namespace" or manifest["metadata"]["namespace"] == "photons"
        assert manifest["apiVersion"] == IN_1_20[kind]
    assert {kind for kind, _ in golden} == set(IN_1_20)


def test_the_pod_reads_the_same_profile_and_only_references_to_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("BEAMHUB_OIDC_SECRET", "hunter2-Xq9")
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2-Xq9")
    here = deployment(tmp_path, PROFILE + DATABASE)
    made = by_kind(manifests(here))
    assert "hunter2" not in str(made)
    pod = tmp_path / "in-the-pod.yaml"
    pod.write_text(made["ConfigMap", "hub"]["data"]["site.yaml"], encoding="utf-8")
    assert load_site(str(pod)) == here.site
    container = made["Deployment", "hub"]["spec"]["template"]["spec"]["containers"][0]
    named = {e["name"]: e["valueFrom"]["secretKeyRef"] for e in container["env"][3:]}
    assert set(named) == {"BEAMHUB_OIDC_SECRET", "DATABASE_PASSWORD"}


def test_the_hub_may_do_what_it_needs_and_nothing_else(golden):
    rules = golden["Role", "hub"]["rules"]
    assert {r["resources"][0]: tuple(r["verbs"]) for r in rules} == NEEDED


def test_what_asks_the_hub_in_its_own_pod_finds_it_there(golden):
    deployment = golden["Deployment", "hub"]["spec"]["template"]
    [alias] = deployment["spec"]["hostAliases"]
    host = load_site(str(SITE)).backend.hub_url.host
    assert alias == {"ip": "127.0.0.1", "hostnames": [host]}


def test_a_profile_that_has_changed_makes_another_pod(golden, tmp_path):
    changed = SITE.read_text(encoding="utf-8").replace("help@", "ask@")
    other = by_kind(manifests(deployment(tmp_path, changed)))
    [before, now] = (m["Deployment", "hub"]["spec"]["template"] for m in (golden, other))
    assert before["spec"] == now["spec"]
    assert before["metadata"]["annotations"] != now["metadata"]["annotations"]


def test_servers_reach_hub_names_internet_and_what_the_profile_names(golden):
    spec = golden["NetworkPolicy", "servers"]["spec"]
    blocks = [t["ipBlock"] for way in spec["egress"] for t in way["to"] if "ipBlock" in t]
    public = next(b for b in blocks if b["cidr"] == "0.0.0.0/0")
    assert {"10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"} <= set(public["except"])
    assert {b["cidr"] for b in blocks} == {"0.0.0.0/0", "::/0", "192.0.2.0/28"}
    [mirror] = [w for w in spec["egress"] if w["to"] == [{"ipBlock": {"cidr": "192.0.2.0/28"}}]]
    assert [port["port"] for port in mirror["ports"]] == [443]


@pytest.mark.parametrize(
    ("volume", "level"),
    [
        ("{kind: claim, claim: raw}", "restricted"),
        ("{kind: nfs, server: files, path: /raw}", "baseline"),
        ("{kind: host, path: /raw}", "privileged"),
    ],
)
def test_pod_security_is_as_strict_as_the_volumes_let_it_be(tmp_path, volume, level):
    text = PROFILE.replace("backend: {", f"backend: {{volumes: {{raw: {volume}}}, ")
    made = by_kind(manifests(deployment(tmp_path, text)))
    labels = made["Namespace", "photons"]["metadata"]["labels"]
    assert labels == {"pod-security.kubernetes.io/enforce": level}


def test_the_ingress_is_the_one_that_was_asked_for(tmp_path):
    here = deployment(tmp_path, PROFILE)
    for name in (None, "nginx"):
        made = by_kind(manifests(here, name))
        assert made["Ingress", "hub"]["spec"].get("ingressClassName") == name


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("http://hub:8081", "http://192.0.2.1:8081", "backend.hub_url"),
        ("photons,", "photons, accounts: system,", "backend.accounts"),
        ("photons,", "photons, prefix: hub,", "backend.prefix"),
        ("{env: DATABASE_PASSWORD}", "{file: /run/secret}", "the secret in /run/secret"),
        ("example}\nbackend", "example:8443}\nbackend", "leave the port out"),
        ("https://beamhub.institute.example", "https://192.0.2.1", "by its host name"),
        ("login: {issuer: https://login.institute.example, client_id: beamhub}\n", "", "fill in"),
    ],
)
@pytest.mark.parametrize("way", [manifests, values])
def test_what_a_pod_of_the_portal_cannot_have_is_refused_in_words(tmp_path, way, old, new, told):
    profile = PROFILE + DATABASE
    assert old in profile
    with pytest.raises(RenderError, match=re.escape(told)):
        way(deployment(tmp_path, profile.replace(old, new)))


@pytest.mark.parametrize("way", ["kubernetes", "helm"])
def test_a_profile_of_another_backend_is_refused(way):
    status, text = render(way, "laptop")
    assert status == 1
    assert "extends: cloud" in text


@pytest.mark.parametrize(
    "text", ["1e5", "0o7", "0x1f", "12", ".5", "1.0", "no", "~", "a\n b\n", "x: y", " z", "\t", "é"]
)
def test_a_text_stays_one_whoever_reads_it(text):
    written = as_yaml({"a": text})
    assert yaml.safe_load(written) == {"a": text}
    # YAML 1.2, which Helm reads, has more forms of numbers.
    assert not re.match(r"a: [-+.]?\d", written)
