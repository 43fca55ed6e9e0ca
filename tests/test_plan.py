"""The plan: what a user wishes becomes one launch, or a refusal that a person can use."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import HttpUrl

from hub.gates import NOBODY, Standing
from hub.plan import OPTIONS, Asked, ask, of_link, plan
from hub.refusal import Refused, quoted
from hub.site import Data, LicensedProgram, load_site
from hub.sizing import Holding, fits, words
from hub.usecases import UseCase
from spawners.launch import Bound, Mount, Resources
from workbench.manifest import LicenceGate, Needs

LAPTOP = load_site("laptop")
NOTHING = Holding()
LONGEST = 900  # characters: what is still missing of a use case is told in full


def launch_of(use_cases, name="pyfai", *, site=LAPTOP, holding=NOTHING, **options):
    return plan(name, ask(options), use_cases=use_cases, site=site, user="ada", holding=holding)


def refusal(use_cases, name="pyfai", **options) -> Refused:
    with pytest.raises(Refused) as caught:
        launch_of(use_cases, name, **options)
    check(caught.value)
    return caught.value


def check(refused: Refused) -> None:
    """A refusal is one line for a person, with a status that says whose turn it is."""
    message = refused.message
    assert 400 <= refused.status < 500
    assert 20 <= len(message) < LONGEST
    assert message == str(refused)
    assert message.splitlines() == [message]
    assert message.isprintable()
    assert message.endswith(".")
    assert refused.reason.isidentifier()


def with_limits(**limits):
    return LAPTOP.model_copy(update={"limits": LAPTOP.limits.model_copy(update=limits)})


def changed(use_cases, name, **values):
    """Return the use cases, one manifest changed."""
    case = use_cases[name]
    manifest = case.manifest.model_copy(update=values)
    return {**use_cases, name: UseCase(name, case.folder, manifest)}


# What comes out


def test_nothing_asked_gives_the_advised_size_and_the_first_notebook(use_cases):
    launch = launch_of(use_cases)
    manifest = use_cases["pyfai"].manifest
    assert launch.environment["BEAMHUB_SIZE"] == "medium"
    assert launch.start_page == f"/lab/tree/beamhub/pyfai/{manifest.notebooks[0].file}"
    assert launch.image == f"{LAPTOP.registry}/pyfai:{manifest.version}"
    assert launch.folder == use_cases["pyfai"].folder
    assert launch.programs == tuple(manifest.programs)


def test_the_size_asked_for_is_what_is_granted(use_cases):
    launch = launch_of(use_cases, size="large")
    large = LAPTOP.sizes["large"]
    assert launch.resources == Resources(
        cores=large.cores, memory_gib=large.memory_gib, gpus=large.gpus, walltime_h=large.walltime_h
    )


def test_the_notebook_asked_for_is_what_opens(use_cases):
    launch = launch_of(use_cases, notebook="02_integrate.ipynb")
    assert launch.start_page == "/lab/tree/beamhub/pyfai/02_integrate.ipynb"


def test_a_safe_start_takes_nothing_from_the_home_and_opens_no_notebook(use_cases):
    launch = launch_of(use_cases, safe="yes", notebook="01_calibrate.ipynb")
    assert launch.environment["BEAMHUB_SAFE_START"] == "yes"
    assert (launch.start_page, launch.programs) == ("/lab", ())
    assert "BEAMHUB_SAFE_START" not in launch_of(use_cases).environment


def test_empty_options_are_none(use_cases):
    assert launch_of(use_cases, size="", notebook=[""]) == launch_of(use_cases)


def test_a_form_a_link_and_a_rest_call_ask_for_the_same(use_cases):
    assert ask({"size": ["small"]}) == ask({"size": "small"}) == Asked(size="small")


def test_where_no_size_is_as_large_as_advised_the_largest_is_taken(use_cases):
    much = use_cases["pyfai"].manifest.resources.model_copy(
        update={"advised": Needs(cores=999, memory_gib=1)}
    )
    launch = launch_of(changed(use_cases, "pyfai", resources=much))
    assert launch.environment["BEAMHUB_SIZE"] == list(LAPTOP.sizes)[-1]


def test_a_launch_holds_nothing_of_the_user(use_cases):
    for_ada = plan("pyfai", Asked(), use_cases=use_cases, site=LAPTOP, user="ada")
    for_bob = plan("pyfai", Asked(), use_cases=use_cases, site=LAPTOP, user="bob; rm -rf /")
    assert for_ada == for_bob


def with_programs(use_cases, *programs, everywhere=()):
    """Return the use cases, with a list of programs for each of pyFAI's first notebooks."""
    notebooks = [
        notebook.model_copy(update={"programs": list(names)})
        for notebook, names in zip(use_cases["pyfai"].manifest.notebooks, programs, strict=False)
    ]
    return changed(use_cases, "pyfai", notebooks=notebooks, programs=list(everywhere))


