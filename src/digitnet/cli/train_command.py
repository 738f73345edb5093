"""``digitnet train``, ``evaluate``, ``report`` and ``export``: from settings to a run folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet.cli.console import Output, say, show, show_json, show_rows, show_values
from digitnet.cli.flags import Places
from digitnet.errors import UsageError
from digitnet.files import hold_lock
from digitnet.network.config import TrainConfig, read_toml
from digitnet.network.recipes import DESCRIPTIONS, recipe
from digitnet.text import count_of, duration

if TYPE_CHECKING:
    from digitnet.training.runs import Run

_RECIPES = "; ".join(f"{name}: {text}" for name, text in DESCRIPTIONS.items())
EPILOG = f"Recipes: {_RECIPES}."


def train(
    *,
    recipe_name: str | None = None,
    data: str | None = None,
    config: Path | None = None,
    out: Path | None = None,
    resume: Path | None = None,
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
        resume (DIR): Continue this run where it stopped; with more --epochs, extend it.
        no_augment (--no-augment): Switch every distortion off.
        no_report (--no-report): Draw no figures and write no page.
    """
    if resume and (out or config or recipe_name):
        raise UsageError(
            "--resume takes its settings from the run; leave out --out, --config and --recipe."
        )
    if data:
        settings = {"data": data, **settings}
    if no_augment:
        settings = dict.fromkeys(TrainConfig().as_dict()["augmentation"], 0.0) | settings
    # Before torch is loaded, which takes seconds that a wrong flag need not cost.
    start = None if resume else _start(recipe_name, config).override(**settings)
    from digitnet.training.calibration import export_or_note
    from digitnet.training.trained import Options, continue_training, measure_trained, run_training

    options = Options(progress=not output.quiet, on_message=output.note, **where)
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


def evaluate(run: Path, *, where: Places, output: Output) -> None:
    """Measure the network of a run again, on test images or pages.

    Args:
        run (RUN): A run folder.
    """
    from digitnet.training import trained
    from digitnet.training.runs import open_run

    opened = open_run(run)
    if opened.config.is_stream:
        places = {name: value for name, value in where.items() if name != "device"}
        measure = trained.evaluate_finder if opened.config.pages else trained.evaluate_lines
        measure(opened, on_message=output.note, **places)
    else:
        trained.evaluate(opened, on_message=output.note, **where)
    _show_result(opened, output.as_json)


def report(run: Path, *, open_page: bool = False, places: Places, as_json: bool = False) -> None:
    """Draw the figures of a run and write its report page.

    Args:
        run (RUN): A run folder.
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
    run: Path,
    *,
    finder: Path | None = None,
    half: bool = False,
    out: Path | None = None,
    places: Places,
    as_json: bool = False,
) -> None:
    """Write the network of a run as one calibrated ONNX file.

    Any runtime can run it. It takes a page or ink of any size and holds every step from there to
    the answer: a finder, and a network that reads what it finds. A finder's run is exported with
    the network that comes with digitnet. The file is written only if ONNX Runtime's answers agree
    with PyTorch's to 1e-4.

    Args:
        run (RUN): A run folder.
        finder (RUN_OR_FILE): The finder in it: a finder's run, or its model.safetensors; default:
            the one that comes with digitnet.
        half: Keep the weights in half precision: half the size, and answers that agree to 0.02.
        out (FILE): The file; default: model.onnx in RUN.
    """
    from digitnet.training.calibration import export_run

    exported = export_run(run, out, finder=finder, half=half, **places)
    result = {
        "file": str(exported.path),
        "bytes": exported.bytes,
        "largest_difference": exported.largest_difference,
        **vars(exported.calibration),
    }
    (show_json if as_json else show_values)(result)


def _start(recipe_name: str | None, file: Path | None) -> TrainConfig:
    """Return the settings before flags: a recipe, named by flag or file, changed by the file."""
    values = read_toml(file) if file else {}
    named = str(values.pop("recipe", "reference"))
    return TrainConfig.from_dict(values, base=recipe(recipe_name or named))


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
