"""A study from end to end: prepare the folder, run what is left, work out the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet import extras
from digitnet.errors import DigitnetError, StoppedError, UsageError, unknown_name
from digitnet.experiments.study import folder as study_folder
from digitnet.experiments.study import local_engine
from digitnet.experiments.study.definition import Study, load_study
from digitnet.experiments.study.events import Event, Listener
from digitnet.experiments.study.trials import Trial, is_finished, trials
from digitnet.files import hold_lock, make_folder
from digitnet.machine import usable_cores
from digitnet.text import count_of

if TYPE_CHECKING:
    from digitnet.experiments.study.study_results import StudyResults

ENGINES = ("local", "ray")


def run_study(
    study: Study | Path | str,
    out: Path | str | None = None,
    *,
    engine: str = "local",
    processes: int | None = None,
    address: str | None = None,
    data_dir: Path | str | None = None,
    offline: bool | None = None,
    on_event: Listener = lambda _: None,
) -> StudyResults:
    """Run a study, or what is left of it, and write what came out.

    In a script, call it below ``if __name__ == "__main__":``, because each process of the local
    engine loads the script again.

    Args:
        study: the study, its file, or the name of one that ships.
        out: its folder; by default ``studies/NAME``.
        engine: "local" for processes of this machine, "ray" for a cluster.
        processes: how many trials at a time; by default one for each core. The cores are divided
            among them, and the threads of a run stay what they were when the study began.
        address: of a Ray cluster to join; by default Ray is started on this machine.
        data_dir: as for ``train``.
        offline: as for ``train``.
        on_event: called with everything that happens.

    Returns:
        What came out; ``results.json``, ``results.csv``, ``figures/`` and ``report.html`` in the
        folder hold it.

    Raises:
        UsageError: the study or an argument is not allowed, or the folder holds another study.
        StoppedError: a signal came; call again to go on.
        DataUnavailableError: the data cannot be had.
        MissingExtraError: what training, or the engine, needs is not installed.
        DigitnetError: trials failed; the others are finished and written about, and another call
            tries again.
    """
    study = study if isinstance(study, Study) else load_study(study)
    folder = Path(out) if out is not None else study.default_folder
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    places = places_for(study, folder, engine, processes, address)
    study_folder.check(study, folder)
    where: dict[str, Any] = {"data_dir": data_dir, "offline": offline}
    all_images = _check_data(study, where)
    with hold_lock(make_folder(folder)):
        study_folder.begin(study, folder, places.threads)
        planned = trials(study, folder, threads=places.threads)
        left = [trial for trial in planned if not is_finished(trial)]
        failed: list[Event] = []

        def listen(event: Event) -> None:
            if event.kind == "failed":
                failed.append(event)
            on_event(event)

        try:
            _run(left, engine, places.processes, address, listen, where)
        except StoppedError as error:
            done = sum(map(is_finished, planned))
            raise StoppedError(
                f"The study stopped with {done} of {len(planned)} runs finished. Nothing is lost; "
                f"the same command goes on.",
                error.exit_code - 128,
            ) from error
        results = _write(study, planned, folder, all_images)
    if failed:
        raise DigitnetError(_told(failed, len(planned)))
    return results


@dataclass(frozen=True)
class Places:
    """Where the trials of a study run."""

    processes: int | None
    """How many at a time; None leaves it to the cluster."""
    threads: int
    """Of each run."""


def places_for(
    study: Study, folder: Path, engine: str, processes: int | None, address: str | None
) -> Places:
    """Divide the cores among the trials that run at a time.

    Raises:
        UsageError: there are not as many cores, at the threads that the runs take.
    """
    if processes is not None and processes < 1:
        raise UsageError(f"--processes cannot be {processes}; allowed: whole numbers from 1.")
    saved = study_folder.read(folder)
    fixed = max(variant.config.threads for variant in study.variants)
    threads = fixed or (int(saved["threads"]) if saved else 0)
    if engine == "ray" and address:
        # The cores of this machine say nothing about those of the cluster.
        return Places(processes, threads or 1)
    cores = usable_cores()
    most = max(cores // (threads or 1), 1)
    if processes is None:
        processes = min(most, len(study.seeds) * len(study.variants))
    if processes > most:
        reason = f" when each run takes {threads} threads" if threads > 1 else ""
        begun = ", as it did when the study began" if reason and not fixed else ""
        raise UsageError(
            f"--processes cannot be {processes} on {count_of(cores, 'core')}{reason}{begun}; "
            f"allowed: {'1' if most == 1 else f'1 to {most}'}."
        )
    return Places(processes, threads or max(cores // processes, 1))


def _check_data(study: Study, where: dict[str, Any]) -> int:
    """Load every data set once, so that a missing one is one error, before anything is trained.

    Returns:
        How many images there are to train on, validation set aside.
    """
    with extras.needed():
        from digitnet.data.catalogue import load_dataset
        from digitnet.network.cnn import CNN
        from digitnet.training.loop import choose_images
    crops = study.variants[0].config.model.crops
    own = load_dataset(study.data, crops=crops, **where)
    for name in study.test_on:
        other = load_dataset(name, crops=crops, **where)
        if other.class_names != own.class_names:
            raise UsageError(
                f"'test_on' cannot have {name}, whose classes are not those of {study.data}."
            )
    for variant in study.variants:
        try:
            CNN(variant.config.override(num_classes=len(own.class_names)).model)
            choose_images(variant.config, own.train_labels)
        except UsageError as error:
            raise UsageError(f"[variants.{variant.name}]: {error}") from error
    whole = study.variants[0].config.override(train_images=0)
    return len(choose_images(whole, own.train_labels)[0])


def _write(study: Study, planned: Sequence[Trial], folder: Path, all_images: int) -> StudyResults:
    with extras.needed():
        from digitnet.experiments.study import outputs
        from digitnet.experiments.study.gathering import gather
    material = gather(study, planned, all_images)
    outputs.write(material, folder)
    return material.results


def _run(
    left: Sequence[Trial],
    engine: str,
    processes: int | None,
    address: str | None,
    on_event: Listener,
    where: dict[str, Any],
) -> None:
    if not left:
        return
    if engine == "local":
        assert processes is not None
        local_engine.run_trials(left, processes=processes, on_event=on_event, **where)
        return
    with extras.needed():
        from digitnet.experiments import cluster
    cluster.run_trials(
        left,
        processes=processes,
        address=address,
        on_done=lambda trial: on_event(Event("finished", trial)),
        on_failed=lambda trial, error: on_event(Event("failed", trial, message=str(error))),
        **where,
    )


def _told(failed: Sequence[Event], total: int) -> str:
    reasons: dict[str, list[str]] = {}
    for event in failed:
        reasons.setdefault(event.message, []).append(str(event.trial))
    told = " ".join(f"{'; '.join(runs)}: {reason}" for reason, runs in reasons.items())
    return (
        f"{len(failed)} of {total} runs could not be finished. {told} The same command tries them "
        "again."
    )