def test_nothing_asked_opens_the_first_notebook_that_needs_the_fewest_programs(use_cases):
    launch = launch_of(with_programs(use_cases, ["savu"], [], [], everywhere=["sh"]))
    assert launch.start_page.endswith("/02_integrate.ipynb")
    assert launch.programs == ("sh",)
    launch = launch_of(with_programs(use_cases, ["savu"], ["savu", "mpirun"], ["savu"]))
    assert launch.start_page.endswith("/01_calibrate.ipynb")
    assert launch.programs == ("savu",)


def test_a_notebook_asked_for_brings_the_programs_that_it_needs(use_cases):
    needing = with_programs(use_cases, ["sh", "savu"], [], [], everywhere=["sh"])
    assert launch_of(needing, notebook="01_calibrate.ipynb").programs == ("sh", "savu")
    assert launch_of(needing, notebook="02_integrate.ipynb").programs == ("sh",)


# What is refused


@pytest.mark.parametrize(
    ("name", "hint"),
    [("pyfay", "Did you mean 'pyfai'?"), ("moonbase", "There are "), ("PYFAI", "")],
)
def test_an_unknown_use_case_gets_a_hint(use_cases, name, hint):
    refused = refusal(use_cases, name)
    assert refused.status == 404
    assert name in refused.message
    assert hint in refused.message
    assert LAPTOP.contact in refused.message


def test_the_default_server_is_none_of_ours(use_cases):
    assert "with the name of a use case: " in refusal(use_cases, "").message


def test_what_the_site_does_not_offer_is_not_there(use_cases):
    site = LAPTOP.model_copy(update={"use_cases": ["savu"]})
    refused = refusal(use_cases, "pyfai", site=site)
    assert (refused.status, refused.reason) == (404, "use_case")
    assert "pyfai" not in refused.message.replace("'pyfai'", "")


def test_what_is_still_coming_says_what_is_missing(use_cases):
    coming = changed(use_cases, "pyfai", coming=["The notebooks are not written yet."])
    refused = refusal(coming)
    assert (refused.status, refused.reason) == (409, "coming")
    assert "The notebooks are not written yet." in refused.message


def test_every_shipped_use_case_that_is_coming_can_say_so(use_cases):
    for name, use_case in use_cases.items():
        if use_case.manifest.coming:
            assert refusal(use_cases, name).reason == "coming"


# Licence gates

XDS = LicenceGate(
    program="XDS",
    terms="For academic use.",
    url=HttpUrl("https://example.org"),
    declaration="I use it for academic work only and do not pass it on.",
)
NEEDED = XDS.model_copy(update={"required": True})
AT_SITE = LicensedProgram(source="/opt/xds", bin="bin", vouched_groups=["mx"])
ACCEPTED = Standing({"xds": {XDS.version: datetime(2026, 11, 24, tzinfo=UTC)}})


def gated(use_cases, *terms, program=AT_SITE, site=LAPTOP, standing=NOBODY, options=None):
    """Return the launch of a use case with gates, at a site that has the program."""
    cases = changed(use_cases, "pyfai", licence_gates=list(terms))
    having = site.model_copy(update={"programs": {"xds": program} if program else {}})
    return plan(
        "pyfai", ask(options or {}), use_cases=cases, site=having, user="ada", standing=standing
    )


