"""The schemas that editors use are those of the models: written by the command, kept here."""

import json
from pathlib import Path

import pytest

from hub.schemas import SCHEMAS

FOLDER = Path(__file__).parents[1] / "docs/reference/schemas"


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_committed_schema_is_the_models(kind):
    committed = json.loads((FOLDER / f"{kind}.schema.json").read_text(encoding="utf-8"))
    assert committed == SCHEMAS[kind].model_json_schema(), (
        f"beamhub schema {kind} > docs/reference/schemas/{kind}.schema.json"
    )


def test_no_schema_is_left_over():
    assert {path.name for path in FOLDER.iterdir()} == {f"{kind}.schema.json" for kind in SCHEMAS}


def test_a_site_of_every_kind_can_be_chosen():
    schema = SCHEMAS["site"].model_json_schema()["properties"]
    assert set(schema["backend"]["discriminator"]["mapping"]) == {
        "local",
        "docker",
        "slurm",
        "kubernetes",
    }
    assert set(schema["login"]["discriminator"]["mapping"]) == {"codes", "pam", "oidc", "ldap"}


def parts(kind):
    schema = SCHEMAS[kind].model_json_schema()
    return [schema, *schema["$defs"].values()]


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_slip_shows_in_the_editor_too(kind):
    for part in parts(kind):
        assert part.get("type") != "object" or part["additionalProperties"] is False


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_amount_has_its_unit_in_its_name(kind):
    units = ("_gib", "_gb", "_mb", "_days", "_h", "_min", "_s", "_bytes", "_max")
    counts = {"cores", "gpus", "servers", "port", "seed", "year", "minutes", "as_of"}
    counts |= {"first_number", "percentile"}
    shares = {"cores_guaranteed", "memory_guaranteed"}
    for part in parts(kind):
        for name, field in part.get("properties", {}).items():
            kinds = {field.get("type"), *(f.get("type") for f in field.get("anyOf", []))}
            if kinds & {"integer", "number"}:
                assert name in counts | shares or name.endswith(units), name
