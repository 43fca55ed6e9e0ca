"""The page on security names the test of each wall; that test is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/explanation/security.md"
NAMED = re.findall(r"`(tests/[a-z_/]+\.py)::(test_\w+)`", PAGE.read_text(encoding="utf-8"))


def test_the_page_names_tests():
    assert len(NAMED) > 50


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_the_tests_that_it_names_are_there(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    there |= {node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef)}
    assert {test for named, test in NAMED if named == file} <= there