def closed(use_cases, *terms, **more) -> Refused:
    with pytest.raises(Refused) as caught:
        gated(use_cases, *terms, **more)
    check(caught.value)
    return caught.value


def enabled(launch) -> tuple[str, list[str]]:
    """Return what a launch opens: the PATH's additions, and the folders shown."""
    return launch.environment.get("BEAMHUB_PATHS", ""), [str(m.target) for m in launch.mounts]


def test_what_nobody_has_accepted_is_neither_shown_nor_on_the_path(use_cases):
    assert enabled(gated(use_cases, XDS)) == ("", [])


@pytest.mark.parametrize("standing", [ACCEPTED, Standing(groups=frozenset({"mx", "b"}))])
@pytest.mark.parametrize("terms", [XDS, NEEDED])
def test_who_has_accepted_or_is_vouched_for_has_the_program(use_cases, standing, terms):
    launch = gated(use_cases, terms, standing=standing)
    assert enabled(launch) == ("/opt/xds/bin", ["/opt/xds"])
    assert all(mount.read_only for mount in launch.mounts)


def test_containers_may_see_it_in_another_place(use_cases):
    program = AT_SITE.model_copy(update={"target": Path("/sw/xds"), "bin": None})
    site = load_site("workstation")
    launch = gated(use_cases, XDS, program=program, site=site, standing=ACCEPTED)
    assert enabled(launch) == ("/sw/xds", ["/sw/xds"])
    assert str(launch.mounts[0].source) == "/opt/xds"
    local = gated(use_cases, XDS, program=program, standing=ACCEPTED)
    assert enabled(local)[0] == "/opt/xds"


@pytest.mark.parametrize(
    "standing",
    [
        Standing({"xds": {"0" * 64: datetime(2026, 1, 1, tzinfo=UTC)}}),  # an older text
        Standing({"ccp4": {XDS.version: datetime(2026, 1, 1, tzinfo=UTC)}}),
        Standing(groups=frozenset({"MX", "mx2", "xds"})),
    ],
)
def test_another_text_another_program_or_another_group_opens_nothing(use_cases, standing):
    assert enabled(gated(use_cases, XDS, standing=standing)) == ("", [])
    assert closed(use_cases, NEEDED, standing=standing).reason == "licence"


def test_a_program_that_is_needed_and_not_accepted_refuses_and_names_the_page(use_cases):
    refused = closed(use_cases, NEEDED)
    assert (refused.status, refused.reason) == (403, "licence")
    assert "needs XDS, whose terms you have not accepted" in refused.message
    assert refused.page == f"{LAPTOP.serving.url}/hub/usecases/pyfai#licences"
    assert refused.in_full.endswith(f" See {refused.page}")


def test_where_only_members_get_it_a_declaration_opens_nothing(use_cases):
    members = AT_SITE.model_copy(update={"by_declaration": False})
    assert enabled(gated(use_cases, XDS, program=members, standing=ACCEPTED)) == ("", [])
    refused = closed(use_cases, NEEDED, program=members, standing=ACCEPTED)
    assert "members of certain groups only" in refused.message
    assert LAPTOP.contact in refused.message
    vouched = Standing(groups=frozenset({"mx"}))
    assert enabled(gated(use_cases, NEEDED, program=members, standing=vouched))[0]


def test_what_the_site_lacks_is_nobodys_and_where_needed_the_use_case_is_not_there(use_cases):
    assert enabled(gated(use_cases, XDS, program=None, standing=ACCEPTED)) == ("", [])
    refused = closed(use_cases, NEEDED, program=None, standing=ACCEPTED)
    assert (refused.status, refused.reason) == (409, "program")
    assert f"needs XDS, which {LAPTOP.title} does not have" in refused.message


def test_a_program_of_the_site_is_only_for_use_cases_that_name_it(use_cases):
    assert enabled(gated(use_cases, standing=ACCEPTED)) == ("", [])


