"""How the documentation is built: scripts/docs runs Sphinx with every warning as an error."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "BeamHub"
author = "The BeamHub developers"
project_copyright = "2026, The BeamHub developers"
version = release = metadata.version("beamhub")

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "generated"]
exclude_patterns = ["_build", "_ext"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"BeamHub {version}"
# Nothing is loaded from elsewhere, as in the portal itself.
html_theme_options = {
    "light_css_variables": {"font-stack": "system-ui, sans-serif"},
}
