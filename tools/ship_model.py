"""Make finished runs the model files that come with digitnet, and write their records.

Reader and finder are assets/digitnet.onnx, the line reader assets/lines.onnx; what is not named
stays as it is. The weights of the first two go along: as assets/digitnet.safetensors, for
`digitnet transfer` to start from, and as assets/finder.safetensors, for `digitnet export` to put
beside networks of one's own.

make model                        # trains the recipes `finder`, `robust` and `lines`, then this
python tools/ship_model.py --reader runs/robust-… --finder runs/finder-… --lines runs/lines-…
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import torch

from digitnet import Run, open_run
from digitnet.data.pen_signs import load_hands, split_writers
from digitnet.files import write_json
from digitnet.machine import environment
from digitnet.network.cnn import CNN, to_float
from digitnet.network.export import Calibration, Recognition
from digitnet.reading.model_file import BLANK
from digitnet.synthesis.hand_drawings import validation_digits
from digitnet.training.calibration import export_run
from digitnet.training.checkpoint import load_finder
from digitnet.training.trained import trained_model

ASSETS = Path(__file__).parent.parent / "src" / "digitnet" / "assets"


def main() -> None:
    """Export the runs and write what is known of them beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reader", type=Path, help="a trained and evaluated run folder")
    parser.add_argument("--finder", type=Path, help="the same, of a finder")
    parser.add_argument("--lines", type=Path, help="the same, of a line reader")
    given = parser.parse_args()
    reader, finder, lines = (
        open_run(path) if path else None for path in (given.reader, given.finder, given.lines)
    )
    if not (reader or finder or lines):
        parser.error("name a run: --reader, --finder or --lines")
    if reader or finder:
        _ship_model(reader, finder)
    if lines:
        _ship_lines(lines)


def _ship_model(reader: Run | None, finder: Run | None) -> None:
    """Write the file of reader and finder; None is the one that comes with digitnet."""
    run = reader or finder
    assert run is not None
    beside = finder.path if reader and finder else None
    exported = export_run(run, ASSETS / "digitnet.onnx", finder=beside, half=True)
    record = json.loads((ASSETS / "digitnet.json").read_text("utf-8"))
    if finder:
        shutil.copyfile(finder.model_file, ASSETS / "finder.safetensors")
        record["finder"] = {
            "weights_sha256": finder.model_sha256,
            **_training(finder),
            **{key: finder.metrics[key] for key in ("pages_exact", "signs_found")},
        }
    if reader:
        shutil.copyfile(reader.model_file, ASSETS / "digitnet.safetensors")
        assert exported.calibration is not None
        record |= _about_reader(reader, exported.calibration)
    record |= {
        "sha256": hashlib.sha256(exported.path.read_bytes()).hexdigest(),
        "bytes": exported.bytes,
        "largest_difference": exported.largest_difference,
        "exported_on": _machine(environment()),
    }
    write_json(ASSETS / "digitnet.json", record)
    print(f"{exported.path}: {exported.bytes:,} bytes, SHA-256 {record['sha256']}")


def _about_reader(run: Run, calibration: Calibration) -> dict[str, Any]:
    model, _ = trained_model(run)
    return {
        "weights_sha256": run.model_sha256,
        "temperature": calibration.temperature,
        "ood_threshold": calibration.ood_threshold,
        "limits": list(calibration.limits),
        **_training(run),
        **{key: run.metrics[key] for key in ("test_accuracy", "test_loss", "misses")},
        "other_hands": _other_hands(model, calibration),
    }


def _ship_lines(run: Run) -> None:
    exported = export_run(run, ASSETS / "lines.onnx")
    record = {
        "schema_version": 1,
        "sha256": hashlib.sha256(exported.path.read_bytes()).hexdigest(),
        "weights_sha256": run.model_sha256,
        "bytes": exported.bytes,
        "largest_difference": exported.largest_difference,
        **_training(run),
        "lines_exact": run.metrics["lines_exact"],
        "exported_on": _machine(environment()),
    }
    write_json(ASSETS / "lines.json", record)


def _training(run: Run) -> dict[str, Any]:
    """Return how a network was trained."""
    keys = ("recipe", "data", "seed", "epochs", "parameters", "val_accuracy")
    return {
        **{key: run.metrics[key] for key in keys},
        "threads": run.config.threads,
        "training_seconds": run.metrics["seconds"],
        "trained_on": _machine(run.environment),
    }


def _other_hands(model: CNN, calibration: Calibration) -> dict[str, Any]:
    """Return how the digits are read that the threshold was set on, of writers set aside."""
    images, labels = validation_digits()
    graph = Recognition(model, load_finder(), calibration).eval()
    with torch.inference_mode():
        outputs = graph(torch.from_numpy(BLANK), to_float(torch.from_numpy(images)))
    probabilities, scores = (rows[-len(images) :] for rows in outputs[:2])
    right = probabilities.numpy().argmax(1) == labels
    both = right & (scores.numpy() <= calibration.ood_threshold)
    hands = load_hands()
    _, val = split_writers(hands)
    return {
        "writers": len(set(hands.writer[val[hands.is_digit[val]]].tolist())),
        "images": len(labels),
        "right": float(right.mean()),
        "right_and_accepted": float(both.mean()),
        "worst_digit": min(float(both[labels == digit].mean()) for digit in range(10)),
    }


def _machine(environment: dict[str, Any]) -> dict[str, Any]:
    """Return an environment without the command, which may name folders of the machine."""
    return {name: value for name, value in environment.items() if name != "command"}


if __name__ == "__main__":
    main()
