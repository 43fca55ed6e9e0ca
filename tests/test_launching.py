"""Where a wish meets a spawner: JupyterHub's own user, database and hook."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from jupyterhub import orm
from jupyterhub.spawner import SpawnException
from pydantic import HttpUrl

from hub.deployment import Deployment
from hub.launching import requester_of, size_of
from hub.site import LicensedProgram
from hub.sizing import Holding
from hub.usecases import UseCase
from workbench.manifest import LicenceGate


@pytest.fixture
def user(laptop, a_user):
    return a_user(laptop)


def start(user, name: str, options: dict):
    """Do what JupyterHub does with a start's options before it calls the spawner's own start."""
    spawner = user.get_or_create_spawner(name, name)
    spawner.orm_spawner.user_options = spawner.user_options = options
    user.db.commit()
    try:
        asyncio.run(spawner._run_apply_user_options(spawner.user_options))
    finally:
        user.db.commit()
    return spawner


def refused(user, name: str, options: dict) -> SpawnException:
    with pytest.raises(SpawnException) as caught:
        start(user, name, options)
    return caught.value


def test_a_form_sets_the_spawner_up(user, laptop):
    spawner = start(user, "pyfai", {"size": ["large"], "notebook": ["02_integrate.ipynb"]})
    large = laptop.site.sizes["large"]
    assert spawner.cpu_limit == large.cores
    assert spawner.mem_limit == large.memory_gib * 2**30
    assert spawner.default_url == "/lab/tree/beamhub/pyfai/02_integrate.ipynb"
    assert spawner.environment["BEAMHUB_SIZE"] == "large"
    assert spawner.use_case_folder == str(laptop.use_cases["pyfai"].folder)


def test_the_size_is_kept_with_the_server_in_the_database(user):
    spawner = start(user, "pyfai", {"size": ["large"]})
    user.db.expire_all()
    assert spawner.orm_spawner.user_options == {"size": "large"}
    assert size_of(spawner) == "large"


def test_a_size_that_the_portal_chose_is_kept_too(user):
    assert size_of(start(user, "pyfai", {})) == "medium"


def test_what_was_kept_can_begin_the_next_start(user):
    first = start(user, "pyfai", {"size": ["large"], "notebook": ["02_integrate.ipynb"]})
    again = start(user, "pyfai", first.orm_spawner.user_options)
    assert again.environment["BEAMHUB_SIZE"] == "large"


@pytest.mark.parametrize(
    ("name", "options", "status", "words"),
    [
        ("pyfai", {"image": "evil:latest"}, 400, "There is no option 'image'"),
        ("pyfai", {"cmd": ["sh", "-c", "id"]}, 400, "There is no option 'cmd'"),
        ("pyfai", {"size": 7}, 400, "'size' must be one text"),
        ("pyfai", {"size": "huge"}, 400, "has no size 'huge'"),
        ("pyfai", {"notebook": "../../.ssh/id_rsa"}, 404, "has no notebook '../../.ssh/id_rsa'"),
        ("pyfai", {"size": "\ud800"}, 400, "has no size ' '"),
        ("moonbase", {}, 404, "offers no use case 'moonbase'"),
        ("", {}, 400, "with the name of a use case"),
    ],
)
def test_a_hostile_or_impossible_wish_is_refused_with_a_sentence(
    user, name, options, status, words
):
    error = refused(user, name, options)
    assert error.status_code == status
    assert words in error.message
    assert "\n" not in error.message


def test_nothing_of_what_was_refused_stays_behind(user):
    start(user, "pyfai", {"size": ["small"]})
    spawner = user.spawners["pyfai"]
    before = {name: getattr(spawner, name) for name in ("cmd", "environment", "mem_limit")}
    refused(user, "pyfai", {"size": "large", "cmd": "sh", "mem_limit": "900G"})
    user.db.expire_all()
    assert spawner.user_options == spawner.orm_spawner.user_options == {}
    assert {name: getattr(spawner, name) for name in before} == before


def test_a_program_that_is_not_there_is_named(laptop, a_user):
    case = laptop.use_cases["pyfai"]
    manifest = case.manifest.model_copy(update={"programs": ["no-such-program"]})
    use_cases = {**laptop.use_cases, "pyfai": UseCase("pyfai", case.folder, manifest)}
    deployment = Deployment(laptop.name, laptop.site, use_cases, laptop.state)
    error = refused(a_user(deployment), "pyfai", {})
    assert error.status_code == 503
    assert error.message == (
        "The program 'no-such-program' is not installed on this machine. "
        f"Ask {laptop.site.contact}."
    )


def test_what_a_user_holds_is_what_runs_besides(user, laptop):
    assert requester_of(user, laptop).holding(besides="pyfai") == Holding()
    other = user.get_or_create_spawner("savu", "Savu")
    other.orm_spawner.user_options = {"size": "medium"}
    other._spawn_pending = True
    medium = laptop.site.sizes["medium"]
    held = Holding(servers=1, cores=medium.cores, memory_gib=medium.memory_gib)
    assert requester_of(user, laptop).holding(besides="pyfai") == held
    assert requester_of(user, laptop).holding(besides="savu") == Holding()


def test_the_limit_counts_servers_that_are_only_starting(laptop, a_user, change):
    limits = laptop.site.limits.model_copy(update={"servers": 1})
    user = a_user(change(laptop, limits=limits))
    user.get_or_create_spawner("savu", "Savu")._spawn_pending = True
    assert refused(user, "pyfai", {}).status_code == 409


def test_a_server_of_a_size_that_is_no_longer_declared_still_counts_as_one(user, laptop):
    other = user.get_or_create_spawner("savu", "Savu")
    other.orm_spawner.user_options = {"size": "gigantic"}
    other._spawn_pending = True
    assert requester_of(user, laptop).holding(besides="pyfai") == Holding(servers=1)


# Licence gates

XDS = LicenceGate(
    program="XDS",
    terms="For academic use.",
    url=HttpUrl("https://example.org"),
    declaration="I use it for academic work only and do not pass it on.",
)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def gated(laptop, change) -> Deployment:
    """A portal whose pyFAI has a restricted program."""
    case = laptop.use_cases["pyfai"]
    manifest = case.manifest.model_copy(update={"licence_gates": [XDS]})
    use_cases = {**laptop.use_cases, "pyfai": UseCase("pyfai", case.folder, manifest)}
    laptop.state.mkdir(exist_ok=True)
    program = LicensedProgram(source="/opt/xds", vouched_groups=["mx"])
    return replace(change(laptop, programs={"xds": program}), use_cases=use_cases)


def paths(user) -> str:
    """Return what a start puts on the PATH."""
    spawner = start(user, "pyfai", {})
    return spawner.environment.get("BEAMHUB_PATHS", "")


def test_each_start_asks_the_record_anew(gated, a_user):
    user = a_user(gated)
    assert paths(user) == ""
    gated.licences.add("accepted", "ada", XDS, "pyfai", NOON)
    assert paths(user) == "/opt/xds"
    gated.licences.add("revoked", "ada", XDS, "pyfai", NOON)
    assert paths(user) == ""
    gated.licences.add("accepted", "bob", XDS, "pyfai", NOON)
    assert paths(user) == ""


def test_jupyterhubs_groups_vouch_for_their_members(gated, a_user, database):
    user = a_user(gated)
    group = orm.Group(name="mx")
    database.add(group)
    assert paths(user) == ""
    group.users.append(user.orm_user)
    database.commit()
    assert requester_of(user, gated).standing.groups == {"mx"}
    assert paths(user) == "/opt/xds"
    database.delete(group)
    database.commit()


def test_a_record_that_can_not_be_read_opens_nothing(gated, a_user, caplog):
    gated.licences.add("accepted", "ada", XDS, "pyfai", NOON)
    (gated.state / "licences.sqlite").write_text("not a database" * 100)
    assert paths(a_user(gated)) == ""
    assert "licences.sqlite can't be used" in caplog.text


@pytest.mark.parametrize(
    "options",
    [{"licences": "xds"}, {"accepted": ["xds"]}, {"groups": "mx"}, {"BEAMHUB_PATHS": "/"}],
)
def test_options_open_nothing(gated, a_user, options):
    user = a_user(gated)
    assert refused(user, "pyfai", options).status_code == 400
    assert "BEAMHUB_PATHS" not in user.spawners["pyfai"].environment


def test_a_program_that_is_needed_is_a_refusal_with_the_address(gated, a_user):
    case = gated.use_cases["pyfai"]
    needed = XDS.model_copy(update={"required": True})
    manifest = case.manifest.model_copy(update={"licence_gates": [needed]})
    use_cases = {**gated.use_cases, "pyfai": UseCase("pyfai", case.folder, manifest)}
    error = refused(a_user(replace(gated, use_cases=use_cases)), "pyfai", {})
    assert (error.status_code, error.reason) == (403, "licence")
    assert error.message.endswith("/hub/usecases/pyfai#licences")


def test_a_restricted_program_counts_as_one_that_is_there(gated, a_user, tmp_path, change):
    program = tmp_path / "bin/peel"
    program.parent.mkdir()
    program.write_text("")
    program.chmod(0o755)
    case = gated.use_cases["pyfai"]
    manifest = case.manifest.model_copy(update={"programs": ["peel"]})
    use_cases = {**gated.use_cases, "pyfai": UseCase("pyfai", case.folder, manifest)}
    site = change(gated, programs={"xds": LicensedProgram(source=tmp_path, bin="bin")})
    site = replace(site, use_cases=use_cases)
    user = a_user(site)
    assert "'peel' is not installed" in refused(user, "pyfai", {}).message
    site.licences.add("accepted", "ada", XDS, "pyfai", NOON)
    assert paths(user) == str(tmp_path / "bin")
