"""HTML by construction: elements that escape what they are given, and numbers as people read them.

Guarantees:

- Text is escaped unless this module made it: a name from a file cannot become markup.
- Elements are closed by the one call that opens them, so nesting cannot go wrong.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from typing import TypeAlias

_VOID = frozenset({"img", "link", "meta"})

NBSP = "\u00a0"


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Child: TypeAlias = str | None


def el(name: str, /, *children: Child, **attributes: str | int | None) -> Html:
    """Return an element; children that are not ``Html`` are escaped, None is left out.

    Args:
        name: of the tag.
        *children: text or elements.
        **attributes: ``class_`` is written ``class``, ``aria_label`` ``aria-label``; one that is
            None is left out.
    """
    pairs = (
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    opening = f"<{name}{''.join(pairs)}>"
    if name in _VOID:
        return Html(opening)
    return Html(f"{opening}{join(children)}</{name}>")


def join(children: Iterable[Child], separator: str = "") -> Html:
    """Return children one after the other, escaped as ``el`` does."""
    parts = (c if isinstance(c, Html) else html.escape(c) for c in children if c is not None)
    return Html(html.escape(separator).join(parts))


def paragraphs(texts: Iterable[Child]) -> Html:
    """Return one paragraph for each text."""
    return join(el("p", text) for text in texts)


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    foot: Sequence[str] = (),
    class_: str | None = None,
) -> Html:
    """Return a table that scrolls inside its own box when the page is narrow.

    Args:
        caption: what it shows.
        head: the name of each column.
        rows: cells; the first of each row names it.
        numbers: columns that are aligned to the right.
        foot: the cells of a last row, such as a sum.
        class_: for the style sheet.
    """

    def row(cells: Sequence[str]) -> Html:
        first, *others = (
            el("td" if i else "th", cell, scope=None if i else "row", class_=_side(i, numbers))
            for i, cell in enumerate(cells)
        )
        return el("tr", first, *others)

    names = (el("th", n, scope="col", class_=_side(i, numbers)) for i, n in enumerate(head))
    return scrolling(
        el(
            "table",
            el("caption", caption),
            el("thead", el("tr", *names)),
            el("tbody", *map(row, rows)),
            el("tfoot", row(foot)) if foot else None,
            class_=class_,
        ),
        caption,
    )


def _side(column: int, numbers: Sequence[int]) -> str | None:
    return "number" if column in numbers else None


def scrolling(content: Html, label: str) -> Html:
    """Return ``content`` in a box that scrolls sideways, also by keyboard."""
    return el("div", content, class_="scroll", role="region", aria_label=label, tabindex=0)


def data_uri(png: bytes) -> str:
    """Return a PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def term(word: str, key: str | None = None) -> Html:
    """Return ``word`` as a link to its entry ``key`` in the glossary; by default its own name."""
    return el("a", word, href=f"#{word_anchor(key or word)}", class_="term")


def word_anchor(key: str) -> str:
    """Return the anchor of a glossary entry."""
    return "word-" + "".join(c if c.isalnum() else "-" for c in key.lower())


def percent(share: float, decimals: int = 2) -> str:
    """Return a share of 1 in percent; all is said only of all, and none only of none."""
    least = 10**-decimals
    if 0 < share < least / 200:
        return f"<{least:.{decimals}f}{NBSP}%"
    if 1 - least / 200 < share < 1:
        return f">{100 - least:.{decimals}f}{NBSP}%"
    return f"{100 * share:.{decimals}f}{NBSP}%"


def points(difference: float) -> str:
    """Return a difference of two shares in percentage points."""
    return f"{abs(100 * difference):.2f} points"


def count(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: "1 miss", "1,234 misses"."""
    return f"{number:,}{NBSP}{one if number == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return a time as people say it: "48 s", "4 min 12 s", "1 h 3 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours}{NBSP}h {left}{NBSP}min"
    return f"{minutes}{NBSP}min {rest}{NBSP}s" if minutes else f"{rest}{NBSP}s"


def listing(items: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
