"""A trained network as one ONNX file: ink in, probabilities out, the same answer everywhere.

Guarantees:

- The file holds the whole path from ink to answer: canonical image, network, calibration. Whoever
  runs it prepares nothing and cannot prepare it wrongly.
- It is whole in itself (no external data) and describes itself: classes, thresholds, origin.
- It is written only after ONNX Runtime gave torch's answers on the golden inks, to 1e-5.
- Operator set 18, which onnxruntime and onnxruntime-web read.

Input ``ink``: float32 (N, 1, H, W), any H and W, bright strokes on 0. Outputs: ``probabilities``
float32 (N, classes); ``ood_score`` float32 (N,), larger is stranger; ``image`` float32
(N, 1, 28, 28), what the network saw; ``features`` float32 (N, units), its last hidden layer.
"""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import digitnet
from digitnet.data.datasets import Dataset, load_dataset
from digitnet.errors import DataUnavailableError, InputError, IntegrityError
from digitnet.experiments.transfer.source import set_aside
from digitnet.files import write_atomic
from digitnet.network.canonical import Canonical
from digitnet.network.cnn import CNN, to_float
from digitnet.network.config import TrainConfig
from digitnet.reading.model_files import FORMAT, FORMAT_VERSION, OUTPUTS
from digitnet.reading.model_files.graph import check_graph
from digitnet.training.calibration import Calibration, fit_temperature, fit_threshold
from digitnet.training.runs import Run, open_run
from digitnet.training.workflow import refuse_changes, trained_model, val_indices

OPSET = 18
# The largest difference between torch and ONNX Runtime that is put down to rounding.
TOLERANCE = 1e-5
# Validation images from which on no others are asked.
ENOUGH_TO_CALIBRATE = 2000
# The weight of the energy beside the log odds: more of it refuses fewer zeros drawn as a ring and
# more broad ones.
ENERGY = 0.5


