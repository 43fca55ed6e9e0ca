"""Every use case at every site: traits that the real spawner has, or a refusal one can act on."""

import asyncio

import pytest
from pydantic import TypeAdapter
from traitlets.utils.importstring import import_item

from hub.deployment import Deployment
from hub.gates import NOBODY, Standing
from hub.plan import Asked, plan
from hub.refusal import Refused
from hub.site import Data, LicensedProgram, SiteProfile, load_site, shipped_sites
from hub.sizing import RESOURCE_WORDS
from hub.usecases import NOTEBOOKS, UseCase, load_use_cases
from spawners import Backend
from spawners.backends import BACKENDS, AnyBackend
from spawners.launch import Mount, Resources
from workbench.manifest import Needs

USE_CASES = load_use_cases([NOTEBOOKS])
SITES = {name: load_site(name) for name in shipped_sites()}


pytestmark = pytest.mark.usefixtures("cluster_address")


@pytest.fixture(params=SITES)
def site(request) -> SiteProfile:
    return SITES[request.param]


def ready(use_cases: dict) -> dict:
    """Return the use cases as they will be once nothing of them is missing."""
    return {
        name: UseCase(name, case.folder, case.manifest.model_copy(update={"coming": []}))
        for name, case in use_cases.items()
    }


def holding(site: SiteProfile, *folders: str) -> Backend:
    """Return the site's backend, which shows these folders if it has to be told of each."""
    if site.backend.kind != "kubernetes":
        return site.backend
    volumes = {
        f"v{n}": {"kind": "host", "path": folder, "holds": folder}
        for n, folder in enumerate(folders)
    }
    given = site.backend.model_dump(mode="json", exclude_unset=True)
    return type(site.backend).model_validate({**given, "volumes": volumes})


def set_up(deployment_user, site, launch, name):
    """Set the launch's traits on a real spawner of the site's class, and return it."""
    spawner = deployment_user.get_or_create_spawner(name, name)
    for trait, value in site.backend.traits(launch).items():
        assert spawner.has_trait(trait), trait
        setattr(spawner, trait, value)
    return spawner


@pytest.mark.parametrize("name", USE_CASES)
@pytest.mark.parametrize("use_cases", [USE_CASES, ready(USE_CASES)], ids=["today", "complete"])
def test_a_launch_is_something_the_real_spawner_takes_or_a_refusal_one_can_act_on(
    site, use_cases, name, a_user
):
    deployment = Deployment("x", site, use_cases, NOTEBOOKS)

    async def inside_a_loop():  # as kubespawner needs
        try:
            launch = plan(name, Asked(), use_cases=use_cases, site=site, user="ada")
        except Refused as refusal:
            assert site.title in refusal.message or site.contact in refusal.message
            return None
        return launch, set_up(a_user(deployment), site, launch, name)

    outcome = asyncio.run(inside_a_loop())
    if outcome is None:
        return
    launch, spawner = outcome
    assert spawner.environment["BEAMHUB_USE_CASE"] == name
    assert spawner.default_url == launch.start_page
    assert launch.resources.memory_gib >= USE_CASES[name].manifest.resources.least.memory_gib


def test_something_can_be_opened_at_every_site(site):
    opened = []
    for name in USE_CASES:
        try:
            opened.append(plan(name, Asked(), use_cases=USE_CASES, site=site, user="ada"))
        except Refused:
            continue
    assert opened


def test_every_size_of_every_site_can_be_set(site, a_user):
    deployment = Deployment("x", site, USE_CASES, NOTEBOOKS)

    async def inside_a_loop():
        for size, amount in site.sizes.items():
            launch = plan("pyfai", Asked(size=size), use_cases=USE_CASES, site=site, user="ada")
            spawner = set_up(a_user(deployment, f"u{size}"), site, launch, "pyfai")
            if site.backend.kind != "slurm":
                assert spawner.mem_limit == amount.memory_gib * 2**30
                assert spawner.cpu_limit == amount.cores

    asyncio.run(inside_a_loop())


def test_a_site_that_is_too_small_says_whom_to_ask(site):
    tiny = next(iter(site.sizes.values())).model_copy(update={"cores": 0.1, "memory_gib": 0.1})
    small = site.model_copy(update={"sizes": {"tiny": tiny}})
    with pytest.raises(Refused) as caught:
        plan("pyfai", Asked(), use_cases=USE_CASES, site=small, user="ada")
    assert site.title in caught.value.message
    assert site.contact in caught.value.message


