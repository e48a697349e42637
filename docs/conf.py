"""How the documentation is built; warnings are errors."""

from importlib.metadata import version as _version

project = "megabase"
copyright = "the megabase developers"
version = release = _version("megabase")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "megabase"
exclude_patterns = ["_build"]
autodoc_typehints = "none"  # shapes stand in the code; the text gives meaning and units
autodoc_member_order = "bysource"
napoleon_custom_sections = ["Source"]
suppress_warnings = ["config.cache"]