@pytest.mark.parametrize(
    "option", ["licence", "licences", "accepted", "declared", "version", "xds", "groups", "program"]
)
def test_no_option_opens_a_gate(use_cases, option):
    assert closed(use_cases, XDS, options={option: "yes"}).reason == "option"


@given(
    accepted=st.dictionaries(
        st.sampled_from(["xds", "ccp4", "XDS"]),
        st.dictionaries(st.sampled_from([XDS.version, "0" * 64, ""]), st.datetimes(), max_size=2),
    ),
    groups=st.frozensets(st.sampled_from(["mx", "staff", "*", ""])),
    by_declaration=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_gate_is_open_exactly_for_those_who_accepted_this_text_or_are_vouched_for(
    use_cases, accepted, groups, by_declaration
):
    program = AT_SITE.model_copy(update={"by_declaration": by_declaration})
    launch = gated(use_cases, XDS, program=program, standing=Standing(accepted, groups))
    declared = by_declaration and XDS.version in accepted.get("xds", {})
    assert bool(enabled(launch)[0]) == bool(launch.mounts) == (declared or "mx" in groups)


def test_a_use_case_too_large_for_the_site_says_what_it_needs(use_cases):
    least = Needs(cores=2, memory_gib=8, gpus=1)
    resources = use_cases["pyfai"].manifest.resources.model_copy(
        update={"least": least, "advised": least}
    )
    refused = refusal(changed(use_cases, "pyfai", resources=resources))
    assert "needs at least 2 cores, 8 GiB of memory, 1 GPU." in refused.message


def test_a_size_too_small_says_what_is_needed_and_what_is_possible(use_cases):
    least = Needs(cores=2, memory_gib=8)
    resources = use_cases["pyfai"].manifest.resources.model_copy(
        update={"least": least, "advised": least}
    )
    message = refusal(changed(use_cases, "pyfai", resources=resources), size="small").message
    assert "needs at least 2 cores, 8 GiB of memory" in message
    assert "'small' has 1 core, 4 GiB of memory" in message
    assert message.endswith("Possible are medium, large.")


def test_an_unknown_size_lists_those_that_are_possible(use_cases):
    message = refusal(use_cases, size="huge").message
    assert message == f"{LAPTOP.title} has no size 'huge'. Possible are small, medium, large."


def test_an_unknown_notebook_lists_those_that_there_are(use_cases):
    refused = refusal(use_cases, notebook="04_none.ipynb")
    assert refused.status == 404
    assert "01_calibrate.ipynb" in refused.message


# Limits


def test_too_many_servers_at_once(use_cases):
    limit = LAPTOP.limits.servers
    assert launch_of(use_cases, holding=Holding(servers=limit - 1))
    refused = refusal(use_cases, holding=Holding(servers=limit))
    assert (refused.status, refused.reason) == (409, "limit")
    assert f"You have {limit} use cases open" in refused.message


@pytest.mark.parametrize(
    ("unit", "held"), [("cores", {"cores": 3}), ("memory_gib", {"memory_gib": 9})]
)
def test_a_limit_over_all_servers_counts_those_that_run(use_cases, unit, held):
    site = with_limits(**{unit: next(iter(held.values())) + getattr(LAPTOP.sizes["small"], unit)})
    assert launch_of(use_cases, site=site, size="small", holding=Holding(servers=1, **held))
    refused = refusal(use_cases, site=site, size="medium", holding=Holding(servers=1, **held))
    assert refused.reason == "limit"
    assert "Stop one, or choose a smaller size." in refused.message


# Whatever is sent

HOSTILE = [
    "../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "01_calibrate.ipynb/../../secret.ipynb",
    "01_calibrate.ipynb\n",
    "01_calibrate.ipynb\n#SBATCH --wrap=id",
    "01_calibrate.ipynb\x00.txt",
    "small\r\nSet-Cookie: a=b",
    "$(id)",
    "`id`; id | id && id",
    "<script>alert(1)</script>",
    "{{ site.login }}",
    "{username}",
    "%(token)s",
    "\u202esmall",
    "sm\u00adall",
    "a\u2028b\x85c",
    "\uff33\uff2d\uff21\uff2c\uff2c",
    "\ud800",
    "🦠" * 500,
    "x" * 10_000_000,
    "\x1b[2J",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_a_hostile_text_is_refused_wherever_it_stands(use_cases, text):
    began = time.monotonic()
    for refused in (
        refusal(use_cases, size=text),
        refusal(use_cases, size=[text]),
        refusal(use_cases, notebook=text),
        refusal(use_cases, text),
        refusal(use_cases, **{text: "small"}),
    ):
        assert len(refused.message) < 400
        refused.message.encode()
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        True,
        1.5,
        {},
        {"size": "small"},
        [],
        ["small", "large"],
        [["small"]],
        [None],
        b"small",
    ],
)
@pytest.mark.parametrize("option", OPTIONS)
def test_a_value_of_the_wrong_type_is_refused(use_cases, option, value):
    refused = refusal(use_cases, **{option: value})
    assert (refused.status, refused.message) == (400, f"The option '{option}' must be one text.")