def test_what_a_use_case_needs_is_what_sizes_grant_and_what_is_compared():
    assert set(Needs.model_fields) == set(RESOURCE_WORDS)
    assert set(Resources.model_fields) - set(RESOURCE_WORDS) == {"walltime_h"}


def test_gpus_and_folders_reach_every_kind_of_site_with_containers(site, a_user):
    if site.backend.kind == "local":
        pytest.skip("processes see the machine as it is")
    size = next(iter(site.sizes.values())).model_copy(update={"gpus": 2, "memory_gib": 64})
    mounts = [
        Mount(source="/gpfs/data", target="/data"),
        Mount(source="/w", target="/w", read_only=False),
    ]
    update = {"sizes": {"gpu": size}, "storage": mounts, "data": Data()}
    update["backend"] = holding(site, "/gpfs", "/w")
    changed = site.model_copy(update=update)
    deployment = Deployment("x", changed, USE_CASES, NOTEBOOKS)

    async def inside_a_loop():
        launch = plan("pyfai", Asked(), use_cases=USE_CASES, site=changed, user="ada")
        set_up(a_user(deployment), changed, launch, "pyfai")
        return changed.backend.traits(launch)

    traits = asyncio.run(inside_a_loop())
    said = repr(traits)
    assert "/gpfs/data" in said
    assert "/data" in said
    kind = site.backend.kind
    if kind == "docker":
        assert traits["extra_host_config"]["device_requests"][0]["Count"] == 2
        assert [(m["source"], m["target"], m["read_only"]) for m in traits["mounts"]] == [
            ("/gpfs/data", "/data", True),
            ("/w", "/w", False),
        ]
    elif kind == "slurm":
        assert traits["demand"].directives["gres"].endswith(":2")
        assert {"--nv", "--bind=/gpfs/data:/data:ro", "--bind=/w:/w"} <= set(traits["command"])
    else:
        assert traits["extra_resource_limits"] == {"nvidia.com/gpu": "2"}
        shown = {m["mountPath"]: m.get("readOnly") for m in traits["volume_mounts"]}
        assert (shown["/data"], shown["/w"]) == (True, False)


def test_a_restricted_program_reaches_every_kind_of_site_and_takes_no_place(site, a_user):
    terms = USE_CASES["crystfel"].manifest.licence_gates[1]
    case = USE_CASES["pyfai"]
    manifest = case.manifest.model_copy(update={"licence_gates": [terms]})
    use_cases = {**USE_CASES, "pyfai": UseCase("pyfai", case.folder, manifest)}
    program = LicensedProgram(source="/sw/restricted", bin="bin", vouched_groups=["mx"])
    update = {"programs": {terms.name: program}, "backend": holding(site, "/sw")}
    changed = site.model_copy(update=update)
    deployment = Deployment("x", changed, use_cases, NOTEBOOKS)

    async def traits_for(standing):
        launch = plan(
            "pyfai", Asked(), use_cases=use_cases, site=changed, user="ada", standing=standing
        )
        set_up(a_user(deployment), changed, launch, "pyfai")
        return changed.backend.traits(launch)

    closed = asyncio.run(traits_for(NOBODY))
    assert "/sw/restricted" not in repr(closed)
    opened = asyncio.run(traits_for(Standing(groups=frozenset({"mx"}))))
    assert opened["environment"]["BEAMHUB_PATHS"] == "/sw/restricted/bin"
    assert "PATH" not in opened["environment"]
    if site.backend.kind != "local":
        shown = {name: value for name, value in opened.items() if name != "environment"}
        assert "/sw/restricted" in repr(shown)


def test_the_profile_offers_every_backend_there_is():
    offered = TypeAdapter(AnyBackend).json_schema()["discriminator"]["mapping"]
    assert len(offered) == len(BACKENDS) == len(Backend.__subclasses__())
    assert set(offered) == {site.backend.kind for site in SITES.values()}


def test_every_backend_names_a_spawner_that_is_installed():
    for backend in BACKENDS:
        assert import_item(backend.spawner_class).__name__.endswith("Spawner")


def test_live_checks_are_sentences(site, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))  # nothing is installed
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    findings = site.backend.live_checks()
    assert findings
    assert all("\n" not in finding and len(finding) > 20 for finding in findings)
