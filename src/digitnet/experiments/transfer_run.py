"""Tune a network, compare ways to do it, or both with a report.

    OUT/results.json, results.csv            what was measured
    OUT/figures/accuracy_against_labels.png  the same as a picture
    OUT/report.html                          all of it on one page
    OUT/model/                               the network that was kept, an ordinary run folder

Guarantees: each repetition is on disk before the next one begins; what was interrupted, the same
call continues, the network that is kept from its checkpoint.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from digitnet.data.dataset import Dataset
from digitnet.errors import StoppedError, UsageError, unknown_name
from digitnet.experiments.transfer_page import write_page
from digitnet.experiments.transfer_results import (
    TUNED,
    TUNING,
    Method,
    Repetition,
    TransferConfig,
    TransferResults,
    read_results,
)
from digitnet.experiments.transfer_task import SHIPPED, TransferTask, open_task
from digitnet.experiments.tuning import PROBED, Tuning, probed
from digitnet.files import hold_lock, storage_errors
from digitnet.network.cnn import CNN, predict_logits
from digitnet.network.config import SCHEMA_VERSION, TrainConfig, differences
from digitnet.training.calibration import export_or_note
from digitnet.training.device import reproducible
from digitnet.training.loop import choose_images, fit
from digitnet.training.run_evaluation import measure_reader
from digitnet.training.run_training import fit_or_stop
from digitnet.training.runs import Run, create_run
from digitnet.training.statistics import mcnemar
from digitnet.training.trained import Options, Trained, ignore

# Method, labels of each class, and seed: how one network learns.
Way = tuple[Method, int, int]


def fine_tune(
    data: Path | str,
    source: Path | str = SHIPPED,
    *,
    out: Path | str | None = None,
    method: Method = "all",
    labels: int = 0,
    seed: int = 0,
    replay: float | None = None,
    crops: bool = False,
    steps: int = 0,
    threads: int = 0,
    device: str = "auto",
    progress: bool | None = None,
    old_data: str | None = None,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = ignore,
) -> Run:
    """Teach a trained network a new task, and keep it in a run folder.

    Args:
        data: a data set's name, or a folder with a subfolder of pictures for each class.
        source: a run folder, a ``model.safetensors``, or "digitnet" for the shipped network.
        out: the run folder: new, empty, or that of the same call, which is continued; by default a
            fresh one under ``runs/``.
        method: "all" layers, the "head" alone, or "scratch".
        labels: images of each class to learn from; 0 takes all.
        seed: of the choice of images and of everything drawn.
        replay: fraction of each batch that is taken from the old task, to keep it; 0.4 by default,
            0.2 with ``crops``.
        crops: whether the pictures are cut from rows of writing.
        steps: updates of the weights; 0 lets the number of images decide.
        threads: CPU threads; 0 takes one a core.
        device: as for ``train``.
        progress: as for ``train``.
        old_data: the old task's data set; by default the source's, if it is on this machine.
        data_dir: folder that holds the data files.
        offline: use no network.
        on_message: called with a line of text about what is done.

    Returns:
        The run, evaluated; its ``transfer.json`` has the old task's accuracy before and after.

    Raises:
        UsageError: an argument cannot have that value.
        InputError: there is no such network, or the data are too few.
        DataUnavailableError: the data cannot be had.
        StoppedError: Ctrl-C or SIGTERM came; the same call with this ``out`` continues.
    """
    config = TransferConfig(replay=replay, steps=steps, crops=crops, threads=threads)
    options = Options(device, progress, data_dir, offline, on_message=on_message)
    task, way = open_task(data, source, config, old_data, options), (method, labels, seed)
    _check_kept(task, way)
    return _tune(task, Path(out) if out else None, way)[0].run


def transfer(
    data: Path | str,
    source: Path | str = SHIPPED,
    config: TransferConfig | None = None,
    *,
    out: Path | str | None = None,
    method: Method = "all",
    labels: int = 0,
    seed: int = 0,
    comparison: bool = True,
    old_data: str | None = None,
    on_repetition: Callable[[Repetition], None] = ignore,
    **where: Any,
) -> tuple[Path, TransferResults]:
    """Compare, keep a network, and write the report; what ``digitnet transfer`` does.

    Args:
        data: as for ``fine_tune``.
        source: as for ``fine_tune``.
        config: what to compare.
        out: the folder for everything: new, empty, or that of the same call, which is continued, or
            read if it is finished; by default a fresh one under ``runs/``.
        method: of the network to keep.
        labels: images of each class that the network to keep learns from; 0 takes all.
        seed: of the network to keep.
        comparison: whether to compare at all.
        old_data: as for ``fine_tune``.
        on_repetition: called with each repetition as soon as it is measured and saved.
        **where: ``device``, ``progress``, ``data_dir``, ``offline``, ``on_message``: as for
            ``fine_tune``.

    Returns:
        The folder, and what was measured.

    Raises:
        UsageError, InputError, DataUnavailableError: as for ``fine_tune``.
        StoppedError: Ctrl-C came; the same call with this ``out`` continues.
    """
    options, way = Options(**where), (method, labels, seed)
    task = open_task(data, source, config, old_data, options)
    _check_kept(task, way)
    folder, results = _begun(task, Path(out) if out else None)
    done = {(r.method, r.labels, r.seed) for r in results.repetitions}
    if results.final is not None and not (
        comparison and any(each not in done for each in _ways(task))
    ):
        _refuse_other(folder, results.final, {"method": method, "labels": labels, "seed": seed})
        return folder, results
    with hold_lock(folder):
        try:
            # First, so that this folder is known for that of the same call.
            results.final = None
            results.write(folder)
            for repetition in compare(task, results.repetitions) if comparison else ():
                results.repetitions.append(repetition)
                results.write(folder)
                on_repetition(repetition)
            _keep(task, results, way, folder)
        except (KeyboardInterrupt, StoppedError) as error:
            raise StoppedError(
                "The transfer was stopped; nothing that was measured is lost. Continue it with the "
                f"same command and --out {folder}.",
                error.exit_code - 128 if isinstance(error, StoppedError) else 2,
            ) from error
    return folder, results


def _keep(task: TransferTask, results: TransferResults, way: Way, folder: Path) -> None:
    """Tune the network that is kept, export it, and write the report."""
    trained, about = _tune(task, folder / "model", way, replace=True)
    export_or_note(trained, task.options.data_dir, task.options.on_message)
    results.final = {**about, "test": trained.run.metrics["test"], "run": "model"}
    results.old_accuracy = about["old_accuracy_before"]
    results.write(folder)
    write_page(results, folder, task.target)


def _check_kept(task: TransferTask, way: Way) -> None:
    """Refuse a network to keep that cannot be had, before hours are spent on others."""
    if way[0] not in TUNED:
        raise unknown_name("method of the network to keep", way[0], TUNED)
    task.train_config(*way)


def _begun(task: TransferTask, out: Path | None) -> tuple[Path, TransferResults]:
    """Return the folder for everything, and what an earlier call measured.

    Raises:
        UsageError: the folder holds something else.
    """
    empty = no_results(task)
    results = read_results(out) if out else None
    if out is None or results is None:
        return create_run(out, f"transfer-{Path(task.target.name).name}", resumes=False).path, empty
    for part in ("source", "target"):
        saved, wanted = getattr(results, part), getattr(empty, part)
        # The first says which data or network it is; the rest, such as its SHA-256, follows.
        other = [name for name in wanted if saved.get(name) != wanted[name]][:1]
        _refuse_other(out, saved, {name: wanted[name] for name in other})
    _refuse_other(out, results.settings, empty.settings)
    _refuse_other(out, {"old_data": results.old_data}, {"old_data": empty.old_data})
    return out, results


def _refuse_other(out: Path, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Refuse a folder that was begun with other values than those ``wanted``."""
    if differing := differences({name: saved.get(name) for name in wanted}, wanted):
        raise UsageError(
            f"--out {out} holds another transfer: {differing}. Repeat the command that began it, "
            "or name a new folder."
        )


