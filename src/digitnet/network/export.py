"""A trained network as one ONNX file: a page or ink in, probabilities out, the same everywhere.

Guarantees:

- The file holds the whole path from page to answer: finder, canonical image, network, calibration.
  Whoever runs it need not prepare the ink, and cannot do so wrongly.
- It is self-contained (no external data) and describes itself: classes, thresholds, origin.
- It is written only if it passes the checks that loading it does, and ONNX Runtime gives torch's
  answers on the golden inks, to 1e-4; with weights in half precision to 0.02.
- Operator set 18, which onnxruntime and onnxruntime-web read.

There are two inlets; whoever uses one of them feeds nothing to the other, a blank page or no ink (N
= 0). ``page``: float32 (1, 1, H, W), grey, from 32 pixels on. ``ink``: float32 (N, 1, h, w), bright
strokes on 0, any h and w. Of the K signs found on the page, surest first, and then of the N inks
the outputs say: ``probabilities`` float32 (K + N, classes); ``ood_score`` float32 (K + N,), larger
is stranger; ``image`` float32 (K + N, 1, 28, 28), what the network saw; ``features`` float32 (K +
N, units), its last hidden layer. Of the K signs alone: ``box`` float32 (K, 4), left, top, right,
bottom in pixels of the page; ``presence`` and ``digit_share`` float32 (K,) as in
``network.finder.Found``; ``signs`` float32 (K, 1, H, W), the ink of each. And of the page:
``strokes`` float32 (2, H, W), ink of signs and clutter.
"""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from digitnet import __version__
from digitnet.errors import IntegrityError
from digitnet.network.canonical import Canonical
from digitnet.network.cnn import CNN
from digitnet.network.ensemble import Ensemble, answer
from digitnet.network.finder import Finder, find
from digitnet.reading.model_file import (
    ANSWER,
    BLANK,
    FORMAT,
    FORMAT_VERSION,
    NO_INK,
    OUTPUTS,
    ModelFile,
    checked,
)
from digitnet.reading.strokes import from_strokes

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
# The largest difference between torch and ONNX Runtime that rounding may explain.
TOLERANCE = 1e-4
# The same where weights are kept in half precision. Tensors of few numbers stay as they are, and so
# does the last layer's, which the page replaces when it is taught.
HALF_TOLERANCE = 2e-2
_FEW = 2048


class Recognition(nn.Module):
    """The exported graph: finder, canonical image, network, calibration.

    It is that of one network, or of several that answer as one (``network.ensemble``). Some classes
    score higher than others; each is measured from a limit of its own.
    """

    limits: Tensor

    def __init__(
        self, model: CNN | Ensemble, finder: Finder, calibration: Calibration | None = None
    ) -> None:
        super().__init__()
        calibration = calibration or Calibration()
        self.finder, self.canonical, self.model = finder, Canonical(), model
        self.temperature = calibration.temperature
        self.register_buffer("limits", torch.tensor(calibration.limits, dtype=torch.float32))

    def forward(self, page: Tensor, ink: Tensor) -> tuple[Tensor, ...]:
        """Return ``OUTPUTS`` for a page, (1, 1, H, W), and inks, (N, 1, h, w)."""
        found = find(self.finder(page))
        seen, boxes = self.canonical.and_boxes(found.inks)
        image = torch.cat((seen, self.canonical(ink)))
        digits, score, features = answer(self.model, image)
        probabilities = torch.softmax(digits / self.temperature, dim=1)
        if len(self.limits):
            score = score - probabilities @ self.limits
        return probabilities, score, image, features, boxes, *found


@dataclass(frozen=True)
class Calibration:
    """Numbers that travel with an exported network."""

    temperature: float = 1.0
    """Logits are divided by it before softmax; above 1 the network was too sure of itself."""
    ood_threshold: float = float("inf")
    """Ink whose ood_score is larger is not taken for a digit."""
    limits: tuple[float, ...] = ()
    """What is taken from the ood_score of each class, so that one threshold suits all; or none."""


def build(
    model: CNN | Ensemble,
    finder: Finder,
    calibration: Calibration,
    about: dict[str, str],
    *,
    half: bool = False,
) -> tuple[bytes, float]:
    """Return the content of the ONNX file, and how far ONNX Runtime is from torch on it.

    Args:
        model: in evaluation mode.
        finder: in evaluation mode.
        calibration: goes into the graph and the metadata.
        about: metadata on the network's origin; ``class_names`` is needed, as JSON.
        half: keep weights in half precision, in half the bytes.

    Raises:
        IntegrityError: it is further than 1e-4, or 0.02 with half precision; or the file would be
            refused when it is loaded.
    """
    graph = Recognition(model, finder, calibration).eval()
    content = finished(_to_onnx(graph), _metadata(calibration, about), half=half)
    difference = parity(graph, checked("The exported network", content))
    refuse_beyond(HALF_TOLERANCE if half else TOLERANCE, difference, "inks")
    return content, difference


