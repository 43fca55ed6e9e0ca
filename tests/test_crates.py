"""Archives from strangers: what is wrong with one is said, and nothing of it does anything."""

import asyncio
import hashlib
import json
import os
import stat
import struct
import sys
import time
import unicodedata
import zipfile
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile

import pytest

from hub import crate_shelf, crates
from hub.crate_shelf import Shelf
from hub.crates import CrateError, read_crate

NOTEBOOK = json.dumps(
    {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [{"cell_type": "code", "metadata": {}, "outputs": [], "source": ["1 + 1"]}],
    }
).encode()
RECORD = {
    "format": 1,
    "run": "0" * 32,
    "finished": "2026-11-24T10:00:00Z",
    "use_case": "pyfai",
    "version": "1.0.0",
    "site": "A Site",
    "python": "3.13.5",
    "machine": "x86_64",
    "packages": {"numpy": "2.3.4"},
}


def about(notebook: bytes = NOTEBOOK, name: str = "a.ipynb", **changes) -> dict:
    sha256 = hashlib.sha256(notebook).hexdigest()
    packed = {"name": name, "size_bytes": len(notebook), "sha256": sha256}
    return {"notebook": packed, "record": {**RECORD, **changes}}


def zipped(files: dict, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as target:
        for name, data in files.items():
            target.writestr(name, data if isinstance(data, bytes | str) else json.dumps(data))
    return buffer.getvalue()


PACKED = {"run.json": about(), "a.ipynb": NOTEBOOK}


def good(**more) -> bytes:
    return zipped({"run.json": about(), "a.ipynb": NOTEBOOK, **more})


def with_notebook(notebook: bytes) -> bytes:
    return zipped({"run.json": about(notebook), "a.ipynb": notebook})


def with_record(**changes) -> bytes:
    return zipped({"run.json": about(**changes), "a.ipynb": NOTEBOOK})


def twice() -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as target, pytest.warns(UserWarning, match="Duplicate"):
        target.writestr("run.json", json.dumps(about()))
        target.writestr("run.json", json.dumps(about(site="Another")))
    return buffer.getvalue()


def with_mode(mode: int) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("run.json", json.dumps(about()))
        target.writestr("a.ipynb", NOTEBOOK)
        entry = zipfile.ZipInfo("link")
        entry.external_attr = mode << 16
        target.writestr(entry, "/etc/passwd")
    return buffer.getvalue()


def that_lies_about_its_size() -> bytes:
    """A record that says it is small, and is not."""
    data = bytearray(zipped({"run.json": b" " * (5 << 20), "a.ipynb": NOTEBOOK}))
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        begin = data.index(signature)
        data[begin + place : begin + place + 4] = struct.pack("<I", 100)
    return bytes(data)


def encrypted() -> bytes:
    data = bytearray(good())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        begin = data.index(signature)
        data[begin + place] |= 1
    return bytes(data)


def renamed(name: bytes) -> bytes:
    """A zip whose spare file has another name, of the same length, than zipfile would write."""
    return good(**{"x" * len(name): "spare"}).replace(b"x" * len(name), name)


DEEP = b'{"nbformat": 4, "cells": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
HOSTILE = {
    "nothing": b"",
    "text": b"hello",
    "half a zip": good()[:300],
    "zeros": b"\0" * 5000,
    "only an end": b"PK\x05\x06" + b"\0" * 18,
    "no record": zipped({"a.ipynb": NOTEBOOK}),
    "no notebook": zipped({"run.json": about()}),
    "several in folders": zipped(
        {f"{x}/{name}": data for x in "xy" for name, data in PACKED.items()}
    ),
    "record and notebook in different folders": zipped(
        {"x/run.json": about(), "y/a.ipynb": NOTEBOOK}
    ),
    "two records": None,
    "too many files": good(**{f"f{i}": "" for i in range(400)}),
    "a bomb in the record": zipped({"run.json": b"[" * (30 << 20), "a.ipynb": NOTEBOOK}),
    "a bomb in the notebook": with_notebook(b" " * (60 << 20)),
    "a bomb beside": good(big=b"\0" * (201 << 20)),
    "a size that is a lie": that_lies_about_its_size(),
    "encrypted": encrypted(),
    "a link": with_mode(stat.S_IFLNK | 0o777),
    "a device": with_mode(stat.S_IFCHR | 0o666),
    "a pipe": with_mode(stat.S_IFIFO | 0o666),
    "a name that leads out": renamed(b"../../.bashrc"),
    "a name inside that leads out": renamed(b"a/../../b"),
    "an absolute name": renamed(b"/etc/cron.d/x"),
    "a name with backslashes": renamed(b"..\\..\\x"),
    "a name with a zero": renamed(b"a\0b"),
    "another notebook": zipped({"run.json": about(), "a.ipynb": NOTEBOOK + b" "}),
    "a notebook's name that leads out": zipped(
        {"run.json": about(name="../a.ipynb"), "a.ipynb": NOTEBOOK}
    ),
    "a notebook's name of a hidden file": zipped(
        {"run.json": about(name=".a.ipynb"), ".a.ipynb": NOTEBOOK}
    ),
    "a notebook's name that is none": zipped({"run.json": about(name="a.py"), "a.py": NOTEBOOK}),
    "a notebook's name with a line end": zipped(
        {"run.json": about(name="a.ipynb\n"), "a.ipynb\n": NOTEBOOK}
    ),
    "a notebook that is the record": zipped({"run.json": about(name="run.json")}),
    "a record that is a list": zipped({"run.json": [], "a.ipynb": NOTEBOOK}),
    "a record of another format": with_record(format=2),
    "an unknown key": with_record(command="rm -rf /"),
    "a use case that leads out": with_record(use_case="../pyfai"),
    "a use case with a space": with_record(use_case="pyfai --image evil"),
    "an endless site": with_record(site="x" * 10_000),
    "too many packages": with_record(packages={f"p{i}": "1" for i in range(4000)}),
    "a run that is a path": with_record(run="../../../../etc/passwd"),
    "no time": with_record(finished="yesterday"),
    "a time without a zone": with_record(finished="2026-11-24T10:00:00"),
    "a record that is deep": zipped({"run.json": b"[" * 100_000, "a.ipynb": NOTEBOOK}),
    "a notebook that isn't JSON": with_notebook(b"#!/bin/sh\nrm -rf ~\n"),
    "a notebook that is deep": with_notebook(DEEP),
    "a notebook of an old format": with_notebook(
        NOTEBOOK.replace(b'"nbformat": 4', b'"nbformat": 3')
    ),
    "a notebook with a cell that is none": with_notebook(
        b'{"nbformat": 4, "cells": [{"cell_type": "evil", "source": ""}]}'
    ),
    "a notebook with no number": with_notebook(b'{"nbformat": 4, "cells": [], "x": NaN}'),
    "a notebook with too many cells": with_notebook(
        json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": ""}] * 6000}).encode()
    ),
    "a notebook that is a list": with_notebook(b"[]"),
    "a notebook that is not UTF-8": with_notebook(b'{"nbformat": 4, "cells": [], "x": "\xff"}'),
}


def test_a_good_one_is_read():
    found, notebook = read_crate(BytesIO(good(**{"ro-crate-metadata.json": "{}", "sub/x.py": "1"})))
    assert notebook == NOTEBOOK
    assert (found.record.use_case, found.notebook.name) == ("pyfai", "a.ipynb")


def by_macos(files: dict) -> dict:
    """What macOS makes of files that it packs in their folder."""
    beside = {f"__MACOSX/x/._{name}": b"\0\5\x16\7" for name in files}
    inside = {f"x/{name}": data for name, data in files.items()}
    return {"x/": "", "x/.DS_Store": b"\0", **inside, "__MACOSX/._x": b"\0", **beside}


@pytest.mark.parametrize(
    "files",
    [
        {"x/run.json": about(), "x/a.ipynb": NOTEBOOK, "x/sub/run.json": "{}"},
        {"x/": "", "x/y/": "", "x/y/run.json": about(), "x/y/a.ipynb": NOTEBOOK},
        by_macos(PACKED),
        {**PACKED, "__MACOSX/._a.ipynb": b"\0", "._run.json": b"\0", ".DS_Store": b"\0"},
        by_macos({**PACKED, **{f"f{i}": "" for i in range(250)}}),
    ],
)
def test_one_that_was_unpacked_and_packed_again_is_read(files):
    _, notebook = read_crate(BytesIO(zipped(files)))
    assert notebook == NOTEBOOK


@pytest.mark.parametrize("says_its_encoding", [True, False])
def test_accents_that_macos_writes_in_two_parts_are_read(says_its_encoding):
    name = "für Größe.ipynb"
    data = zipped(
        {"x/run.json": about(name=name), f"x/{unicodedata.normalize('NFD', name)}": NOTEBOOK}
    )
    if not says_its_encoding:
        for signature, place in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
            data = without_flag(data, signature, place)
    found, notebook = read_crate(BytesIO(data))
    assert (found.notebook.name, notebook) == (name, NOTEBOOK)


def without_flag(data: bytes, signature: bytes, place: int) -> bytes:
    """Take the flag of UTF-8 from all of a zip's entries."""
    changed, at = bytearray(data), data.find(signature)
    while at >= 0:
        changed[at + place] &= ~0x08
        at = data.find(signature, at + 1)
    return bytes(changed)


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_archives_are_refused_in_words(what, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CrateError) as caught:
        read_crate(BytesIO(HOSTILE[what] if HOSTILE[what] is not None else twice()))
    said = str(caught.value)
    assert 20 < len(said) < 300 and said.endswith(".")
    assert "evil" not in said and "passwd" not in said
    assert list(tmp_path.rglob("*")) == []


def test_a_file_that_is_too_large_is_not_even_opened(tmp_path):
    with (tmp_path / "x.zip").open("wb") as file:
        file.truncate(crates.LARGEST + 1)
    with (tmp_path / "x.zip").open("rb") as file, pytest.raises(CrateError, match="than 50 MB"):
        read_crate(file)


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(tmp_path / "reproduce")


def put(shelf: Shelf, data: bytes, user: int = 1) -> str:
    with shelf.begin() as file:
        file.write(data)
        return asyncio.run(shelf.put(user, file))


def test_what_was_sent_is_kept_for_its_user_alone(shelf):
    token = put(shelf, good())
    kept = shelf.get(1, token)
    assert kept is not None
    assert kept.notebook == NOTEBOOK
    assert sorted(p.name for p in kept.folder.iterdir()) == ["notebook.ipynb", "run.json"]
    assert stat.S_IMODE(shelf.folder.stat().st_mode) == 0o700
    assert shelf.get(2, token) is None


@pytest.mark.parametrize("token", ["", "..", "x" * 32, "../1-" + "0" * 27, "0" * 32])
def test_no_other_name_finds_anything(shelf, token):
    put(shelf, good())
    assert shelf.get(1, token) is None


def test_each_user_has_one_and_old_ones_go(shelf):
    first, other = put(shelf, good()), put(shelf, good(), user=11)
    second = put(shelf, good())
    assert shelf.get(1, first) is None
    assert shelf.get(1, second) and shelf.get(11, other)
    old = time.time() - 2 * crate_shelf.KEPT_S
    os.utime(shelf.folder / f"11-{other}", (old, old))
    put(shelf, good())
    assert shelf.get(11, other) is None


def test_what_is_refused_leaves_nothing_and_keeps_what_was_there(shelf):
    token = put(shelf, good())
    with pytest.raises(CrateError, match="isn't an archive of a notebook"):
        put(shelf, b"hello")
    assert shelf.get(1, token)
    assert len(list(shelf.folder.iterdir())) == 1


def test_memory_and_time_are_limited(shelf, monkeypatch, tmp_path):
    bomb = b'{"nbformat": 4, "cells": [], "x": [' + b"{}," * ((38 << 20) // 3) + b"{}]}"
    began = time.monotonic()
    with pytest.raises(CrateError):
        put(shelf, with_notebook(bomb))
    assert time.monotonic() - began < 3 * crates.SECONDS
    assert list(shelf.folder.iterdir()) == []


def test_pressing_the_button_is_remembered_once_a_press(shelf):
    kept = shelf.get(1, put(shelf, good()))
    assert kept and not kept.wanted
    kept.want()
    kept.place("a.reproduced.ipynb")
    assert kept.wanted and kept.placed == "a.reproduced.ipynb"
    kept.want()
    assert kept.placed == ""


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_confined_reader_has_imported_all_it_needs(shelf, method):
    """It can't open a module any more; names of another encoding and other packings are rare."""
    token = put(shelf, zipped({"run.json": about(), "a.ipynb": NOTEBOOK, "ä": "1"}, method=method))
    assert shelf.get(1, token)


EXPLOIT = """
import ctypes, json, os, socket, sys
import hub.crates
state, portal = sys.argv[3:]

def tried(what):
    try:
        return str(what())
    except OSError as error:
        return type(error).__name__

def exploit(archive):
    print(json.dumps({
        "secret": tried(lambda: open(state + "/cookie_secret").read()),
        "folder": tried(lambda: os.listdir(state)),
        "passwd": tried(lambda: open("/etc/passwd").read()),
        "write": tried(lambda: open("/tmp/owned", "w")),
        "network": tried(lambda: socket.create_connection(("127.0.0.1", 1))),
        "children": tried(os.fork),
        "signal": tried(lambda: os.kill(int(portal), 0)),
        "variables": dict(os.environ),
        "folder of its own": os.getcwd(),
        "account": [os.getresuid(), os.getresgid(), os.getgroups()],
        "privileges": ctypes.CDLL(None).prctl(39, 0, 0, 0, 0),
    }))
    raise SystemExit(0)

hub.crates.read_crate = exploit
hub.crates.warm_up = lambda: None
hub.crates.main(sys.argv[1:3])
"""


def test_a_reader_that_was_taken_over_can_do_nothing(tmp_path, monkeypatch):
    """What an archive could do that finds a fault in Python's zipfile: the attacker's code runs."""
    (tmp_path / "cookie_secret").write_text("secret")
    monkeypatch.setenv("CONFIGPROXY_AUTH_TOKEN", "secret")
    monkeypatch.setattr(crate_shelf, "READER_COMMAND", (sys.executable, "-I", "-c", EXPLOIT))
    found = asyncio.run(taken_over(tmp_path))
    refused = {"OSError", "PermissionError", "BlockingIOError"}
    for what in ("secret", "folder", "passwd", "write", "network", "children"):
        assert found[what] in refused, found
    assert found["variables"].keys() <= {"LC_CTYPE"}
    assert found["folder of its own"] == "/"
    assert found["privileges"] == 1
    if os.geteuid() == 0:
        number = crates.confine.__globals__["READER"]
        assert found["account"] == [[number] * 3, [number] * 3, []]
        assert found["signal"] == "PermissionError"


async def taken_over(state: Path) -> dict:
    """Return what a reader of the portal's has found, told in place of a sentence for the user."""
    real = asyncio.create_subprocess_exec
    said = []

    async def spy(*command, **options):
        process = await real(*command, str(state), str(os.getpid()), **options)
        said.append(await process.stdout.read())
        return process

    with pytest.MonkeyPatch.context() as patch, TemporaryFile() as given:
        patch.setattr(asyncio, "create_subprocess_exec", spy)
        await crate_shelf.read_apart(given, state)
    return json.loads(said[0])


def test_what_the_workbench_packs_is_what_the_portal_reads():
    from workbench.archiving import pack
    from workbench.record import Archived

    told = Archived.model_validate(about())
    files = {"run.json": told.model_dump_json(exclude_none=True).encode(), "a.ipynb": NOTEBOOK}
    assert read_crate(BytesIO(pack(files, told.record.finished))) == (told, NOTEBOOK)
