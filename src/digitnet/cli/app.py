"""The application and its verbs.

What only one verb needs is imported inside it, so that --help is instant.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from digitnet import __version__, extras
from digitnet.cli import bench, data
from digitnet.cli.console import notes, say, show, show_json, show_rows
from digitnet.cli.exporting import export_or_say
from digitnet.cli.options import DataDir, Json, Offline, Quiet
from digitnet.cli.predict import EPILOG as PREDICT_EPILOG
from digitnet.cli.predict import predict
from digitnet.cli.progress import training_progress
from digitnet.cli.settings import with_settings
from digitnet.cli.study import EPILOG as STUDY_EPILOG
from digitnet.cli.study import study
from digitnet.cli.transfer import EPILOG as TRANSFER_EPILOG
from digitnet.cli.transfer import transfer
from digitnet.errors import UsageError
from digitnet.files import hold_lock
from digitnet.network.config import TrainConfig, read_toml
from digitnet.network.recipes import DESCRIPTIONS, recipe

if TYPE_CHECKING:
    from digitnet.training.calibration import Exported
    from digitnet.training.runs import Run

app = typer.Typer(
    name="digitnet",
    help="Handwritten digits: read them from any picture; train the network that does it.",
    epilog="Start with: digitnet predict PICTURE, or digitnet train",
    no_args_is_help=True,
    # Plain help loads in a third of the time of decorated help.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.add_typer(data.app, name="data")
app.add_typer(bench.app, name="bench")

_RECIPES = "; ".join(f"{name}: {text}" for name, text in DESCRIPTIONS.items())

_DATA_HELP = (
    "Data set: mnist, sample (no network), another of `digitnet data list`, or a folder that holds "
    "one subfolder of pictures for each class."
)

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def _print_version(asked: bool) -> None:
    if asked:
        show(f"digitnet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options of the whole command line."""


@app.command(epilog=f"Recipes: {_RECIPES}.")
@with_settings
def train(
    settings: dict[str, Any],
    recipe_name: Annotated[
        str | None,
        typer.Option("--recipe", metavar="NAME", help="Settings to start from; see below."),
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="NAME_OR_DIR", help=_DATA_HELP)] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of settings; flags win over it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run; default: runs/….")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with this run where it stopped.")
    ] = None,
    no_augment: Annotated[
        bool, typer.Option("--no-augment", help="Switch every distortion off.")
    ] = False,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Draw no figures and write no page.")
    ] = False,
    data_dir: DataDir = None,
    offline: Offline = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network, evaluate it, and write the report."""
    if resume and (out or config or recipe_name):
        raise UsageError(
            "--resume takes its settings from the run; leave out --out, --config and --recipe."
        )
    if data:
        settings = {"data": data, **settings}
    if no_augment:
        settings = dict.fromkeys(_distortions(), 0.0) | settings
    # Before torch is loaded, which takes seconds that a wrong flag need not cost.
    start = _open(resume) if resume else _start(recipe_name, config).override(**settings)
    places: Any = {"data_dir": data_dir, "offline": offline}
    with extras.needed():
        from digitnet.training.trained import continue_training, measure_trained, run_training
    with training_progress(quiet) as on_progress:
        listeners: Any = {"on_progress": on_progress, "on_message": notes(quiet)}
        if isinstance(start, TrainConfig):
            trained = run_training(start, out=out, **places, **listeners)
        else:
            trained = continue_training(start, **places, **listeners, **settings)
    with hold_lock(trained.run.path):
        measure_trained(trained)
        if not no_report:
            from digitnet.showing.report import report_trained

            report_trained(trained)
        export_or_say(trained, data_dir)
    _show_result(trained.run, as_json)


@app.command()
def evaluate(
    run: RunFolder,
    data_dir: DataDir = None,
    offline: Offline = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure the network of a run on the test images again."""
    opened = _open(run)
    with extras.needed():
        from digitnet.training import trained
    trained.evaluate(opened, data_dir=data_dir, offline=offline, on_message=notes(quiet))
    _show_result(opened, as_json)


