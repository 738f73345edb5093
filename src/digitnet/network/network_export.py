"""A trained network alone as an ONNX file: images in, probabilities out; ``reading.network_file``.

Guarantees:

- It takes images as ``evaluate`` gives them to the network, so it answers them alike: it begins
  with the canonical image if the network was trained with it, and only then.
- Its probabilities are calibrated; those of several networks are the mean's.
- It is written only if ONNX Runtime gives torch's answers on golden images, to 1e-4; with weights
  in half precision to 0.02.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from digitnet import __version__
from digitnet.network.canonical import Canonical
from digitnet.network.cnn import CNN
from digitnet.network.config import IMAGE_SIZE
from digitnet.network.ensemble import Ensemble, answer
from digitnet.network.export import (
    HALF_TOLERANCE,
    TOLERANCE,
    finished,
    golden_inks,
    largest_difference,
    refuse_beyond,
    traced,
)
from digitnet.reading.model_file import NETWORK_FORMAT
from digitnet.reading.network_file import (
    IMAGES,
    NETWORK_VERSION,
    PROBABILITIES,
    NetworkFile,
    checked_network,
)


class Classification(nn.Module):
    """The exported graph: images, (N, 1, 28, 28) in [0, 1], to probabilities, (N, classes)."""

    def __init__(self, model: CNN | Ensemble, temperature: float) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, images: Tensor) -> Tensor:
        """Return calibrated probabilities."""
        logits, _, _ = answer(self.model, self.model.canonical(images))
        return torch.softmax(logits / self.temperature, dim=1)


def build_network(
    model: CNN | Ensemble, temperature: float, about: dict[str, str], *, half: bool = False
) -> tuple[bytes, float]:
    """Return the content of the ONNX file, and how far ONNX Runtime is from torch on it.

    Args:
        model: in evaluation mode.
        temperature: logits are divided by it before softmax.
        about: metadata on the network's origin; ``class_names`` is needed, as JSON.
        half: keep weights in half precision, in half the bytes.

    Raises:
        IntegrityError: it is further than 1e-4, or 0.02 with half precision; or it is larger than
            a model file may be.
    """
    graph = Classification(model, temperature).eval()
    side = IMAGE_SIZE
    axes = {IMAGES: {0: "N"}, PROBABILITIES: {0: "N"}}
    plain = traced(graph, {IMAGES: torch.rand(2, 1, side, side)}, [PROBABILITIES], axes)
    metadata = {
        "format": NETWORK_FORMAT,
        "schema_version": str(NETWORK_VERSION),
        "digitnet_version": __version__,
        "images": "float32 (N, 1, 28, 28) from 0 to 1, bright strokes on 0, as MNIST stores them",
        "temperature": repr(temperature),
        **about,
    }
    content = finished(plain, metadata, half=half)
    file = checked_network("The exported network", content)
    assert file
    difference = parity(graph, file)
    refuse_beyond(HALF_TOLERANCE if half else TOLERANCE, difference, "images")
    return content, difference


def golden_images() -> Tensor:
    """Return images that both runtimes must agree on, (N, 1, 28, 28): curves, noise, blanks."""
    canonical, side = Canonical(), IMAGE_SIZE
    curves = [canonical(torch.from_numpy(ink)[None, None]) for ink in golden_inks()]
    noise = torch.from_numpy(np.random.default_rng(0).random((4, 1, side, side), np.float32))
    return torch.cat([*curves, noise, torch.zeros(1, 1, side, side), torch.ones(1, 1, side, side)])


@torch.inference_mode()
def parity(graph: Classification, file: NetworkFile) -> float:
    """Return the largest difference between torch and ONNX Runtime on the golden images.

    They are asked for each of them and for all at once.
    """
    batches = [*torch.split(golden_images(), 1), golden_images()]
    ours = (graph(batch) for batch in batches)
    return largest_difference(ours, (file.probabilities(batch.numpy()) for batch in batches))