def no_results(task: TransferTask) -> TransferResults:
    """Return the results of a transfer of which nothing is measured yet."""
    target = task.target
    about = {
        "data": target.name,
        "data_sha256": target.sha256,
        "classes": list(target.class_names),
        "train_images": len(target.train_images),
        "test_images": len(target.test_images),
        "val_fraction": TUNING.val_fraction,
        "same_classes": task.same_classes,
    }
    old = task.old.name if task.old else None
    return TransferResults(task.source.about, about, task.config.as_dict(), old_data=old)


def compare(task: TransferTask, known: Iterable[Repetition] = ()) -> Iterator[Repetition]:
    """Return, one by one, how well each method does with each number of labels, several times.

    Args:
        task: what is learned, and how often.
        known: repetitions that were measured before and are left out.
    """
    done = {(r.method, r.labels, r.seed) for r in known}
    return (_measured(task, *way) for way in _ways(task) if way not in done)


def _ways(task: TransferTask) -> Iterator[Way]:
    methods = dict.fromkeys(task.config.methods)
    if "zero-shot" in methods:
        del methods["zero-shot"]
        if task.same_classes:
            yield "zero-shot", 0, 0
        else:
            task.options.on_message(
                "Zero-shot is left out: the classes of "
                f"{task.target.name} are not those that {task.source.about['name']} knows."
            )
    for labels in task.budgets():
        for seed in range(task.config.seeds):
            for method in methods:
                # A probe draws nothing but images: on all of them it is always the same.
                if not (method == "probe" and labels == 0 and seed > 0):
                    yield method, labels, seed