class Recognition(nn.Module):
    """The exported graph: canonical image, network, calibration.

    Ink is scored by the free energy of the classes' logits (Liu, Wang, Owens and Li, "Energy-based
    out-of-distribution detection", NeurIPS 2020); a network that refuses, by half of it and its log
    odds of being none of the classes. The odds alone call round zeros none: no digit of MNIST is as
    even as a ring, and some drawings of no digit are.
    """

    def __init__(self, model: CNN, temperature: float = 1.0) -> None:
        super().__init__()
        self.canonical, self.model, self.temperature = Canonical(), model, temperature

    def forward(self, ink: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return probabilities, ood_score, image and features of ink, float32 (N, 1, H, W)."""
        image = self.canonical(ink)
        features = self.model.features_of(image)
        digits, score = digits_and_score(self.model, self.model.head[-1](features))
        return torch.softmax(digits / self.temperature, dim=1), score, image, features


def digits_and_score(model: CNN, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits of the classes, (N, classes), and the ood_score, (N,)."""
    digits = logits[:, : model.config.num_classes]
    energy = -torch.logsumexp(digits, dim=1)
    return digits, logits[:, -1] + (1 + ENERGY) * energy if model.config.reject else energy


@dataclass(frozen=True)
class Exported:
    """What ``export_run`` made."""

    path: Path
    bytes: int
    largest_difference: float
    """Between torch and ONNX Runtime on the golden inks, relative to outputs larger than 1."""
    calibration: Calibration


def export_run(run: Path | str | Run, out: Path | str | None = None, **where: Any) -> Exported:
    """Calibrate the network of a run on its validation images and write it as ONNX.

    The file always begins with the canonical image. A network that was trained and evaluated
    without it (``canonical`` off) answers a little differently there than in its report.

    Args:
        run: the run folder.
        out: the file; by default ``model.onnx`` in the run folder.
        **where: ``data_dir``, ``offline``, ``progress``: as for ``load_dataset``.

    Raises:
        InputError: the folder is not a run, or has no model yet.
        IntegrityError: the model file is damaged, ONNX Runtime gives other answers than torch, or
            the network is larger than a model file may be.
        UsageError: the data are not those of the run.
    """
    run = open_run(run)
    config, model = run.config, trained_model(run)
    dataset = load_dataset(config.data, crops=config.model.crops, **where)
    refuse_changes(run, run.data_sha256, dataset.sha256)
    calibration = calibrate(model, *_validation(run, config, dataset, where))
    about = {
        "class_names": json.dumps(list(dataset.class_names)),
        "recipe": config.recipe,
        "data": config.data,
        "seed": str(config.seed),
        "crops": str(config.model.crops).lower(),
        "epochs": str(len(run.history)),
        "model_sha256": run.model_sha256,
    }
    path = Path(out) if out else run.path / "model.onnx"
    content, difference = build(model, calibration, about)
    write_atomic(path, content)
    return Exported(path, len(content), difference, calibration)


def _validation(
    run: Run, config: TrainConfig, dataset: Dataset, where: dict[str, Any]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images and labels to calibrate with: those that the run was validated on.

    Few of them would say little: of two hundred, hardly one is misread. Where the network was tuned
    and knows another task of the same classes, that one's fill them up.
    """
    val = val_indices(config, dataset)
    images, labels = dataset.train_images[val], dataset.train_labels[val]
    old = _old_task(run, where) if len(val) < ENOUGH_TO_CALIBRATE else None
    if old is None or old.class_names != dataset.class_names:
        return images, labels
    some = np.random.default_rng(0).permutation(set_aside(old))[: ENOUGH_TO_CALIBRATE - len(val)]
    return (
        np.concatenate([images, old.train_images[some]]),
        np.concatenate([labels, old.train_labels[some]]),
    )


def _old_task(run: Run, where: dict[str, Any]) -> Dataset | None:
    """Return the task that a tuned network knew before, if its images are at hand."""
    about = run.transfer
    if about is None or about["old_data"] is None:
        return None
    try:
        crops = about["source"]["crops"]
        old = load_dataset(about["old_data"], crops=crops, **{**where, "offline": True})
    except (DataUnavailableError, InputError):  # what was at hand then is no more
        return None
    return old if old.sha256 == about["old_data_sha256"] else None


def calibrate(model: CNN, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Calibration:
    """Return temperature and threshold, found on validation images, uint8 (N, 28, 28)."""
    logits, scores = answers(model, images)
    return Calibration(fit_temperature(logits, labels), fit_threshold(scores))


@torch.inference_mode()
def answers(
    model: CNN, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return logits (N, classes) and ood_scores (N,) of stored images, uint8 (N, 28, 28)."""
    canonical, batches = Canonical(), torch.split(torch.from_numpy(images), 500)
    logits = torch.cat([model.logits_of(canonical(to_float(batch))) for batch in batches])
    digits, scores = digits_and_score(model, logits)
    return digits.numpy(), scores.numpy()


def build(model: CNN, calibration: Calibration, about: dict[str, str]) -> tuple[bytes, float]:
    """Return the content of the ONNX file, and how far ONNX Runtime is from torch on it.

    Raises:
        IntegrityError: it is further than 1e-5.
    """
    graph = Recognition(model, calibration.temperature).eval()
    content = _with_metadata(_to_onnx(graph), _metadata(calibration, about))
    check_graph(content, "The exported network", model.config.num_classes)
    difference = parity(graph, content)
    if not difference <= TOLERANCE:
        raise IntegrityError(
            f"ONNX Runtime and torch differ by {difference:.1e} on the golden inks; more than "
            f"{TOLERANCE:.0e} is refused. Nothing was written."
        )
    return content, difference


def golden_inks() -> list[NDArray[np.float32]]:
    """Return the inks that both runtimes must agree on: digits of many sizes, and odd ones."""
    digits = load_dataset("sample").test_images[:24].astype(np.float32) / 255
    inks = [np.kron(d, np.ones((1 + i % 4, 1 + i % 4), np.float32)) for i, d in enumerate(digits)]
    random = np.random.default_rng(0)
    inks += [random.random(shape, np.float32) for shape in ((1, 1), (5, 160), (90, 3), (64, 64))]
    return [*inks, np.zeros((20, 20), np.float32), np.ones((33, 12), np.float32)]


@torch.inference_mode()
def parity(graph: Recognition, content: bytes) -> float:
    """Return the largest difference between torch and ONNX Runtime on the golden inks.

    Relative to the largest number of an output where that exceeds 1.
    """
    import onnxruntime as ort

    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    largest = 0.0
    for ink in golden_inks():
        batch = ink[None, None]
        for ours, theirs in zip(
            graph(torch.from_numpy(batch)), session.run(OUTPUTS, {"ink": batch}), strict=True
        ):
            expected = ours.numpy()
            difference = np.abs(expected - theirs).max() / max(1.0, float(np.abs(expected).max()))
            # Not Python's max, which lets NaN slip through.
            largest = float(np.maximum(largest, difference))
    return largest


def _to_onnx(graph: Recognition) -> bytes:
    stream = io.BytesIO()
    batch = {name: {0: "N"} for name in OUTPUTS}
    with warnings.catch_warnings():
        # The exporter by tracing, which torch is about to replace by one that needs another
        # package; and shape checks, which it evaluates while it traces.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (torch.rand(2, 1, 40, 50),),
            stream,  # type: ignore[arg-type]
            input_names=["ink"],
            output_names=list(OUTPUTS),
            dynamic_axes={"ink": {0: "N", 2: "H", 3: "W"}, **batch},
            opset_version=OPSET,
            dynamo=False,
        )
    return stream.getvalue()


def _metadata(calibration: Calibration, about: dict[str, str]) -> dict[str, str]:
    return {
        "format": FORMAT,
        "schema_version": str(FORMAT_VERSION),
        "digitnet_version": digitnet.__version__,
        "temperature": repr(calibration.temperature),
        "ood_threshold": repr(calibration.ood_threshold),
        **about,
    }


def _with_metadata(content: bytes, metadata: dict[str, str]) -> bytes:
    import onnx

    model = onnx.load_model_from_string(content)
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    # Paths and line numbers of the machine that traced it.
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized
