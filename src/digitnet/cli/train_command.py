"""``digitnet train``, ``evaluate``, ``report`` and ``export``: from settings to a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet.cli.console import Output, say, show, show_json, show_rows, show_values
from digitnet.cli.flags import Places
from digitnet.errors import IntegrityError, UsageError
from digitnet.files import hold_lock
from digitnet.network.config import TrainConfig, read_toml
from digitnet.network.recipes import DESCRIPTIONS, recipe
from digitnet.text import count_of, duration

if TYPE_CHECKING:
    from digitnet.training.ensemble_runs import EnsembleMetrics
    from digitnet.training.evaluation import Metrics
    from digitnet.training.runs import Run
    from digitnet.training.statistics import Summary

_RECIPES = "; ".join(f"{name}: {text}" for name, text in DESCRIPTIONS.items())
EPILOG = f"Recipes: {_RECIPES}."


def train(
    *,
    recipe_name: str | None = None,
    data: str | None = None,
    config: Path | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    members: int | None = None,
    no_augment: bool = False,
    no_report: bool = False,
    where: Places,
    output: Output,
    **settings: Any,
) -> None:
    """Train a network, evaluate it, and write the report.

    Args:
        recipe_name (--recipe NAME): Settings to start from; see below.
        data (NAME_OR_DIR): Data set: mnist, sample (no network), another of `digitnet data list`,
            or a folder with one subfolder of pictures for each class.
        config (FILE): TOML file of settings; flags win over it.
        out (DIR): Folder of the run; default: runs/….
        resume (DIR): Continue this run, or ensemble, where it stopped; with more --epochs, extend
            a run.
        members (N): Train an ensemble instead: N networks with consecutive seeds, which answer as
            one.
        no_augment (--no-augment): Switch every distortion off.
        no_report (--no-report): Draw no figures and write no page.
    """
    if resume and (out or config or recipe_name or members):
        raise UsageError(
            "--resume takes its settings from the run; leave out --out, --config, --recipe and "
            "--members."
        )
    if data:
        settings = {"data": data, **settings}
    if no_augment:
        settings = dict.fromkeys(TrainConfig().as_dict()["augmentation"], 0.0) | settings
    # Before torch is loaded, which takes seconds that a wrong flag need not cost.
    start = None if resume else _start(recipe_name, config).override(**settings)
    how: Any = {"progress": not output.quiet, "on_message": output.note, **where}
    if resume and _holds_ensemble(resume):
        from digitnet.training.ensemble_runs import resume_ensemble

        _finish_ensemble(resume_ensemble(resume, **how, **settings), no_report, where, output)
        return
    if start and members is not None:
        from digitnet.training.ensemble_runs import train_ensemble

        folder = train_ensemble(start, members, out=out, **how)
        _finish_ensemble(folder, no_report, where, output)
        return
    from digitnet.training.calibration import export_or_note
    from digitnet.training.run_evaluation import measure_trained
    from digitnet.training.run_training import continue_training, run_training
    from digitnet.training.trained import Options

    options = Options(**how)
    if resume:
        trained = continue_training(resume, options, **settings)
    elif start:
        trained = run_training(start, out, options)
    with hold_lock(trained.run.path):
        measure_trained(trained, where["device"])
        if not (no_report or trained.config.lines):
            from digitnet.showing.report import report_trained

            report_trained(trained)
        export_or_note(trained, where["data_dir"], say)
    _show_result(trained.run, output.as_json)


def evaluate(
    runs: list[Path], *, members: int | None = None, where: Places, output: Output
) -> None:
    """Measure the network of a run again, on test images or pages.

    Several networks are measured each alone and as one.

    Args:
        runs (RUN...): A run folder, or that of an ensemble. Several runs that differ in the seed
            only are taken for an ensemble.
        members (N): Take each N runs, in their order, for an ensemble; default: all for one.
    """
    from digitnet.training import run_evaluation
    from digitnet.training.runs import open_run

    if len(runs) > 1 or members is not None or _holds_ensemble(runs[0]):
        from digitnet.training.ensemble_runs import evaluate_ensemble

        several = runs if len(runs) > 1 else runs[0]
        _show_ensemble(
            evaluate_ensemble(several, members, on_message=output.note, **where), output.as_json
        )
        return
    opened = open_run(runs[0])
    if opened.config.is_stream:
        places = {name: value for name, value in where.items() if name != "device"}
        measure = (
            run_evaluation.evaluate_finder if opened.config.pages else run_evaluation.evaluate_lines
        )
        measure(opened, on_message=output.note, **places)
    else:
        run_evaluation.evaluate(opened, on_message=output.note, **where)
    _show_result(opened, output.as_json)


def report(run: Path, *, open_page: bool = False, places: Places, as_json: bool = False) -> None:
    """Draw the figures of a run and write its report page.

    Args:
        run (RUN): A run folder, or that of an ensemble.
        open_page (--open): Show it in the browser.
    """
    import webbrowser

    from digitnet.showing.report import write_report

    page = write_report(run, **places)
    if as_json:
        show_json({"run": str(run), "report": str(page)})
    else:
        show(str(page))
    if open_page and not webbrowser.open(page.resolve().as_uri()):
        say(f"No browser could be started; open {page} yourself.")


def export(
    runs: list[Path],
    *,
    finder: Path | None = None,
    half: bool = False,
    network_only: bool = False,
    out: Path | None = None,
    places: Places,
    as_json: bool = False,
) -> None:
    """Write the network of a run as one calibrated ONNX file.

    Any runtime can run it. It takes a page or ink of any size and holds every step from there to
    the answer: a finder, and a network that reads what it finds. A finder's run is exported with
    the network that comes with digitnet. With --network-only, it takes images of 28×28 pixels from
    0 to 1, bright strokes on 0, as MNIST stores them, and holds nothing but the network, for
    programs of your own. A line reader is written alone, in half precision. The file is written
    only if ONNX Runtime's answers agree with PyTorch's: to 1e-4, in half precision to 0.02.

    Args:
        runs (RUN...): A run folder, or that of an ensemble. Several runs that differ in the seed
            only are exported as one network.
        finder (RUN_OR_FILE): The finder in it: a finder's run, or its model.safetensors; default:
            the one that comes with digitnet.
        half: Keep the weights in half precision, in half the bytes.
        network_only (--network-only): Write the network alone, from images to probabilities: no
            finder, nothing is refused, and digitnet itself does not read with it.
        out (FILE): The file; default: model.onnx in RUN, if it is one; network.onnx with
            --network-only, lines.onnx of a line reader.
    """
    from digitnet.training.calibration import export_run

    named = runs if len(runs) > 1 else runs[0]
    how: dict[str, Any] = {"finder": finder, "half": half, "network_only": network_only}
    exported = export_run(named, out, **how, **places)
    numbers = vars(exported.calibration) if exported.calibration else {}
    if network_only:
        numbers = {"temperature": numbers["temperature"]}
    result = {
        "file": str(exported.path),
        "bytes": exported.bytes,
        "largest_difference": exported.largest_difference,
        **numbers,
    }
    (show_json if as_json else show_values)(result)


def _start(recipe_name: str | None, file: Path | None) -> TrainConfig:
    """Return the settings before flags: a recipe, named by flag or file, changed by the file."""
    values = read_toml(file) if file else {}
    named = str(values.pop("recipe", "reference"))
    return TrainConfig.from_dict(values, base=recipe(recipe_name or named))


def _holds_ensemble(folder: Path) -> bool:
    from digitnet.training.runs import Run

    return Run(folder).is_ensemble


def _finish_ensemble(folder: Path, no_report: bool, where: Places, output: Output) -> None:
    """Do with an ensemble what is done with a run when it is trained."""
    from digitnet.training.calibration import export_members
    from digitnet.training.ensemble_runs import as_one, measure_members, open_members
    from digitnet.training.runs import Run
    from digitnet.training.trained import Options

    opened = open_members(folder, Options(**where))
    with hold_lock(folder):
        metrics = measure_members(Run(folder), opened, where["device"])
        if not no_report:
            from digitnet.showing.report import report_trained

            report_trained(as_one(Run(folder), opened))
        try:
            export_members(folder, opened, data_dir=where["data_dir"])
        except IntegrityError as error:
            say(f"No model.onnx: {error}")
    _show_ensemble(metrics, output.as_json)


def _show_ensemble(metrics: EnsembleMetrics, as_json: bool) -> None:
    if as_json:
        show_json(metrics.as_dict())
        return
    names = [f"seed {seed}" for seed in metrics.seeds]
    names += [f"seeds {', '.join(map(str, seeds))}" for seeds in metrics.groups]
    each = zip(names, (*metrics.members, *metrics.ensembles), strict=True)
    head = ("", "accuracy", "misses", "undisputed", "loss", "calibration error")
    show_rows([head, *((name, *_figures(one)) for name, one in each)])
    show("")
    rows = [("alone", _summary(metrics.alone)), ("together", _summary(metrics.together))]
    show_rows([*rows, *([("run", metrics.folder)] if metrics.folder else [])])


def _figures(metrics: Metrics) -> tuple[str, ...]:
    undisputed = metrics.undisputed
    return (
        f"{metrics.accuracy:.2%}",
        f"{metrics.misses:,}",
        f"{undisputed.accuracy:.2%}" if undisputed else "–",
        f"{metrics.loss:.4f}",
        f"{metrics.expected_calibration_error:.4f}",
    )


def _summary(of: Summary) -> str:
    if of.count == 1:
        return f"{of.mean:.2%}"
    spread = f"sd {of.sd:.3%}, {of.low:.2%} to {of.high:.2%}"
    return f"{of.mean:.3%} on average of {of.count}, {spread}"


def _show_result(run: Run, as_json: bool) -> None:
    metrics = run.metrics
    if as_json:
        show_json(metrics)
        return
    rows = [
        ("run", str(run.path)),
        *_told_of(run)(metrics),
        ("parameters", f"{metrics['parameters']:,}"),
        ("training", f"{count_of(metrics['epochs'], 'epoch')} in {duration(metrics['seconds'])}"),
    ]
    if run.report_file.is_file():
        rows.append(("report", str(run.report_file)))
    show_rows(rows)


def _told_of(run: Run) -> Callable[[dict[str, Any]], list[tuple[str, str]]]:
    if run.config.lines:
        return _read_lines
    return _found if run.config.pages else _read


def _read_lines(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is told of a line reader."""
    exactly = f"{metrics['lines_exact']:.2%}  {_interval(metrics['test'])}"
    return [("lines right", exactly), ("of", f"{metrics['test']['lines']:,}")]


def _read(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is told of a network that reads."""
    test = metrics["test"]
    return [
        ("test accuracy", f"{test['accuracy']:.2%}  {_interval(test)}"),
        ("misses", f"{test['misses']} of {test['images']:,}"),
        ("test loss", f"{test['loss']:.4f}"),
        ("val accuracy", f"{metrics['val_accuracy']:.2%}"),
        ("calibration error", f"{test['expected_calibration_error']:.4f}"),
    ]


def _found(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is told of a finder."""
    total = metrics["test"]["total"]
    return [
        ("pages right", f"{metrics['pages_exact']:.2%}  {_interval(metrics['test'])}"),
        ("signs found", f"{metrics['signs_found']:.2%} of {total['signs']:,}"),
        ("taken for another kind", f"{total['as_other']:,}"),
        ("missed", f"{total['missed']:,}"),
        ("found where none is", f"{total['extra']:,}"),
    ]


def _interval(test: dict[str, Any]) -> str:
    low, high = test["interval"]
    return f"({low:.2%} to {high:.2%} with 95 % confidence)"
