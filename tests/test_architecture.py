"""Who may know whom: read from the imports themselves."""

import ast
import importlib
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from hub.usecases import NOTEBOOKS

ROOT = NOTEBOOKS.parent
PACKAGES = {"hub", "spawners", "workbench"}
DATA = ("images", "notebooks", "site_profiles")
LIGHT = [
    "IPython",
    "httpx",
    "jupyterhub",
    "nbclient",
    "nbformat",
    "psutil",
    "tornado",
    "traitlets",
    "uv",
]


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield what a module imports anywhere, also in functions and only to be typed.

    A module is ``package.module``, what is in it is ``package.module.name``.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: -node.level + 1 or None] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(path: Path) -> set[str]:
    package = ".".join(path.relative_to(ROOT).parent.parts)
    return set(imported(ast.parse(path.read_text(encoding="utf-8")), package))


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def roots(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_among(paths: list[Path]) -> dict[str, set[str]]:
    """Return which of some modules each of them imports."""
    known = {name_of(path) for path in paths}
    found = {}
    for path in paths:
        names = imports_of(path)
        within = {n if n in known else n.rpartition(".")[0] for n in names}
        found[name_of(path)] = within & known - {name_of(path)}
    return found


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """Return modules that import one another in a circle, none where there is no circle."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_one_another_in_a_circle():
    imports = imports_among([path for package in sorted(PACKAGES) for path in modules(package)])
    assert "spawners.slurm.settings" in imports["spawners.slurm.checks"]
    assert not circle(imports)


def test_a_circle_would_be_seen_also_where_a_function_hides_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/__init__.py").write_text("from .b import f\n")
    (tmp_path / "a/b.py").write_text("def f():\n    from . import c\n")
    (tmp_path / "a/c.py").write_text("from .b import f\n")
    assert set(circle(imports_among(modules("a")))) == {"a.b", "a.c"}
    (tmp_path / "a/b.py").write_text("import json\n")
    assert not circle(imports_among(modules("a")))
    (tmp_path / "a/b.py").write_text("from . import f\n")
    assert set(circle(imports_among(modules("a")))) == {"a", "a.b"}


def test_relative_imports_are_read_rightly():
    tree = ast.parse(
        "from ..plan import ask\nfrom . import base\nfrom .base import Page\nimport a.b"
    )
    assert set(imported(tree, "hub.pages")) >= {"hub.plan.ask", "hub.pages.base.Page", "a.b"}


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_there_is_something_to_read(package):
    assert len(modules(package)) > 5


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("workbench", {"hub", "spawners", "jupyterhub", "notebooks"}),
        ("spawners", {"hub", "workbench", "yaml", "notebooks"}),
        ("hub", {"notebooks", "images", "site_profiles"}),
    ],
)
def test_no_arrow_points_back(package, forbidden):
    for path in modules(package):
        assert not roots(imports_of(path)) & forbidden, path


@pytest.mark.parametrize("folder", DATA)
def test_data_import_neither_the_portal_nor_a_backend(folder):
    for path in modules(folder):
        assert not roots(imports_of(path)) & {"hub", "spawners"}, path


def python_of(text: str) -> list[str]:
    """Return the Python that a cell of shell commands runs."""
    return re.findall(r"<<'END'\n(.*?)\nEND", text, re.DOTALL) + re.findall(
        r'"0" -c "\s*(.*?)"', re.sub(r"\$[A-Z]+", "0", text), re.DOTALL
    )


def test_notebooks_import_of_us_only_the_workbench():
    for path in sorted(NOTEBOOKS.glob("*/*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        code = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
        if notebook["metadata"]["kernelspec"]["name"] == "bash":
            code = [script for text in code for script in python_of(text)]
        lines = [line for line in "\n".join(code).splitlines() if not line.lstrip().startswith("%")]
        found = roots(set(imported(ast.parse("\n".join(lines)), "")))
        assert found & PACKAGES == {"workbench"}, path


def test_no_python_lies_among_the_site_profiles():
    assert not modules("site_profiles")


def test_only_one_module_reads_secrets_and_fills_jupyterhubs_configuration():
    for path in modules("hub") + modules("spawners") + modules("workbench"):
        names = imports_of(path)
        here = path.relative_to(ROOT).as_posix()
        if here not in ("hub/config.py", "hub/secrets.py"):
            assert "hub.secrets.read_secret" not in names, here
        if here != "hub/config.py":
            assert "traitlets.config.Config" not in names, here
            assert "get_config" not in path.read_text(encoding="utf-8"), here


@pytest.mark.parametrize(
    "module", ["plan", "requester", "sizing", "surroundings", "refusal", "gates"]
)
def test_the_plan_touches_neither_file_nor_clock_nor_network(module: str):
    allowed = {"collections", "dataclasses", "difflib", "hub", "os", "re", "spawners", "typing"}
    allowed |= {"workbench"}
    # A type of times isn't a clock.
    allowed |= {"datetime"} if module == "gates" else set()
    path = ROOT / f"hub/{module}.py"
    assert roots(imports_of(path)) <= allowed
    of_os = {
        n.attr
        for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "os"
    }
    assert of_os <= {"pathsep"}


def test_a_backend_sees_neither_yaml_nor_a_site_nor_a_use_case():
    for path in modules("spawners"):
        text = path.read_text(encoding="utf-8")
        assert "SiteProfile" not in text, path
        assert "Manifest" not in text, path


def test_a_backends_own_package_is_known_in_the_room_only_by_the_list_of_backends():
    outside = [path for path in modules("spawners") if path.parent.name != "slurm"]
    found = {path.name for path in outside if any("slurm" in name for name in imports_of(path))}
    assert found == {"backends.py"}


def loaded(code: str) -> set[str]:
    """Return what a fresh interpreter has loaded after `code`."""
    command = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return set(said.stdout.split())


def test_the_workbench_is_light():
    code = "import workbench, workbench.manifest, workbench.run, workbench.start"
    assert not loaded(code) & {*LIGHT, "hub", "spawners"}


def test_the_command_begins_without_jupyterhub():
    assert not loaded("import hub.cli") & set(LIGHT)


def test_a_plan_needs_no_jupyterhub():
    assert not loaded("import hub.plan, hub.deployment, hub.schemas") & {"jupyterhub", "traitlets"}


def test_every_module_with_pages_is_in_the_list_of_pages():
    from hub import pages

    there = {m.name for m in pkgutil.iter_modules(pages.__path__)}
    found = {importlib.import_module(f"hub.pages.{name}") for name in there}
    assert {m.__name__ for m in found if hasattr(m, "HANDLERS")} == {
        m.__name__ for m in pages.MODULES
    }
