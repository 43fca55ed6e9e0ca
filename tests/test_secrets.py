"""Secrets: named in profiles, read at start, never shown."""

import pytest
from pydantic import ValidationError

from hub import secrets
from hub.secrets import SecretError, SecretRef, keep_secrets, read_secret
from workbench.declared import Declared

SECRET = "hunter2-Xq9"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return path


def test_a_secret_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("OIDC_SECRET", SECRET)
    assert read_secret(SecretRef(env="OIDC_SECRET")) == SECRET


def test_a_secret_is_read_from_a_file_without_its_line_end(file):
    assert read_secret(SecretRef(file=file)) == SECRET


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_secret_is_told_by_the_name_of_its_place(monkeypatch, value):
    monkeypatch.delenv("OIDC_SECRET", raising=False)
    if value is not None:
        monkeypatch.setenv("OIDC_SECRET", value)
    with pytest.raises(SecretError, match="OIDC_SECRET is empty or not set"):
        read_secret(SecretRef(env="OIDC_SECRET"))


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o602, 0o666])
def test_a_file_that_others_can_read_or_change_is_refused(file, mode):
    file.chmod(mode)
    with pytest.raises(SecretError, match="chmod 600") as caught:
        read_secret(SecretRef(file=file))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("contents", [b"", b"\n", b"  \n"])
def test_an_empty_file_is_no_secret(file, contents):
    file.write_bytes(contents)
    with pytest.raises(SecretError, match="is empty"):
        read_secret(SecretRef(file=file))


def test_a_file_that_cannot_be_read_is_told(file, tmp_path):
    with pytest.raises(SecretError, match="No such file"):
        read_secret(SecretRef(file=tmp_path / "none"))
    file.write_bytes(b"\xff\xfe" + SECRET.encode())
    with pytest.raises(SecretError) as caught:
        read_secret(SecretRef(file=file))
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "reference",
    [{}, {"env": "A_B", "file": "/x"}, {"env": "hunter2"}, {"env": ""}, SECRET, {"value": SECRET}],
)
def test_a_reference_names_one_place(reference):
    with pytest.raises(ValidationError) as caught:
        SecretRef.model_validate(reference)
    assert SECRET not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_reference_can_be_shown():
    assert str(SecretRef(env="OIDC_SECRET")) == "from OIDC_SECRET"
    assert str(SecretRef(file="/run/secrets/oidc")) == "from /run/secrets/oidc"


class Inner(Declared):
    password: SecretRef


class Outer(Declared):
    one: SecretRef | None = None
    several: list[Inner] = []
    named: dict[str, Inner] = {}


def test_a_hub_that_gives_up_its_rights_has_read_every_secret_before(tmp_path, monkeypatch):
    monkeypatch.setattr(secrets, "kept", {})
    monkeypatch.setenv("ONE", "first")
    files = [tmp_path / name for name in ("second", "third")]
    for file in files:
        file.touch(mode=0o600)
        file.write_text(file.name)
    inner = [Inner(password=SecretRef(file=file)) for file in files]
    keep_secrets(Outer(one=SecretRef(env="ONE"), several=inner[:1], named={"x": inner[1]}))
    monkeypatch.delenv("ONE")
    for file in files:
        file.unlink()
    found = [read_secret(SecretRef(env="ONE")), *(read_secret(i.password) for i in inner)]
    assert found == ["first", "second", "third"]
