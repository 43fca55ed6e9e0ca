"""docker-compose.yml and the profile `compose`: what both say is the same. Nothing is started."""

import re
from importlib import metadata

import pytest
import yaml

from hub.site import load_site
from hub.usecases import NOTEBOOKS

ROOT = NOTEBOOKS.parent
SITE = load_site("compose")
PAGE = (ROOT / "docs/how-to/compose.md").read_text(encoding="utf-8")


def by_default(text: str) -> str:
    """Return the file as Compose reads it where no variable is set."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", text)


FILE = yaml.safe_load(by_default((ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
SERVICES = FILE["services"]


def test_every_variable_has_a_default():
    assert "${" not in str(FILE)


def test_the_portals_image_is_the_one_that_this_version_builds():
    wanted = f"{SITE.registry}/hub:{metadata.version('beamhub')}"
    assert {SERVICES[name]["image"] for name in ("hub", "proxy", "data")} == {wanted}
    assert wanted in PAGE
    assert set(re.findall(r"\S+/hub:\S+", PAGE)) == {wanted}


def test_users_networks_are_joined_to_the_containers_of_the_file():
    named = {name: SERVICES[name]["container_name"] for name in ("hub", "proxy")}
    assert SITE.backend.companions == named
    assert SITE.serving.apart.hub_url.host == "hub"


def test_no_users_network_is_named_before_the_one_that_publishes():
    assert FILE["networks"]["front"]["name"] < f"{SITE.backend.prefix}-"


def test_no_users_volume_has_the_name_of_one_of_the_portals():
    own = [volume["name"] for volume in FILE["volumes"].values()]
    assert not [name for name in own if name.startswith(f"{SITE.backend.prefix}-")]


@pytest.mark.parametrize(
    ("reference", "services"),
    [
        (SITE.serving.apart.proxy_token, {"hub", "proxy"}),
        (SITE.database.password, {"hub", "database"}),
    ],
)
def test_a_secret_is_where_the_profile_reads_it_and_nowhere_else(reference, services):
    folder, name = reference.file.parent, reference.file.name
    assert str(folder) == "/run/secrets"
    assert {s for s, body in SERVICES.items() if name in body.get("secrets", ())} == services
    assert name in FILE["secrets"]
    script = (ROOT / "scripts/secrets").read_text(encoding="utf-8")
    assert name in script


def test_the_proxys_socket_lies_in_a_volume_that_hub_and_proxy_have():
    place = f"control:{SITE.serving.apart.proxy_socket.parent}"
    users = {s for s, body in SERVICES.items() if place in body.get("volumes", ())}
    assert users == {"hub", "proxy"}


def test_the_cache_is_the_one_that_is_filled_and_servers_can_not_write_it():
    [mount] = SITE.storage
    assert mount.read_only
    assert (str(mount.source), mount.target) == (FILE["volumes"]["data"]["name"], SITE.data.cache)
    assert SERVICES["data"]["volumes"] == [f"data:{SITE.data.cache}"]


def test_only_encryption_is_published_beyond_this_machine():
    published = {s: body["ports"] for s, body in SERVICES.items() if "ports" in body}
    assert published == {
        "proxy": [f"{SITE.serving.bind}:{SITE.serving.port}:{SITE.serving.port}"],
        "tls": ["80:80", "443:443"],
    }
    assert SERVICES["tls"]["profiles"] == ["tls"]


@pytest.mark.parametrize("service", SERVICES)
def test_every_part_is_confined(service):
    body = SERVICES[service]
    assert body["read_only"]
    assert body["cap_drop"] == ["ALL"]
    assert body["security_opt"] == ["no-new-privileges:true"]
    assert body["logging"]["options"]
    assert service == "data" or (body["restart"] == "unless-stopped" and body["healthcheck"])
