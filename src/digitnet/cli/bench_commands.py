"""``digitnet bench``: how good and how fast recipes and models are, from flags to tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet.cli.console import Output, show, show_json, show_tables
from digitnet.cli.experiment_commands import show_trials
from digitnet.cli.flags import Places
from digitnet.errors import UsageError

if TYPE_CHECKING:
    from digitnet.experiments.robustness_scores import MeasuredSet

TRAIN_EPILOG = "Every seed is reported, none is chosen. Repeat the command to go on after a stop."


def train(
    *,
    recipe_name: str = "reference",
    seeds: int = 5,
    data: str | None = None,
    target: float | None = None,
    out: Path | None = None,
    where: Places,
    output: Output,
    **settings: Any,
) -> None:
    """Train a recipe with several seeds: how good it is, how fast.

    Seeds are trained one after another, each in a process of its own. Seconds are those of the
    training steps; loading, compiling, validating and measuring are shown apart.

    Args:
        recipe_name (--recipe NAME): Settings to start from, as for `digitnet train`.
        seeds (N): How many: the seed of the settings and those that follow.
        data (NAME_OR_DIR): Data set, as for `digitnet train`.
        target (ACC): Test whether the mean test accuracy is at least this, such as 0.99.
        out (DIR): Folder of the runs and of bench.json, the result; default: runs/bench/RECIPE.
    """
    from digitnet.network.recipes import recipe

    settings |= {"data": data} if data else {}
    config = recipe(recipe_name).override(**settings)
    from digitnet.experiments import bench_views as views
    from digitnet.experiments.training_bench import run_seeds, seed_trials

    folder = out or Path("runs", "bench", recipe_name)
    trials = seed_trials(config, seeds, folder)
    with show_trials(trials, output.quiet) as on_event:
        how: Any = {"on_event": on_event, "on_message": output.note, **where}
        result = run_seeds(trials, folder, target=target, **how)
    if output.as_json:
        show_json(result)
        return
    show_tables([views.seeds_table(result)])
    for line in views.seeds_remarks(result):
        show(line)


def infer(
    *,
    model: Path | None = None,
    batch: str = "1,8,64,256,1024",
    threads: str | None = None,
    rounds: int = 5,
    out: Path | None = None,
    output: Output,
) -> None:
    """Measure how fast a model file answers, and what it takes.

    The file is run by ONNX Runtime, from ink to the answer; a network alone, network.onnx, from
    images to probabilities.

    Args:
        model (FILE_OR_RUN): An exported network, alone or not, or a run folder, for its model.onnx;
            default: digitnet's own.
        batch (N,…): Images at a time.
        threads (N,…): Threads to compute with; default: 1, and one a core.
        rounds (N): How often everything is measured; medians are shown.
        out (FILE): Write the result there, as JSON.
    """
    counts = _numbers("--batch", batch)
    used = _numbers("--threads", threads) if threads else []
    from digitnet.experiments import bench_views as views
    from digitnet.experiments.inference_bench import measure_inference
    from digitnet.files import write_json

    result = measure_inference(
        model,
        batches=counts,
        threads=used,
        rounds=rounds,
        on_round=lambda number: output.note(f"round {number} of {rounds}"),
    )
    if output.as_json:
        show_json(result)
    else:
        show_tables([views.inference_table(result)])
        for line in views.inference_remarks(result):
            show(line)
    if out:  # last: what took minutes is shown, even if it cannot be written
        write_json(out, result)


def compare(first: Path, second: Path, *, as_json: bool = False) -> None:
    """Compare two results of `bench train`, image by image.

    Args:
        first (FIRST): A result, bench.json, or the folder that holds it.
        second (SECOND): The other one, on the same data.
    """
    from digitnet.experiments import bench_views as views
    from digitnet.experiments.bench_results import compare as compared
    from digitnet.experiments.bench_results import read_result

    result = compared(read_result(first), read_result(second))
    if as_json:
        show_json(result)
        return
    show_tables([views.comparison_table(result)])
    for line in views.comparison_remarks(result):
        show(line)


def robustness(
    paths: list[Path] | None = None,
    *,
    model: Path | None = None,
    plain: Path | None = None,
    data: str = "mnist",
    limit: int | None = None,
    only: list[str] | None = None,
    everything: bool = False,
    seed: int = 0,
    out: Path | None = None,
    misses: bool = False,
    places: Places,
    output: Output,
) -> None:
    """Measure how well pictures of all kinds are read.

    Without PATHs, all built-in sets, made of MNIST's test images: ten minutes and more. With
    PATHs, those; MNIST's test images are needed even so. --data sample needs no network.

    Args:
        paths ([PATH]...): Your own sets: .npz files of digits, numbers or non-digits, or folders of
            folders 0 to 9.
        model (FILE): Model file or run folder; default: the shipped one.
        plain (RUN): Run of a plain CNN to compare with (recipe plain).
        data (NAME): Data set: mnist, or sample (no network).
        limit (N): Use the first N test images, and N of UNIPEN's signs and numbers, only.
        only (NAME): Measure this set or group only; can be repeated. Groups: mnist, other_hands,
            photographs, corruptions, corruptions_found, hands, numbers, non_digits, own.
        everything (--everything): With PATHs, measure the built-in sets as well.
        seed (N): Seed of everything drawn.
        out (DIR): Write robustness.json and .png there.
        misses (--misses): Draw what was misread, to DIR/misses.
    """
    if misses and not out:
        raise UsageError("--misses needs --out, the folder to draw what was misread in.")
    from digitnet.experiments import robustness_views as views
    from digitnet.experiments.robustness import run_bench
    from digitnet.reading.recognizer import Recognizer

    recognizer = Recognizer(model)
    about = {"model": str(model or "shipped"), "model_sha256": recognizer.sha256}

    def on_measured(measured: MeasuredSet) -> None:
        output.note(measured.summary())
        folder = out / "misses" if misses and out else None
        if folder and (file := views.write_misses(measured, folder)):
            output.note(f"  Misses drawn in {file}.")

    results = run_bench(
        recognizer,
        paths or [],
        plain=plain,
        data=data,
        limit=limit,
        only=only or [],
        everything=everything,
        seed=seed,
        about=about,
        on_measured=on_measured,
        **places,
    )
    for file in views.write_results(results, out) if out else []:
        output.note(f"Wrote {file}.")
    if output.as_json:
        show_json(results)
        return
    tables = (views.results_table(results), views.numbers_table(results))
    show_tables([table for table in tables if table.row_count])
    for line in views.remarks(results):
        show(line)


def _numbers(flag: str, text: str) -> list[int]:
    """Return the whole numbers of a list such as "1,8,64"."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"{flag} cannot be {text!r}; allowed: 1,8 and the like.") from error
