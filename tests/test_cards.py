"""Cards: what a user can do with a use case here and now."""

from datetime import UTC, datetime

import pytest
from pydantic import HttpUrl

from hub.cards import LABELS, SYMBOLS, card
from hub.deployment import Deployment
from hub.site import LicensedProgram
from hub.usecases import UseCase
from workbench.manifest import LicenceGate


@pytest.fixture
def user(laptop, a_user):
    return a_user(laptop)


def with_manifest(deployment, name, **values) -> Deployment:
    case = deployment.use_cases[name]
    changed = UseCase(name, case.folder, case.manifest.model_copy(update=values))
    use_cases = {**deployment.use_cases, name: changed}
    return Deployment(deployment.name, deployment.site, use_cases, deployment.state)


def card_of(deployment, user, name="pyfai"):
    return card(deployment.use_cases[name], deployment, user)


def test_what_can_be_opened_is_ready_in_the_size_that_suits_it(laptop, user):
    shown = card_of(laptop, user)
    assert (shown.state, shown.size, shown.why, shown.can_open) == ("ready", "medium", "", True)


def test_what_is_coming_says_what_is_missing(laptop, user):
    deployment = with_manifest(laptop, "pyfai", coming=["No notebooks yet.", "No image yet."])
    shown = card_of(deployment, user)
    assert (shown.state, shown.can_open) == ("coming", False)
    assert shown.why == "No notebooks yet."


def test_a_server_that_starts_or_runs_is_shown_so(laptop, user):
    spawner = user.get_or_create_spawner("pyfai", "pyFAI")
    spawner._spawn_pending = True
    assert card_of(laptop, user).state == "starting"
    assert card_of(laptop, user).can_open


def test_what_a_machine_lacks_is_named_with_whom_to_ask(laptop, user):
    shown = card_of(with_manifest(laptop, "pyfai", programs=["no-such-program"]), user)
    assert (shown.state, shown.can_open) == ("unavailable", False)
    assert "'no-such-program' is not installed" in shown.why
    assert laptop.site.contact in shown.why


def test_a_notebook_whose_program_is_missing_is_closed_and_the_others_are_not(laptop, user):
    one, two, *others = laptop.use_cases["pyfai"].manifest.notebooks
    notebooks = [
        one.model_copy(update={"programs": ["no-such-program"]}),
        two.model_copy(update={"programs": ["sh"]}),
        *others,
    ]
    deployment = with_manifest(laptop, "pyfai", notebooks=notebooks)
    shown = card_of(deployment, user)
    assert (shown.state, shown.why) == ("ready", "")
    assert shown.closed == {
        one.file: "The program 'no-such-program' is not installed on this machine."
    }
    user.get_or_create_spawner("pyfai", "pyFAI")._spawn_pending = True
    assert card_of(deployment, user).closed == shown.closed


def test_where_every_notebook_lacks_a_program_nothing_can_be_opened(laptop, user):
    notebooks = [
        notebook.model_copy(update={"programs": ["no-such-program"]})
        for notebook in laptop.use_cases["pyfai"].manifest.notebooks
    ]
    shown = card_of(with_manifest(laptop, "pyfai", notebooks=notebooks), user)
    assert shown.state == "unavailable"
    assert "'no-such-program' is not installed" in shown.why


def test_what_does_not_fit_the_site_is_unavailable(laptop, user, change):
    small = laptop.site.sizes["small"].model_copy(update={"memory_gib": 0.5})
    shown = card_of(change(laptop, sizes={"small": small}), user)
    assert shown.state == "unavailable"
    assert "needs at least" in shown.why


NEEDED = LicenceGate(
    program="XDS",
    terms="For academic use.",
    url=HttpUrl("https://example.org"),
    declaration="I use it for academic work only and do not pass it on.",
    required=True,
)
XDS = NEEDED.model_copy(update={"required": False})
HAVING = {"xds": LicensedProgram(source="/opt/xds", vouched_groups=["mx"])}


def test_only_what_is_needed_asks_for_a_licence(laptop, user, change):
    site = change(laptop, programs=HAVING)
    assert card_of(with_manifest(site, "pyfai", licence_gates=[XDS]), user).state == "ready"
    shown = card_of(with_manifest(site, "pyfai", licence_gates=[NEEDED]), user)
    assert (shown.state, shown.can_open) == ("licence", False)
    assert "whose terms you have not accepted" in shown.why
    lacking = card_of(with_manifest(laptop, "pyfai", licence_gates=[NEEDED]), user)
    assert lacking.state == "unavailable"


def test_who_has_accepted_can_open_it(laptop, user, change):
    site = with_manifest(change(laptop, programs=HAVING), "pyfai", licence_gates=[NEEDED])
    site.state.mkdir(exist_ok=True)
    site.licences.add("accepted", "ada", NEEDED, "pyfai", datetime.now(UTC))
    assert card_of(site, user).state == "ready"


def test_a_server_whose_licence_was_taken_back_is_still_shown_as_running(laptop, user, change):
    site = with_manifest(change(laptop, programs=HAVING), "pyfai", licence_gates=[NEEDED])
    spawner = user.get_or_create_spawner("pyfai", "pyFAI")
    spawner._spawn_pending = True
    assert card_of(site, user).state == "starting"
    assert card_of(site, user).can_open


def test_every_state_is_said_in_a_word_and_a_symbol():
    assert set(LABELS) == set(SYMBOLS)
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)
    assert all(LABELS.values())


def test_every_shipped_use_case_has_a_card(laptop, user):
    for name, use_case in laptop.use_cases.items():
        shown = card_of(laptop, user, name)
        assert (shown.state == "coming") == bool(use_case.manifest.coming)
        assert shown.can_open or shown.why
