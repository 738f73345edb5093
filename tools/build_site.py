"""Build the documentation site: documents, notebooks as executed, API reference, and the page.

    python tools/build_site.py            into build/site
    python tools/build_site.py --out DIR  elsewhere

Guarantees of what is written: Sphinx had nothing to warn of; every link inside the site leads to a
file and to a place in it; every picture has an alternative text; nothing is loaded from another
origin, so that it works from any folder and without a network. The page that reads what is drawn is
part of it, under ``page/``, if it has been built in ``build/page``.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "build" / "page"

# Attributes that a browser follows by itself; links wait for a click.
_LOADED = {
    **dict.fromkeys(("img", "script", "iframe", "source", "audio", "video"), ("src", "srcset")),
    "embed": ("src",),
    "object": ("data",),
    "input": ("src",),
    "link": ("href",),
}
_HARMLESS = {"canonical", "author", "license", "next", "prev", "search", "index", "help"}
_IN_STYLE = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^"')\s;]+)""")
_IN_SCRIPT = re.compile(
    r"""(?:fetch|import|importScripts|\.src\s*=|\.href\s*=|\.open)\s*\(?\s*["'`](?:https?:)?//"""
)


class Document(HTMLParser):
    """What an HTML file loads, where it leads, the places in it, and pictures without words."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.wordless: list[str] = []
        self.style = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag loads, names and links to."""
        values = {name: value or "" for name, value in attrs}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        self.style += values.get("style", "")
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "img" and not values.get("alt", "").strip() and "aria-hidden" not in values:
            self.wordless.append(values.get("src", ""))
        if tag == "link" and set(values.get("rel", "").split()) & _HARMLESS:
            return
        self.loads += [values[name] for name in _LOADED.get(tag, ()) if values.get(name)]


def faults(site: Path) -> list[str]:
    """Return what is wrong with the files of a site, in sentences."""
    documents = {path: Document(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, document in documents.items():
        name = path.relative_to(site)
        loaded = [*filter(_is_foreign, document.loads), *_IN_STYLE.findall(document.style)]
        found += [f"{name} loads {target}, which is another origin." for target in loaded]
        found += [f"{name} shows {src} without words." for src in document.wordless]
        found += [f"{name}: {each}" for each in _dead(path, document, documents, site)]
    patterns = {".css": _IN_STYLE, ".js": _IN_SCRIPT, ".mjs": _IN_SCRIPT}
    for path in sorted(path for path in site.rglob("*") if path.suffix in patterns):
        addresses = patterns[path.suffix].findall(path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(site)} loads {each} from elsewhere." for each in addresses]
    return found


def _is_foreign(target: str) -> bool:
    return bool(urlsplit(target).netloc)


def _dead(
    path: Path, document: Document, documents: dict[Path, Document], site: Path
) -> Iterator[str]:
    """Say which targets inside the site are not there."""
    for target in {*document.links, *document.loads}:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        there = there / "index.html" if there.is_dir() else there
        if not there.is_file() or not there.is_relative_to(site.resolve()):
            yield f"{target} leads nowhere."
            continue
        places = documents[there].places if there in documents else {unquote(parts.fragment)}
        if parts.fragment and unquote(parts.fragment) not in {"top", *places}:
            yield f"{target} leads to no place in that file."


def build(site: Path) -> list[str]:
    """Write the site in place of an earlier one; return what is wrong with it, in sentences."""
    is_site = not site.exists() or (site / "searchindex.js").is_file()
    if not is_site and (not site.is_dir() or any(site.iterdir())):
        return [f"{site} holds something else than a built site; name another folder."]
    shutil.rmtree(site, ignore_errors=True)
    with tempfile.TemporaryDirectory() as kept:
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
        command += ["-d", kept, "-c", str(ROOT / "docs"), str(ROOT), str(site)]
        if subprocess.run(command, check=False).returncode:
            return ["Sphinx has warned; see above."]
    # The front page is the README, whose own name its links keep.
    shutil.copyfile(site / "README.html", site / "index.html")
    (site / ".buildinfo").unlink(missing_ok=True)
    if (PAGE / "index.html").is_file():
        shutil.copytree(PAGE, site / "page")
    else:
        _say("build/page is not there, so the site has no page to draw on.")
    return faults(site)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Build the site; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site", help="where to")
    options = parser.parse_args(arguments)
    site = options.out.resolve()
    found = build(site)
    for sentence in found:
        _say(sentence)
    if not found:
        files = [path for path in site.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 1e6
        _say(f"{site / 'index.html'}: {len(files)} files, {size:.1f} MB")
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
