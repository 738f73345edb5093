"""digitnet: handwritten digits, read from any picture; a small CNN, trained and explained.

    import digitnet

    answer = digitnet.Recognizer().predict("photo.jpg")   # .digit, .confidence, .is_digit …
    reading = digitnet.Recognizer().read("form.jpg")      # .text, .lines, .confidence …

    run = digitnet.train("reference", epochs=3)   # a run folder: weights, history
    metrics = digitnet.evaluate(run)              # accuracy, misses, interval …
    digitnet.write_report(run)                    # report.html and its figures

Importing this package loads neither torch nor any other heavy library; the names below load theirs
when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from digitnet.errors import DigitnetError, importing_extras

if TYPE_CHECKING:
    from digitnet.data.catalogue import load_dataset
    from digitnet.data.dataset import Dataset
    from digitnet.experiments.study.definition import load_study
    from digitnet.experiments.study.study_run import run_study
    from digitnet.experiments.transfer_run import fine_tune
    from digitnet.network.cnn import CNN
    from digitnet.network.config import AugmentationConfig, ModelConfig, TrainConfig
    from digitnet.network.recipes import recipe
    from digitnet.reading.prediction import Prediction, Reading
    from digitnet.reading.recognizer import Recognizer
    from digitnet.showing.report import write_report
    from digitnet.training.calibration import export_run
    from digitnet.training.checkpoint import load_model
    from digitnet.training.ensemble_runs import (
        EnsembleMetrics,
        evaluate_ensemble,
        resume_ensemble,
        train_ensemble,
    )
    from digitnet.training.evaluation import Metrics
    from digitnet.training.finder_evaluation import FinderMetrics
    from digitnet.training.run_evaluation import evaluate, evaluate_finder, evaluate_lines
    from digitnet.training.run_training import resume, train
    from digitnet.training.runs import Run, open_run

__version__ = "0.1.0"

__all__ = [
    "CNN",
    "AugmentationConfig",
    "Dataset",
    "DigitnetError",
    "EnsembleMetrics",
    "FinderMetrics",
    "Metrics",
    "ModelConfig",
    "Prediction",
    "Reading",
    "Recognizer",
    "Run",
    "TrainConfig",
    "evaluate",
    "evaluate_ensemble",
    "evaluate_finder",
    "evaluate_lines",
    "export_run",
    "fine_tune",
    "load_dataset",
    "load_model",
    "load_study",
    "open_run",
    "recipe",
    "resume",
    "resume_ensemble",
    "run_study",
    "train",
    "train_ensemble",
    "write_report",
]

# Where each name is defined.
_HOMES = {
    "data.catalogue": ["load_dataset"],
    "data.dataset": ["Dataset"],
    "experiments.study.definition": ["load_study"],
    "experiments.study.study_run": ["run_study"],
    "experiments.transfer_run": ["fine_tune"],
    "network.cnn": ["CNN"],
    "network.config": ["AugmentationConfig", "ModelConfig", "TrainConfig"],
    "network.recipes": ["recipe"],
    "reading.prediction": ["Prediction", "Reading"],
    "reading.recognizer": ["Recognizer"],
    "showing.report": ["write_report"],
    "training.calibration": ["export_run"],
    "training.checkpoint": ["load_model"],
    "training.ensemble_runs": [
        "EnsembleMetrics",
        "evaluate_ensemble",
        "resume_ensemble",
        "train_ensemble",
    ],
    "training.evaluation": ["Metrics"],
    "training.finder_evaluation": ["FinderMetrics"],
    "training.run_evaluation": ["evaluate", "evaluate_finder", "evaluate_lines"],
    "training.run_training": ["resume", "train"],
    "training.runs": ["Run", "open_run"],
}


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'digitnet' has no attribute '{name}'")
    with importing_extras():
        value = getattr(importlib.import_module(f"digitnet.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
