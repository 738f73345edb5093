"""``digitnet study`` and ``transfer``: experiments, from flags to tables."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet.cli.console import Output, is_terminal, say, show, show_json, show_rows, show_tables
from digitnet.cli.flags import Places
from digitnet.errors import UsageError
from digitnet.text import duration

if TYPE_CHECKING:
    from digitnet.experiments.study.definition import Study
    from digitnet.experiments.study.study_results import StudyResults
    from digitnet.experiments.study.study_run import StudyPlan
    from digitnet.experiments.study.trials import Event, Listener, Trial
    from digitnet.experiments.transfer_results import Repetition, TransferResults

# Time left is estimated from all that was seen, not from the last half minute.
_ONE_DAY = 86_400.0

STUDY_EPILOG = "Start with: digitnet study --list, or digitnet study sample"
TRANSFER_EPILOG = (
    "Start with: digitnet transfer --to FOLDER --fast, with one subfolder of pictures for each "
    "class."
)


def study(
    source: str | None = None,
    *,
    out: Path | None = None,
    engine: str = "local",
    processes: int | None = None,
    address: str | None = None,
    shipped: bool = False,
    dry_run: bool = False,
    where: Places,
    output: Output,
) -> None:
    """Compare variants of a recipe, each trained with several seeds.

    Stop it at any time; the same command continues where it stopped.

    Args:
        source ([STUDY]): A .toml file, or the name of a shipped study.
        out (DIR): Folder of the study; default: studies/NAME.
        engine (NAME): What runs it: local, or ray for a cluster.
        processes (N): Runs at a time; default: one a core. The cores are divided among them.
        address (ADDRESS): With --engine ray, the cluster to join.
        shipped (--list): Show the shipped studies and what they cost.
        dry_run (--dry-run): Show what would be trained, and train nothing.
    """
    from digitnet.experiments.study.definition import load_study
    from digitnet.experiments.study.study_run import plan_study, run_study

    if shipped:
        _show_shipped(output.as_json)
        return
    if not source:
        raise UsageError("Name a study, or a .toml file; --list shows the shipped ones.")
    if address and engine != "ray":
        raise UsageError("--address names a Ray cluster; it needs --engine ray.")
    asked = load_study(source)
    folder = out or asked.default_folder
    how: Any = {"engine": engine, "processes": processes, "address": address}
    plan = plan_study(asked, folder, **how)
    if dry_run:
        _show_plan(asked, folder, plan, output.as_json)
        return
    with show_trials(plan.trials, output.quiet) as on_event:
        results = run_study(asked, folder, on_event=on_event, **how, **where)
    if output.as_json:
        show_json(results.as_dict())
    else:
        _show_study(results, folder)


def transfer(
    *,
    to: str,
    source: str = "digitnet",
    out: Path | None = None,
    fast: bool = False,
    labels: str = "10,30,100,300,1000,all",
    methods: str | None = None,
    seeds: int = 3,
    method: str = "all",
    use: str = "all",
    seed: int = 0,
    replay: float | None = None,
    old_data: str | None = None,
    crops: bool = False,
    steps: int = 0,
    threads: int = 0,
    where: Places,
    output: Output,
) -> None:
    """Teach a trained network another task; compare ways to learn it.

    Every way learns from the same images; test images choose nothing. Stop it at any time; with
    --out, the same command continues where it stopped.

    Args:
        to (DATA): What to learn: a data set, or a folder with one subfolder for each class.
        source (--from MODEL): A run folder, a model.safetensors, or digitnet for the shipped
            network.
        out (DIR): Folder for everything; default: runs/transfer-….
        fast (--fast): Tune one network and compare nothing: seconds, not minutes.
        labels (N,…): Labels of each class to compare with; larger numbers than there are images
            are left out.
        methods (NAME,…): Compare these only: zero-shot, probe, head, all, scratch.
        seeds (N): Repetitions, each with other images.
        method (NAME): How the network that is kept learns: all, head or scratch.
        use (N): Labels of each class that the kept network learns from.
        seed (N): Seed of the kept network and of its images.
        replay (SHARE): Share of each batch that shows the old task again, so that it is not
            forgotten; default: 0.4, with --crops 0.2.
        old_data (NAME): The old task's data; default: the model's, if available offline.
        crops (--crops): The pictures are cut from rows of writing; neighbours show.
        steps (N): Updates of the weights; 0: the number of images decides.
        threads (N): CPU threads; 0: one a core.
    """
    from digitnet.experiments.transfer_results import METHODS, TransferConfig, parse_budgets

    names: Any = [part.strip() for part in methods.split(",")] if methods else METHODS
    # Before torch is loaded, which takes seconds that a wrong flag need not cost.
    config = TransferConfig(
        methods=tuple(names),
        labels=parse_budgets(labels, "--labels"),
        seeds=seeds,
        replay=replay,
        steps=steps,
        crops=crops,
        threads=threads,
    )
    budgets = parse_budgets(use, "--use")
    if len(budgets) != 1:
        raise UsageError(f"--use cannot be {use!r}; allowed: one number, or 'all'.")
    from digitnet.experiments import transfer_run

    kept: Any = {"method": method, "labels": budgets[0], "seed": seed}
    folder, results = transfer_run.transfer(
        to,
        source,
        config,
        out=out,
        **kept,
        comparison=not fast,
        old_data=old_data,
        on_message=output.note,
        on_repetition=lambda repetition: output.note(_words(repetition)),
        progress=not output.quiet,
        **where,
    )
    if output.as_json:
        show_json({**results.as_dict(), "folder": str(folder)})
    else:
        _show_transfer(results, folder)


def _show_shipped(as_json: bool) -> None:
    from digitnet.experiments.study.definition import shipped_studies

    studies = shipped_studies()
    if as_json:
        shown = ("name", "title", "question", "cost")
        rows = [
            {name: getattr(each, name) for name in shown}
            | {"runs": len(each.variants) * len(each.seeds)}
            for each in studies
        ]
        show_json({"studies": rows})
        return
    for each in studies:
        show(f"{each.name}: {each.question}")
        show(f"    {len(each.variants)} variants × {len(each.seeds)} seeds, {each.cost}")


def _show_plan(asked: Study, folder: Path, plan: StudyPlan, as_json: bool) -> None:
    """Show what would be trained, and what is finished already."""
    from digitnet.data.catalogue import check_name
    from digitnet.experiments.study.trials import is_finished

    for name in (asked.data, *asked.test_on):
        check_name(name)
    if as_json:
        rows = [
            {
                "variant": trial.variant,
                "seed": trial.seed,
                "folder": str(trial.folder),
                "finished": is_finished(trial),
                "config": trial.config.as_dict(),
            }
            for trial in plan.trials
        ]
        at_once = {"processes": plan.processes, "threads": plan.threads}
        show_json({"study": asked.name, "folder": str(folder), **at_once, "trials": rows})
        return
    finished = Counter(trial.variant for trial in plan.trials if is_finished(trial))
    show(f"{asked.title}: {asked.question}")
    show(
        f"{len(plan.trials)} runs in {folder}, {finished.total()} of them finished; "
        f"{plan.processes or 'as many as fit'} at a time, threads of each: {plan.threads}."
    )
    seeds, number = ", ".join(map(str, asked.seeds)), len(asked.seeds)
    lines = [
        (v.name, seeds, f"{finished[v.name]} of {number}", str(v.config.epochs), v.note)
        for v in asked.variants
    ]
    show_rows([("variant", "seeds", "finished", "epochs", "note"), *lines])


def _show_study(results: StudyResults, folder: Path) -> None:
    from digitnet.experiments.study import study_results

    tables = [study_results.accuracy_rows(results), study_results.cost_rows(results)]
    tables += [study_results.comparison_rows(results, data) for data in results.test_sets]
    show_tables(map(study_results.terminal_table, tables))
    show("Accuracies in percent: mean ± standard deviation over seeds; p is corrected (Holm).")
    show(study_results.headline(results))
    show(f"page: {folder / 'report.html'}")


@contextlib.contextmanager
def show_trials(trials: Sequence[Trial], quiet: bool) -> Iterator[Listener]:
    """Show a line a run, and a bar as well on a terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn

    from digitnet.experiments.study.trials import is_finished

    if quiet:
        yield lambda _: None
        return
    # Epochs that are done, of each trial.
    done = {trial.folder: float(trial.config.epochs) for trial in trials if is_finished(trial)}
    over, total = set(done), len(trials)
    if over:
        say(f"{len(over)} of {total} runs are finished already")
    working: dict[Path, str] = {}
    with Progress(
        TextColumn("run {task.fields[runs]}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[state]}"),
        console=Console(stderr=True),
        transient=True,
        disable=not is_terminal(),
        speed_estimate_period=_ONE_DAY,
    ) as bars:
        epochs = sum(trial.config.epochs for trial in trials)
        task = bars.add_task("", total=epochs, runs=f"{len(over)}/{total}", state="")
        bars.update(task, completed=sum(done.values()))

        def listen(event: Event) -> None:
            folder = event.trial.folder
            if event.kind in ("started", "progress"):
                working[folder] = str(event.trial)
                done[folder] = max(event.done, done.get(folder, 0.0))
            elif event.kind != "note":
                working.pop(folder, None)
            if event.kind in ("finished", "failed"):
                over.add(folder)
                done[folder] = float(event.trial.config.epochs)
            runs = f"{len(over)}/{total}"
            bars.update(task, completed=sum(done.values()), runs=runs)
            seconds = bars.tasks[0].time_remaining
            # No finer than can be known.
            left = f"about {duration(max(seconds, 10.0))} left" if seconds else ""
            bars.update(task, state=escape("; ".join(working.values())) + f"  {left}")
            if event.kind == "finished":
                say(f"{runs}  {event.trial}: {_outcome(event.trial)}{left and f', {left}'}")
            elif event.message:
                prefix = f"{event.trial} failed: " if event.kind == "failed" else ""
                say(prefix + event.message)

        yield listen


def _outcome(trial: Trial) -> str:
    """Return how a trial ended, in a few words."""
    from digitnet.experiments.study.trials import outcome
    from digitnet.training.runs import Run

    ended = outcome(trial)
    if ended and ended["outcome"] == "diverged":
        return "diverged"
    return f"val accuracy {Run(trial.folder).metrics['val_accuracy']:.2%}"


def _words(repetition: Repetition) -> str:
    from digitnet.experiments.transfer_results import budget_name

    labels = f"{budget_name(repetition.labels)} a class, seed {repetition.seed}"
    learnt = "no labels" if repetition.method == "zero-shot" else labels
    return f"{repetition.method}, {learnt}: {repetition.accuracy:.2%}, {repetition.seconds:.1f} s"


def _show_transfer(results: TransferResults, folder: Path) -> None:
    from digitnet.experiments.transfer_results import budget_name

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
