"""What the page explains with: the opened network, the sample of MNIST, and where scores lie.

Guarantees:

- Every file is made from the recogniser and what is part of the package, alike each time, when it
  is first asked for; the service and ``make page`` give out the same bytes.
- The digits of other hands are of writers that no training saw, chosen by the recorded seed.
"""

from __future__ import annotations

import functools
import importlib.resources
import io
import json
import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digitnet.data.catalogue import SAMPLE_FILE
from digitnet.data.pen_signs import DIGIT_LIKE, load_hands, split_writers
from digitnet.errors import InputError, importing_extras
from digitnet.reading.recognizer import Recognizer
from digitnet.reading.runtime import onnxruntime
from digitnet.reading.strokes import from_strokes

# Digits in a row of the sheet.
COLUMNS = 100
# Of other hands and of letters, so many are scored; of images, the layers are asked for at most so
# many at a time, and for so many numbers.
SCORED, MOST_IMAGES, MOST_NUMBERS = 1000, 256, 2**22
# What the metadata of a taught model say of it.
HOW_TAUGHT = "last layer, in the page"
_SIDE = 28
_SEED = 0

_T = TypeVar("_T")
Files = dict[str, Callable[[], bytes]]


class Lessons:
    """The files of ``model/`` and the opened network of one recogniser.

    Args:
        recognizer: that answers.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._opened, self._features = once(self._open), once(self._see)
        self._session = once(self._start)
        self.files: Files = {
            "layers.onnx": lambda: self._opened()[0],
            "layers.json": lambda: self._opened()[1],
            "sample.png": once(sample_sheet),
            "sample.json": lambda: self._features()[0],
            "features.bin": lambda: self._features()[1],
            "scores.json": once(lambda: json.dumps(scores(recognizer)).encode()),
        }
        """What makes each file, by its name; made once."""

    def layers_of(self, feeds: dict[str, NDArray[np.float32]], wanted: list[str]) -> list[Any]:
        """Return outputs of the opened network, float32 arrays.

        Args:
            feeds: ``images``, float32 (N, 1, 28, 28), and any of its other inputs; where they are
                left out every filter is on, and the last layer is the network's own.
            wanted: names of outputs.

        Raises:
            InputError: there is no such input or output, one has the wrong shape, or what is
                wanted is too much at once.
        """
        session, own = self._session()
        shapes = {each.name: each.shape for each in session.get_inputs()}
        outputs = {each.name for each in session.get_outputs()}
        for name, array in feeds.items():
            expected = shapes.get(name)
            sides = None if expected is None else [None if s == "N" else s for s in expected]
            if (
                sides is None
                or len(sides) != array.ndim
                or any(
                    side not in (None, found)
                    for side, found in zip(sides, array.shape, strict=True)
                )
            ):
                raise InputError(
                    f"The layers have no input '{name[:40]}' of the shape {list(array.shape)}; "
                    f"there are {shapes}."
                )
        if unknown := [name for name in wanted if name not in outputs]:
            raise InputError(
                f"The layers have no output '{unknown[0][:40]}'; there are "
                f"{', '.join(sorted(outputs))}."
            )
        sizes = self._opened()[2]
        numbers = len(feeds["images"]) * sum(sizes.get(name, 0) for name in wanted)
        if numbers > MOST_NUMBERS:
            raise InputError(
                f"That would be {numbers:,} numbers; at most {MOST_NUMBERS:,} are given at a time. "
                "Send fewer images, or ask for fewer outputs."
            )
        found: list[Any] = session.run(wanted, own | feeds)
        return found

    def _open(self) -> tuple[bytes, bytes, dict[str, int]]:
        """Return the opened network, its layers in JSON, and the size of what each makes."""
        with importing_extras():
            from digitnet.serving.layers_graph import described, opened
        content, layers, unshown = opened(self._recognizer.content)
        sizes = {layer.output: math.prod(layer.shape) for layer in layers}
        return content, described(layers, unshown).encode(), sizes

    def _start(self) -> tuple[onnxruntime.InferenceSession, dict[str, Any]]:
        """Return a session of the opened network, and what is fed to inputs that are left out."""
        from digitnet.serving.layers_graph import blank_feeds

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        content = self.files["layers.onnx"]()
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        own = blank_feeds(session)
        # Where no layers are shown, none is put in the place of the last.
        names = [name for name in ("last_weight", "last_bias") if name in own]
        last = session.run(["weight_last", "bias_last"], own) if names else []
        return session, own | dict(zip(names, last, strict=True))

    def _see(self) -> tuple[bytes, bytes]:
        """Return about the sample's digits, and what the last layer sees of them, in bytes."""
        images, labels, train = sample()
        features = self._recognizer.features(images)
        scale = np.maximum(features.max(axis=0), 1e-6) / 255
        packed = (features / scale + 0.5).clip(0, 255).astype(np.uint8)
        about = {
            "columns": COLUMNS,
            "train": train,
            "labels": "".join(map(str, labels)),
            "scale": [float(f"{each:.6g}") for each in scale],
        }
        return json.dumps(about).encode(), packed.tobytes()


