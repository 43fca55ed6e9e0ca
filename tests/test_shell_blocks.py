"""Commands on pages: none is forgotten, and none asks for what isn't there."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from hub.cli import app
from tests.shell_blocks import ROOT, ShellBlock, all_blocks, blocks_of, our_arguments

BLOCKS = all_blocks()
INSIDE_A_SERVER = {"archive"}
"""What `beamhub` can do in a server's terminal only."""


def our_commands() -> Iterator[tuple[ShellBlock, list[str]]]:
    for block in BLOCKS:
        for command in block.commands:
            arguments = our_arguments(command)
            if arguments is not None:
                yield block, arguments


def wrong(arguments: list[str]) -> str:
    """Return what the real command would not understand; nothing where it would."""
    command: Any = typer.main.get_command(app)
    words = list(arguments)
    while hasattr(command, "commands"):
        if not words or words[0] not in command.commands:
            return f"no such command: {' '.join(words[:1])}"
        command = command.commands[words.pop(0)]
    options = {name: p for p in command.params for name in (*p.opts, *p.secondary_opts)}
    places = [p for p in command.params if p.param_type_name == "argument"]
    given = 0
    while words:
        word = words.pop(0)
        name, equals, _ = word.partition("=")
        if not word.startswith("-"):
            given += 1
        elif name not in options:
            return f"no such option: {name}"
        elif not options[name].is_flag and not equals:
            words[:1] = []
    least = sum(place.required for place in places)
    most = 99 if any(place.nargs == -1 for place in places) else len(places)
    return "" if least <= given <= most else f"{given} arguments, {least} to {most} are taken"


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_tried_or_says_why_not(block):
    assert block.how, (
        f"{block}: put one of these lines before the block: '<!-- tried -->' to have it run as a "
        "reader would, '<!-- tried in PAGE -->' where that has the same commands, '<!-- tried by "
        "tests/real/test_….py -->', or '<!-- not tried: reason -->'"
    )
    if block.how == "tried by":
        assert (ROOT / block.why).is_file(), block
    if block.how == "tried in":
        there = [b for b in BLOCKS if str(b.page) == block.why and b.how == "tried"]
        assert set(block.commands) <= {command for b in there for command in b.commands}, block
    if block.how == "not tried":
        assert len(block.why.split()) >= 3, block


def test_the_shell_understands_every_block():
    for block in BLOCKS:
        checked = subprocess.run(["sh", "-n"], input=block.text, text=True, capture_output=True)
        assert checked.returncode == 0, f"{block}: {checked.stderr}"


def test_beamhub_has_all_commands_and_options_that_pages_name():
    found = list(our_commands())
    assert len(found) > 40
    said = {str(block): wrong(words) for block, words in found if words[0] not in INSIDE_A_SERVER}
    assert {where: text for where, text in said.items() if text} == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serev"], "no such command: serev"),
        (["images", "biuld"], "no such command: biuld"),
        (["serve", "laptop", "--prot", "9000"], "no such option: --prot"),
        (["serve", "laptop", "workstation"], "2 arguments, 0 to 1 are taken"),
        (["new", "site", "--extends", "laptop"], "0 arguments, 1 to 1 are taken"),
        (["run", "pyfai", "--set", "SEED=1,2", "--keep=results"], ""),
    ],
)
def test_what_the_command_would_not_understand_is_found(words, said):
    assert wrong(words) == said


def test_scripts_that_pages_name_are_there():
    words = {word for block in BLOCKS for command in block.commands for word in command.split()}
    scripts = {word for word in words if word.startswith("scripts/")}
    assert {"scripts/demo", "scripts/test"} <= scripts
    assert all(os.access(ROOT / script, os.X_OK) for script in scripts)


def test_a_block_in_a_list_is_read_as_its_reader_reads_it(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.shell_blocks.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "- An item:\n\n  <!-- tried -->\n  ```sh\n  a --b \\\n    c  # why\n  ```\n\n"
        "Text.\n\n```sh\nunmarked\n```\n\n```text\nno command\n```\n",
        encoding="utf-8",
    )
    first, second = blocks_of(page)
    assert (first.how, first.line, [c.split() for c in first.commands]) == (
        "tried",
        4,
        [["a", "--b", "c"]],
    )
    assert (second.how, second.commands) == ("", ["unmarked"])
