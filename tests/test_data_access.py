"""What notebooks call: fetch and status, and the sentences that people read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data_helpers import (
    MB,
    QUICK,
    known_set,
    noise,
    offer_in_manifest,
    published,
    renamed,
    without_proxies,
)
from tests.data_server import DataServer
from workbench.data import DataError, Files, fetch, status
from workbench.data.availability import LISTING, Offer
from workbench.data.errors import Refused
from workbench.data.settings import Settings

FILES = {f"{n}.bin": noise(100_000, n) for n in range(4)}
BIG = noise(9 * MB)


@pytest.fixture(autouse=True)
def _place(monkeypatch, tmp_path):
    without_proxies(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))


@pytest.fixture
def server() -> Iterator[DataServer]:
    with DataServer({**FILES, "big.bin": BIG}) as running:
        yield running


@pytest.fixture
def places(tmp_path) -> Settings:
    return Settings(cache=tmp_path / "cache", manners=QUICK)


@pytest.fixture
def declare(monkeypatch, tmp_path):
    """Let a use case "test" declare these data sets."""

    def declared(*sets) -> Path:
        folder = offer_in_manifest(tmp_path / "use-case", *sets)
        monkeypatch.setenv("BEAMHUB_NOTEBOOKS", str(folder))
        monkeypatch.setenv("BEAMHUB_USE_CASE", "test")
        return folder

    return declared


def read(paths) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths}


def simulated(folder: Path, code: str = "", **about):
    folder.mkdir(exist_ok=True)
    code = code or (
        "def make(folder, seed):\n"
        "    (folder / 'a.txt').write_text(f'a {seed}')\n"
        "    (folder / 'b.txt').write_text(f'b {seed}')\n"
    )
    (folder / "simulation.py").write_text(code, encoding="utf-8")
    about = {"generator": "simulation:make", "makes": ["b.txt", "a.txt"], "seed": 7} | about
    return known_set(folder, {}, {}, source="simulated", **about)


# ---------------------------------------------------------------------- fetch


def test_files_are_there_by_number_name_and_slice(server, places, declare, tmp_path):
    declare(known_set(tmp_path / "set", server, FILES))
    files = fetch("frames", progress=False, places=places)
    assert read(files) == FILES
    assert len(files) == 4
    assert files[0] == files["0.bin"] == files.folder / "0.bin"
    assert files[-1].name == "3.bin"
    assert [p.name for p in files[1:3]] == ["1.bin", "2.bin"]
    assert repr(files) == f"<test/frames: 4 files in {files.folder}, 127.0.0.1:{server.port}>"
    assert not files.simulated
    with pytest.raises(KeyError) as caught:
        files["9.bin"]
    assert caught.value.args[0] == (
        "test/frames has no file '9.bin'; there are 0.bin, 1.bin, 2.bin, 3.bin"
    )
    with pytest.raises(IndexError):
        files[4]


def test_one_file_is_called_one_file(places, declare, tmp_path):
    declare(simulated(tmp_path / "set", makes=["a.txt"]))
    assert "1 file in" in repr(fetch("frames", progress=False, places=places))


def test_files_can_be_read_and_not_changed(server, places, declare, tmp_path):
    declare(known_set(tmp_path / "set", server, FILES))
    files = fetch("test/frames", progress=False, places=places)
    assert {path.stat().st_mode & 0o777 for path in files} == {0o444}
    assert files.folder.stat().st_mode & 0o777 == 0o555


def test_what_is_in_the_cache_is_not_fetched_again(server, places, declare, tmp_path):
    declare(known_set(tmp_path / "set", server, FILES))
    first = fetch("frames", progress=False, places=places)
    asked = server.count()
    assert list(fetch("frames", progress=False, places=places)) == list(first)
    assert server.count() == asked


def test_a_folder_of_the_site_is_used_in_place(server, places, declare, tmp_path):
    known = known_set(tmp_path / "set", server, FILES)
    declare(known)
    root = tmp_path / "root"
    (root / "test/frames").mkdir(parents=True)
    for name, data in FILES.items():
        (root / "test/frames" / name).write_bytes(data)
    places = Settings(cache=places.cache, roots=(tmp_path / "none", root), manners=QUICK)
    files = fetch("frames", progress=False, places=places)
    assert files.folder == root / "test/frames"
    assert server.count() == 0
    assert published(tmp_path) == []
    [row] = status("frames", places=places)
    assert row.texts[2:] == (f"at this site, in {root}/test/frames", "nothing to fetch")


@pytest.mark.parametrize("listing", [None, b"x", b'{"files": [3]}', b'{"files": [{"name": 1}]}'])
def test_a_folder_of_the_site_that_lacks_a_file_is_passed_over(
    server, places, declare, tmp_path, listing
):
    declare(known_set(tmp_path / "set", server, FILES))
    folder = tmp_path / "root/test/frames"
    folder.mkdir(parents=True)
    (folder / "0.bin").write_bytes(FILES["0.bin"])
    (folder / "1.bin").write_bytes(b"short")
    if listing:
        (folder / LISTING).write_bytes(listing)
    places = Settings(cache=places.cache, roots=(tmp_path / "root",), manners=QUICK)
    files = fetch("frames", progress=False, places=places)
    assert read(files) == FILES
    assert folder not in files[0].parents


def test_files_appear_in_a_folder_without_a_second_copy(server, places, declare, tmp_path):
    declare(known_set(tmp_path / "set", server, FILES))
    mine = tmp_path / "mine"
    files = fetch("frames", into=mine, progress=False, places=places)
    assert (mine / "0.bin").stat().st_ino == files["0.bin"].stat().st_ino
    assert sorted(p.name for p in mine.iterdir()) == sorted(FILES)
    fetch("frames", into=str(mine), progress=False, places=places)
    assert sorted(p.name for p in mine.iterdir()) == sorted(FILES)


def test_consent_is_given_by_the_name_of_the_set(server, places, declare, tmp_path):
    declare(known_set(tmp_path / "set", server, FILES, sha256="unknown"))
    with pytest.raises(Refused, match="Nobody has published a checksum"):
        fetch("frames", progress=False, places=places)
    with pytest.raises(Refused) as caught:
        fetch("frames", unverified="other", progress=False, places=places)
    assert str(caught.value) == "'unverified' names 'other', but test/frames is asked for."
    assert server.count() == 0
    assert read(fetch("frames", unverified="frames", progress=False, places=places)) == FILES
    label = fetch("frames", unverified="test/frames", progress=False, places=places)
    assert read(label) == FILES


def test_an_unverified_set_is_kept_from_whoever_does_not_consent(server, places, declare, tmp_path):
    declare(known_set(tmp_path / "set", server, FILES, sha256="unknown"))
    files = fetch("frames", unverified="frames", progress=False, places=places)
    with pytest.raises(Refused, match="Nobody has published a checksum"):
        fetch("frames", progress=False, places=places)
    assert read(files) == FILES
    assert read(fetch("frames", unverified="frames", progress=False, places=places)) == FILES


def test_an_unknown_name_is_answered_with_the_nearest(server, places, declare, tmp_path):
    declare(known_set(tmp_path / "set", server, FILES))
    with pytest.raises(Refused) as caught:
        fetch("framse", progress=False, places=places)
    assert str(caught.value) == "There is no data set 'framse'. Did you mean 'frames'?"


def test_a_source_that_fails_is_told_with_the_twin(server, places, declare, tmp_path):
    made = renamed(simulated(tmp_path / "made"), "made")
    declare(known_set(tmp_path / "set", server, {"z.bin": b"z"}, twin="made"), made)
    with pytest.raises(DataError) as caught:
        fetch("frames", progress=False, places=places)
    assert str(caught.value) == (
        "z.bin of test/frames could not be had.\n"
        f"  127.0.0.1:{server.port} does not have the file (HTTP 404).\n"
        'Without it, the simulated data.fetch("made") can stand in.'
    )
    assert fetch("made", progress=False, places=places).simulated


# ---------------------------------------------------------------------- simulated, packages


def test_a_simulated_set_has_the_seed_that_is_asked_for(places, declare, tmp_path):
    declare(simulated(tmp_path / "set"))
    usual = fetch("frames", progress=False, places=places)
    other = fetch("frames", seed=8, progress=False, places=places)
    assert read(usual) == {"a.txt": b"a 7", "b.txt": b"b 7"}
    assert read(other) == {"a.txt": b"a 8", "b.txt": b"b 8"}
    assert usual.folder != other.folder
    assert usual.simulated
    assert repr(usual).endswith("simulation:make, seed 7>")


def test_what_is_measured_has_no_seed(server, places, declare, tmp_path):
    declare(known_set(tmp_path / "set", server, FILES))
    files = fetch("frames", seed=3, progress=False, places=places)
    assert files.folder == fetch("frames", progress=False, places=places).folder
    assert "Measured" in files.origin and "no network" not in files.origin


def test_a_generator_can_import_what_lies_beside_it(places, declare, tmp_path):
    known = simulated(
        tmp_path / "set",
        "from physics_of_tests import TEXT\n"
        "def make(folder, seed):\n    (folder / 'a.txt').write_text(TEXT)\n",
        makes=["a.txt"],
    )
    (tmp_path / "set/physics_of_tests.py").write_text("TEXT = 'beside'\n")
    declare(known)
    assert read(fetch("frames", progress=False, places=places)) == {"a.txt": b"beside"}


def test_a_generator_that_fails_is_said_so(places, declare, tmp_path):
    declare(simulated(tmp_path / "set", "import no_such_package\ndef make(f, s): pass\n"))
    with pytest.raises(DataError, match="is computed with no_such_package, which isn't installed"):
        fetch("frames", progress=False, places=places)
    assert published(tmp_path) == []


def packaged(folder: Path, server: DataServer):
    about = {"source": "package", "package": "package_of_tests", "folder": "shipped"}
    return known_set(folder, server, {"0.bin": FILES["0.bin"]}, **about)


def test_a_package_brings_its_own_data(server, places, declare, tmp_path, monkeypatch):
    declare(packaged(tmp_path / "set", server))
    (tmp_path / "library/package_of_tests/shipped").mkdir(parents=True)
    (tmp_path / "library/package_of_tests/__init__.py").touch()
    (tmp_path / "library/package_of_tests/shipped/0.bin").write_bytes(FILES["0.bin"])
    monkeypatch.syspath_prepend(tmp_path / "library")
    files = fetch("frames", progress=False, places=places)
    assert files[0] == tmp_path / "library/package_of_tests/shipped/0.bin"
    assert server.count() == 0
    [row] = status("frames", places=places)
    assert row.texts[2:] == ("here, comes with package_of_tests", "nothing to fetch")


def test_a_package_that_is_not_installed_is_said_so(server, places, declare, tmp_path):
    declare(packaged(tmp_path / "set", server))
    with pytest.raises(DataError) as caught:
        fetch("frames", progress=False, places=places)
    assert str(caught.value) == (
        "test/frames can't be had here: comes with package_of_tests, which isn't installed here."
    )
    [row] = status("frames", places=places)
    assert row.offer.cost == "can't be had here"


# ---------------------------------------------------------------------- status


def test_status_says_what_would_serve_each_set(server, places, declare, tmp_path):
    declare(
        known_set(tmp_path / "a", server, FILES),
        renamed(simulated(tmp_path / "b", about_s=30), "made"),
        renamed(known_set(tmp_path / "c", {"x": []}, {"x": b"x"}), "lost"),
        renamed(known_set(tmp_path / "d", server, FILES, size_bytes=None), "unsized"),
    )
    rows = {row.known.name: row for row in status(places=places) if row.known.use_case == "test"}
    assert rows["frames"].offer.kind == "publisher"
    assert rows["frames"].offer.where == f"its publisher at 127.0.0.1:{server.port}"
    assert rows["frames"].offer.fetch_bytes == 400_000
    assert "400 kB" in rows["frames"].offer.cost
    assert "size not published" in rows["unsized"].offer.cost
    assert rows["made"].texts[2:] == (
        "made on the spot, with its truth",
        "computed in about 30 s",
    )
    assert rows["lost"].texts[2:] == ("nobody offers it at an address", "can't be had here")
    mirrored = Settings(cache=places.cache, mirrors=("https://mirror.example.org/data",))
    [row] = status("frames", places=mirrored)
    assert row.offer.where == "the site's mirror at mirror.example.org"
    assert server.count() == 0
    fetch("frames", progress=False, places=places)
    [row] = status("frames", places=places)
    assert row.offer.kind == "cache"
    assert row.offer.cost == "nothing to fetch"
    assert row.offer.where in ("here, fetched before", "here, shared by all of this site")


def test_status_can_be_read_as_text_and_as_a_table(server, places, declare, tmp_path):
    declare(known_set(tmp_path / "a", server, FILES, title="<b>Frames & more"))
    found = status("frames", places=places)
    text = repr(found)
    assert text.startswith("test/frames  its publisher at 127.0.0.1")
    html = found._repr_html_()
    assert html.count("<tr>") == 2
    assert "&lt;b&gt;Frames &amp; more" in html
    assert "<b>" not in html


def test_a_server_that_was_measured_has_a_time(server, places, declare, tmp_path):
    declare(
        known_set(tmp_path / "a", server, {"big.bin": BIG}),
        renamed(known_set(tmp_path / "b", server, FILES), "other"),
    )
    fetch("frames", progress=False, places=places)
    [row] = status("other", places=places)
    assert row.offer.seconds > 0
    assert row.offer.cost == f"{row.offer.cost.partition(',')[0]}, about 1 s"


@pytest.mark.parametrize(
    ("offer", "words"),
    [
        (Offer("simulated", "x", 0, None), "computed"),
        (Offer("simulated", "x", 0, 120), "computed in about 2 min"),
        (Offer("nowhere", "x", None, None), "can't be had here"),
        (Offer("cache", "x", folder=Path("/x")), "nothing to fetch"),
    ],
)
def test_a_cost_is_said_in_words(offer, words):
    assert offer.cost == words


def test_files_are_a_sequence(tmp_path):
    known = simulated(tmp_path)
    files = Files(known, tmp_path, ["b", "a"], "x")
    assert list(files) == [tmp_path / "a", tmp_path / "b"]
    assert tmp_path / "a" in files
    assert files.index(tmp_path / "b") == 1
