"""Site profiles: the shipped ones, and what is never served."""

import re
from ipaddress import ip_address

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.deployment import load_deployment, usual_state
from hub.serving import Serving
from hub.site import PROFILES, SiteProfile, load_site, profile_path, shipped_sites
from workbench.documents import DocumentError, read

SITES = shipped_sites()
EXAMPLES = {"cloud", "hpc", "keycloak", "orcid", "umbrella"}
HOUSES = {"desy", "diamond", "esrf", "hzdr", "psi", "soleil"}
KINDS = {
    "laptop": "local",
    "workstation": "docker",
    "compose": "docker",
    "cloud": "kubernetes",
    "hpc": "slurm",
}
SECURE = {"bind": "0.0.0.0", "tls": "proxy", "public_url": "https://hub.example.org"}


def profile(**changes) -> SiteProfile:
    """Return the laptop's profile, changed."""
    body = read(PROFILES / "laptop.yaml", parents=PROFILES).body
    return SiteProfile.model_validate({**body, **changes})


def refused(**changes) -> str:
    with pytest.raises(ValidationError) as caught:
        profile(**changes)
    return str(caught.value)


@pytest.fixture(params=SITES)
def name(request) -> str:
    return request.param


@pytest.fixture
def site(name) -> SiteProfile:
    return load_site(name)


def test_every_house_and_every_kind_of_site_is_shipped():
    assert set(SITES) >= HOUSES | set(KINDS)
    for name, kind in KINDS.items():
        assert load_site(name).backend.kind == kind


def test_the_file_says_in_a_comment_what_it_is_for(name):
    assert (PROFILES / f"{name}.yaml").read_text(encoding="utf-8").startswith("# ")


def test_the_houses_profiles_are_templates_until_their_admins_have_filled_them_in(name, site):
    assert bool(site.template) == (name in HOUSES | EXAMPLES)
    for sentence in site.template:
        key = sentence.partition(":")[0].partition(".")[0]
        assert key in SiteProfile.model_fields, sentence


def test_what_a_profile_fills_in_is_off_the_list_of_its_parents(tmp_path):
    (tmp_path / "house.yaml").write_text(
        "extends: cloud\nlogin: {issuer: https://login.house.example}\n"
        "backend: {hub_url: http://192.0.2.10:8081}\n"
    )
    (tmp_path / "ours.yaml").write_text(
        "extends: house\nserving: {public_url: https://ours.example}\n"
    )
    (tmp_path / "theirs.yaml").write_text("extends: house\ntemplate: ['contact: whom to ask']\n")
    (tmp_path / "last.yaml").write_text("extends: theirs\ntitle: Last\n")
    assert len(load_site("cloud").template) == 3
    [left] = load_site(str(tmp_path / "house.yaml")).template
    assert left.startswith("serving.public_url")
    assert load_site(str(tmp_path / "ours.yaml")).template == []
    asked = ["contact: whom to ask"]
    assert load_site(str(tmp_path / "theirs.yaml")).template == asked
    # What its parent says can't have been meant as an answer.
    assert load_site(str(tmp_path / "last.yaml")).template == asked


def test_sizes_grow_as_they_are_listed(site):
    amounts = [(s.cores, s.memory_gib) for n, s in site.sizes.items() if not s.gpus]
    assert amounts == sorted(amounts)
    assert len(set(amounts)) == len(amounts)


def test_one_user_can_have_the_largest_size(site):
    for size in site.sizes.values():
        assert site.limits.cores is None or size.cores <= site.limits.cores
        assert site.limits.memory_gib is None or size.memory_gib <= site.limits.memory_gib


