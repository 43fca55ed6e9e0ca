"""The door at a provider without one: tokens, claims, names, what is published, profiles."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import TypeAdapter, ValidationError

from hub.logins import Login
from hub.names import Names, Person
from hub.oidc.claims import at, check_identity_provider, groups_of, name_of
from hub.oidc.discovery import discover
from hub.oidc.fetching import LIMIT_BYTES, Answer, Fetcher, ProviderError
from hub.oidc.tokens import Keys, check_nonce, check_times, claims_of
from hub.refusal import Refused
from spawners.records import RecordError

ISSUER = "https://sso.example.org/realm"
NOW = 1_800_000_000


def pair(kid: str, key: rsa.RSAPrivateKey) -> dict:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    return {**public, "kid": kid, "use": "sig", "alg": "RS256"}


KEY, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
SHARED = "a-client-secret-that-is-long-enough-for-hs256"
PUBLISHED = {"keys": [pair("one", KEY), {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}]}
CLAIMS = {"iss": ISSUER, "aud": "beamhub", "sub": "s-1", "iat": NOW, "exp": NOW + 300, "nonce": "n"}


class Published(Fetcher):
    """Answers with keys, and counts how often it was asked."""

    def __init__(self, *answers: dict) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, url: str, *_: object, **__: object) -> Answer:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return Answer(url, 200, {}, json.dumps(answer).encode())


def read(token: str, keys: Keys | None = None) -> dict:
    keys = keys or Keys(Published(PUBLISHED))
    names = {"jwks_uri": f"{ISSUER}/keys", "issuer": ISSUER, "client_id": "beamhub"}
    return asyncio.run(claims_of(token, keys, **names))


def signed(key: object = KEY, kid: str | None = "one", algorithm: str = "RS256", **claims) -> str:
    changed = {k: v for k, v in {**CLAIMS, **claims}.items() if v is not None}
    return jwt.encode(changed, key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def test_a_token_that_the_provider_has_signed_for_the_portal_is_read():
    assert read(signed())["sub"] == "s-1"
    assert read(signed(kid=None))["sub"] == "s-1"
    assert read(signed(aud=["beamhub", "other"], azp="beamhub"))["sub"] == "s-1"


FORGED = {
    "another key": lambda: signed(OTHER),
    "another key, no number": lambda: signed(OTHER, kid=None),
    "a key that isn't published": lambda: signed(OTHER, kid="two"),
    "no signature": lambda: signed("", algorithm="none"),
    "the client's secret": lambda: signed(SHARED, algorithm="HS256"),
    "a published shared key": lambda: signed(b"secret" * 8, kid="shared", algorithm="HS256"),
    "another issuer": lambda: signed(iss="https://evil.example.org"),
    "an issuer with a slash more": lambda: signed(iss=f"{ISSUER}/"),
    "another portal": lambda: signed(aud="other"),
    "another portal's, shown here": lambda: signed(aud=["beamhub", "other"], azp="other"),
    **{
        f"no {claim}": lambda claim=claim: signed(**{claim: None})
        for claim in CLAIMS
        if claim != "nonce"
    },
    "changed afterwards": lambda: swapped(signed(), signed(sub="s-2")),
    "no token": lambda: "x.y.z",
    "nothing": lambda: "",
}


def swapped(of: str, by: str) -> str:
    """Return a token with the contents of another."""
    head, _, mark = of.split(".")
    return ".".join([head, by.split(".")[1], mark])


@pytest.mark.filterwarnings("ignore:.*key.*:jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_refused(forged):
    with pytest.raises(Refused, match="isn't signed as it should be"):
        read(forged())


def test_keys_are_asked_for_again_only_when_one_is_not_known():
    published = Published({"keys": [pair("one", KEY)]}, {"keys": [pair("two", OTHER)]})
    keys = Keys(published)
    for _ in range(3):
        read(signed(), keys)
    assert published.asked == 1
    assert read(signed(OTHER, kid="two"), keys)["sub"] == "s-1"
    assert published.asked == 2
    with pytest.raises(Refused):
        read(signed(), keys)


@pytest.mark.parametrize("published", [{}, {"keys": []}, {"keys": 1}, {"keys": [{"kty": "x"}]}])
def test_a_provider_without_keys_is_told(published):
    with pytest.raises(ProviderError, match="no keys that can be used"):
        read(signed(), Keys(Published(published)))


@pytest.mark.parametrize("off_s", [-120, -1, 0, 119, 120])
def test_clocks_may_differ_by_the_leeway(off_s):
    check_times(CLAIMS, 120, NOW - off_s)


@pytest.mark.parametrize(("off_s", "minutes"), [(-3600, 60), (-121, 2), (150, 2), (600, 10)])
def test_clocks_that_differ_by_more_are_told_in_minutes(off_s, minutes):
    with pytest.raises(Refused, match=f"are {minutes} min apart"):
        check_times(CLAIMS, 120, NOW - off_s)


@pytest.mark.parametrize("times", [{"exp": NOW - 200}, {"nbf": NOW + 200}])
def test_a_token_counts_between_its_times(times):
    with pytest.raises(Refused):
        check_times({**CLAIMS, **times}, 120, NOW)


def test_a_token_that_has_no_times_but_words_is_refused():
    with pytest.raises(Refused, match="isn't signed as it should be"):
        check_times({**CLAIMS, "iat": "now"}, 120, NOW)


def test_the_machines_own_clock_is_asked():
    check_times({"iat": time.time(), "exp": time.time() + 60}, 120)


@pytest.mark.parametrize("nonce", [None, "", "N", "n2"])
def test_a_token_of_another_log_in_is_refused(nonce):
    check_nonce(CLAIMS, "n")
    with pytest.raises(Refused):
        check_nonce({**CLAIMS, "nonce": nonce}, "n")


TOLD = {
    "groups": ["a", "b", "", 3, None, {"x": 1}, "x" * 256, "two\nlines"],
    "group": "cn=a,ou=b",
    "realm_access": {"roles": ["r1"]},
    "https://example.org/groups": ["dotted"],
    "nothing": None,
}


@pytest.mark.parametrize(
    ("path", "groups"),
    [
        ("groups", {"a", "b"}),
        ("group", {"cn=a,ou=b"}),
        ("realm_access.roles", {"r1"}),
        ("https://example.org/groups", {"dotted"}),
        ("realm_access", set()),
        ("realm_access.roles.more", set()),
        ("nothing", set()),
        ("missing", set()),
    ],
)
def test_groups_are_read_wherever_they_are(path, groups):
    assert groups_of(TOLD, path) == groups


def test_a_way_ends_where_there_is_no_object():
    assert at({"a": {"b": {"c": 1}}}, "a.b.c") == 1
    assert at({"a": [1]}, "a.0") is None


@pytest.mark.parametrize(
    ("claims", "claim", "name"),
    [
        ({"preferred_username": "Ada"}, "preferred_username", "ada"),
        ({"email": "Ada@example.org", "email_verified": True}, "email", "ada@example.org"),
        ({"sub": "0000-0002-1825-0097"}, "sub", "0000-0002-1825-0097"),
        ({"sub": "28c5353b@eduteams.org"}, "sub", "28c5353b@eduteams.org"),
        ({"a": {"uid": "x1"}}, "a.uid", "x1"),
    ],
)
def test_a_name_comes_from_the_claim(claims, claim, name):
    assert name_of(claims, claim) == name


def test_a_mark_that_can_be_no_name_gives_one_that_is_one_persons():
    subjects = [
        "http://cilogon.org/serverA/users/12345",
        "Ada",
        "ADA",
        "a b",
        "ä",
        "../x",
        "x" * 200,
    ]
    names = [name_of({"iss": ISSUER, "sub": s}, "sub") for s in subjects]
    names += [name_of({"iss": "https://other.example.org", "sub": "Ada"}, "sub"), "ada"]
    assert len(set(names)) == len(names)
    assert all(name.startswith("u-") and len(name) == 18 for name in names[:-1])


@pytest.mark.parametrize(
    "value", [None, "", 7, ["ada"], "../ada", "a/b", "ä", "-x", ".x", "x" * 129, "a\n"]
)
def test_what_can_be_no_name_is_refused(value):
    with pytest.raises(Refused, match="name"):
        name_of({"preferred_username": value}, "preferred_username")


@pytest.mark.parametrize("verified", [None, False, "true", 1])
def test_an_address_that_is_not_verified_names_nobody(verified):
    with pytest.raises(Refused, match="hasn't verified"):
        name_of({"email": "ada@example.org", "email_verified": verified}, "email")


@pytest.mark.parametrize("value", ["desy.de", ["desy.de"], ["x.org", "desy.de"]])
def test_people_of_allowed_organisations_come_in(value):
    check_identity_provider({"home": value}, "home", {"desy.de", "esrf.fr"})
    check_identity_provider({}, "home", set())


@pytest.mark.parametrize(
    "claims", [{}, {"home": "x.org"}, {"home": "desy.de.evil.org"}, {"home": 1}]
)
def test_people_of_others_do_not(claims):
    with pytest.raises(Refused, match="certain organisations"):
        check_identity_provider(claims, "home", {"desy.de"})


# Names


ADA, OTHER_ADA = Person(ISSUER, "s-1"), Person(ISSUER, "s-2")
ELSEWHERE = Person("https://other.example.org", "s-1")


def test_a_name_is_given_once(tmp_path: Path):
    names = Names(tmp_path / "names.sqlite")
    assert names.all() == []
    assert names.of(ADA) is None
    assert names.give("ada", ADA)
    assert names.give("ada", ADA)
    assert not names.give("ada", OTHER_ADA)
    assert not names.give("ada", ELSEWHERE)
    assert not names.give("lovelace", ADA)
    assert (names.of(ADA), names.of(OTHER_ADA), names.of(ELSEWHERE)) == ("ada", None, None)
    assert [(name, who) for name, who, _ in names.all()] == [("ada", ADA)]
    assert names.path.stat().st_mode & 0o777 == 0o600


def test_a_name_that_was_released_goes_to_the_next(tmp_path: Path):
    names = Names(tmp_path / "names.sqlite")
    assert not names.release("ada")
    names.give("ada", ADA)
    assert names.release("ada")
    assert not names.release("ada")
    assert names.give("ada", OTHER_ADA)


def test_a_record_that_cannot_be_read_gives_nobody_a_name(tmp_path: Path):
    path = tmp_path / "names.sqlite"
    path.write_text("this isn't a database, and long enough to be seen as none" * 20)
    for act in (lambda n: n.of(ADA), lambda n: n.give("ada", ADA), lambda n: n.all()):
        with pytest.raises(RecordError, match=str(path)):
            act(Names(path))


# What is published


class Web(BaseHTTPRequestHandler):
    """An OpenID Connect provider's description of itself, or what stands there instead."""

    answers: dict[str, tuple[int, bytes]] = {}

    def do_GET(self) -> None:
        status, body = self.answers.get(self.path, (404, b"nothing here"))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", body.decode())
        self.end_headers()
        if body == b"slowly":
            for _ in range(100):
                self.wfile.write(b" ")
                self.server.closing.wait(0.05)
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            return  # the portal has hung up


