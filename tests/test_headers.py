"""What leaves with every answer: a policy, and TLS for ever where there is TLS."""

import pytest
from pydantic import ValidationError
from tornado.httputil import HTTPHeaders

from hub.config import cookie_options
from hub.headers import NOTHING, complete, encryption, policy_of
from hub.serving import Serving

BEHIND = {"tls": "proxy", "public_url": "https://portal.example.org"}


@pytest.mark.parametrize(
    ("profile", "hsts"),
    [
        ({}, False),
        (BEHIND, True),
        ({**BEHIND, "public_url": "https://portal.example.org:8443"}, False),
        ({"tls": "own", "certificate": "/c", "key": "/k", "port": 8443}, False),
    ],
)
def test_tls_is_promised_where_the_host_is_the_portals(profile, hsts):
    """The promise holds for all ports of a host: on another port it could break other things."""
    assert bool(encryption(Serving.model_validate(profile))) is hsts


def test_cookies_need_tls_where_there_is_tls():
    assert cookie_options(Serving()) == {"samesite": "Lax"}
    assert cookie_options(Serving.model_validate(BEHIND)) == {"samesite": "Lax", "secure": True}


def test_what_is_no_page_may_do_nothing():
    assert complete(HTTPHeaders({"Content-Type": "image/svg+xml"})) == NOTHING
    page = complete(HTTPHeaders({"Content-Type": "text/html"}))
    assert "default-src 'self'" in page and "frame-ancestors 'none'" in page
    strict = "default-src 'none'; x"
    assert complete(HTTPHeaders({"Content-Security-Policy": strict})) == strict


def test_a_users_own_host_may_show_the_portals_logo():
    serving = Serving.model_validate({**BEHIND, "user_subdomains": True})
    headers = HTTPHeaders({"Content-Type": "image/svg+xml"})
    policy_of(serving)(None).transform_first_chunk(200, headers, b"", True)
    assert headers["Cross-Origin-Resource-Policy"] == "same-site"
    assert serving.users_origins == "https://*.portal.example.org"


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:8000", "http://[::1]:8000"])
def test_users_need_names_below_the_portals(url):
    with pytest.raises(ValidationError, match="user_subdomains needs the 'public_url'"):
        Serving.model_validate({"public_url": url, "user_subdomains": True})


@pytest.mark.parametrize("host", ["localhost", "beamhub.localhost"])
def test_a_name_of_this_machine_is_not_the_world(host):
    assert not Serving.model_validate({"public_url": f"http://{host}:8000"}).reachable
    assert Serving.model_validate({"public_url": f"http://{host}.example.org"}).reachable