def once(make: Callable[[], _T]) -> Callable[[], _T]:
    """Return a maker that makes something the first time only; who asks meanwhile waits for it."""
    lock, kept = threading.Lock(), functools.cache(make)

    def made() -> _T:
        with lock:
            return kept()

    return made


def sample() -> tuple[NDArray[np.uint8], NDArray[np.int64], int]:
    """Return the sample's images (N, 28, 28), training digits first, labels, and their number."""
    file = importlib.resources.files("digitnet") / "assets" / SAMPLE_FILE
    with np.load(io.BytesIO(file.read_bytes())) as stored:
        images = np.concatenate((stored["train_images"], stored["test_images"]))
        labels = np.concatenate((stored["train_labels"], stored["test_labels"]))
        return images, labels.astype(np.int64), len(stored["train_labels"])


def sample_sheet() -> bytes:
    """Return the sample's digits as one grey PNG, ``COLUMNS`` in a row."""
    images, *_ = sample()
    missing = -len(images) % COLUMNS
    full = np.concatenate((images, np.zeros((missing, _SIDE, _SIDE), np.uint8)))
    rows = full.reshape(-1, COLUMNS, _SIDE, _SIDE).swapaxes(1, 2)
    stream = io.BytesIO()
    sheet = Image.fromarray(np.ascontiguousarray(rows.reshape(-1, COLUMNS * _SIDE)))
    sheet.save(stream, "PNG")
    return stream.getvalue()


def scores(recognizer: Recognizer) -> dict[str, Any]:
    """Return the ``ood_score`` of many digits and letters, sorted, and the recogniser's limit.

    They are ``digits``, MNIST's test digits of the sample; ``hands``, digits of writers of many
    countries; and ``letters`` of the same writers, without those that may be read as a digit.
    """
    images, _, train = sample()
    hands = load_hands()
    _, val = split_writers(hands, _SEED)
    random = np.random.default_rng(_SEED)
    is_letter = np.array([label not in DIGIT_LIKE for label in hands.label]) & ~hands.is_digit

    def drawn(which: NDArray[np.bool_]) -> list[NDArray[np.float32]]:
        places = val[which[val]]
        chosen = random.choice(places, min(SCORED, len(places)), replace=False)
        return [from_strokes([s.tolist() for s in hands.strokes(k)]).pixels for k in chosen]

    groups = {
        "digits": list(images[train:]),
        "hands": drawn(hands.is_digit),
        "letters": drawn(is_letter),
    }
    found = {
        name: sorted(round(each.ood_score, 3) for each in recognizer.predict_inks(inks))
        for name, inks in groups.items()
    }
    return {"threshold": recognizer.ood_threshold, **found}
