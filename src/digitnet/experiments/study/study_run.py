"""A study from end to end: plan it, run what is left, work out the results.

    study.toml      the file it was started with
    study.json      every variant's settings in full, the seeds, the threads of each run
    runs/           a run folder for each variant and seed
    results.json    the results; results.csv has the same as a table
    figures/*.png   figures
    report.html     everything on one page

Guarantees: a folder holds one study. It may grow, by variants, seeds and data sets to test on; what
has been trained in it stays valid.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet.errors import (
    DigitnetError,
    InputError,
    StoppedError,
    UsageError,
    importing_extras,
    unknown_name,
)
from digitnet.experiments import ray_engine
from digitnet.experiments.study import local_engine
from digitnet.experiments.study.definition import Study, load_study
from digitnet.experiments.study.trials import Event, Listener, Trial, is_finished, trials
from digitnet.files import hold_lock, is_occupied, make_folder, write_atomic, write_json
from digitnet.machine import usable_cores
from digitnet.network.config import TrainConfig, differences
from digitnet.text import count_of

if TYPE_CHECKING:
    from digitnet.experiments.study.study_results import StudyResults

ENGINES = ("local", "ray")
SCHEMA_VERSION = 1


def run_study(
    study: Study | Path | str,
    out: Path | str | None = None,
    *,
    engine: str = "local",
    processes: int | None = None,
    address: str | None = None,
    device: str = "auto",
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_event: Listener = lambda _: None,
) -> StudyResults:
    """Run a study, or what is left of it, and write the results.

    In a script, call it below ``if __name__ == "__main__":``, because each process of the local
    engine loads the script again.

    Args:
        study: the study, its file, or the name of one that ships with digitnet.
        out: its folder; by default ``studies/NAME``.
        engine: "local" for processes of this machine, "ray" for a cluster.
        processes: how many trials at a time; by default one for each core. The cores are divided
            among them, and the threads of a run stay what they were when the study began.
        address: of a Ray cluster to join; by default Ray is started on this machine.
        device: as for ``train``.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_event: called with everything that happens.

    Returns:
        The results; ``results.json``, ``results.csv``, ``figures/`` and ``report.html`` in the
        folder hold them.

    Raises:
        UsageError: the study or an argument is not allowed, or the folder holds another study.
        StoppedError: a signal came; the same call continues.
        DataUnavailableError: a data set cannot be fetched.
        MissingExtraError: what training, or the engine, needs is not installed.
        DigitnetError: trials failed; the results are those of the others, and another call tries
            again.
    """
    study = study if isinstance(study, Study) else load_study(study)
    folder = Path(out) if out is not None else study.default_folder
    resources: Any = {"engine": engine, "processes": processes, "address": address}
    data: Any = {"data_dir": data_dir, "offline": offline}
    plan_study(study, folder, **resources)
    with importing_extras():
        from digitnet.experiments.study.study_page import write_results
        from digitnet.experiments.study.study_results import gather
        from digitnet.training.device import resolve_device

        if not address:
            # An error now rather than in every trial.
            resolve_device(device)
        all_images = _check_data(study, data)
    with hold_lock(make_folder(folder)), importing_extras():
        # Again, now that no other process can put anything there.
        plan = plan_study(study, folder, **resources)
        write_description(study, folder, plan.threads)
        failed: list[Event] = []

        def listen(event: Event) -> None:
            if event.kind == "failed":
                failed.append(event)
            on_event(event)

        left = [trial for trial in plan.trials if not is_finished(trial)]
        options: Any = {"processes": plan.processes, "on_event": listen, "device": device, **data}
        try:
            if left and engine == "local":
                local_engine.run_trials(left, **options)
            elif left:
                ray_engine.run_trials(left, address=address, **options)
        except StoppedError as error:
            done = sum(map(is_finished, plan.trials))
            raise StoppedError(
                f"The study was stopped with {done} of {len(plan.trials)} runs finished. Nothing "
                "is lost; the same command continues it.",
                error.exit_code - 128,
            ) from error
        material = gather(study, plan.trials, all_images)
        write_results(material, folder)
    if failed:
        raise _failure(failed, len(plan.trials))
    return material.results


@dataclass(frozen=True)
class StudyPlan:
    """What a study trains, and how many of it at a time."""

    trials: tuple[Trial, ...]
    processes: int | None
    """Trials at a time; None leaves it to the cluster."""
    threads: int
    """Of each run."""


def plan_study(
    study: Study,
    folder: Path,
    *,
    engine: str = "local",
    processes: int | None = None,
    address: str | None = None,
) -> StudyPlan:
    """Return the trials of a study, with the cores divided among those that run at a time.

    Raises:
        UsageError: an argument is not allowed, there are too few cores for it, or ``folder`` holds
            another study or something else.
        InputError: its ``study.json`` cannot be read.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if processes is not None and processes < 1:
        raise UsageError(f"--processes cannot be {processes}; allowed: whole numbers from 1.")
    fixed = max(variant.config.threads for variant in study.variants)
    so_far = _threads_so_far(study, folder)
    threads = fixed or so_far
    # The cores of this machine say nothing about those of a cluster.
    if not (engine == "ray" and address):
        cores = usable_cores()
        most = max(cores // (threads or 1), 1)
        processes = processes or min(most, len(study.seeds) * len(study.variants))
        if processes > most:
            raise UsageError(
                f"--processes cannot be {processes} on {count_of(cores, 'core')} when each run "
                f"takes {count_of(threads or 1, 'thread')}; allowed: from 1 to {most}. (A study "
                "keeps the threads that it began with.)"
            )
        threads = threads or max(cores // processes, 1)
    planned = trials(study, folder, threads=threads or 1)
    return StudyPlan(tuple(planned), processes, threads or 1)


# ---- the folder


def write_description(study: Study, folder: Path, threads: int) -> None:
    """Write ``study.toml`` and ``study.json``.

    Args:
        study: the study.
        folder: its folder, which may hold the same study.
        threads: of each run.
    """
    write_atomic(folder / "study.toml", study.text)
    about = dataclasses.asdict(study) | {"schema_version": SCHEMA_VERSION, "threads": threads}
    del about["text"]
    write_json(folder / "study.json", about)


def _threads_so_far(study: Study, folder: Path) -> int:
    """Return the threads of each run in the folder of a study, 0 before it has any.

    Raises:
        UsageError: the folder holds something else, or what was trained in it would change.
        InputError: its ``study.json`` cannot be read.
    """
    file = folder / "study.json"
    if is_occupied(folder) and not file.is_file():
        raise UsageError(f"--out {folder} is not empty and holds no study. Name a new folder.")
    if not file.is_file():
        return 0
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        if saved["schema_version"] != SCHEMA_VERSION:
            raise ValueError("it has another format")
        threads, seeds = int(saved["threads"]), list(saved["seeds"])
        configs = {row["name"]: TrainConfig.from_dict(row["config"]) for row in saved["variants"]}
    except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
        raise InputError(
            f"{file} is not the description of a study: {error}. Name a new folder with --out."
        ) from error
    wanted = {variant.name: variant.config for variant in study.variants}
    changes = [
        f"it has the seed {seed}, and {study.name} has not"
        for seed in seeds
        if seed not in study.seeds
    ]
    for name, config in configs.items():
        if name not in wanted:
            changes.append(f"it has a variant '{name}', and {study.name} has none")
        elif differing := differences(config.flat(), wanted[name].flat()):
            changes.append(f"in variant '{name}', {differing}")
    if changes:
        raise UsageError(
            f"The folder {folder} holds another study: {'; '.join(changes)}. Name a new folder "
            "with --out. (Variants, seeds and data sets may be added, but not changed.)"
        )
    return threads


def _check_data(study: Study, where: dict[str, Any]) -> int:
    """Load every data set once, so that trouble with one is an error before anything is trained.

    Returns:
        How many images there are to train on, not counting those for validation.
    """
    from digitnet.data.catalogue import load_dataset
    from digitnet.network.cnn import CNN
    from digitnet.training.loop import choose_images, refuse_other_hands

    crops = study.variants[0].config.model.crops
    own = load_dataset(study.data, crops=crops, **where)
    for name in study.test_on:
        if load_dataset(name, crops=crops, **where).class_names != own.class_names:
            raise UsageError(
                f"'test_on' cannot have {name}, whose classes are not those of {study.data}."
            )
    for variant in study.variants:
        try:
            CNN(variant.config.override(num_classes=len(own.class_names)).model)
            choose_images(variant.config, own)
            refuse_other_hands(variant.config, own.class_names)
        except UsageError as error:
            raise UsageError(f"[variants.{variant.name}]: {error}") from error
    whole = study.variants[0].config.override(train_images=0)
    return len(choose_images(whole, own)[0])


def _failure(failed: Sequence[Event], total: int) -> DigitnetError:
    reasons: dict[str, list[str]] = {}
    for event in failed:
        reasons.setdefault(event.message, []).append(str(event.trial))
    listed = " ".join(f"{'; '.join(runs)}: {reason}" for reason, runs in reasons.items())
    return DigitnetError(
        f"{len(failed)} of {total} runs could not be finished. {listed} The same command tries "
        "them again."
    )
