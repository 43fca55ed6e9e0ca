"""YAML that people read: texts of several lines as such, and nothing by reference."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

NUMBER = re.compile(r"[-+.]?[0-9][\w.+-]*")
"""What some reader of YAML may take for a number: 1e5 and 0o7 are some to Helm, not to PyYAML."""


class Plain(yaml.SafeDumper):
    """YAML without anchors: what is there twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        """Return that nothing is an alias."""
        del data
        return True


def text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Return a text; one of several lines keeps them."""
    style = "|" if "\n" in text else "'" if NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Plain.add_representer(str, text_node)


def as_yaml(*documents: Mapping[str, Any]) -> str:
    """Return documents as one text, the same every time."""
    return yaml.dump_all(
        documents, Dumper=Plain, sort_keys=False, allow_unicode=True, width=float("inf")
    )