def test_the_accent_is_readable_on_white(site):
    parts = [int(site.look.accent[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    luminance = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    assert 1.05 / (luminance + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def test_a_portal_of_a_facility_has_a_real_login_and_encrypts(site):
    if site.serving.reachable:
        assert site.login.kind != "codes"
        assert site.serving.tls in ("proxy", "own")
        assert site.serving.url.startswith("https://")


def test_a_site_is_not_its_own_sister(name, site):
    assert site.title not in [sister.title for sister in site.sisters]


def test_no_profile_holds_a_secret(name):
    for key, value in flat(yaml.safe_load((PROFILES / f"{name}.yaml").read_text())):
        if "secret" in key or "password" in key or "token" in key:
            assert set(value) <= {"env", "file"}


def flat(body):
    for key, value in body.items() if isinstance(body, dict) else ():
        yield key, value
        yield from flat(value)


# What is refused

EXPOSED = {"serving": SECURE, "login": {"kind": "pam"}, "backend": {"kind": "docker"}}


def test_a_portal_that_others_can_reach_is_accepted_when_all_is_safe():
    assert profile(**EXPOSED).serving.url == "https://hub.example.org"
    local = {"kind": "local", "accounts": "system"}
    assert profile(**{**EXPOSED, "backend": local}).serving.reachable


def test_others_can_reach_it_only_encrypted():
    assert "serving.tls must be" in refused(**{**EXPOSED, "serving": {"bind": "0.0.0.0"}})


def test_others_can_reach_it_only_with_a_real_login():
    assert "login must be a real one" in refused(**{**EXPOSED, "login": {"kind": "codes"}})


@pytest.mark.parametrize(("said", "umask"), [("'027'", "027"), ("027", "027"), ("007", "007")])
def test_groups_share_files_under_accounts_of_their_own(said, umask):
    backend = yaml.safe_load(f"{{kind: local, accounts: system, umask: {said}}}")
    found = profile(backend=backend).backend.umask
    assert found == umask
    assert "with 'accounts: system'" in refused(backend={"kind": "local", "umask": umask})


@pytest.mark.parametrize("umask", ["000", "022", "27", 22])
def test_a_umask_lets_others_in_no_further(umask):
    text = refused(backend={"kind": "local", "accounts": "system", "umask": umask})
    assert "'077', '027' or '007'" in text


def test_others_can_reach_plain_processes_only_under_accounts_of_their_own():
    assert "backend.accounts: system" in refused(**{**EXPOSED, "backend": {"kind": "local"}})
    portal = {"kind": "local", "accounts": "portal"}
    assert "backend.accounts: system" in refused(**{**EXPOSED, "backend": portal})


@given(st.ip_addresses())
def test_whatever_the_address_only_loopback_goes_without_encryption(address):
    changes = {"serving": {"bind": str(address)}}
    if ip_address(address).is_loopback:
        assert not profile(**changes).serving.reachable
    else:
        assert "serving.tls must be" in refused(**changes)


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.168.1.5", "169.254.1.1", "::ffff:10.0.0.1"])
def test_every_address_but_loopback_is_reachable(bind):
    assert Serving(bind=bind).reachable


@pytest.mark.parametrize(
    "bind", ["localhost", "", "0", "*", "127.0.0.1 ", "127.1", "a.example.org"]
)
def test_only_an_address_can_be_bound(bind):
    with pytest.raises(ValidationError, match="'bind' must be an address"):
        Serving(bind=bind)


def test_tls_is_complete_or_refused():
    with pytest.raises(ValidationError, match="'certificate' and 'key'"):
        Serving(tls="own", certificate="/a")
    with pytest.raises(ValidationError, match="https://"):
        Serving(tls="proxy", public_url="http://hub.example.org")
    with pytest.raises(ValidationError, match="public_url"):
        Serving(tls="proxy")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://example.org/beamhub", "has a path, and a portal can't be below one"),
        ("https://example.org/beamhub/", "https://beamhub.example.org"),
        ("https://example.org/?a=b", "without user, password"),
        ("https://example.org/#a", "without user, password"),
        ("https://user:word@example.org", "without user, password"),
    ],
)
def test_a_public_address_at_which_no_page_would_work_is_refused(url, words):
    with pytest.raises(ValidationError, match=re.escape(words)):
        Serving(tls="proxy", public_url=url)


APART = {"proxy_socket": "/run/s", "proxy_token": {"env": "TOKEN"}}


def test_a_proxy_apart_does_not_encrypt_by_itself():
    with pytest.raises(ValidationError, match="with 'apart', tls must be 'none' or 'proxy'"):
        Serving(tls="own", certificate="/a", key="/b", apart=APART)


@pytest.mark.parametrize("given", [{}, {"proxy_socket": "/run/s", "proxy_url": "http://proxy"}])
def test_a_proxy_apart_takes_orders_at_one_place(given):
    with pytest.raises(ValidationError, match="'proxy_socket' or 'proxy_url', one of both"):
        Serving(apart={"proxy_token": {"env": "TOKEN"}, **given})


def test_a_digest_is_of_the_image_that_it_stands_for():
    digest = f"reg.example/beamhub/pyfai@sha256:{'0a' * 32}"
    assert profile(digests={"reg.example/beamhub/pyfai:1.0.0": digest}).digests
    assert "before the tag" in refused(digests={"reg.example/beamhub/pymca:1.0.0": digest})
    assert "digests" in refused(digests={"reg.example/beamhub/pyfai:1.0.0": "sha256:0a"})


def test_where_hub_and_proxy_are_containers_they_are_named():
    docker = {"kind": "docker"}
    assert "backend.companions" in refused(serving={"apart": APART}, backend=docker)
    named = {**docker, "companions": {"hub": "a-hub", "proxy": "a-proxy"}}
    site = profile(serving={"apart": APART}, backend=named)
    assert site.serving.hub_port == 8081
    assert site.hub_address == "0.0.0.0"


def test_what_compose_publishes_is_for_this_machine_only():
    serving = load_site("compose").serving
    assert serving.own_url == "http://127.0.0.1:8000"
    assert not serving.reachable


def test_the_address_that_users_type():
    assert Serving().url == "http://127.0.0.1:8000"
    assert Serving(bind="::1", port=9000).url == "http://[::1]:9000"
    assert Serving(tls="own", certificate="/a", key="/b").url == "https://127.0.0.1:8000"
    assert Serving(public_url="https://a.example.org/").url == "https://a.example.org"


@pytest.mark.parametrize("port", [0, 80, 1023, 65001, 70000])
def test_a_port_leaves_room_for_the_two_inside(port):
    with pytest.raises(ValidationError):
        Serving(port=port)


@pytest.mark.parametrize("title", ["", "two\nlines", "bell\x07", "x" * 121])
def test_a_title_is_one_short_line(title):
    assert "title" in refused(title=title)


@pytest.mark.parametrize("accent", ["blue", "#fff", "#12345g", "#0b5cad; } body { display: none"])
def test_an_accent_is_a_colour_and_nothing_else(accent):
    assert "accent" in refused(look={"accent": accent})


@pytest.mark.parametrize("amount", [0, -1, float("inf"), float("nan"), "many"])
def test_a_size_is_a_positive_amount(amount):
    size = {"title": "S", "cores": 1, "memory_gib": 1, "walltime_h": 1}
    for unit in ("cores", "memory_gib", "walltime_h"):
        assert unit in refused(sizes={"s1": {**size, unit: amount}})


def test_a_site_has_a_size():
    assert "sizes" in refused(sizes={})


@pytest.mark.parametrize("name", ["Small", "s m", "s;m", "s\nm", "-s", "s" * 31])
def test_the_name_of_a_size_is_a_word(name):
    size = {"title": "S", "cores": 1, "memory_gib": 1}
    assert "sizes" in refused(sizes={name: size})


@pytest.mark.parametrize(
    "backend",
    [
        {"kind": "slurm", "partition": "a; rm -rf /"},
        {"kind": "slurm", "partition": "a\n#SBATCH --wrap"},
        {"kind": "slurm", "partition": "a", "account": "$(id)"},
        {"kind": "kubernetes", "namespace": "a/b"},
        {"kind": "docker", "prefix": "--privileged"},
        {"kind": "docker", "companions": {"hub": "--privileged"}},
    ],
)
def test_a_backends_words_are_words(backend):
    assert "String should match pattern" in refused(backend=backend)


# Programs with licences of their own

XDS = {"source": "/opt/xds"}


@pytest.mark.parametrize(
    "changes",
    [
        {"storage": [{"source": "/opt", "target": "/opt"}]},
        {"storage": [{"source": "/opt/xds/bin", "target": "/x"}]},
        {"data": {"roots": ["/opt/xds"]}},
        {"data": {"cache": "/opt"}},
    ],
)
def test_what_every_server_sees_holds_no_restricted_program(changes):
    assert "keep them apart" in refused(programs={"xds": XDS}, **changes)
    assert profile(programs={"xds": {"source": "/sw/xds"}}, **changes)


@pytest.mark.parametrize(
    "change",
    [
        {"source": "xds"},
        {"source": "/opt/../etc"},
        {"source": "/opt/a:/opt/b"},
        {"target": "relative"},
        {"bin": "../../usr/bin"},
        {"bin": "/usr/bin"},
        {"bin": "a:b"},
        {"read_only": False},
    ],
)
def test_a_restricted_program_is_one_folder_seen_read_only(change):
    assert "programs.xds" in refused(programs={"xds": {**XDS, **change}})


def test_somebody_gets_a_restricted_program():
    closed = {**XDS, "by_declaration": False}
    assert "'vouched_groups' get it" in refused(programs={"xds": closed})
    assert profile(programs={"xds": {**closed, "vouched_groups": ["mx"]}})


def test_a_program_that_no_use_case_asks_for_is_refused(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: laptop\nprograms: {xdss: {source: /opt/xds}}\n")
    with pytest.raises(DocumentError, match="no use case has a licence gate 'xdss'") as caught:
        load_deployment(str(mine), state=tmp_path)
    assert "ccp4, dirax, felix, mosflm, xds" in str(caught.value)


# Finding one


def test_an_unknown_site_lists_those_that_are_shipped():
    with pytest.raises(DocumentError, match="no site profile 'marsbase'") as caught:
        load_site("marsbase")
    assert all(name in str(caught.value) for name in SITES)


def test_what_is_only_extended_is_no_site():
    assert "_defaults" not in SITES


def test_a_path_is_taken_as_it_is(tmp_path):
    assert profile_path(str(tmp_path / "x.yaml")) == tmp_path / "x.yaml"
    assert profile_path("x.yml").name == "x.yml"


def test_a_deployment_offers_what_the_site_lists(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: laptop\nuse_cases: [savu]\n")
    deployment = load_deployment(str(mine), state=tmp_path)
    assert list(deployment.offered) == ["savu"]
    assert set(deployment.use_cases) > {"savu"}
    assert deployment.name == "mine"


def test_a_site_that_offers_what_does_not_exist_is_refused(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: laptop\nuse_cases: [savu, moonbase]\n")
    with pytest.raises(DocumentError, match="no use case 'moonbase'") as caught:
        load_deployment(str(mine), state=tmp_path)
    assert str(mine) in str(caught.value)


def test_the_usual_state_of_an_ordinary_account(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert str(usual_state()) == "/data/beamhub"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/ada")
    assert str(usual_state()) == "/home/ada/.local/share/beamhub"


def test_behind_a_proxy_even_loopback_is_reachable():
    serving = {"tls": "proxy", "public_url": "https://hub.example.org"}
    assert "login must be a real one" in refused(
        **{**EXPOSED, "serving": serving, "login": {"kind": "codes"}}
    )


@pytest.mark.parametrize("target", ["srv/data", "/srv/../etc", "/a:b", "/a,ro", "/a\n/b", ""])
def test_a_folder_is_shown_at_a_path_that_means_one_thing(target):
    assert "expected a path" in refused(storage=[{"source": "/data", "target": target}])


@pytest.mark.parametrize("source", ["../etc", "a/b", "-v", "/srv:/etc", "$(id)", "x"])
def test_a_folder_comes_from_a_path_or_a_volume(source):
    assert "expected a path" in refused(storage=[{"source": source, "target": "/srv"}])


@pytest.mark.parametrize("addresses", ["10.0.0.0/25", "10.0.0.1/16", "fd00::/64", "x"])
def test_addresses_of_containers_are_a_network_large_enough(addresses):
    assert refused(backend={"kind": "docker", "addresses": addresses})
