"""The report of a finder's run: what it finds on pages, what it misses, and how it learned.

Guarantees: as for the report of a network that reads (``report``); no page is picked by hand: shown
are the first test page of each kind, and the first ones on which something is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from digitnet.files import make_folder, write_atomic
from digitnet.showing.charts import learning_curves
from digitnet.showing.pages import render
from digitnet.showing.report_facts import ending, read_summary
from digitnet.showing.report_figures import tiny_png
from digitnet.showing.theme import LIGHT, drawn
from digitnet.synthesis.page_scenes import Page
from digitnet.training.finder_evaluation import (
    FinderMetrics,
    Look,
    evaluation_maker,
    evaluation_page,
    look_at,
)
from digitnet.training.trained import Trained

_MOST_FAILURES = 8
# Pixels of a drawing for each of the page, width of a box's line and length of its dashes.
_ZOOM, _LINE, _DASH = 2, 2, 6
# Shades in a picture of a page: noise takes most of its bytes.
_SHADES = 48
# What the kinds of pages show.
LAYOUT_NAMES = {
    "anywhere": "one digit anywhere",
    "tight": "one digit that fills the page",
    "row": "a number",
    "rows": "numbers on several lines",
    "note": "a date, an amount, a sum",
    "scattered": "digits here and there",
    "cell": "a printed box",
    "field": "a number in one box",
    "comb": "a row of printed boxes",
    "grid": "a grid",
    "table": "a table",
    "clutter": "no digit at all",
}


@dataclass(frozen=True)
class ShownPage:
    """A page in a report: the page with boxes, and its ink as the finder sees it."""

    number: int
    layout: str
    signs: int
    found: int
    as_other: int
    missed: int
    extra: int
    png: bytes


def compose_finder(trained: Trained, record: dict[str, Any]) -> str:
    """Draw the figures of a finder's run, save them, and return the page.

    Args:
        trained: the run, which must be evaluated.
        record: what lets others check and repeat it.

    Raises:
        InputError: it is not evaluated, or was before it was trained on.
        StorageError: a figure cannot be written.
    """
    summary = read_summary(trained, ("parameters", "epochs", "seconds"))
    metrics = FinderMetrics.from_dict(summary["test"])
    history, folder = trained.run.history, make_folder(trained.run.figures)
    examples, failures = _shown_pages(trained, metrics)
    curves = None
    if history:
        names = "Pages right", "Loss"
        curves = drawn(lambda: learning_curves(history, names))
        write_atomic(folder / "learning_curves.png", curves.wide)
    for page in (*examples, *failures):
        write_atomic(folder / f"page_{page.number:03d}.png", page.png)
    return render(
        "finder_report.html",
        run_path=str(trained.run.path),
        config=trained.config,
        summary=summary,
        metrics=metrics,
        history=history,
        ending=ending(history, trained.config),
        names=LAYOUT_NAMES,
        curves=curves,
        examples=examples,
        failures=failures,
        tuning=None,
        **record,
    )


def _shown_pages(
    trained: Trained, metrics: FinderMetrics
) -> tuple[list[ShownPage], list[ShownPage]]:
    """Return the first page of each kind, and the first others on which something is wrong."""
    maker = evaluation_maker(trained.dataset)
    first: dict[str, ShownPage] = {}
    for number in range(metrics.total.pages):
        layout, page = evaluation_page(maker, number)
        if layout not in first:
            first[layout] = _shown(number, layout, page, look_at(trained.finder, page))
        if len(first) == len(metrics.layouts):
            break
    known = {page.number for page in first.values()}
    wrong = [number for number in metrics.inexact if number not in known][:_MOST_FAILURES]
    failures = []
    for number in wrong:
        layout, page = evaluation_page(maker, number)
        failures.append(_shown(number, layout, page, look_at(trained.finder, page)))
    return [first[row.name] for row in metrics.layouts], failures


def _shown(number: int, layout: str, page: Page, look: Look) -> ShownPage:
    missed, other = int((look.match < 0).sum()), int(look.as_other.sum())
    return ShownPage(
        number=number,
        layout=layout,
        signs=len(page.labels),
        found=len(page.labels) - missed - other,
        as_other=other,
        missed=missed,
        extra=look.extra,
        png=page_png(page, look),
    )


def page_png(page: Page, look: Look) -> bytes:
    """Return a page with what was found on it, and beside or below it its ink.

    Blue boxes are right, dashed where the sign is no digit; orange ones are wrong, crossed out
    where no sign is, and dotted where one was missed. Ink of signs is blue, clutter is grey.
    """
    size = tuple(_ZOOM * side for side in page.grey.shape[::-1])
    left = Image.fromarray(page.grey).quantize(_SHADES).convert("RGB")
    left = left.resize(size, Image.Resampling.NEAREST)
    _draw_boxes(ImageDraw.Draw(left), page, look)
    right = _ink_map(look.strokes).resize(size, Image.Resampling.NEAREST)
    beside = size[0] <= 1.2 * size[1]
    step = (size[0] + 2 * _ZOOM, 0) if beside else (0, size[1] + 2 * _ZOOM)
    both = Image.new("RGB", (size[0] + step[0], size[1] + step[1]), LIGHT.page)
    both.paste(left, (0, 0))
    both.paste(right, step)
    return tiny_png(np.asarray(both))


def _draw_boxes(pen: ImageDraw.ImageDraw, page: Page, look: Look) -> None:
    sign_of = {int(found): sign for sign, found in enumerate(look.match) if found >= 0}
    for found, box in enumerate(look.boxes):
        sign = sign_of.get(found)
        colour = LIGHT.blue if sign is not None and not look.as_other[sign] else LIGHT.orange
        _draw_box(pen, box, colour, 0 if look.is_digit[found] else _DASH)
        if sign is None:
            pen.line([*(_ZOOM * box)], colour, _LINE)
    for missed in np.flatnonzero(look.match < 0):
        _draw_box(pen, page.boxes[missed], LIGHT.orange, _LINE)


def _draw_box(pen: ImageDraw.ImageDraw, box: NDArray[np.float32], colour: str, dash: int) -> None:
    """Draw a box, given in pixels of the page; ``dash`` 0 draws whole lines."""
    left, top, right, bottom = (round(_ZOOM * float(edge)) for edge in box)
    if not dash:
        pen.rectangle((left, top, right, bottom), outline=colour, width=_LINE)
        return
    for x in range(left, right, 2 * dash):
        for y in (top, bottom):
            pen.line((x, y, min(x + dash, right), y), colour, _LINE)
    for y in range(top, bottom, 2 * dash):
        for x in (left, right):
            pen.line((x, y, x, min(y + dash, bottom)), colour, _LINE)


def _ink_map(strokes: NDArray[np.float32]) -> Image.Image:
    """Return ink of signs in blue and clutter in grey, (2, H, W), on white."""
    colours = [ImageColor.getrgb(each) for each in (LIGHT.blue, LIGHT.muted)]
    picture = np.full((*strokes.shape[1:], 3), 255.0)
    for ink, colour in zip(strokes[::-1, ..., None], colours[::-1], strict=True):
        picture += ink * (np.array(colour) - picture)
    # Few shades: what the eye cannot tell apart takes bytes.
    return Image.fromarray((np.rint(picture / 17) * 17).astype(np.uint8))