@pytest.fixture
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        server.closing = threading.Event()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        whole = {
            "issuer": f"{url}/realm",
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "userinfo_endpoint": f"{url}/userinfo",
            "jwks_uri": f"{url}/keys",
        }
        part = {key: value for key, value in whole.items() if key != "token_endpoint"}
        open_ = {**whole, "token_endpoint": "http://sso.example.org/token"}
        file = {**whole, "jwks_uri": "file:///etc/passwd"}
        answers = {
            "realm": (200, json.dumps(whole).encode()),
            "other": (200, json.dumps(whole).encode()),
            "part": (200, json.dumps(part).encode()),
            "open": (200, json.dumps(open_).encode()),
            "file": (200, json.dumps(file).encode()),
            "page": (200, b"<html>Log in</html>"),
            "binary": (200, b"\xff\xfe"),
            "list": (200, b"[]"),
            "down": (503, b"{}"),
            "long": (200, b" " * (LIMIT_BYTES + 1)),
            "slow": (200, b"slowly"),
            "moved": (302, f"{url}/realm/.well-known/openid-configuration".encode()),
        }
        Web.answers = {f"/{k}/.well-known/openid-configuration": v for k, v in answers.items()}
        yield url
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def found(issuer: str, timeout_s: float = 20):
    return asyncio.run(discover(issuer, Fetcher(timeout_s)))


