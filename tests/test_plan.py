"""The plan: what a user wishes becomes one launch, or a refusal that a person can use."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import HttpUrl

from hub.plan import OPTIONS, Asked, Holding, Refused, ask, fits, plan, quoted, words
from hub.site import Data, load_site
from hub.usecases import UseCase
from spawners.launch import Resources
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
    """Return the use cases, a list of programs for each of pyFAI's three notebooks."""
    notebooks = [
        notebook.model_copy(update={"programs": list(names)})
        for notebook, names in zip(use_cases["pyfai"].manifest.notebooks, programs, strict=True)
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


def test_a_licence_that_is_needed_closes_the_gate(use_cases):
    gate = LicenceGate(
        program="XDS", terms="For academic use.", url=HttpUrl("https://example.org"), required=True
    )
    refused = refusal(changed(use_cases, "pyfai", licence_gates=[gate]))
    assert (refused.status, refused.reason) == (403, "licence")
    assert "needs a licence for XDS" in refused.message
    assert LAPTOP.contact in refused.message


def test_a_licence_that_only_part_of_it_needs_does_not(use_cases):
    gate = LicenceGate(program="XDS", terms="For academic use.", url=HttpUrl("https://example.org"))
    assert launch_of(changed(use_cases, "pyfai", licence_gates=[gate]))


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
    assert message == f"There is no option '{option}'. Possible are size and notebook."


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
