"""The network to keep, as an ordinary run folder: predict, export, evaluate and report take it.

    config.json             its settings; ``data`` and ``train_images`` say what it learnt from
    transfer.json           where it comes from: source, method, old task before and after
    checkpoint.safetensors  a finished training, so that --resume leaves it as it is
    and the other files of a run

Guarantees: the images for validation, by which confidence is calibrated, were not learnt from; a
folder is a run only when everything but the evaluation lies in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from digitnet.experiments.transfer.comparing import Learner, Task, accuracy_on_old
from digitnet.experiments.transfer.methods import Method
from digitnet.experiments.transfer.tuning import Tuned
from digitnet.files import hold_lock
from digitnet.machine import environment
from digitnet.network.config import SCHEMA_VERSION, TrainConfig
from digitnet.training.checkpoint import save_model
from digitnet.training.loop import Position, Trainer, reproducible
from digitnet.training.runs import Epoch, Run, create_run
from digitnet.training.trained import Trained, measure_trained, trained_model


def keep(
    task: Task,
    out: Path | None,
    method: Method,
    labels: int,
    seed: int,
    on_epoch: Callable[[Epoch], None],
) -> tuple[Run, dict[str, Any]]:
    """Tune a network and write it as a run folder.

    Args:
        task: source, target and old task.
        out: the folder, new or empty; a fresh one under ``runs/`` when None.
        method: one that has steps.
        labels: images of each class to learn from; 0 takes all but those for validation.
        seed: of the choice of images and of everything drawn.
        on_epoch: called after each.

    Returns:
        The run, evaluated on the target's test images, and what ``transfer.json`` holds.
    """
    # First, so that a folder that cannot be used is an error before anything is learnt.
    run = create_run(out, f"transfer-{Path(task.target.name).name}-seed{seed}")
    with hold_lock(run.path):
        learner = Learner(task)
        tuned, config, images = learner.learn(method, labels, seed, task.val, on_epoch)
        config = config.override(epochs=len(tuned.history))
        about = _about(task, tuned, method, labels, seed, images)
        run.write_environment(environment())
        run.write_transfer(about)
        run.write_history(tuned.history)
        _save(run, tuned, config, task)
        # Last: a folder with this file is a run, which is resumed from what lies there.
        run.write_config(config, task.target.sha256, task.target.class_names)
        measure_trained(Trained(run, config, task.target, trained_model(run)))
    return run, about


def _about(
    task: Task, tuned: Tuned, method: Method, labels: int, seed: int, images: int
) -> dict[str, Any]:
    old = task.old
    return {
        "schema_version": SCHEMA_VERSION,
        "source": task.source.as_dict(),
        "method": method,
        "labels": labels,
        "images": images,
        "seed": seed,
        "steps": tuned.steps,
        "seconds": tuned.seconds,
        "settings": task.config.as_dict(),
        "old_data": old.name if old else None,
        "old_data_sha256": old.sha256 if old else None,
        "old_test_images": len(old.test_images) if old else None,
        "old_accuracy_before": accuracy_on_old(task, task.source.model),
        "old_accuracy_after": accuracy_on_old(task, tuned.knowing_old()),
        # A network with other classes names the old ones only with the old last layer.
        "old_last_layer": not task.same_classes,
    }


def _save(run: Run, tuned: Tuned, config: TrainConfig, task: Task) -> None:
    """Write the network, and a checkpoint that says that nothing is left to do."""
    with reproducible(config):
        trainer = Trainer(config, task.target)
        trainer.model.load_state_dict(tuned.model.state_dict())
        trainer.history = list(tuned.history)
        trainer.position = dataclasses.replace(Position(), epoch=config.epochs)
        trainer.save(run, task.target.sha256)
    about = {"class_names": list(task.target.class_names), "epochs": len(tuned.history)}
    save_model(run.model_file, tuned.model, config, about)