def test_an_issuer_may_end_with_a_slash(web):
    assert found(f"{web}/realm/") == found(f"{web}/realm")


def test_a_description_of_another_provider_is_refused(web):
    with pytest.raises(ProviderError, match=f"describes another provider, {web}/realm"):
        found(f"{web}/other")


@pytest.mark.parametrize("realm", ["none", "down", "moved", "page", "binary", "list", "long"])
def test_what_is_no_providers_answer_is_told_with_its_address(web, realm):
    with pytest.raises(ProviderError) as caught:
        found(f"{web}/{realm}")
    assert f"{web}/{realm}/.well-known/openid-configuration" in str(caught.value)


def test_an_answer_that_trickles_ends_too(web):
    with pytest.raises(ProviderError, match=r"no answer in 0\.5 s"):
        found(f"{web}/slow", 0.5)


@pytest.mark.parametrize("realm", ["part", "open", "file"])
def test_a_description_that_lacks_or_opens_something_is_refused(web, realm):
    with pytest.raises(ProviderError, match=r"not the description.*(token_endpoint|jwks_uri)"):
        found(f"{web}/{realm}")


def test_an_address_where_nobody_listens_is_told():
    with pytest.raises(ProviderError, match=r"can't be reached at http://127\.0\.0\.1:9/"):
        found("http://127.0.0.1:9")