@pytest.mark.parametrize(
    "option",
    ["image", "cmd", "environment", "mem_limit", "req_partition", "Size", "size ", "__class__"],
)
def test_an_option_that_does_not_exist_is_refused_and_named(use_cases, option):
    message = refusal(use_cases, **{option: "x"}).message
    assert message == f"There is no option '{option}'. Possible are size, notebook, app, safe."


@pytest.mark.parametrize(
    "foreign",
    ["utm_source", "utm_medium", "fbclid", "gclid", "mc_cid", "ref", "src", "si", "site", "_hsenc"],
)
def test_what_others_put_behind_a_link_is_passed_over(foreign):
    assert of_link({foreign: ["x"], "size": ["small"]}) == {"size": ["small"]}


@pytest.mark.parametrize("option", ["Size", "sizes", "notebok", "NOTEBOOK", "note_book", "apps"])
def test_an_option_of_a_link_that_is_meant_to_be_ours_is_refused(use_cases, option):
    assert "no option" in refusal(use_cases, **of_link({option: ["x"]})).message


def test_one_good_option_does_not_carry_a_bad_one(use_cases):
    assert "no option 'image'" in refusal(use_cases, size="small", image="evil:latest").message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
)
LIKELY = st.sampled_from(["small", "medium", "large", "01_calibrate.ipynb", "", "../x"]) | JSON
OPTION_NAMES = st.sampled_from([*OPTIONS, "image", "SIZE"]) | st.text(max_size=9)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["pyfai", "savu", "crystfel", ""]) | st.text(max_size=30),
    options=st.dictionaries(OPTION_NAMES, LIKELY | st.lists(LIKELY, max_size=2), max_size=3),
    servers=st.integers(0, 10),
    cores=st.floats(0, 100),
)
@example(name="pyfai", options={"size": ["small"]}, servers=0, cores=0)
def test_whatever_is_sent_gives_a_launch_of_declared_things_or_a_refusal(
    use_cases, name, options, servers, cores
):
    holding = Holding(servers=servers, cores=cores)
    try:
        launch = plan(
            name, ask(options), use_cases=use_cases, site=LAPTOP, user="ada", holding=holding
        )
    except Refused as refused:
        check(refused)
        return
    assert name in use_cases
    assert set(options) <= set(OPTIONS)
    assert launch.environment["BEAMHUB_SIZE"] in LAPTOP.sizes
    assert launch.start_page.rpartition("/")[2] in use_cases[name].notebooks
    assert launch.image.startswith(f"{LAPTOP.registry}/{name}:")


# Words


@given(st.text())
def test_a_quotation_is_short_printable_and_on_one_line(text):
    said = quoted(text)
    assert said.isprintable()
    assert len(said) <= 43
    if text.isprintable() and len(text) <= 40:
        assert said == f"'{text}'"


