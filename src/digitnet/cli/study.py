"""``digitnet study``: variants of a recipe, several seeds, one comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from digitnet.cli.console import show, show_json, show_rows
from digitnet.cli.options import DataDir, Json, Offline, Quiet
from digitnet.errors import UsageError

if TYPE_CHECKING:
    from digitnet.experiments.study.definition import Study
    from digitnet.experiments.study.study_results import StudyResults

EPILOG = "Start with: digitnet study --list, or digitnet study sample"

_WIDTH = 160  # columns of a table that no terminal limits


def study(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[STUDY]", help="A .toml file, or the name of a shipped study."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the study; default: studies/NAME."),
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="What runs it: local, or ray for a cluster.")
    ] = "local",
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Runs at a time; default: one a core. The cores are divided among them.",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="With --engine ray, the cluster to join."),
    ] = None,
    shipped: Annotated[
        bool, typer.Option("--list", help="Show the shipped studies and what they cost.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be trained, and train nothing.")
    ] = False,
    data_dir: DataDir = None,
    offline: Offline = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train variants of a recipe with several seeds each, and compare them.

    Stop it at any time; the same command goes on where it stopped.
    """
    from digitnet.cli.study_progress import study_progress
    from digitnet.experiments.study.definition import load_study
    from digitnet.experiments.study.study_run import places_for, run_study
    from digitnet.experiments.study.trials import trials

    if shipped:
        _show_shipped(as_json)
        return
    if not source:
        raise UsageError("Name a study, or a .toml file; --list shows the shipped ones.")
    if address and engine != "ray":
        raise UsageError("--address is of a Ray cluster; it needs --engine ray.")
    asked = load_study(source)
    folder = out or asked.default_folder
    if dry_run:
        _show_plan(asked, folder, engine, processes, address, as_json)
        return
    places = places_for(asked, folder, engine, processes, address)
    planned = trials(asked, folder, threads=places.threads)
    with study_progress(planned, places.processes or 1, quiet) as on_event:
        results = run_study(
            asked,
            folder,
            engine=engine,
            processes=processes,
            address=address,
            data_dir=data_dir,
            offline=offline,
            on_event=on_event,
        )
    if as_json:
        show_json(results.as_dict())
    else:
        _show(results, folder)


def _show_shipped(as_json: bool) -> None:
    from digitnet.experiments.study.definition import shipped_studies

    studies = shipped_studies()
    if as_json:
        rows = [
            {
                "name": each.name,
                "title": each.title,
                "question": each.question,
                "cost": each.cost,
                "runs": len(each.variants) * len(each.seeds),
            }
            for each in studies
        ]
        show_json({"studies": rows})
        return
    for each in studies:
        runs = f"{len(each.variants)} variants × {len(each.seeds)} seeds"
        show(f"{each.name}: {each.question}")
        show(f"    {runs}, {each.cost}")


def _show_plan(
    asked: Study,
    folder: Path,
    engine: str,
    processes: int | None,
    address: str | None,
    as_json: bool,
) -> None:
    """Say what would be trained, and what is there already."""
    from digitnet.data.datasets.loading import check_name
    from digitnet.experiments.study.folder import check
    from digitnet.experiments.study.study_run import places_for
    from digitnet.experiments.study.trials import is_finished, trials

    for name in (asked.data, *asked.test_on):
        check_name(name)
    check(asked, folder)
    places = places_for(asked, folder, engine, processes, address)
    planned = trials(asked, folder, threads=places.threads)
    done = {trial.folder for trial in planned if is_finished(trial)}
    if as_json:
        rows = [
            {
                "variant": trial.variant,
                "seed": trial.seed,
                "folder": str(trial.folder),
                "finished": trial.folder in done,
                "config": trial.config.as_dict(),
            }
            for trial in planned
        ]
        at_once = {"processes": places.processes, "threads": places.threads}
        show_json({"study": asked.name, "folder": str(folder), **at_once, "trials": rows})
        return
    show(f"{asked.title}: {asked.question}")
    show(
        f"{len(planned)} runs in {folder}, {len(done)} of them finished; "
        f"{places.processes or 'as many as fit'} at a time, threads of each: {places.threads}."
    )
    rows_shown = [("variant", "seeds", "finished", "epochs", "note")]
    for variant in asked.variants:
        own = sum(trial.folder in done for trial in planned if trial.variant == variant.name)
        seeds = ", ".join(map(str, asked.seeds))
        epochs = str(variant.config.epochs)
        rows_shown.append(
            (variant.name, seeds, f"{own} of {len(asked.seeds)}", epochs, variant.note)
        )
    show_rows(rows_shown)


def _show(results: StudyResults, folder: Path) -> None:
    from rich.console import Console

    from digitnet.experiments.study.study_results import headline
    from digitnet.experiments.study.table import accuracy_table, comparison_table, cost_table

    console = Console(highlight=False)
    if not console.is_terminal:
        # Rich takes what is not a terminal for 80 columns wide, and would cut figures off.
        console.width = _WIDTH
    console.print(accuracy_table(results))
    console.print()
    console.print(cost_table(results))
    for data in results.test_sets:
        console.print()
        console.print(comparison_table(results, data))
    show("\nAccuracies in percent: mean ± standard deviation over seeds; p is corrected (Holm).")
    show(headline(results))
    show(f"page: {folder / 'report.html'}")