def test_nothing_is_asked_where_others_could_listen():
    with pytest.raises(ProviderError, match="must begin with https://"):
        found("http://sso.example.org")


# Profiles


def door(**values):
    common = {"kind": "oidc", "client_id": "beamhub", "client_secret": {"env": "OIDC_SECRET"}}
    return TypeAdapter(Login).validate_python({"issuer": ISSUER, **common, **values})


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"issuer": "http://sso.example.org"}, "begins with https"),
        ({"issuer": "http://127.0.0.1.example.org"}, "begins with https"),
        ({"issuer": "https://ada:x@sso.example.org"}, "without user"),
        ({"issuer": "https://sso.example.org/?realm=a"}, "without user"),
        ({"issuer": "https://github.com"}, "isn't an OpenID Connect provider"),
        ({"scopes": ["profile"]}, "without 'openid'"),
        ({"issuer": "https://orcid.org"}, "everybody can make an account"),
        ({"identity_providers": {"claim": "idp", "allowed": []}}, "at least 1 item"),
    ],
)
def test_a_door_that_is_open_or_leads_nowhere_is_refused(values, why):
    with pytest.raises(ValidationError, match=why):
        door(**values)


@pytest.mark.parametrize(
    "issuer", ["http://127.0.0.1:9000", "http://localhost/x", "http://[::1]:1"]
)
def test_on_this_machine_a_provider_need_not_encrypt(issuer):
    assert str(door(issuer=issuer).issuer).startswith(issuer)


def test_orcid_needs_names():
    assert door(issuer="https://orcid.org", allowed_users=["0000-0002-1825-0097"])
