"""The way in by name and password: in nobody's way, whatever is typed and whoever is slow."""

import asyncio
import socket
import time
from types import SimpleNamespace

import pytest
from jupyterhub.auth import Authenticator

from hub import entrance
from hub.doors.directory import Directory as LdapDirectory
from hub.doors.ldap import DirectoryAuthenticator
from hub.entrance import Entrance, TooMany, throttled
from hub.logins import Ldap
from hub.state import LIFTED, LOCK, StateError, lift_throttle
from hub.throttle import PAIR_FREE

# ldap3, which is not maintained any more, imports names that pyasn1 has renamed.
pytestmark = pytest.mark.filterwarnings(r"ignore:(tag|type)Map is deprecated:DeprecationWarning")


class Directory(Authenticator):
    """Knows ada, and says of what it was asked."""

    asked: list[dict] = []
    away = False

    async def authenticate(self, handler, data):
        type(self).asked.append(data)
        if self.away:
            raise OSError("the directory is away")
        return "ada" if data == {"username": "ada", "password": "right"} else None


@pytest.fixture
def handler(tmp_path, monkeypatch):
    monkeypatch.setattr(entrance, "FAILED_S", 0.0)
    monkeypatch.setattr(Directory, "asked", [])
    (tmp_path / LOCK).touch()
    return SimpleNamespace(
        settings={"entrance": Entrance(tmp_path)},
        request=SimpleNamespace(remote_ip="192.0.2.1"),
        find_user=lambda name: None,
        state=tmp_path,
    )


def log_in(handler, name="ada", password="wrong", **traits):
    made = throttled(Directory)(allow_all=True, **traits)
    data = {"username": name, "password": password}
    return asyncio.run(made.get_authenticated_user(handler, data))


def test_who_guesses_is_not_even_looked_at(handler):
    for _ in range(PAIR_FREE):
        assert log_in(handler) is None
    with pytest.raises(TooMany) as refused:
        log_in(handler, password="right")
    assert len(Directory.asked) == PAIR_FREE
    assert refused.value.status_code == 429
    assert "Try again in" in refused.value.jupyterhub_message


def test_upper_case_is_the_same_name(handler):
    for name in ("ada", "ADA", "Ada", "aDa", "adA"):
        log_in(handler, name)
    with pytest.raises(TooMany):
        log_in(handler, "aDA")


def test_a_mark_in_the_state_folder_lifts_it(handler):
    for _ in range(PAIR_FREE):
        log_in(handler)
    lift_throttle(handler.state)
    assert log_in(handler, password="right")["name"] == "ada"
    assert (handler.state / LIFTED).stat().st_mode & 0o077 == 0


def test_a_folder_that_is_no_portals_is_left_alone(tmp_path):
    with pytest.raises(StateError, match="No portal has its state"):
        lift_throttle(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "password"), [("", "x"), ("x" * 256, "x"), ("ada", "x" * 1025), (7, "x"), ("ada", [])]
)
def test_what_nobody_types_is_not_looked_at(handler, name, password):
    log_in(handler, name, password)
    assert [data for data in Directory.asked if data["username"] != "ada"] == []


def test_a_directory_that_is_away_is_nobodys_mistake(handler, monkeypatch):
    monkeypatch.setattr(Directory, "away", True)
    for _ in range(2 * PAIR_FREE):
        with pytest.raises(OSError, match="is away"):
            log_in(handler)
    assert handler.settings["entrance"].under_way == 0


def test_no_number_of_people_waits_for_a_directory(handler):
    handler.settings["entrance"].under_way = entrance.MOST_AT_ONCE
    with pytest.raises(TooMany):
        log_in(handler, password="right")


def test_a_provider_that_sends_somebody_back_is_not_throttled(handler):
    class Provider(Authenticator):
        async def authenticate(self, handler, data=None):
            return "ada"

    made = throttled(Provider)(allow_all=True)
    for _ in range(50):
        assert asyncio.run(made.get_authenticated_user(handler, None))["name"] == "ada"


def test_a_directory_that_is_silent_holds_up_nobody(handler):
    """The door of a directory, at a port where somebody listens and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        login = Ldap(
            kind="ldap",
            server="127.0.0.1",
            port=silent.getsockname()[1],
            bind_dn_templates=["uid={username},dc=example"],
        )
        asked = LdapDirectory(login, "help@example.org", "")
        made = throttled(DirectoryAuthenticator)(
            allow_all=True, contact="help@example.org", directory=asked
        )
        ticks = asyncio.run(ticks_during(made, handler, silent))
    assert ticks > 20


async def ticks_during(made, handler, silent) -> int:
    """Return how often the loop had its turn while a log-in waited."""
    data = {"username": "ada", "password": "x"}
    waiting = asyncio.ensure_future(made.get_authenticated_user(handler, data))
    accepted = await asyncio.to_thread(silent.accept)
    ticks, end = 0, time.monotonic() + 1
    while time.monotonic() < end and ticks < 100:
        await asyncio.sleep(0.001)
        ticks += 1
    assert not waiting.done()
    accepted[0].close()
    # Whatever its client makes of it isn't a concern here.
    await asyncio.wait([waiting])
    waiting.exception()
    return ticks
