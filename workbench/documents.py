"""Read one YAML document into a model, with errors that name the file and line."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)
Key = str | int
Place = tuple[Key, ...]


class DocumentError(Exception):
    """A declaration that a person has to correct; each line of the text is one finding."""


@dataclass(frozen=True)
class Document:
    """The contents of a YAML file, laid over those of the files it extends.

    Parameters
    ----------
    path : Path
        The file that was asked for.
    body : dict
        What it says, its parents' values included.
    lines : dict
        Where each value was written: its place in `body` to file and line.
    """

    path: Path
    body: dict[str, Any]
    lines: dict[Place, tuple[Path, int]]

    def where(self, place: Place) -> str:
        """Return ``file:line`` of the deepest part of `place` that was written down."""
        while place and place not in self.lines:
            place = place[:-1]
        file, line = self.lines.get(place, (self.path, 1))
        return f"{file}:{line}"


def load(path: Path, model: type[M], *, parents: Path | None = None) -> M:
    """Return the document at `path` as a `model`.

    Parameters
    ----------
    path : Path
        A YAML file whose top level is a mapping.
    model : type of BaseModel
        What the document must fit.
    parents : Path, optional
        A further folder to look for the parent that the document names with ``extends``, after
        the document's own; None means that a parent lies beside its child.

    Raises
    ------
    DocumentError
        The file can't be read, isn't YAML, or doesn't fit. Every finding is one line,
        ``file:line: place: what is wrong``, with the nearest right word where one is near.
    """
    document = read(path, parents=parents)
    try:
        return model.model_validate(document.body)
    except ValidationError as error:
        findings = [explain(document, e, model) for e in error.errors(include_url=False)]
        raise DocumentError("\n".join(findings)) from None


def read(path: Path, *, parents: Path | None = None, seen: tuple[Path, ...] = ()) -> Document:
    """Return the document at `path`, laid over the one that it extends."""
    if path in seen:
        raise DocumentError(f"{path}:1: extends: the profiles extend each other in a circle")
    body, lines = contents(path)
    if not isinstance(body, dict):
        raise DocumentError(f"{path}:1: expected 'key: value' lines at the top level")
    parent = body.pop("extends", None)
    document = Document(path, body, lines)
    if parent is None:
        return document
    base = read(find_parent(document, parent, parents), parents=parents, seen=(*seen, path))
    return Document(path, merge(base.body, body), {**base.lines, **lines})


def find_parent(document: Document, name: object, parents: Path | None) -> Path:
    """Return the file that the document names as its parent."""
    folders = [document.path.parent, *([parents] if parents else [])]
    if isinstance(name, str) and Path(name).name == name:
        for folder in folders:
            if (candidate := folder / f"{name}.yaml").is_file():
                return candidate
    known = sorted({p.stem for folder in folders for p in folder.glob("*.yaml")})
    hint = nearest(str(name), known)
    raise DocumentError(
        f"{document.where(('extends',))}: extends: no profile '{name}' in {folders[-1]}{hint}"
    )


class PlainLoader(yaml.SafeLoader):
    """Tells the line of a value that can't be read, such as 2026-13-01 or ``!!int many``."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of one node."""
        try:
            return super().construct_object(node, deep=deep)
        except (AttributeError, LookupError, OverflowError, ValueError):
            problem = "a value that can't be read"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


def contents(path: Path) -> tuple[Any, dict[Place, tuple[Path, int]]]:
    """Return the plain value of the YAML file at `path`, and where each part was written."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return (construct(node), dict(positions(node, path))) if node else ({}, {})
    except FileNotFoundError:
        raise DocumentError(f"{path}:1: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"{path}:1: the file can't be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DocumentError(f"{path}:{line}: not YAML: {unnamed(error.problem)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError(f"{path}:{line}: not YAML: {error.reason}") from None
    except RecursionError:
        raise DocumentError(f"{path}:1: not YAML: nested too deeply") from None


def unnamed(problem: str | None) -> str:
    """Return a YAML reader's message without the name in it, which may be a secret unquoted."""
    return re.sub(r"(alias|anchor|tag|handle) '[^']*'", r"\1", problem or "")


def construct(node: yaml.Node) -> Any:
    """Return the plain value of a YAML tree."""
    loader = PlainLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def positions(
    node: yaml.Node, path: Path, place: Place = ()
) -> Iterator[tuple[Place, tuple[Path, int]]]:
    """Yield the place of every value below `node` with its file and line.

    Raises
    ------
    DocumentError
        A key stands twice in one mapping, which YAML readers silently let the last one win.
    """
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise DocumentError(f"{path}:{line}: {key.value}: the key stands twice")
            seen.add(key.value)
            yield (*place, key.value), (path, line)
            yield from positions(value, path, (*place, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*place, index), (path, value.start_mark.line + 1)
            yield from positions(value, path, (*place, index))


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` laid on it: mappings merge, anything else is replaced.

    A mapping that names another ``kind`` than the one below it replaces it whole: the settings of
    one kind mean nothing to another.
    """
    both = dict(base)
    for key, value in over.items():
        below = base.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and same_kind(below, value):
            both[key] = merge(below, value)
        else:
            both[key] = value
    return both


def same_kind(below: Mapping[str, Any], over: Mapping[str, Any]) -> bool:
    """Return whether two mappings declare the same kind, or the upper one none."""
    return bool(over.get("kind", below.get("kind")) == below.get("kind"))


def explain(document: Document, error: ErrorDetails, model: type[BaseModel]) -> str:
    """Return one finding as ``file:line: place: what is wrong``."""
    place = written_place(document, error["loc"])
    message = error["msg"].removeprefix("Value error, ").rstrip(".")
    if error["type"] == "extra_forbidden":
        message = unknown_key(str(place[-1]), known_keys(model))
    elif error["type"] == "missing":
        message = "this key is missing"
    elif error["type"] == "union_tag_invalid":
        message = f"unknown kind; possible are {error['ctx']['expected_tags']}"
    elif error["type"] == "union_tag_not_found":
        message = "the key 'kind' is missing"
    shown = ".".join(map(str, place))
    return (
        f"{document.where(place)}: {shown}: {message}"
        if shown
        else f"{document.where(())}: {message}"
    )


def unknown_key(key: str, known: list[str]) -> str:
    """Return that nothing is called so where it stands, with a hint."""
    if key in known:
        return "unknown key here; it belongs to another place, or to another 'kind'"
    return f"unknown key{nearest(key, known)}"


def written_place(document: Document, loc: tuple[Key, ...]) -> Place:
    """Return `loc` without the parts that pydantic adds to tell a union's members apart."""
    value: Any = document.body
    place: list[Key] = []
    for index, key in enumerate(loc):
        if holds(value, key):
            value = value[key]
        elif index < len(loc) - 1 or not isinstance(value, Mapping):
            continue
        place.append(key)
    return tuple(place)


def holds(value: Any, key: Key) -> bool:
    """Return whether a mapping or list has something at `key`."""
    if isinstance(value, Mapping):
        return key in value
    return isinstance(value, list) and isinstance(key, int) and key < len(value)


def known_keys(model: type[BaseModel]) -> list[str]:
    """Return every key that the model's JSON schema names."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return sorted({key for part in parts for key in part.get("properties", {})})


def nearest(word: str, known: list[str]) -> str:
    """Return a hint at the known word that is most like `word`, empty where none is near."""
    near = get_close_matches(word, known, n=1)
    return f": did you mean '{near[0]}'?" if near else ""
