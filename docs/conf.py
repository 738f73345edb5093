"""How Sphinx makes the site: ``python tools/build_site.py``, or ``make site``.

The source is the repository itself, as it lies: a link between two Markdown files that works in the
repository works on the site. Notebooks are shown as they were executed; nothing is run here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import digitnet  # noqa: E402

PAGE = ROOT / "build" / "page" / "index.html"

project = "digitnet"
author = "The digitnet maintainers"
copyright = f"2026, {author}"  # noqa: A001 (the name that Sphinx reads)
version = release = digitnet.__version__
root_doc = "README"
include_patterns = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("docs/*.md", "docs/*.rst", "notebooks/*.ipynb", "src/digitnet/assets/*.md"),
]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
suppress_warnings = ["myst.header"]  # generated tables may follow a title of any level

myst_heading_anchors = 4
nb_execution_mode = "off"
nb_render_markdown_format = "gfm"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "show-inheritance": True}
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "furo"
html_title = "digitnet"
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it would fetch pages, which a browser forbids in a folder
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0069a6", "color-brand-content": "#0069a6"},
    "dark_css_variables": {"color-brand-primary": "#6db8ea", "color-brand-content": "#6db8ea"},
}

# What the sidebar shows; README.md itself is also read where no Sphinx is.
CONTENTS = {
    "Read digits": (
        *("docs/recognition", "notebooks/read_numbers", "docs/page", "docs/service", "docs/cli"),
        *("docs/python-api", "docs/reference"),
    ),
    "Learn and train": (
        *("notebooks/digit_recognition", "docs/data", "docs/settings", "docs/runs"),
        *("docs/studies", "docs/transfer", "docs/cluster", "docs/results", "docs/records"),
        "src/digitnet/assets/MODEL_CARD",
    ),
    "Develop": ("CONTRIBUTING", "SECURITY", "CHANGELOG", "src/digitnet/assets/README"),
}


def add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """Give the front page the contents of the sidebar."""
    if name == root_doc:
        for caption, pages in CONTENTS.items():
            known = [page for page in pages if page in app.project.docnames]
            lines = ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *known, "```", ""]
            source[0] += "\n".join(lines)


def link_page(_app: Sphinx, _name: str, _template: str, context: dict[str, Any], _: object) -> None:
    """Lead from every document to the page that reads what is drawn, where it has been built."""
    if PAGE.is_file():
        place = context["pathto"]("page/index.html", 1)
        context["theme_announcement"] = f'<a href="{place}">Draw a digit in your browser</a>'


def keep_colons(
    _app: Sphinx, what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Keep napoleon from taking the words before a colon for the type of a property."""
    if what in {"property", "attribute"} and lines:
        lines[0] = lines[0].replace(": ", " – ")


def setup(app: Sphinx) -> None:
    """Connect them."""
    app.connect("autodoc-process-docstring", keep_colons, priority=400)
    app.connect("source-read", add_contents)
    app.connect("html-page-context", link_page)
