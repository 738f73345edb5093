"""The model file of a network that has just been trained or tuned.

Guarantees: a network that cannot be exported is told, and is no failure: its training is whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from digitnet.cli.console import say
from digitnet.errors import IntegrityError

if TYPE_CHECKING:
    from digitnet.training.runs import Run


def export_trained(run: Run | Path, **places: Any) -> None:
    """Write ``model.onnx`` into a run folder, or say why there is none.

    Args:
        run: the folder.
        **places: ``data_dir`` and ``offline``, as for ``export_run``.
    """
    from digitnet.network.export import export_run

    try:
        export_run(run, **places)
    except IntegrityError as error:
        say(f"No model.onnx: {error}")
