"""Tune a network, compare ways to do it, or both with a report.

    OUT/results.json, results.csv            what was measured
    OUT/figures/accuracy_against_labels.png  the same as a picture
    OUT/report.html                          all of it on one page
    OUT/model/                               the network that was kept, an ordinary run folder

Guarantees: each repetition is on disk before the next one begins; what was interrupted, the same
call continues, the network that is kept from its checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import Dataset
from digitnet.errors import IntegrityError, StoppedError, UsageError, unknown_name
from digitnet.experiments.transfer.comparison import (
    RESULTS_FILE,
    TUNED,
    Method,
    Repetition,
    TransferConfig,
    TransferResults,
    read_results,
)
from digitnet.experiments.transfer.transfer_page import write_page
from digitnet.experiments.transfer.transfer_task import (
    SHIPPED,
    TransferTask,
    known_task,
    load_pretrained,
)
from digitnet.experiments.transfer.tuning import PROBED, Tuning, probed
from digitnet.files import hold_lock, storage_errors
from digitnet.network.cnn import CNN, predict_logits
from digitnet.network.config import SCHEMA_VERSION, TrainConfig, differences
from digitnet.training.calibration import export_trained
from digitnet.training.device import reproducible, resolve_device
from digitnet.training.loop import choose_images, fit
from digitnet.training.runs import Run, create_run
from digitnet.training.trained import Options, Trained, fit_or_stop, measure_trained


def _ignore(_: Any) -> None:
    """Take no notice."""


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
    on_message: Callable[[str], None] = _ignore,
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
    config = TransferConfig(
        methods=(method,),
        labels=(labels,),
        seeds=1,
        replay=replay,
        crops=crops,
        steps=steps,
        threads=threads,
    )
    options = Options(device, progress, data_dir, offline, on_message=on_message)
    task = _task(data, source, config, old_data, options)
    _check_kept(task, method, labels, seed)
    return tune_and_save(task, out, (method, labels, seed), options)[0].run


def compare_transfer(
    data: Path | str | Dataset,
    source: Path | str = SHIPPED,
    config: TransferConfig | None = None,
    *,
    old_data: str | None = None,
    known: tuple[Repetition, ...] = (),
    on_repetition: Callable[[Repetition], None] = _ignore,
    **where: Any,
) -> TransferResults:
    """Measure ways to learn a new task: each method, with each number of labels, several times.

    Args:
        data: as for ``fine_tune``, or the images themselves.
        source: as for ``fine_tune``.
        config: what to compare.
        old_data: as for ``fine_tune``.
        known: repetitions that were measured before and are not to be repeated.
        on_repetition: called with each repetition as soon as it is measured.
        **where: ``device``, ``data_dir``, ``offline``, ``on_message``: as for ``fine_tune``.

    Raises:
        UsageError, InputError, DataUnavailableError: as for ``fine_tune``.
    """
    task = _task(data, source, config or TransferConfig(), old_data, Options(**where))
    bare = _bare(task, known)
    return [bare, *_compared(task, bare, on_repetition)][-1]


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
    on_repetition: Callable[[Repetition], None] = _ignore,
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
        on_repetition: as for ``compare_transfer``.
        **where: ``device``, ``progress``, ``data_dir``, ``offline``, ``on_message``: as for
            ``fine_tune``.

    Returns:
        The folder, and what was measured.

    Raises:
        UsageError, InputError, DataUnavailableError: as for ``fine_tune``.
        StoppedError: Ctrl-C came; the same call with this ``out`` continues.
    """
    options, wanted = Options(**where), {"method": method, "labels": labels, "seed": seed}
    task = _task(data, source, config or TransferConfig(), old_data, options)
    _check_kept(task, method, labels, seed)
    folder, results = _begun(task, Path(out) if out else None)
    if results.final is not None and (results.repetitions or not comparison):
        _refuse_other(wanted, results.final, folder)
        return folder, results
    with hold_lock(folder), _how_to_continue(folder):
        # First, so that this folder is known for that of the same call.
        results = dataclasses.replace(results, final=None)
        results.write(folder)
        for more in _compared(task, results, on_repetition) if comparison else ():
            results = more
            results.write(folder)
        trained, about = tune_and_save(
            task, folder / "model", (method, labels, seed), options, replace=True
        )
        _export(trained, options)
        final = {**about, "test": trained.run.metrics["test"], "run": "model"}
        old_accuracy = about["old_accuracy_before"]
        results = dataclasses.replace(results, final=final, old_accuracy=old_accuracy)
        results.write(folder)
        write_page(results, folder, task.target)
    return folder, results


