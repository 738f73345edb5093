"""``digitnet bench``: measuring what digitnet promises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitnet import extras
from digitnet.cli.console import notes, say, show, show_json
from digitnet.cli.options import DataDir, Json, Offline, Quiet
from digitnet.errors import UsageError

if TYPE_CHECKING:
    from digitnet.experiments.robustness.results import Results

_WIDTH = 120  # columns of a table that no terminal limits

app = typer.Typer(help="Measure the recogniser.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _bench() -> None:
    """Measure the recogniser."""


@app.command()
def robustness(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH", help="Your own sets: .npz files, or folders of folders 0 to 9."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Model file or run folder; default: the shipped one."),
    ] = None,
    plain: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Run of a plain CNN to compare with (recipe plain)."),
    ] = None,
    data: Annotated[
        str, typer.Option(metavar="NAME", help="Data set: mnist, or sample (no network).")
    ] = "mnist",
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="Use the first N test images only.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Measure this set or group only; can be repeated. Groups: mnist, "
            "other_hands, photographs, corruptions, corruptions_found, non_digits, own.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="With PATHs, measure the built-in sets as well.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything drawn.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write robustness.json and .png there.")
    ] = None,
    misses: Annotated[
        bool, typer.Option("--misses", help="Draw what was misread, to DIR/misses.")
    ] = False,
    data_dir: DataDir = None,
    offline: Offline = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how well pictures of all kinds are read, beside a plain CNN.

    Without PATHs, all built-in sets, made of MNIST's test images: ten minutes and more. With
    PATHs, those.
    """
    if misses and not out:
        raise UsageError("--misses needs --out, the folder to draw what was misread in.")
    with extras.needed():
        from digitnet.experiments.robustness import workflow
        from digitnet.reading.recognizer import Recognizer
    recognizer = Recognizer(model)
    results = workflow.bench(
        recognizer,
        paths or [],
        plain=plain,
        data=data,
        limit=limit,
        only=only or [],
        everything=everything,
        seed=seed,
        misses=out / "misses" if out and misses else None,
        about={
            "model": str(model) if model else "shipped",
            "model_sha256": recognizer.sha256,
        },
        on_message=notes(quiet),
        data_dir=data_dir,
        offline=offline,
    )
    for file in workflow.write(results, out) if out else []:
        if not quiet:
            say(f"wrote {file}")
    if as_json:
        show_json(workflow.as_json(results))
    else:
        _show(results)


def _show(results: Results) -> None:
    from rich.console import Console

    from digitnet.experiments.robustness.table import remarks, tables

    console = Console(highlight=False)
    if not console.is_terminal:
        # Rich takes what is not a terminal for 80 columns wide, and would cut figures off.
        console.width = _WIDTH
    for table in tables(results):
        console.print(table)
        console.print()
    for line in remarks(results):
        show(line)