def test_amounts_in_words():
    assert words(Needs(cores=1, memory_gib=0.5)) == "1 core, 0.5 GiB of memory"
    assert words(Needs(cores=11, memory_gib=64, gpus=2)) == "11 cores, 64 GiB of memory, 2 GPUs"
    assert words(Needs(cores=2.5, memory_gib=1, gpus=1)) == "2.5 cores, 1 GiB of memory, 1 GPU"


def test_a_size_fits_when_nothing_is_missing():
    size = Resources(cores=4, memory_gib=16)
    assert fits(Needs(cores=4, memory_gib=16), size)
    assert not fits(Needs(cores=4.5, memory_gib=1), size)
    assert not fits(Needs(cores=1, memory_gib=17), size)
    assert not fits(Needs(cores=1, memory_gib=1, gpus=1), size)


def test_a_server_is_told_where_the_sites_data_are(use_cases):
    data = Data(
        roots=[Path("/a"), Path("/b")],
        cache=Path("/c"),
        quota_gb=1.5,
        mirrors=["https://m.example.org/d", "file:///srv/d"],
    )
    site = LAPTOP.model_copy(update={"data": data})
    launch = launch_of(use_cases, site=site)
    told = {k: v for k, v in launch.environment.items() if k.startswith("BEAMHUB_DATA")}
    assert told == {
        "BEAMHUB_DATA_ROOTS": "/a:/b",
        "BEAMHUB_DATA_CACHE": "/c",
        "BEAMHUB_DATA_QUOTA_GB": "1.5",
        "BEAMHUB_DATA_MIRRORS": "https://m.example.org/d file:///srv/d",
    }


def test_a_server_of_a_site_without_data_is_told_nothing_of_them(use_cases):
    launch = launch_of(use_cases)
    assert not [name for name in launch.environment if name.startswith("BEAMHUB_DATA")]


# Programs with windows


def test_a_program_with_a_window_is_what_opens_where_servers_come_from_images(use_cases):
    launch = launch_of(use_cases, "pymca", site=load_site("workstation"), app="pymca")
    assert launch.start_page == "/beamhub/app/pymca"


@pytest.mark.parametrize("site", ["laptop", "workstation"])
def test_a_program_that_is_not_there_is_refused(use_cases, site):
    with pytest.raises(Refused, match="no program with a window named 'sh'") as caught:
        launch_of(use_cases, "pymca", site=load_site(site), app="sh")
    check(caught.value)
    possible = "There are pymca." if site == "workstation" else "There are none at this site."
    assert possible in caught.value.message


# Images and folders


def test_an_image_that_a_registry_has_is_named_by_its_digest(use_cases):
    tagged = launch_of(use_cases).image
    digest = f"{tagged.rpartition(':')[0]}@sha256:{'a' * 64}"
    known = {tagged: digest, "ghcr.io/beamhub/pyfai:0.9.0": "another"}
    launch = plan("pyfai", Asked(), use_cases=use_cases, site=LAPTOP, user="ada", digests=known)
    assert launch.image == launch.environment["BEAMHUB_IMAGE"] == digest
    assert tagged == f"{LAPTOP.registry}/pyfai:{use_cases['pyfai'].manifest.version}"


WORKSTATION = load_site("workstation")


def shown(use_cases, site, **data):
    site = site.model_copy(update={"data": Data.model_validate(data)})
    mounts = launch_of(use_cases, site=site).mounts
    return [(str(m.source), str(m.target), m.read_only) for m in mounts]


def test_data_are_shown_where_the_site_has_them_and_cannot_be_changed(use_cases):
    found = shown(use_cases, WORKSTATION, roots=["/data/reference"], cache="/data/cache")
    assert found == [
        ("/data/reference", "/data/reference", True),
        ("/data/cache", "/data/cache", True),
    ]


def test_a_shared_cache_can_be_written_where_users_have_accounts_of_their_own(use_cases):
    assert shown(use_cases, load_site("hpc"), cache="/gpfs/cache")[-1] == (
        "/gpfs/cache",
        "/gpfs/cache",
        False,
    )