@contextlib.contextmanager
def _how_to_continue(folder: Path) -> Iterator[None]:
    """Give an interruption the sentence that says what to do."""
    try:
        yield
    except (KeyboardInterrupt, StoppedError) as error:
        number = error.exit_code - 128 if isinstance(error, StoppedError) else 2
        raise StoppedError(
            f"The transfer was stopped; nothing that was measured is lost. Continue it with the "
            f"same command and --out {folder}.",
            number,
        ) from error


def _export(trained: Trained, options: Options) -> None:
    """Write ``model.onnx``; a network that cannot be exported is tuned all the same."""
    try:
        export_trained(trained, data_dir=options.data_dir)
    except IntegrityError as error:
        options.on_message(f"No model.onnx: {error}")


def _begun(task: TransferTask, out: Path | None) -> tuple[Path, TransferResults]:
    """Return the folder for everything, and what an earlier call measured.

    Raises:
        UsageError: the folder holds something else.
    """
    bare = _bare(task)
    if out is None or not (out / RESULTS_FILE).is_file():
        return create_run(out, f"transfer-{Path(task.target.name).name}").path, bare
    results = read_results(out / RESULTS_FILE)
    mine = json.loads(json.dumps(bare.as_dict()))
    for part in ("source", "target", "settings"):
        _refuse_other(mine[part], getattr(results, part), out)
    _refuse_other({"old_data": mine["old_data"]}, {"old_data": results.old_data}, out)
    return out, results


def _refuse_other(wanted: dict[str, Any], saved: dict[str, Any], out: Path) -> None:
    """Refuse a folder that was begun with other values than those ``wanted``."""
    if differing := differences({name: saved.get(name) for name in wanted}, wanted):
        raise UsageError(
            f"--out {out} holds another transfer: {differing}. Repeat the command that began it, "
            "or name a new folder."
        )


def _task(
    data: Path | str | Dataset,
    source: Path | str,
    config: TransferConfig,
    old_data: str | None,
    options: Options,
) -> TransferTask:
    device, tell = resolve_device(options.device), options.on_message
    where: dict[str, Any] = {"data_dir": options.data_dir, "offline": options.offline}
    opened = load_pretrained(source)
    target = data
    if not isinstance(target, Dataset):
        target = load_dataset(str(data), crops=config.crops, progress=tell, **where)
    old = known_task(opened, old_data, tell, **where)
    return TransferTask(opened, target, old, config, device, tell)


def _bare(task: TransferTask, known: tuple[Repetition, ...] = ()) -> TransferResults:
    """Return results without any, but for those ``known``."""
    target = task.target
    about = {
        "data": target.name,
        "data_sha256": target.sha256,
        "classes": list(target.class_names),
        "train_images": len(target.train_images),
        "test_images": len(target.test_images),
        "val_fraction": TrainConfig().val_fraction,
        "same_classes": task.same_classes,
    }
    old = task.old.name if task.old else None
    return TransferResults(task.source.as_dict(), about, task.config.as_dict(), known, old)


def _check_kept(task: TransferTask, method: Method, labels: int, seed: int) -> None:
    """Refuse a network to keep that cannot be had, before hours are spent on others."""
    if method not in TUNED:
        raise unknown_name("method of the network to keep", method, TUNED)
    task.train_config(method, labels, seed)


def _compared(
    task: TransferTask, results: TransferResults, on_repetition: Callable[[Repetition], None]
) -> Iterator[TransferResults]:
    """Measure what is missing, and yield the results with each repetition added."""
    known = {(r.method, r.labels, r.seed) for r in results.repetitions}
    for key in _wanted(task):
        if key not in known:
            repetition = _measured(task, *key)
            rows = (*results.repetitions, repetition)
            results = dataclasses.replace(results, repetitions=rows)
            yield results
            on_repetition(repetition)


def _wanted(task: TransferTask) -> Iterable[tuple[Method, int, int]]:
    methods = task.config.methods
    if "zero-shot" in methods:
        if task.same_classes:
            yield "zero-shot", 0, 0
        else:
            task.on_message(
                "Zero-shot is left out: the classes of "
                f"{task.target.name} are not those that {task.source.name} knows."
            )
    for labels in task.budgets():
        for seed in range(task.config.seeds):
            for method in methods:
                # A probe draws nothing but images: on all of them it is always the same.
                same_again = method == "probe" and labels == 0 and seed > 0
                if method != "zero-shot" and not same_again:
                    yield method, labels, seed


