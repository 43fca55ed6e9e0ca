"""Secrets: profiles name where one lies, never what it is."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from workbench.declared import Declared


class SecretError(Exception):
    """A secret is not where the profile says; the text never contains one."""


class SecretRef(Declared):
    """Where a secret is read at start: ``{env: NAME}`` or ``{file: PATH}``."""

    env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError("a secret is {env: NAME} or {file: PATH}, one of both")
        return self

    def __str__(self) -> str:
        return f"from {self.env or self.file}"


kept: dict[SecretRef, str] = {}
"""What was read by a process that has given up the rights to read it again."""


def keep_secrets(declared: BaseModel) -> None:
    """Read all secrets that a profile names, for this process to have them later.

    Raises
    ------
    SecretError
        See `read_secret`.
    """
    kept.update((reference, read_secret(reference)) for reference in secrets_in(declared))


def secrets_in(value: object) -> Iterator[SecretRef]:
    """Yield every secret that is named anywhere in a profile."""
    if isinstance(value, SecretRef):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, dict):
        yield from secrets_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from secrets_in(part)


def read_secret(reference: SecretRef) -> str:
    """Return the secret that `reference` names.

    Raises
    ------
    SecretError
        It isn't there, is empty, or lies in a file that others can read.
    """
    if reference in kept:
        return kept[reference]
    if reference.env is not None:
        value = os.environ.get(reference.env, "")
        where = f"the environment variable {reference.env}"
    else:
        value, where = read_secret_file(reference.file or Path()), f"the file {reference.file}"
    if not value:
        raise SecretError(f"A secret is missing: {where} is empty or not set.")
    return value


def read_secret_file(path: Path) -> str:
    """Return the contents of a secret's file, the line end left out."""
    try:
        if path.stat().st_mode & 0o077:
            raise SecretError(f"Others can read the secret in {path}: chmod 600 {path}")
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SecretError(f"The secret in {path} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SecretError(f"The secret in {path} can't be read: it is not text.") from None
