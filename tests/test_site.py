"""The site: built without a warning, whole, and sufficient in itself."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import digitnet

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool() -> Any:
    sys.path.insert(0, str(ROOT / "tools"))
    import build_site

    return build_site


def page(body: str) -> str:
    return f"<!doctype html><html><head><title>t</title></head><body>{body}</body></html>"


def write(site: Path, body: str) -> None:
    (site / "index.html").write_text(page(body), encoding="utf-8")


def test_a_page_that_needs_nothing_else_is_right(tmp_path: Path, tool: Any) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "look.css").write_text("a { background: url(data:image/png;base64,AA) }")
    (tmp_path / "act.js").write_text("// see https://example.org\nfetch('there.json')")
    write(
        tmp_path,
        '<link rel="stylesheet" href="look.css?v=1"><script src="act.js"></script>'
        '<img src="a.png" alt="a"><h1 id="here">x</h1><a href="#here">y</a><a href="#">top</a>'
        '<a href="https://example.org/">elsewhere, when it is clicked</a>',
    )
    assert tool.faults(tmp_path) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, tool: Any) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("dear")
    for place in (tmp_path, letter):
        (sentence,) = tool.build(place)
        assert "name another folder" in sentence
    assert letter.read_text() == "dear"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('<script src="https://cdn.example/x.js"></script>', "another origin"),
        ('<link rel="stylesheet" href="//fonts.example/x.css">', "another origin"),
        ('<iframe src="http://example.org"></iframe>', "another origin"),
        ('<p style="background: url(https://example.org/x.png)">', "another origin"),
        ('<img src="index.html">', "without words"),
        ('<img src="nowhere.png" alt="a">', "nowhere.png leads nowhere"),
        ('<a href="nowhere.html">a</a>', "nowhere.html leads nowhere"),
        ('<a href="../index.html">a</a>', "../index.html leads nowhere"),
        ('<a href="#nowhere">a</a>', "#nowhere leads to no place"),
    ],
)
def test_what_is_missing_or_foreign_is_told(
    body: str, told: str, tmp_path: Path, tool: Any
) -> None:
    write(tmp_path, body)
    (fault,) = tool.faults(tmp_path)
    assert told in fault


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.css", '@import "https://fonts.example/x.css";'),
        ("x.css", "@font-face { src: url('//fonts.example/x.woff2') }"),
        ("x.js", 'fetch("https://example.org/count")'),
        ("x.js", "s.src = 'https://cdn.example/x.js'"),
        ("x.mjs", 'await import("https://cdn.example/x.mjs")'),
    ],
)
def test_styles_and_scripts_are_looked_into(
    name: str, content: str, tmp_path: Path, tool: Any
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    (fault,) = tool.faults(tmp_path)
    assert fault.startswith(f"{name} loads ")
    assert fault.endswith("from elsewhere.")


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs" / "reference.rst").read_text(encoding="utf-8")
    named = re.findall(r"^\.\. auto(?:class|function):: (\w+)$", text, re.MULTILINE)
    # The errors stand there as a module.
    assert sorted([*named, "DigitnetError"]) == sorted(digitnet.__all__)


@pytest.mark.parametrize(
    "look",
    [
        lambda site: "Reads handwritten digits" in (site / "index.html").read_text("utf-8"),
        lambda site: "Return the digit in a picture" in (site / "docs/reference.html").read_text(),
        lambda site: (site / "notebooks/digit_recognition.html").read_text().count("<img") > 10,
        lambda site: "luhn" in (site / "searchindex.js").read_text("utf-8"),
    ],
    ids=["front page", "reference", "notebook", "search"],
)
def test_it_is_built_and_right(look: Callable[[Path], bool], site: Path) -> None:
    assert look(site)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := [name for name in ("sphinx", "furo", "myst_nb") if not _is_there(name)]:
        assert not os.environ.get("DIGITNET_CI"), missing
        pytest.skip(f"not installed: {', '.join(missing)}")
    out = tmp_path_factory.mktemp("built") / "site"
    command = [sys.executable, str(ROOT / "tools" / "build_site.py"), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def _is_there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
