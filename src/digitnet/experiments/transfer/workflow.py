"""The public functions: tune a network, compare ways to do it, or both with a report.

    OUT/results.json, results.csv            what was measured
    OUT/figures/accuracy_against_labels.png  the same as a picture
    OUT/report.html                          all of it on one page
    OUT/model/                               the network, an ordinary run folder

Guarantees: as ``digitnet.experiments.transfer`` says; each repetition is on disk before the next
one begins.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from digitnet.data.catalogue import load_dataset
from digitnet.data.dataset import Dataset
from digitnet.errors import StoppedError, UsageError, unknown_name
from digitnet.experiments.transfer.comparing import Task, about_target, accuracy_on_old, compare
from digitnet.experiments.transfer.final import keep
from digitnet.experiments.transfer.methods import TUNED, Method, TransferConfig
from digitnet.experiments.transfer.results import RESULTS_FILE, Repetition, Results, read_results
from digitnet.experiments.transfer.source import SHIPPED, Source, known_task, load_source
from digitnet.experiments.transfer.transfer_page import write_page
from digitnet.files import hold_lock, storage_errors
from digitnet.network.config import differences
from digitnet.training.runs import Epoch, Run, create_run


def _silent(_: Any) -> None:
    """Tell nobody."""


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
    old_data: str | None = None,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = _silent,
) -> Run:
    """Teach a trained network a new task, and keep it in a run folder.

    Args:
        data: a data set's name, or a folder with a subfolder of pictures for each class.
        source: a run folder, a ``model.safetensors``, or "digitnet" for the shipped network.
        out: the run folder, new or empty; by default a fresh one under ``runs/``.
        method: "all" layers, the "head" alone, or "scratch".
        labels: images of each class to learn from; 0 takes all.
        seed: of the choice of images and of everything drawn.
        replay: share of each batch that is taken from the old task, to keep it; 0.4 by default,
            0.2 with ``crops``.
        crops: whether the pictures are cut from rows of writing.
        steps: updates of the weights; 0 lets the number of images decide.
        threads: CPU threads; 0 takes one a core.
        old_data: the old task's data set; by default the source's, if it is at hand.
        data_dir: folder that holds the data files.
        offline: use no network.
        on_message: called with a line of text about what is done.

    Returns:
        The run, evaluated; its ``transfer.json`` tells the old task's accuracy before and after.

    Raises:
        UsageError: an argument cannot have that value.
        InputError: there is no such network, or the data are too few.
        DataUnavailableError: the data cannot be had.
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
    where: dict[str, Any] = {"data_dir": data_dir, "offline": offline}
    task = _task(data, source, config, old_data, on_message, where)
    run, _ = _keep(task, Path(out) if out else None, method, labels, seed, on_message)
    return run


def compare_transfer(
    data: Path | str | Dataset,
    source: Path | str = SHIPPED,
    config: TransferConfig | None = None,
    *,
    old_data: str | None = None,
    measure_old: bool = False,
    known: tuple[Repetition, ...] = (),
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = _silent,
    on_repetition: Callable[[Repetition], None] = _silent,
) -> Results:
    """Measure ways to learn a new task: each method, with each number of labels, several times.

    Args:
        data: as for ``fine_tune``, or the images themselves.
        source: as for ``fine_tune``.
        config: what to compare.
        old_data: as for ``fine_tune``.
        measure_old: whether every network is measured on the old task as well.
        known: repetitions that were measured before and are not to be repeated.
        data_dir: as for ``fine_tune``.
        offline: as for ``fine_tune``.
        on_message: as for ``fine_tune``.
        on_repetition: called with each repetition when it is measured.

    Raises:
        UsageError, InputError, DataUnavailableError: as for ``fine_tune``.
    """
    where: dict[str, Any] = {"data_dir": data_dir, "offline": offline}
    task = _task(data, source, config or TransferConfig(), old_data, on_message, where)
    return _compared(task, measure_old, known, on_repetition)


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
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_message: Callable[[str], None] = _silent,
    on_repetition: Callable[[Repetition], None] = _silent,
) -> tuple[Path, Results]:
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
        data_dir: as for ``fine_tune``.
        offline: as for ``fine_tune``.
        on_message: as for ``fine_tune``.
        on_repetition: as for ``compare_transfer``.

    Returns:
        The folder, and what was measured.

    Raises:
        UsageError, InputError, DataUnavailableError: as for ``fine_tune``.
        StoppedError: Ctrl-C came; what was measured is kept.
    """
    where: dict[str, Any] = {"data_dir": data_dir, "offline": offline}
    task = _task(data, source, config or TransferConfig(), old_data, on_message, where)
    _check_kept(task, method, labels, seed)
    folder, found = _begun(task, Path(out) if out else None)
    if found.final is not None and (found.repetitions or not comparison):
        _refuse_other({"method": method, "labels": labels, "seed": seed}, found.final, folder)
        return folder, found
    known = found.repetitions
    with hold_lock(folder), _told_how_to_go_on(folder):
        results = _bare(task, known)
        if comparison:
            results = _compared(task, False, known, _writing(task, folder, known, on_repetition))
        with storage_errors(folder / "model", "remove"):
            # Of an earlier call, that was ended before it was whole.
            shutil.rmtree(folder / "model", ignore_errors=True)
        run, about = _keep(task, folder / "model", method, labels, seed, on_message)
        final = {**about, "test": run.metrics["test"], "run": "model"}
        results = _with_final(results, final)
        results.write(folder)
        write_page(results, folder, task.target)
    return folder, results


@contextlib.contextmanager
def _told_how_to_go_on(folder: Path) -> Iterator[None]:
    """Give an interruption its sentence."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise StoppedError(
            f"The transfer was stopped. What was measured is in {folder}; the same command with "
            f"--out {folder} goes on."
        ) from error


