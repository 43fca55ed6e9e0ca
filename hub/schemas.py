"""What is declared in YAML, by the name of its schema."""

from pydantic import BaseModel

from workbench.manifest import Manifest

from .site import SiteProfile
from .software import SoftwareCatalogue

SCHEMAS: dict[str, type[BaseModel]] = {
    "site": SiteProfile,
    "usecase": Manifest,
    "software": SoftwareCatalogue,
}
