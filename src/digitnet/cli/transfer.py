"""``digitnet transfer``: a trained network learns another task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from digitnet import extras
from digitnet.cli.console import notes, say, show_json, show_rows
from digitnet.cli.exporting import export_or_say
from digitnet.cli.options import DataDir, Json, Offline, Quiet
from digitnet.errors import UsageError
from digitnet.files import hold_lock

if TYPE_CHECKING:
    from digitnet.experiments.transfer.results import Repetition, Results

EPILOG = "Start with: digitnet transfer --to FOLDER --fast, with a subfolder of pictures a class."


def transfer(
    to: Annotated[
        str,
        typer.Option(
            metavar="DATA", help="What to learn: a data set, or a folder with a subfolder a class."
        ),
    ],
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="A run folder, a model.safetensors, or digitnet for the shipped network.",
        ),
    ] = "digitnet",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for everything; default: runs/transfer-…."),
    ] = None,
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Tune one network and compare nothing: seconds, not minutes."),
    ] = False,
    labels: Annotated[
        str,
        typer.Option(
            metavar="N,…",
            help="Labels of each class to compare with; those there are not are left.",
        ),
    ] = "10,30,100,300,1000,all",
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help="Compare these only: zero-shot, probe, head, all, scratch.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Repetitions, each with other images.")] = 3,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="Way of the network to keep: all, head or scratch.")
    ] = "all",
    use: Annotated[
        str, typer.Option(metavar="N", help="Labels of each class that the kept network gets.")
    ] = "all",
    seed: Annotated[int, typer.Option(help="Seed of the kept network and of its images.")] = 0,
    replay: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of each batch that shows the old task again, to keep it; default: 0.4, "
            "with --crops 0.2.",
            show_default=False,
        ),
    ] = None,
    old_data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The old task's data; default: the model's, if at hand offline."
        ),
    ] = None,
    crops: Annotated[
        bool,
        typer.Option("--crops", help="Pictures are cut from rows of writing; neighbours show."),
    ] = False,
    steps: Annotated[
        int, typer.Option(help="Updates of the weights; 0: the number of images decides.")
    ] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes one a core.")] = 0,
    data_dir: DataDir = None,
    offline: Offline = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Teach a trained network another task, beside other ways to learn it.

    Every way learns from the same images; test images choose nothing. Stop it at any time; with
    --out, the same command goes on where it stopped.
    """
    from digitnet.experiments.transfer.budgets import parse_budgets
    from digitnet.experiments.transfer.methods import METHODS, TransferConfig

    names: Any = tuple(part.strip() for part in methods.split(",")) if methods else METHODS
    # Before torch is loaded, which takes seconds that a wrong flag need not cost.
    config = TransferConfig(
        methods=names,
        labels=parse_budgets(labels, "--labels"),
        seeds=seeds,
        replay=replay,
        steps=steps,
        crops=crops,
        threads=threads,
    )
    kept = parse_budgets(use, "--use")
    if len(kept) != 1:
        raise UsageError(f"--use cannot be {use!r}; allowed: one number, or 'all'.")
    with extras.needed():
        from digitnet.experiments.transfer import workflow
    chosen: Any = method
    folder, results = workflow.transfer(
        to,
        source,
        config,
        out=out,
        method=chosen,
        labels=kept[0],
        seed=seed,
        comparison=not fast,
        old_data=old_data,
        data_dir=data_dir,
        offline=offline,
        on_message=notes(quiet),
        on_repetition=(lambda _: None) if quiet else _tell,
    )
    if not (folder / "model" / "model.onnx").is_file():
        from digitnet.training.trained import open_trained

        with hold_lock(folder / "model"):
            trained = open_trained(folder / "model", data_dir=data_dir, offline=offline)
            export_or_say(trained, data_dir)
    if as_json:
        show_json({**results.as_dict(), "folder": str(folder)})
    else:
        _show(results, folder)


def _tell(repetition: Repetition) -> None:
    from digitnet.experiments.transfer.budgets import budget_name

    told = f"{budget_name(repetition.labels)} a class, seed {repetition.seed}"
    where = "no labels" if repetition.method == "zero-shot" else told
    say(f"{repetition.method}, {where}: {repetition.accuracy:.2%}, {repetition.seconds:.1f} s")


def _show(results: Results, folder: Path) -> None:
    from digitnet.experiments.transfer.budgets import budget_name

    rows = [("way", "labels a class", "accuracy", "95 % interval", "seconds")]
    for each in results.summaries():
        labels = "none" if each.method == "zero-shot" else budget_name(each.labels)
        interval = f"{each.low:.2%} to {each.high:.2%}"
        rows.append((each.method, labels, f"{each.accuracy:.2%}", interval, f"{each.seconds:.1f}"))
    if len(rows) > 1:
        show_rows(rows)
    final = results.final
    assert final is not None, "transfer always keeps a network"
    low, high = final["test"]["interval"]
    about = [
        ("test accuracy", f"{final['test']['accuracy']:.2%}  ({low:.2%} to {high:.2%})"),
        ("learnt from", f"{final['images']:,} images in {final['seconds']:.1f} s"),
    ]
    if final["old_accuracy_before"] is not None:
        before, after = final["old_accuracy_before"], final["old_accuracy_after"]
        about.append((f"accuracy on {final['old_data']}", f"{after:.2%}, was {before:.2%}"))
    about += [("model", str(folder / "model")), ("report", str(folder / "report.html"))]
    show_rows(about)
