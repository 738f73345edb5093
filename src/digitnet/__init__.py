"""digitnet: handwritten digits, read from any picture; a small CNN, trained and explained.

    import digitnet

    answer = digitnet.Recognizer().predict("photo.jpg")   # .digit, .confidence, .is_digit …

    run = digitnet.train("reference", epochs=3)   # a run folder: weights, history
    metrics = digitnet.evaluate(run)              # accuracy, misses, interval …
    digitnet.write_report(run)                    # report.html and its figures

Importing this package loads neither torch nor any other heavy library; the names below load theirs
when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from digitnet import extras as _extras

if TYPE_CHECKING:
    from digitnet.checkpoint import load_model
    from digitnet.config import AugmentationConfig, ModelConfig, TrainConfig
    from digitnet.datasets import Dataset, load_dataset
    from digitnet.errors import DigitnetError
    from digitnet.evaluation import Metrics
    from digitnet.export import export_run
    from digitnet.models import CNN
    from digitnet.recipes import recipe
    from digitnet.recognizer import Prediction, Recognizer
    from digitnet.report import write_report
    from digitnet.runs import Run, open_run
    from digitnet.study import load_study, run_study
    from digitnet.transfer.workflow import fine_tune
    from digitnet.workflow import evaluate, resume, train

__version__ = "0.1.0"

__all__ = [
    "CNN",
    "AugmentationConfig",
    "Dataset",
    "DigitnetError",
    "Metrics",
    "ModelConfig",
    "Prediction",
    "Recognizer",
    "Run",
    "TrainConfig",
    "evaluate",
    "export_run",
    "fine_tune",
    "load_dataset",
    "load_model",
    "load_study",
    "open_run",
    "recipe",
    "resume",
    "run_study",
    "train",
    "write_report",
]

_HOMES = {
    "CNN": "models",
    "AugmentationConfig": "config",
    "Dataset": "datasets",
    "DigitnetError": "errors",
    "Metrics": "evaluation",
    "ModelConfig": "config",
    "Prediction": "recognizer",
    "Recognizer": "recognizer",
    "Run": "runs",
    "TrainConfig": "config",
    "evaluate": "workflow",
    "export_run": "export",
    "fine_tune": "transfer.workflow",
    "load_dataset": "datasets",
    "load_model": "checkpoint",
    "load_study": "study",
    "open_run": "runs",
    "recipe": "recipes",
    "resume": "workflow",
    "run_study": "study",
    "train": "workflow",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'digitnet' has no attribute '{name}'")
    with _extras.needed():
        value = getattr(importlib.import_module(f"digitnet.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
