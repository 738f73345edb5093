"""The model file of a network that has just been trained or tuned.

Guarantees: a network that cannot be exported is told, and is no failure: its training is whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from digitnet.cli.console import say
from digitnet.errors import IntegrityError

if TYPE_CHECKING:
    from digitnet.training.trained import Trained


def export_or_say(trained: Trained, data_dir: Path | None) -> None:
    """Write ``model.onnx`` into the folder of a run, whose lock is held, or say why there is none.

    Args:
        trained: the run with its data and network.
        data_dir: as for ``export_run``.
    """
    from digitnet.training.calibration import export_trained

    try:
        export_trained(trained, data_dir=data_dir)
    except IntegrityError as error:
        say(f"No model.onnx: {error}")
