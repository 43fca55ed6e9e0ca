"""What a cluster is given to run a portal, made from its site profile."""

from .chart import Placeholders, values
from .manifests import manifests
from .refusals import RenderError
from .text import as_yaml

__all__ = ["Placeholders", "RenderError", "as_yaml", "manifests", "values"]