def _begun(task: Task, out: Path | None) -> tuple[Path, Results]:
    """Return the folder for everything, and what an earlier call measured.

    Raises:
        UsageError: the folder holds something else.
    """
    bare = _bare(task)
    if out is None or not (out / RESULTS_FILE).is_file():
        return create_run(out, f"transfer-{Path(task.target.name).name}").path, bare
    found = read_results(out / RESULTS_FILE)
    mine = json.loads(json.dumps(bare.as_dict()))
    for part in ("source", "target", "settings"):
        _refuse_other(mine[part], getattr(found, part), out)
    _refuse_other({"old_data": mine["old_data"]}, {"old_data": found.old_data}, out)
    return out, found


def _refuse_other(wanted: dict[str, Any], found: dict[str, Any], out: Path) -> None:
    """Refuse a folder that was begun with other values than those ``wanted``."""
    if told := differences({name: found.get(name) for name in wanted}, wanted):
        raise UsageError(
            f"--out {out} holds another transfer: {told}. Repeat the command that began it, or "
            "name a new folder."
        )


def _writing(
    task: Task,
    folder: Path,
    known: tuple[Repetition, ...],
    on_repetition: Callable[[Repetition], None],
) -> Callable[[Repetition], None]:
    """Return what keeps each repetition on disk before it is told."""
    rows = list(known)

    def note(repetition: Repetition) -> None:
        rows.append(repetition)
        _bare(task, tuple(rows)).write(folder)
        on_repetition(repetition)

    return note


def _task(
    data: Path | str | Dataset,
    source: Path | str,
    config: TransferConfig,
    old_data: str | None,
    on_message: Callable[[str], None],
    where: dict[str, Any],
) -> Task:
    opened: Source = load_source(source)
    if isinstance(data, Dataset):
        target = data
    else:
        target = load_dataset(str(data), crops=config.crops, progress=on_message, **where)
    old = known_task(opened, old_data, on_message, **where)
    return Task(opened, target, old, config, on_message)


def _compared(
    task: Task,
    measure_old: bool,
    known: tuple[Repetition, ...],
    on_repetition: Callable[[Repetition], None],
) -> Results:
    found = compare(task, on_repetition, known, measure_old=measure_old)
    before = accuracy_on_old(task, task.source.model) if measure_old else None
    return _with_old(_bare(task, tuple(found)), before)


def _bare(task: Task, repetitions: tuple[Repetition, ...] = ()) -> Results:
    return Results(
        source=task.source.as_dict(),
        target=about_target(task),
        settings=task.config.as_dict(),
        repetitions=repetitions,
        old_data=task.old.name if task.old else None,
    )


def _with_old(results: Results, before: float | None) -> Results:
    return Results(**{**vars(results), "old_accuracy": before})


def _with_final(results: Results, final: dict[str, Any]) -> Results:
    before = final["old_accuracy_before"]
    return Results(**{**vars(results), "final": final, "old_accuracy": before})


def _keep(
    task: Task,
    out: Path | None,
    method: Method,
    labels: int,
    seed: int,
    on_message: Callable[[str], None],
) -> tuple[Run, dict[str, Any]]:
    _check_kept(task, method, labels, seed)

    def tell(epoch: Epoch) -> None:
        on_message(
            f"epoch {epoch.epoch}: accuracy {epoch.train_accuracy:.2%}, "
            f"val accuracy {epoch.val_accuracy:.2%}"
        )

    return keep(task, out, method, labels, seed, tell)


def _check_kept(task: Task, method: Method, labels: int, seed: int) -> None:
    """Refuse a network to keep that cannot be had, before hours are spent on others."""
    if method not in TUNED:
        raise unknown_name("method of the network to keep", method, TUNED)
    task.train_config(method, labels, seed)
    task.images_for(labels, seed)