def _measured(task: TransferTask, method: Method, labels: int, seed: int) -> Repetition:
    """Return how well a network does that learned in one way; the network itself is not kept."""
    target, model, images, steps = task.target, task.source.model, 0, 0
    started = time.perf_counter()
    if method != "zero-shot":
        config = task.train_config(method, labels, seed)
        images = len(choose_images(config, target.train_labels)[0])
        with reproducible(config, task.device):
            if method == "probe":
                model, images = probed(task, config), min(images, PROBED)
            else:
                tuning = Tuning(task, method, config, validated=False)
                fit(tuning)
                model, steps = tuning.model, tuning.total_steps
    seconds = time.perf_counter() - started if images else 0.0
    read = _right(task, model, target.test_images, target.test_labels)
    misses = len(target.test_labels) - read
    accuracy = read / len(target.test_labels)
    return Repetition(method, labels, seed, images, steps, seconds, accuracy, misses)


def accuracy_on_old(task: TransferTask, model: CNN) -> float | None:
    """Return the fraction of the old task's test images that ``model`` reads; None without them."""
    old = task.old
    if old is None:
        return None
    return _right(task, model, old.test_images, old.test_labels) / len(old.test_labels)


def _right(
    task: TransferTask, model: CNN, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> int:
    """Return how many images, uint8 (N, 28, 28), a network reads as their labels say."""
    logits = predict_logits(model, torch.from_numpy(images), task.device).numpy()
    return int((logits.argmax(1) == labels).sum())


def tune_and_save(
    task: TransferTask,
    out: Path | str | None,
    kept: tuple[Method, int, int],
    options: Options,
    *,
    replace: bool = False,
) -> tuple[Trained, dict[str, Any]]:
    """Tune a network in a run folder, from its checkpoint if it was begun there.

    Args:
        task: source, target and old task.
        out: the folder: new, empty or begun; a fresh one under ``runs/`` when None.
        kept: method, labels of each class, and seed.
        options: how it runs.
        replace: whether another network that lies in the folder is removed.

    Returns:
        The run, evaluated on the target's test images, and what ``transfer.json`` holds.
    """
    method, _, _ = kept
    config = task.train_config(*kept)
    about = _about(task, kept, config)
    run = _begun_run(task, Path(out) if out else None, about, replace=replace)
    with hold_lock(run.path), reproducible(config, task.device):
        # Before config.json, which makes the folder a run.
        run.write_transfer(about)
        run.write_config(config, task.target.sha256, task.target.class_names)
        tuning = Tuning(task, method, config)
        tuning.restore(run)
        fit_or_stop(tuning, run, options, f"the same call and out={str(run.path)!r}")
        knowing_old = tuning.knowing_old()
        trained = Trained(run, config, task.target, tuning.model.eval())
        metrics = measure_trained(trained, options.device)
        seconds = sum(row.seconds for row in tuning.history)
        about |= {"finished": True, "seconds": seconds, "accuracy_after": metrics.accuracy}
        # From scratch with other classes there is no last layer that knows the old ones.
        if method != "scratch" or task.same_classes:
            about["old_accuracy_before"] = accuracy_on_old(task, task.source.model)
            about["old_accuracy_after"] = accuracy_on_old(task, knowing_old)
        run.write_transfer(about)
    return trained, about


def _begun_run(
    task: TransferTask, out: Path | None, about: dict[str, Any], *, replace: bool
) -> Run:
    """Return the folder of the same call, if that was interrupted, or a new one."""
    if out is not None and out.is_dir():
        run = Run(out)
        saved = run.transfer or {}
        if all(saved.get(name) == value for name, value in json.loads(json.dumps(about)).items()):
            return run
        if replace:
            with storage_errors(out, "remove"):
                shutil.rmtree(out)
    name = f"transfer-{Path(task.target.name).name}-seed{about['seed']}"
    return create_run(out, name)


def _about(
    task: TransferTask, kept: tuple[Method, int, int], config: TrainConfig
) -> dict[str, Any]:
    """Return what ``transfer.json`` holds from the start."""
    (method, labels, seed), target, old = kept, task.target, task.old
    before = None
    if task.same_classes:
        read = _right(task, task.source.model, target.test_images, target.test_labels)
        before = read / len(target.test_labels)
    images = len(choose_images(config, target.train_labels)[0])
    return {
        "schema_version": SCHEMA_VERSION,
        "finished": False,
        "source": task.source.as_dict(),
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
        "old_accuracy_before": None,
        "old_accuracy_after": None,
        # A network with other classes names the old ones only with the old last layer.
        "old_last_layer": not task.same_classes,
        # On the test images of the new task, without and with tuning.
        "accuracy_before": before,
        "accuracy_after": None,
    }
