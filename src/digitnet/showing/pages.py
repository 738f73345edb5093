"""Pages written from the templates in ``templates/``: reports of runs, studies and transfers.

Guarantees:

- A page is complete in itself: no script, nothing loaded from anywhere, style and figures inside.
- Whatever a template is given is escaped; a name that it is not given is an error, never a blank.
- The same context gives the same bytes.
- It fits a phone, a wide screen, a dark one, and paper.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from digitnet.data.pins import credit_of
from digitnet.showing.theme import LIGHT
from digitnet.text import count_of, duration, listing, percent, points, share

NBSP = "\N{NO-BREAK SPACE}"


def render(template: str, **context: object) -> str:
    """Return the page that a template makes of its context.

    Args:
        template: a file in ``templates/``, such as ``report.html``.
        **context: everything that the template names.

    Raises:
        jinja2.UndefinedError: the template names what the context does not hold.
    """
    return _environment().get_template(template).render(**context)


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("digitnet.showing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.do"],
    )
    environment.globals.update(colours=asdict(LIGHT))
    for write in (percent, share, points, count_of, duration):
        environment.filters[write.__name__] = _unbroken(write)
    for use in (listing, data_uri, plain_value, png_size, word_anchor):
        environment.filters[use.__name__] = use
    environment.filters["grouped"] = "{:,}".format
    environment.filters["credit"] = credit_of
    return environment


def _unbroken(write: Callable[..., str]) -> Callable[..., str]:
    """Return ``write`` with its spaces kept at one line: a number stays with its unit."""
    return lambda *values, **options: write(*values, **options).replace(" ", NBSP)


def data_uri(png: bytes) -> str:
    """Return a PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def png_size(png: bytes) -> tuple[int, int]:
    """Return width and height of a PNG, which stand at a fixed place in it."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def word_anchor(word: str) -> str:
    """Return the anchor of a word in the glossary."""
    return "word-" + "".join(c if c.isalnum() else "-" for c in word.lower())


def plain_value(value: Any) -> str:
    """Return the value of a setting, or of the environment, as people read it."""
    if value is None:
        return "unknown"
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items() if part is not None)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
