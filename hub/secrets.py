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
    named = (value for value in values_in(declared) if isinstance(value, SecretRef))
    kept.update((reference, read_secret(reference)) for reference in named)


def values_in(declared: object, besides: str = "") -> Iterator[object]:
    """Yield every value that stands anywhere in a profile; a secret's place is one value.

    Parameters
    ----------
    declared : object
        The profile, or a part of it.
    besides : str, optional
        The key of what is left out.
    """
    if isinstance(declared, BaseModel) and not isinstance(declared, SecretRef):
        for name in type(declared).model_fields:
            if name != besides:
                yield from values_in(getattr(declared, name), besides)
    elif isinstance(declared, dict):
        yield from values_in(list(declared.values()), besides)
    elif isinstance(declared, list | tuple):
        for part in declared:
            yield from values_in(part, besides)
    else:
        yield declared


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