def _measured(task: TransferTask, method: Method, labels: int, seed: int) -> Repetition:
    """Return how well a network does that learned in one way; the network itself is not kept."""
    model, images, steps, seconds = task.source.model, 0, 0, 0.0
    if method != "zero-shot":
        started, config = time.perf_counter(), task.train_config(method, labels, seed)
        with reproducible(config, task.device):
            images = len(choose_images(config, task.target)[0])
            if method == "probe":
                model, images = probed(task, config), min(images, PROBED)
            else:
                tuning = Tuning(task, method, config, validated=False)
                fit(tuning)
                model, steps = tuning.model, tuning.total_steps
        seconds = time.perf_counter() - started
    accuracy = accuracy_of(model, task.target, task.device)
    misses = round((1 - accuracy) * len(task.target.test_labels))
    return Repetition(method, labels, seed, images, steps, seconds, accuracy, misses)


def accuracy_of(model: CNN, data: Dataset, device: torch.device) -> float:
    """Return the fraction of the test images that a network reads as their labels say."""
    return float(right_of(model, data, device).mean())


def right_of(model: CNN, data: Dataset, device: torch.device) -> NDArray[np.bool_]:
    """Return which of the test images a network reads as their labels say, (N,)."""
    logits = predict_logits(model, torch.from_numpy(data.test_images), device).numpy()
    right: NDArray[np.bool_] = logits.argmax(1) == data.test_labels
    return right


def _tune(
    task: TransferTask, out: Path | None, way: Way, *, replace: bool = False
) -> tuple[Trained, dict[str, Any]]:
    """Tune a network in a run folder, from its checkpoint if it was begun there.

    Args:
        task: source, target and old task.
        out: the folder: new, empty or begun; a fresh one under ``runs/`` when None.
        way: how it learns.
        replace: whether another network that lies in the folder is removed.

    Returns:
        The run, evaluated on the target's test images, and what ``transfer.json`` holds.
    """
    method, config = way[0], task.train_config(*way)
    about = _about(task, way, config)
    run = _run_folder(task, out, about, replace=replace)
    with hold_lock(run.path), reproducible(config, task.device):
        # Before config.json, which makes the folder a run.
        run.write_transfer(about)
        run.write_config(config, task.target.sha256, task.target.class_names)
        tuning = Tuning(task, method, config)
        tuning.restore(run)
        fit_or_stop(tuning, run, task.options, f"the same call and out={str(run.path)!r}")
        knowing_old = tuning.knowing_old()
        trained = Trained(run, config, task.target, tuning.model.eval())
        metrics = measure_reader(trained, task.options.device)
        seconds = sum(row.seconds for row in tuning.history)
        about |= {"finished": True, "seconds": seconds, "accuracy_after": metrics.accuracy}
        if task.same_classes:
            was, told = right_of(task.source.model, task.target, task.device), run.predictions
            now = told.predicted == told.label
            about["p"] = mcnemar(int((was & ~now).sum()), int((now & ~was).sum()))
        # From scratch with other classes there is no last layer that knows the old ones.
        if task.old and (method != "scratch" or task.same_classes):
            before = accuracy_of(task.source.model, task.old, task.device)
            after = accuracy_of(knowing_old, task.old, task.device)
            about |= {"old_accuracy_before": before, "old_accuracy_after": after}
        run.write_transfer(about)
    return trained, about


def _run_folder(
    task: TransferTask, out: Path | None, about: dict[str, Any], *, replace: bool
) -> Run:
    """Return the folder of the same call, if that was interrupted, or a new one."""
    if out is not None and out.is_dir():
        saved = Run(out).transfer or {}
        if all(saved.get(name) == value for name, value in about.items()):
            return Run(out)
        if replace:
            with storage_errors(out, "remove"):
                shutil.rmtree(out)
    target = Path(task.target.name).name
    return create_run(out, f"transfer-{target}-seed{about['seed']}", resumes=False)


def _about(task: TransferTask, way: Way, config: TrainConfig) -> dict[str, Any]:
    """Return what ``transfer.json`` holds from the start."""
    (method, labels, seed), target, old = way, task.target, task.old
    before = accuracy_of(task.source.model, target, task.device) if task.same_classes else None
    images = len(choose_images(config, target)[0])
    return {
        "schema_version": SCHEMA_VERSION,
        "finished": False,
        "source": task.source.about,
        "method": method,
        "labels": labels,
        "images": images,
        "seed": seed,
        "steps": task.config.steps_for(images),
        "threads": config.threads,
        "schedule": config.schedule,
        "learning_rate": config.learning_rate,
        "settings": task.config.as_dict(),
        "old_data": old.name if old else None,
        "old_data_sha256": old.sha256 if old else None,
        "old_test_images": len(old.test_images) if old else None,
        # A network with other classes names the old ones only with the old last layer.
        "old_last_layer": not task.same_classes,
        # On the test images of the new task; what is None is measured when tuning is over.
        "accuracy_before": before,
        **dict.fromkeys(("accuracy_after", "p", "old_accuracy_before", "old_accuracy_after")),
    }
