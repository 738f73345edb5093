"""The frame of the page: head, contents, sections, figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources

from digitnet.showing.report.markup import Child, Html, data_uri, el, join
from digitnet.showing.theme import DARK, LIGHT, Drawing, Palette

# Nothing is loaded from anywhere and no script runs, even if one got in.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"


@dataclass(frozen=True)
class Page:
    """What the sections draw on."""

    drawings: dict[str, Drawing]
    layers: list[tuple[str, tuple[int, ...], int]]
    """The image and each layer: name, output shape, parameters."""


@dataclass(frozen=True)
class Section:
    """A part of the page that the contents lead to."""

    anchor: str
    title: str
    content: Html


def section(anchor: str, title: str, *children: Child) -> Section:
    """Return a section with its heading; ``anchor`` is its address on the page."""
    heading = el("h2", title, id=f"{anchor}-title")
    content = el("section", heading, *children, id=anchor, aria_labelledby=f"{anchor}-title")
    return Section(anchor, title, content)


def picture(page: Page, name: str, alt: str, caption: str, **_: object) -> Html:
    """Return a figure in its light and its dark version.

    Args:
        page: holds the drawings.
        name: of the drawing.
        alt: what is to be seen, and what follows from it.
        caption: stands below.
        wide: whether it holds small type; on a phone it then scrolls instead of shrinking.
    """
    drawing = page.drawings[name]
    images = join(
        el(
            "img",
            class_=shape,
            src=data_uri(png),
            alt=alt,
            width=_size(png)[0],
            height=_size(png)[1],
        )
        for shape, png in (("wide", drawing.wide), ("narrow", drawing.narrow))
    )
    return el(
        "figure",
        images,
        el("figcaption", caption),
        id=f"figure-{name.replace('_', '-')}",
    )


def _size(png: bytes) -> tuple[int, int]:
    """Return width and height of a PNG, which stand at a fixed place in it."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def document(title: str, header: Html, sections: Sequence[Section]) -> str:
    """Return the whole page.

    Args:
        title: of the window.
        header: the result, before everything.
        sections: what follows, in this order.
    """
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        # An empty icon, lest a browser look for one on the server.
        el("link", rel="icon", href="data:,"),
        el("style", _style()),
    )
    contents = (el("li", el("a", each.title, href=f"#{each.anchor}")) for each in sections)
    body = el(
        "body",
        header,
        el("nav", el("ol", *contents), aria_label="Contents"),
        el("main", *(each.content for each in sections)),
        el("footer", el("p", "Written by digitnet. This page is whole: it needs no network.")),
    )
    return join((Html("<!doctype html>\n"), el("html", head, body, lang="en"), "\n"))


def _style() -> Html:
    """Return the style sheet, in the colours of the figures."""
    rules = (
        resources.files("digitnet.showing")
        .joinpath("templates/style.css")
        .read_text(encoding="utf-8")
    )
    screen = "@media screen and (prefers-color-scheme: dark)"
    return Html(f":root{{{_colours(LIGHT)}}}\n{screen}{{:root{{{_colours(DARK)}}}}}\n{rules}")


def _colours(palette: Palette) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in asdict(palette).items())