def test_data_inside_of_storage_are_not_shown_twice(use_cases):
    storage = [Mount(source="beamhub_data", target="/srv")]
    site = WORKSTATION.model_copy(update={"storage": storage})
    assert shown(use_cases, site, cache="/srv/data") == [("beamhub_data", "/srv", True)]


# What the site's machine makes of sizes


def bounded(use_cases, asked: str | None = None, **bounds: Bound):
    return plan("pyfai", Asked(asked), use_cases=use_cases, site=LAPTOP, user="ada", bounds=bounds)


def test_a_size_that_the_machine_would_never_run_is_refused_with_the_reason(use_cases):
    why = "longer than partition 'p' allows: 8 h asked, 4 h possible"
    with pytest.raises(Refused) as caught:
        bounded(use_cases, "large", large=Bound(closed=why))
    check(caught.value)
    assert (caught.value.status, caught.value.reason) == (409, "bound")
    assert f"can't run in the size 'large' for you: {why}. Possible are " in caught.value.message
    assert "large" not in caught.value.message.partition("Possible are ")[2]
    assert LAPTOP.contact in caught.value.message


def test_the_portal_chooses_no_size_that_is_closed(use_cases):
    assert bounded(use_cases).environment["BEAMHUB_SIZE"] == "medium"
    launch = bounded(use_cases, medium=Bound(closed="x"))
    assert launch.environment["BEAMHUB_SIZE"] == "large"


def test_where_all_are_closed_that_is_said(use_cases):
    closed = {name: Bound(closed="Slurm knows no account of yours") for name in LAPTOP.sizes}
    with pytest.raises(Refused, match="No other size can either") as caught:
        bounded(use_cases, **closed)
    check(caught.value)


def test_a_walltime_is_bounded_where_the_profile_declares_none(use_cases):
    assert bounded(use_cases, "large", large=Bound(walltime_h=0.5)).resources.walltime_h == 0.5
    assert bounded(use_cases, "large").resources.walltime_h == LAPTOP.sizes["large"].walltime_h


# Who may what


CLOSED = LAPTOP.model_copy(
    update={
        "use_case_groups": {"pymca": ["cn=staff,ou=groups,dc=example", "guests"]},
        "sizes": {
            n: s.model_copy(update={"groups": ["staff"] if n == "large" else []})
            for n, s in LAPTOP.sizes.items()
        },
    }
)


def as_member(use_cases, name="pyfai", *, groups=(), site=CLOSED, **options):
    standing = Standing(groups=frozenset(groups))
    return plan(name, ask(options), use_cases=use_cases, site=site, user="ada", standing=standing)


def test_a_use_case_for_members_opens_for_members_only(use_cases):
    assert as_member(use_cases, "pymca", groups=["guests"]).use_case == "pymca"
    for groups in ([], ["staff"], ["cn=staff,ou=elsewhere,dc=example"]):
        with pytest.raises(Refused, match=r"members of staff or guests only") as refused:
            as_member(use_cases, "pymca", groups=groups)
        check(refused.value)
        assert (refused.value.reason, refused.value.status) == ("members", 403)
        assert LAPTOP.contact in refused.value.message


def test_a_size_for_members_is_neither_granted_nor_chosen_for_others(use_cases):
    assert (
        as_member(use_cases, groups=["staff"], size="large").environment["BEAMHUB_SIZE"] == "large"
    )
    with pytest.raises(Refused, match=r"it is for members of staff\. Possible are") as refused:
        as_member(use_cases, size="large")
    check(refused.value)
    assert "large" not in refused.value.message.partition("Possible are")[2]
    only = CLOSED.model_copy(update={"sizes": {"large": CLOSED.sizes["large"]}})
    with pytest.raises(Refused, match="No other size can either") as refused:
        as_member(use_cases, site=only)
    assert refused.value.reason == "members"
    assert as_member(use_cases, groups=["staff"], site=only).use_case == "pyfai"


def test_a_site_names_every_group_that_decides_something():
    assert CLOSED.named_groups == ["staff", "cn=staff,ou=groups,dc=example", "guests"]
    assert LAPTOP.named_groups == []
