"""A notebook's parameters: the values that stand at its top, to be read and replaced.

They need no mark in the notebook: a parameter is a name in capitals to which a code cell assigns a
plain value on a line of its own, such as ``SEED = 1`` in Python or ``SEED=1`` in a shell notebook.
"""

import ast
import re
import shlex
from collections.abc import Mapping
from typing import Any

PYTHON_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
SHELL_LINE = re.compile(
    r"""^([A-Z][A-Z0-9_]*)=('[^'\n]*'|[^\s#$`"'(;&|<>]*)(?=[ \t]*(?:\#.*)?$)""", re.MULTILINE
)


UNREADABLE = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError)
"""What Python raises where a text isn't a value, or no Python at all."""
INJECTED = "injected-parameters"
"""Papermill's tag for a cell with values that stand for those of the cell before it."""
MOST, LONGEST_NAME, LONGEST_TEXT = 200, 100, 2000
"""What a record of a run has room for."""


def parameters_of(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a notebook and their values, in their order.

    Parameters
    ----------
    notebook : mapping
        As in its file. Of several assignments to one name the first counts, those that Papermill
        put in before all others.
    """
    found: dict[str, Any] = {}
    for cell in code_cells(notebook):
        for name, value, _ in assignments(source(cell), shell=is_shell(notebook)):
            found.setdefault(name, value)
    return found


def parameter_texts(notebook: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters of a notebook as a record of its run has them.

    They are those that `parameters_of` finds, with the values that `set_parameters` put in.

    Parameters
    ----------
    notebook : mapping
        As in its file.
    """
    write = str if is_shell(notebook) else repr
    texts = {name: write(value) for name, value in parameters_of(notebook).items()}
    fitting = [(name, cut(text)) for name, text in texts.items() if len(name) <= LONGEST_NAME]
    return dict(fitting[:MOST])


def cut(text: str) -> str:
    """Return a text that a record has room for."""
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def set_parameters(notebook: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """Replace values in the cells of a notebook and return the names that it has not.

    Parameters
    ----------
    notebook : mapping
        As in its file; its cells are changed.
    values : mapping of str to object
        New values: numbers, texts, None, or lists and such of these.
    """
    left, shell = dict(values), is_shell(notebook)
    for cell in code_cells(notebook):
        text = source(cell)
        found = [a for a in assignments(text, shell=shell) if a[0] in left]
        # From the end, so that the places before stay where they are.
        for name, _, (begin, end) in reversed(found):
            if name in left:
                value = left.pop(name)
                text = text[:begin] + (shell_text(value) if shell else repr(value)) + text[end:]
        cell["source"] = text
    return list(left)


def assignments(text: str, *, shell: bool) -> list[tuple[str, Any, tuple[int, int]]]:
    """Return the names that a cell gives plain values, the values, and their places in the text."""
    if shell:
        return [(m[1], m[2].strip("'"), m.span(2)) for m in SHELL_LINE.finditer(text)]
    if text.lstrip().startswith("%%"):
        return []
    lines = text.splitlines(keepends=True)
    # Magics aren't Python; a blank of the same length keeps every place.
    plain = "".join(
        " " * (len(line) - 1) + "\n" if line.lstrip().startswith(("%", "!")) else line
        for line in lines
    )
    try:
        body = ast.parse(plain).body
    except UNREADABLE:
        return []
    return [
        (name.id, value, (place(lines, at.lineno, at.col_offset), end_of(lines, at)))
        for statement in body
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1
        for name, at, value in pairs(statement.targets[0], statement.value)
    ]


def pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.Name, ast.expr, Any]]:
    """Return names in capitals and the plain values that they get; ``A, B = 1, 2`` gives two."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        if len(target.elts) != len(value.elts):
            return []
        return [p for t, v in zip(target.elts, value.elts, strict=True) for p in pairs(t, v)]
    if not isinstance(target, ast.Name) or not PYTHON_NAME.fullmatch(target.id):
        return []
    try:
        return [(target, value, ast.literal_eval(value))]
    except UNREADABLE:
        return []


def end_of(lines: list[str], node: ast.expr) -> int:
    """Return where a value ends."""
    return place(lines, node.end_lineno or node.lineno, node.end_col_offset or 0)


def place(lines: list[str], line: int, column: int) -> int:
    """Return the index of a place in the text; columns count bytes, as Python's parser does."""
    before = lines[line - 1].encode()[:column].decode()
    return sum(map(len, lines[: line - 1])) + len(before)


def shell_text(value: Any) -> str:
    """Return a value as one word of a shell."""
    return shlex.quote("" if value is None else str(value))


def is_shell(notebook: Mapping[str, Any]) -> bool:
    """Return whether the notebook's cells are commands of a shell."""
    kernel = notebook.get("metadata", {}).get("kernelspec", {})
    return bool(kernel.get("name") == "bash")


def code_cells(notebook: Mapping[str, Any]) -> list[Any]:
    """Return the cells that are run, those first whose values stand for others'."""
    cells = [cell for cell in notebook["cells"] if cell.get("cell_type") == "code"]
    return sorted(cells, key=lambda cell: INJECTED not in cell.get("metadata", {}).get("tags", []))


def source(cell: Mapping[str, Any]) -> str:
    """Return a cell's text; files hold it as one text or as lines."""
    text = cell.get("source", "")
    return text if isinstance(text, str) else "".join(text)


def read_setting(text: str) -> tuple[str, list[Any]]:
    """Return the name and the values of ``NAME=VALUE`` or ``NAME=VALUE,VALUE,...``.

    Values are read as Python reads them, and as plain texts where they aren't Python.

    Raises
    ------
    ValueError
        The text has another form; the message says so.

    Examples
    --------
    >>> read_setting("seed=1,2,3")
    ('SEED', [1, 2, 3])
    >>> read_setting("DATA=lab6-image")
    ('DATA', ['lab6-image'])
    >>> read_setting("RANGE=(1,2),(3,4)")
    ('RANGE', [(1, 2), (3, 4)])
    """
    name, equals, values = text.partition("=")
    name = name.strip().upper()
    if not equals or not PYTHON_NAME.fullmatch(name) or not values.strip():
        raise ValueError(f"'{text}' is not of the form NAME=VALUE or NAME=VALUE,VALUE")
    try:
        return name, list(ast.literal_eval(f"[{values}]"))
    except (ValueError, SyntaxError):
        return name, [plain(word.strip()) for word in values.split(",")]


def plain(word: str) -> Any:
    """Return a word as Python reads it, or as a text."""
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word
