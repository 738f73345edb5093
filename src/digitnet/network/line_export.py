"""A trained line reader as an ONNX file: a strip in, columns out; see ``reading.line_file``.

Guarantees:

- It holds the whole way from grey pixels to logarithms of probabilities, of batch size 1.
- Weights are kept in half precision and computed with in single precision.
- It is written only if ONNX Runtime's probabilities are within 2e-2 of torch's on golden strips; so
  much the rounding of the weights may change.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the name that every PyTorch reader knows)
from numpy.typing import NDArray
from torch import Tensor, nn

from digitnet import __version__
from digitnet.network.export import (
    HALF_TOLERANCE,
    finished,
    golden_inks,
    largest_difference,
    refuse_beyond,
    traced,
)
from digitnet.network.line_reader import CLASSES, LineReader
from digitnet.reading.line_file import LineFile, open_line_session
from digitnet.reading.line_strips import HEIGHT
from digitnet.reading.model_file import LINES_FORMAT


class _Exported(nn.Module):
    def __init__(self, reader: LineReader) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, strip: Tensor) -> Tensor:
        """Return the columns, (T, 12), of a strip, (1, 1, 32, W)."""
        return F.log_softmax(self.reader(strip), dim=-1).reshape(-1, CLASSES)


def build_lines(reader: LineReader, about: dict[str, str]) -> tuple[bytes, float]:
    """Return the content of the file, and by how much its probabilities differ from torch's.

    Args:
        reader: in evaluation mode.
        about: metadata on the network's origin.

    Raises:
        IntegrityError: they differ by more than 0.02.
    """
    graph = _Exported(reader).eval()
    example = {"strip": 255 * torch.rand(1, 1, HEIGHT, 100)}
    axes = {"strip": {3: "W"}, "columns": {0: "T"}}
    metadata = {"format": LINES_FORMAT, "digitnet_version": __version__, **about}
    content = finished(traced(graph, example, ["columns"], axes), metadata, half=True)
    difference = parity(graph, LineFile(open_line_session(content)))
    refuse_beyond(HALF_TOLERANCE, difference, "strips")
    return content, difference


def golden_strips() -> list[NDArray[np.uint8]]:
    """Return strips that both runtimes must agree on: curves, noise, nothing."""
    random = np.random.default_rng(0)
    strips = [random.integers(0, 256, (HEIGHT, width), np.uint8) for width in (16, 33, 250)]
    strips.append(np.full((HEIGHT, 40), 200, np.uint8))
    for ink in golden_inks()[:9]:
        strip = np.full((HEIGHT, 3 * HEIGHT), 210, np.float32)
        small = ink[:: max(1, ink.shape[0] // 26), :: max(1, ink.shape[1] // 60)][:30, :90]
        strip[1 : 1 + small.shape[0], 4 : 4 + small.shape[1]] -= 150 * small
        strips.append(strip.astype(np.uint8))
    return strips


@torch.inference_mode()
def parity(graph: nn.Module, file: LineFile) -> float:
    """Return the largest difference of a probability between torch and ONNX Runtime."""
    largest = 0.0
    for strip in golden_strips():
        ours = graph(torch.from_numpy(strip).float()[None, None]).exp()
        difference = largest_difference([ours], [np.exp(file.columns(strip))])
        largest = float(np.maximum(largest, difference))
    return largest
