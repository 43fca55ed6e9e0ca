"""YAML into models: one parent, file and line in every finding, no input repeated."""

import copy
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import Field

from hub.site import PROFILES, SiteProfile, load_site
from workbench.declared import Declared
from workbench.documents import DocumentError, load, merge, nearest, read, unknown_key


class Cat(Declared):
    kind: Literal["cat"]
    lives: int = 9


class Dog(Declared):
    kind: Literal["dog"]
    owner: str


class House(Declared):
    title: str = "House"
    rooms: dict[str, int] = {}
    guests: list[str] = []
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def findings(path: Path, model: type = House, **options: Path) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        load(path, model, **options)
    return str(caught.value).splitlines()


def test_a_child_says_only_what_differs(tmp_path):
    write(tmp_path, "base", "title: Old\nrooms: {kitchen: 1, bath: 1}\nguests: [a, b]\n")
    child = write(tmp_path, "child", "extends: base\nrooms: {bath: 2}\nguests: [c]\n")
    assert load(child, House) == House(title="Old", rooms={"kitchen": 1, "bath": 2}, guests=["c"])


def test_a_parent_is_found_in_the_folder_of_parents(tmp_path):
    parents = tmp_path / "parents"
    parents.mkdir()
    write(parents, "base", "title: From afar\n")
    child = write(tmp_path, "child", "extends: base\n")
    assert load(child, House, parents=parents).title == "From afar"
    assert "no profile 'base'" in findings(child)[0]


def test_a_wrong_value_of_the_parent_is_told_with_the_parents_file_and_line(tmp_path):
    base = write(tmp_path, "base", "title: A\nrooms:\n  bath: many\n")
    child = write(tmp_path, "child", "extends: base\ntitle: B\nrooms: {kitchen: 1}\n")
    [finding] = findings(child)
    assert finding.startswith(f"{base}:3: rooms.bath: Input should be a valid integer")


def test_a_wrong_value_of_the_child_is_told_with_the_childs_file_and_line(tmp_path):
    write(tmp_path, "base", "rooms:\n  bath: 1\n")
    child = write(tmp_path, "child", "extends: base\n\nrooms:\n  bath: many\n")
    assert findings(child)[0].startswith(f"{child}:4: rooms.bath: ")


def test_an_unknown_key_is_told_with_the_nearest_word(tmp_path):
    path = write(tmp_path, "a", "title: A\ngeusts: []\n")
    assert findings(path) == [f"{path}:2: geusts: unknown key: did you mean 'guests'?"]


def test_an_unknown_key_that_is_like_nothing_gets_no_hint(tmp_path):
    path = write(tmp_path, "a", "xyzzy: 1\n")
    assert findings(path) == [f"{path}:1: xyzzy: unknown key"]


def test_every_finding_has_a_line_of_its_own(tmp_path):
    path = write(tmp_path, "a", "title: [1]\nroms: {}\nrooms:\n  bath: x\n")
    assert [f.split(": ")[0] for f in findings(path)] == [f"{path}:{n}" for n in (1, 4, 2)]


def test_the_rooms_of_a_shipped_profile_are_named_as_people_write_them(tmp_path):
    text = "extends: hpc\nbackend:\n  kind: slurm\n  partition: a\n  partitoin: b\n"
    path = write(tmp_path, "mine", text)
    [finding] = findings(path, SiteProfile, parents=PROFILES)
    assert finding == f"{path}:5: backend.partitoin: unknown key: did you mean 'partition'?"


def test_a_missing_key_of_a_kind_is_told_at_the_kind(tmp_path):
    path = write(tmp_path, "a", "title: A\npet:\n  kind: dog\n")
    assert findings(path) == [f"{path}:2: pet.owner: this key is missing"]


def test_an_unknown_kind_lists_the_kinds(tmp_path):
    path = write(tmp_path, "a", "pet: {kind: cow}\n")
    assert findings(path) == [f"{path}:1: pet: unknown kind; possible are 'cat', 'dog'"]


def test_a_missing_kind_is_told(tmp_path):
    path = write(tmp_path, "a", "pet: {lives: 3}\n")
    assert findings(path) == [f"{path}:1: pet: the key 'kind' is missing"]