app.command(epilog=PREDICT_EPILOG)(predict)
app.command(epilog=STUDY_EPILOG)(study)
app.command(epilog=TRANSFER_EPILOG)(transfer)


@app.command()
def report(
    run: RunFolder,
    open_page: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    data_dir: DataDir = None,
    offline: Offline = None,
    as_json: Json = False,
) -> None:
    """Draw the figures of a run and write its report page."""
    page = _write_report(_open(run), data_dir, offline)
    if as_json:
        show_json({"run": str(run), "report": str(page)})
    else:
        show(str(page))
    import webbrowser

    if open_page and not webbrowser.open(page.resolve().as_uri()):
        say(f"No browser could be started; open {page} yourself.")


@app.command()
def export(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file; default: model.onnx in RUN.")
    ] = None,
    data_dir: DataDir = None,
    offline: Offline = None,
    as_json: Json = False,
) -> None:
    """Write the network of a run as one ONNX file, calibrated, for any runtime.

    The file takes ink of any size and holds the whole way to the answer. It is written only if
    ONNX Runtime gives PyTorch's answers on it, to 1e-5.
    """
    exported = _export(_open(run), out, {"data_dir": data_dir, "offline": offline})
    result = {
        "file": str(exported.path),
        "bytes": exported.bytes,
        "largest_difference": exported.largest_difference,
        "temperature": exported.calibration.temperature,
        "ood_threshold": exported.calibration.ood_threshold,
    }
    if as_json:
        show_json({"schema_version": 1, **result})
    else:
        show_rows([(name.replace("_", " "), str(value)) for name, value in result.items()])


@app.command()
def doctor(as_json: Json = False) -> None:
    """Show versions, processor, threads, and the state of cache and data."""
    from digitnet.machine import environment, usable_cores

    # ``threads`` is what a run takes unless told otherwise.
    state = environment() | {"threads": usable_cores(), "digitnet": __version__}
    state |= data.cache_state()
    if as_json:
        show_json(state)
        return
    packages = state.pop("packages")
    rows = {**state, **{f"package {name}": v or "not installed" for name, v in packages.items()}}
    show_rows([(name.replace("_", " "), _plain(value)) for name, value in rows.items()])


def _start(recipe_name: str | None, file: Path | None) -> TrainConfig:
    """Return the settings before flags: a recipe, named by flag or file, changed by the file."""
    values = read_toml(file) if file else {}
    base = recipe(recipe_name or str(values.pop("recipe", "reference")))
    values.pop("recipe", None)
    return TrainConfig.from_dict(values, base=base)


def _distortions() -> list[str]:
    return list(TrainConfig().as_dict()["augmentation"])


def _open(path: Path) -> Run:
    with extras.needed():
        from digitnet.training.runs import open_run
    return open_run(path)


def _export(run: Run, out: Path | None, places: dict[str, Any]) -> Exported:
    with extras.needed():
        from digitnet.training.calibration import export_run
    return export_run(run, out, **places)


def _write_report(run: Run, data_dir: Path | None, offline: bool | None) -> Path:
    with extras.needed():
        from digitnet.showing.report import write_report
    return write_report(run, data_dir=data_dir, offline=offline)


def _show_result(run: Run, as_json: bool) -> None:
    metrics = run.metrics
    if as_json:
        show_json(metrics)
        return
    test = metrics["test"]
    low, high = test["interval"]
    rows = [
        ("run", str(run.path)),
        (
            "test accuracy",
            f"{test['accuracy']:.2%}  ({low:.2%} to {high:.2%} with 95 % confidence)",
        ),
        ("misses", f"{test['misses']} of {test['images']:,}"),
        ("test loss", f"{test['loss']:.4f}"),
        ("val accuracy", f"{metrics['val_accuracy']:.2%}"),
        ("calibration error", f"{test['expected_calibration_error']:.4f}"),
        ("parameters", f"{metrics['parameters']:,}"),
        ("training", f"{metrics['epochs']} epochs in {metrics['seconds']:.0f} s"),
    ]
    if run.report_file.is_file():
        rows.append(("report", str(run.report_file)))
    show_rows(rows)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_plain(inner)}" for name, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
