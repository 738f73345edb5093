"""A trained network as one ONNX file: ink in, probabilities out, the same answer everywhere.

Guarantees:

- The file holds the whole path from ink to answer: canonical image, network, calibration. Whoever
  runs it need not prepare the ink, and cannot do so wrongly.
- It is self-contained (no external data) and describes itself: classes, thresholds, origin.
- It is written only if it passes the checks that loading it does, and ONNX Runtime gives torch's
  answers on the golden inks, to 1e-5.
- Operator set 18, which onnxruntime and onnxruntime-web read.

Input ``ink``: float32 (N, 1, H, W), any H and W, bright strokes on 0. Outputs: ``probabilities``
float32 (N, classes); ``ood_score`` float32 (N,), larger is stranger; ``image`` float32
(N, 1, 28, 28), what the network saw; ``features`` float32 (N, units), its last hidden layer.
"""

from __future__ import annotations

import io
import itertools
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from digitnet import __version__
from digitnet.errors import IntegrityError
from digitnet.network.canonical import Canonical
from digitnet.network.cnn import CNN
from digitnet.reading.ink.strokes import from_strokes
from digitnet.reading.model_file import FORMAT, FORMAT_VERSION, OUTPUTS, ModelFile, checked

OPSET = 18
# The largest difference between torch and ONNX Runtime that rounding may explain.
TOLERANCE = 1e-5
# The weight of the energy besides the log odds: more of it refuses fewer zeros drawn as a ring, and
# more broad ones.
ENERGY = 0.5


class Recognition(nn.Module):
    """The exported graph: canonical image, network, calibration.

    Ink is scored by the free energy of the classes' logits (Liu, Wang, Owens and Li, "Energy-based
    out-of-distribution detection", NeurIPS 2020); if the network has an output for none of them, by
    half of it plus the log odds of that output. The odds alone refuse round zeros: no digit of
    MNIST is as even as a ring, and some drawings that are not digits are. Some classes score higher
    than others; each is measured from a limit of its own.
    """

    limits: Tensor

    def __init__(self, model: CNN, calibration: Calibration | None = None) -> None:
        super().__init__()
        calibration = calibration or Calibration()
        self.canonical, self.model = Canonical(), model
        self.temperature = calibration.temperature
        self.register_buffer("limits", torch.tensor(calibration.limits, dtype=torch.float32))

    def forward(self, ink: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return probabilities, ood_score, image and features of ink, float32 (N, 1, H, W)."""
        image = self.canonical(ink)
        features = self.model.features_of(image)
        digits, score = digits_and_score(self.model, self.model.head[-1](features))
        probabilities = torch.softmax(digits / self.temperature, dim=1)
        if len(self.limits):
            score = score - probabilities @ self.limits
        return probabilities, score, image, features


def digits_and_score(model: CNN, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits of the classes, (N, classes), and the ood_score, (N,)."""
    digits = logits[:, : model.config.num_classes]
    energy = -torch.logsumexp(digits, dim=1)
    return digits, logits[:, -1] + (1 + ENERGY) * energy if model.config.reject else energy


@dataclass(frozen=True)
class Calibration:
    """Numbers that travel with an exported network."""

    temperature: float = 1.0
    """Logits are divided by it before softmax; above 1 the network was too sure of itself."""
    ood_threshold: float = float("inf")
    """Ink whose ood_score is larger is not taken for a digit."""
    limits: tuple[float, ...] = ()
    """What is taken from the ood_score of each class, so that one threshold suits all; or none."""


def build(model: CNN, calibration: Calibration, about: dict[str, str]) -> tuple[bytes, float]:
    """Return the content of the ONNX file, and how far ONNX Runtime is from torch on it.

    Args:
        model: in evaluation mode.
        calibration: goes into the graph and the metadata.
        about: metadata on the network's origin; ``class_names`` is needed, as JSON.

    Raises:
        IntegrityError: it is further than 1e-5, or the file would be refused when it is loaded.
    """
    graph = Recognition(model, calibration).eval()
    content = _with_metadata(_to_onnx(graph), _metadata(calibration, about))
    difference = parity(graph, checked("The exported network", content))
    if not difference <= TOLERANCE:
        raise IntegrityError(
            f"ONNX Runtime and torch differ by {difference:.1e} on the golden inks; more than "
            f"{TOLERANCE:.0e} is refused. Nothing was written."
        )
    return content, difference


def golden_inks() -> list[NDArray[np.float32]]:
    """Return the inks that both runtimes must agree on: loops and curves of many sizes, and noise.

    The curves are Lissajous figures, which look like 0, 8, 1, C and more.
    """
    angles = np.linspace(0, 2 * np.pi, 60)
    curves = [
        np.column_stack([np.sin(a * angles + b), np.cos(angles)]).tolist()
        for a, b in itertools.product((1, 2, 3), (0.0, 0.7, 1.5))
    ]
    steps = itertools.cycle((1, 2, 4))
    inks = [from_strokes([curve]).pixels[:: next(steps)] for curve in curves]
    random = np.random.default_rng(0)
    inks += [random.random(shape, np.float32) for shape in ((1, 1), (5, 160), (90, 3), (64, 64))]
    return [*inks, np.zeros((20, 20), np.float32), np.ones((33, 12), np.float32)]


@torch.inference_mode()
def parity(graph: Recognition, file: ModelFile) -> float:
    """Return the largest difference between torch and ONNX Runtime on the golden inks.

    It is relative to the largest number of an output where that exceeds 1.
    """
    largest = 0.0
    for ink in golden_inks():
        batch = ink[None, None]
        for ours, theirs in zip(
            graph(torch.from_numpy(batch)), file.run(OUTPUTS, batch), strict=True
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
        "digitnet_version": __version__,
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