def test_another_kind_replaces_the_whole_mapping(tmp_path):
    write(tmp_path, "base", "pet: {kind: cat, lives: 3}\n")
    child = write(tmp_path, "child", "extends: base\npet: {kind: dog, owner: Ada}\n")
    assert load(child, House).pet == Dog(kind="dog", owner="Ada")


def test_the_same_kind_keeps_what_the_child_leaves_out(tmp_path):
    write(tmp_path, "base", "pet: {kind: dog, owner: Ada}\n")
    named = write(tmp_path, "named", "extends: base\npet: {kind: dog}\n")
    unnamed = write(tmp_path, "unnamed", "extends: base\npet: {}\n")
    assert load(named, House).pet == load(unnamed, House).pet == Dog(kind="dog", owner="Ada")


def test_profiles_that_extend_each_other_are_refused(tmp_path):
    first = write(tmp_path, "first", "extends: second\n")
    write(tmp_path, "second", "extends: first\n")
    assert findings(first) == [f"{first}:1: extends: the profiles extend each other in a circle"]


@pytest.mark.parametrize("name", ["hcp", "'../hpc'", "7", "''", "..", "[hpc, cloud]"])
def test_a_parent_that_is_not_there_is_refused(tmp_path, name):
    path = write(tmp_path, "a", f"title: A\nextends: {name}\n")
    [finding] = findings(path, SiteProfile, parents=PROFILES)
    assert finding.startswith(f"{path}:2: extends: no profile ")
    assert ("did you mean 'hpc'?" in finding) == (name in ("hcp", "'../hpc'"))


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = write(tmp_path, "a", "rooms:\n  bath: 1\n  bath: 2\n")
    assert findings(path) == [f"{path}:3: bath: the key stands twice"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("title: [1\nrooms: {}\n", 2),
        ("title: a: b\n", 1),
        ("\ttitle: A\n", 1),
        ("title: A\nrooms: *none\n", 2),
        ("title: A\nrooms: !!python/object:os.system {}\n", 2),
        ("title: A\nguests: [2026-99-99]\n", 2),
        ("title: A\n? [a, b]\n: 1\n", 2),
        ("title: A\n? {a: b}\n: 1\n", 2),
        ("title: A\nrooms: !!int x\n", 2),
        ("title: \x01\n", 1),
        ("--- {}\n--- {}\n", 2),
    ],
)
def test_what_is_not_plain_yaml_is_told_with_its_line(tmp_path, text, line):
    path = write(tmp_path, "a", text)
    [finding] = findings(path)
    assert finding.startswith(f"{path}:{line}: ")


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "just words\n", "7\n"])
def test_a_document_that_is_no_mapping_is_refused(tmp_path, text):
    path = write(tmp_path, "a", text)
    assert findings(path) == [f"{path}:1: expected 'key: value' lines at the top level"]


def test_an_empty_file_is_a_document_that_says_nothing(tmp_path):
    assert load(write(tmp_path, "a", ""), House) == House()


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"title: \xff\n")
    assert findings(tmp_path / "none.yaml") == [
        f"{tmp_path / 'none.yaml'}:1: there is no such file"
    ]
    assert "can't be read" in findings(tmp_path / "bytes.yaml")[0]
    assert "can't be read" in findings(tmp_path)[0]


SECRET = "hunter2-Xq9"


@pytest.mark.parametrize(
    "login",
    [
        f"client_secret: {SECRET}",
        f"client_secret: [{SECRET}]",
        f"client_secret: {{env: {SECRET}}}",
        f"client_secret: {{env: A, file: {SECRET}}}",
        f"client_secret: {{value: {SECRET}}}",
        f"client_secret: *{SECRET}",
        f"client_secret: !{SECRET}",
        f"client_secret: !!int {SECRET}",
        f"client_secret: !!float {SECRET}",
        f"client_secret: !!timestamp {SECRET}",
        f"client_secret: !!bool {SECRET}",
        f"client_secret: !!binary {SECRET}é",
        f"client_secret: 'a {SECRET}",
        f"client_secret: {SECRET}: x",
        f"client_secret: &{SECRET} {{env: a}}",
        f"kind: {SECRET}",
        f"issuer: {SECRET}",
        f"admin_groups: {SECRET}",
    ],
)
def test_a_secret_in_the_wrong_place_is_never_repeated(tmp_path, login):
    text = "extends: cloud\nlogin:\n  name: us\n  " + login + "\n"
    path = write(tmp_path, "mine", text)
    with pytest.raises(DocumentError) as caught:
        load(path, SiteProfile, parents=PROFILES)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates()
KEYS = st.sampled_from(["kind", "a", "b", "c"])
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)
MAPPINGS = st.dictionaries(KEYS, TREES, max_size=4)


@settings(max_examples=50)
@given(MAPPINGS)
def test_merge_with_nothing_changes_nothing(body):
    assert repr(merge(body, {})) == repr(merge({}, body)) == repr(body)


@settings(max_examples=50)
@given(MAPPINGS)
def test_merge_with_itself_changes_nothing(body):
    assert repr(merge(body, body)) == repr(body)


@settings(max_examples=50)
@given(MAPPINGS, MAPPINGS)
def test_merge_leaves_both_sides_as_they_were(base, over):
    before = repr((base, over))
    merge(base, over)
    assert repr((base, over)) == before


@settings(max_examples=50)
@given(MAPPINGS, MAPPINGS)
def test_what_the_upper_document_says_counts(base, over):
    both = merge(base, over)
    assert set(both) == set(base) | set(over)
    for key, value in over.items():
        if not isinstance(value, dict):
            assert both[key] is value


@settings(max_examples=50)
@given(MAPPINGS, MAPPINGS)
def test_a_merged_mapping_never_mixes_two_kinds(base, over):
    both = merge({"x": base}, {"x": over})["x"]
    if "kind" in over and over["kind"] != base.get("kind"):
        assert both is over


# A profile as a careless editor may leave it: any value at any of its places.
def profile_texts():
    text = (PROFILES / "cloud.yaml").read_text()
    whole = yaml.safe_load(text)
    places = [(key,) for key in whole] + [
        (key, inner) for key, value in whole.items() if isinstance(value, dict) for inner in value
    ]
    junk = TREES | st.dictionaries(
        st.integers() | st.booleans() | st.none() | st.dates() | st.text(max_size=3), TREES
    )

    def spoil(place, value):
        inner = body = copy.deepcopy(whole)
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        return yaml.safe_dump(body)

    return st.builds(spoil, st.sampled_from(places), junk)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=profile_texts() | st.text(max_size=40))
@example(text="sizes: {1: {title: A}}\n")
@example(text="sizes: {2026-01-01: 3}\n")
@example(text="sizes: {true: {title: A, cores: 1}}\n")
@example(text="1: 2\n")
@example(text="a: &a [*a]\n")
@example(text="a: &a {b: *a}\n")
@example(text="<<: 3\n")
@example(text="? !!binary x\n: 1\n")
@example(text="a: !!binary é\n")
def test_whatever_a_file_holds_the_findings_are_for_a_person(tmp_path, text):
    path = tmp_path / "fuzzed.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load(path, SiteProfile, parents=PROFILES)
    except DocumentError as error:
        assert str(error).startswith((str(tmp_path), str(PROFILES)))


def test_a_document_knows_where_its_values_were_written(root):
    document = read(PROFILES / "laptop.yaml", parents=PROFILES)
    assert document.where(("title",)).startswith(f"{PROFILES / 'laptop.yaml'}:")
    assert document.where(("sisters", 0, "url")).startswith(f"{PROFILES / '_defaults.yaml'}:")
    assert document.where(("nothing", "like", "it")) == f"{PROFILES / 'laptop.yaml'}:1"


def test_the_nearest_word_is_offered_only_where_it_is_near():
    assert nearest("partitoin", ["partition", "port"]) == ": did you mean 'partition'?"
    assert "another 'kind'" in unknown_key("port", ["partition", "port"])
    assert nearest("zzz", ["partition", "port"]) == ""


def test_a_path_and_a_name_give_the_same_profile():
    assert load_site("laptop") == load_site(str(PROFILES / "laptop.yaml"))