def refuse_beyond(allowed: float, difference: float, golden: str) -> None:
    """Raise an IntegrityError if torch and ONNX Runtime differ by more than is allowed."""
    if not difference <= allowed:  # Written so that NaN is refused.
        raise IntegrityError(
            f"ONNX Runtime and torch differ by {difference:.1e} on the golden {golden}; more than "
            f"{allowed:.0e} is refused. Nothing was written."
        )


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
    """Return the ``largest_difference`` between torch and ONNX Runtime on the golden inks."""
    largest = 0.0
    for page, ink in (*((BLANK, ink[None, None]) for ink in golden_inks()), *golden_pages()):
        answers = graph(torch.from_numpy(page), torch.from_numpy(ink))
        difference = largest_difference(answers, file.run(OUTPUTS, page, ink))
        # Not Python's max, which lets NaN slip through.
        largest = float(np.maximum(largest, difference))
    return largest


def largest_difference(ours: Iterable[Tensor], theirs: Iterable[NDArray[np.float32]]) -> float:
    """Return the largest difference between outputs of torch and those of ONNX Runtime.

    It is relative to the largest number of an output where that exceeds 1; infinity if shapes
    differ.
    """
    largest = 0.0
    for tensor, found in zip(ours, theirs, strict=True):
        expected = tensor.numpy()
        if expected.shape != found.shape:
            return float("inf")
        if not expected.size:
            continue
        difference = np.abs(expected - found).max() / max(1.0, float(np.abs(expected).max()))
        largest = float(np.maximum(largest, difference))
    return largest


def golden_pages() -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return pages that both runtimes must agree on, and blanks for the other inlet."""
    pages = []
    for ink in golden_inks()[:9]:
        height, width = (max(32, side + 9) for side in ink.shape)
        page = np.full((height, width), 200, np.float32)
        page[5 : 5 + ink.shape[0], 4 : 4 + ink.shape[1]] -= 150 * ink
        pages.append((page[None, None], NO_INK))
    return pages


def _to_onnx(graph: Recognition) -> bytes:
    axes = {
        "page": {2: "H", 3: "W"},
        "ink": {0: "N", 2: "h", 3: "w"},
        **{name: {0: "M"} for name in (*ANSWER, "features")},
        **{name: {0: "K"} for name in ("box", "presence", "digit_share")},
        "signs": {0: "K", 2: "H", 3: "W"},
        "strokes": {1: "H", 2: "W"},
    }
    examples = {"page": _page_to_trace(), "ink": torch.rand(2, 1, 40, 50)}
    return traced(graph, examples, OUTPUTS, axes)


def traced(
    graph: nn.Module,
    examples: Mapping[str, Tensor],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> bytes:
    """Return a network as an ONNX graph, which ``finished`` makes a file of.

    Args:
        graph: in evaluation mode.
        examples: a tensor for each input, by name.
        outputs: their names.
        axes: names of the axes that may be of any size, by input or output.
    """
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter by tracing, which torch is about to replace by one that needs another
        # package; and shape checks, which it evaluates while it traces.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            tuple(examples.values()),
            stream,  # type: ignore[arg-type]
            input_names=list(examples),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return stream.getvalue()


def _page_to_trace() -> Tensor:
    return 255 * torch.rand(1, 1, 90, 75)


def _metadata(calibration: Calibration, about: dict[str, str]) -> dict[str, str]:
    return {
        "format": FORMAT,
        "schema_version": str(FORMAT_VERSION),
        "digitnet_version": __version__,
        "temperature": repr(calibration.temperature),
        "ood_threshold": repr(calibration.ood_threshold),
        **about,
    }


def finished(content: bytes, metadata: dict[str, str], *, half: bool) -> bytes:
    """Return a traced graph as the file it becomes.

    Args:
        content: the graph.
        metadata: what the file says of itself.
        half: keep weights in half precision, and make them whole when the file is loaded.
    """
    import onnx

    model = onnx.load_model_from_string(content)
    if half:
        _halve(model)
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    # Paths and line numbers of the machine that traced it.
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def _halve(model: ModelProto) -> None:
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    last = {name for node in graph.node if "features" in node.input for name in node.input}
    for weights in graph.initializer:
        array = numpy_helper.to_array(weights)
        if array.dtype != np.float32 or array.size < _FEW or weights.name in last:
            continue
        name = weights.name
        weights.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
