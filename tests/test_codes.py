"""One-time codes: JupyterHub's own authenticator class, its rules included."""

import asyncio
import io
import re
from types import SimpleNamespace

import pytest
from traitlets.config import Config

from hub.codes import ALPHABET, CodeAuthenticator, new_code
from hub.config import configure_login
from hub.terminal import terminal


@pytest.fixture
def said(monkeypatch) -> io.StringIO:
    """What the person sees who started the portal."""
    stream = io.StringIO()
    monkeypatch.setattr(terminal, "stream", stream)
    return stream


@pytest.fixture
def authenticator(laptop) -> CodeAuthenticator:
    c = Config()
    configure_login(c, laptop)
    return CodeAuthenticator(config=c)


def log_in(authenticator, username: str, password: str, page=None):
    data = {"username": username, "password": password}
    page = page or SimpleNamespace(refusal=None)
    return asyncio.run(authenticator.get_authenticated_user(page, data))


def test_a_code_can_be_read_aloud():
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    for code in codes:
        assert re.fullmatch(rf"([{ALPHABET}]{{4}}-){{2}}[{ALPHABET}]{{4}}", code)
    assert not set("0o1il") & set(ALPHABET)


def test_the_right_code_lets_in_once(authenticator, said):
    code = authenticator.code
    assert log_in(authenticator, "ada", code)["name"] == "ada"
    assert authenticator.code != code
    assert log_in(authenticator, "eve", code) is None


def test_the_next_code_is_told_to_the_terminal_only_by_then(authenticator, said):
    log_in(authenticator, "ada", "wrong")
    assert said.getvalue() == ""
    log_in(authenticator, "ada", authenticator.code)
    assert said.getvalue() == f"ada has logged in. The next code is {authenticator.code}\n"


@pytest.mark.parametrize("change", [str.upper, lambda code: f"  {code}\n"])
def test_the_code_may_be_typed_as_people_type(authenticator, said, change):
    assert log_in(authenticator, "ada", change(authenticator.code))


@pytest.mark.parametrize("code", ["", " ", "é", "\x00", "a" * 100_000, "aaaa-aaaa-aaaa"])
def test_a_wrong_code_changes_nothing(authenticator, said, code):
    before = authenticator.code
    assert log_in(authenticator, "ada", code) is None
    assert authenticator.code == before


def test_without_a_code_nobody_comes_in(authenticator):
    assert asyncio.run(authenticator.get_authenticated_user(None, {"username": "ada"})) is None


@pytest.mark.parametrize("name", ["", "../root", "a b", "a\nb", "-x", "x" * 40, "<b>", "1a"])
def test_a_name_that_could_be_anything_else_is_refused(authenticator, said, name):
    before = authenticator.code
    page = SimpleNamespace(refusal=None)
    assert log_in(authenticator, name, before, page) is None
    assert authenticator.code == before
    assert page.refusal.message.startswith("That can't be a name here. It begins with a letter")


def test_a_name_is_a_persons_in_any_case(authenticator, said):
    assert log_in(authenticator, "Ada.Lovelace", authenticator.code)["name"] == "ada.lovelace"


def test_what_is_typed_as_a_name_never_steers_the_terminal(authenticator, said):
    log_in(authenticator, "\x1b[2Jada\r\nThe next code is aaaa", authenticator.code)
    assert said.getvalue() == ""
