"""Make two finished runs the model that comes with digitnet: assets/digitnet.onnx and its record.

Their weights go along: as assets/digitnet.safetensors, for `digitnet transfer` to start from, and
as assets/finder.safetensors, for `digitnet export` to put beside networks of one's own.

make model                                  # trains the recipes `finder` and `robust`, then this
python tools/ship_model.py runs/robust-… runs/finder-…
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from pathlib import Path
from typing import Any

from digitnet import Run, open_run
from digitnet.files import write_json
from digitnet.machine import environment
from digitnet.training.calibration import export_run

ASSETS = Path(__file__).parent.parent / "src" / "digitnet" / "assets"


def main() -> None:
    """Export the runs together and write what is known of them beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", type=Path, help="a trained and evaluated run folder")
    parser.add_argument("finder", type=Path, help="the same, of a finder")
    given = parser.parse_args()
    run, finder = open_run(given.reader), open_run(given.finder)
    exported = export_run(run, ASSETS / "digitnet.onnx", finder=finder.path)
    shutil.copyfile(run.model_file, ASSETS / "digitnet.safetensors")
    shutil.copyfile(finder.model_file, ASSETS / "finder.safetensors")
    metrics = run.metrics
    record = {
        "schema_version": 1,
        "sha256": hashlib.sha256(exported.path.read_bytes()).hexdigest(),
        "weights_sha256": run.model_sha256,
        "bytes": exported.bytes,
        "largest_difference": exported.largest_difference,
        "temperature": exported.calibration.temperature,
        "ood_threshold": exported.calibration.ood_threshold,
        **_training(run),
        **{key: metrics[key] for key in ("test_accuracy", "test_loss", "misses")},
        "finder": {
            "weights_sha256": finder.model_sha256,
            **_training(finder),
            **{key: finder.metrics[key] for key in ("pages_exact", "signs_found")},
        },
        "exported_on": _machine(environment()),
    }
    write_json(ASSETS / "digitnet.json", record)
    print(f"{exported.path}: {exported.bytes:,} bytes, SHA-256 {record['sha256']}")


def _training(run: Run) -> dict[str, Any]:
    """Return how a network was trained."""
    keys = ("recipe", "data", "seed", "epochs", "parameters", "val_accuracy")
    return {
        **{key: run.metrics[key] for key in keys},
        "threads": run.config.threads,
        "training_seconds": run.metrics["seconds"],
        "trained_on": _machine(run.environment),
    }


def _machine(environment: dict[str, Any]) -> dict[str, Any]:
    """Return an environment without the command, which may name folders of the machine."""
    return {name: value for name, value in environment.items() if name != "command"}


if __name__ == "__main__":
    main()
