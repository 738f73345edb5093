"""Pictures to digits: finds the ink, runs the model file, and says how sure it is.

Guarantees:

- The answer to a picture is the same alone, in a batch and in any order: the same digit,
  probabilities within 1e-5.
- A ``Recognizer`` may be used by any number of threads at once.
- A blank picture and one of something else than a digit are answers with ``is_digit`` False and a
  ``reason``; a picture that cannot be read is an ``InputError``.
- Memory does not grow with the number of pictures, but for their predictions.
- No torch: the model file holds the whole way from ink to probabilities, and ONNX Runtime runs it.
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from digitnet.errors import InputError, IntegrityError, UsageError
from digitnet.machine import usable_cores
from digitnet.reading import ink as finder
from digitnet.reading import pictures as decoder
from digitnet.reading.ink import Box, Ink
from digitnet.reading.model_files import ModelFile, load_model_file
from digitnet.reading.pictures import Picture, PictureSource

Reason = Literal["blank", "not_a_digit", "ambiguous"]

# Below it, other digits together are likelier than the one that is named.
AMBIGUOUS = 0.5
# Finding the ink makes them smaller than that; what is larger costs memory by the square.
MAX_INK_SIDE = 1024
MAX_THREADS = 256

# Inks that are sorted by size at a time.
_WINDOW = 256
# What is computed together: of more inks, what one layer makes for the next no longer fits in a
# core's cache, which takes twice as long. Of large inks fewer, for memory's sake; of 8 at a time
# what layers leave is of a size that glibc keeps in pieces, a hundred megabytes of them.
_BATCH = 16
_BATCH_PIXELS = 2**18
# Half a step of an 8-bit picture: what is fainter is no ink.
_FAINTEST = 0.5 / 255
ANSWER = ("probabilities", "ood_score", "image")
_DIGITS = tuple("0123456789")
# What ONNX Runtime raises; the classes have no common base but Exception.
_FAILURES = (
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NotImplemented,
    runtime.RuntimeException,
    RuntimeError,
    ValueError,
)

_Array = NDArray[np.float32]
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer to one picture.

    Attributes:
        digit: the likeliest class by its number, 0 to 9 for digits; whether there is a digit at
            all, ``is_digit`` says.
        confidence: its probability.
        probabilities: float32 (classes,), read-only; they sum to 1.
        ood_score: how unlike a digit the ink is; larger is stranger.
        is_digit: whether ``ood_score`` is within the model's threshold and there is any ink.
        reason: what to beware of: ``blank``, there is no ink; ``not_a_digit``, it is stranger than
            digits are; ``ambiguous``, a digit, but none has a probability of 0.5; None, nothing.
        image: uint8 (28, 28), read-only, bright ink on 0: what the network saw.
        box: where in the upright picture the ink was found, in pixels of the original, to the few
            pixels of a large one that were averaged; None for a blank and for ink that comes from
            no picture.
        class_names: what the model calls its classes, one name for each probability.
    """

    digit: int
    confidence: float
    probabilities: NDArray[np.float32]
    ood_score: float
    is_digit: bool
    reason: Reason | None
    image: NDArray[np.uint8]
    box: Box | None = None
    class_names: tuple[str, ...] = _DIGITS

    @property
    def label(self) -> str:
        """The name of the likeliest class: "7", or "Sandal" of a model of clothes."""
        return self.class_names[self.digit]

    def as_dict(self) -> dict[str, Any]:
        """Return all but the image as plain values for JSON."""
        return {
            "digit": self.digit,
            "label": self.label,
            "confidence": self.confidence,
            "probabilities": [float(p) for p in self.probabilities],
            "ood_score": self.ood_score,
            "is_digit": self.is_digit,
            "reason": self.reason,
            "box": dataclasses.asdict(self.box) if self.box else None,
        }

    def __repr__(self) -> str:
        reason = f" {self.reason}" if self.reason else ""
        box = f" {self.box}" if self.box else ""
        return (
            f"<Prediction {self.label} confidence={self.confidence:.4f} "
            f"ood_score={self.ood_score:.2f} is_digit={self.is_digit}{reason}{box}>"
        )


class Recognizer:
    """A model file, loaded and ready.

    Args:
        model: a model file (``*.onnx``) or a run folder that has one; the model that comes with
            digitnet when None.
        threads: how many batches are computed at a time; as many as this process may use
            cores when None.

    Raises:
        UsageError: ``threads`` is none of 1 to 256.
        InputError: there is no such model file.
        IntegrityError: it is damaged, or not what digitnet writes.
    """

    def __init__(self, model: Path | str | None = None, *, threads: int | None = None) -> None:
        self._threads = min(usable_cores(), MAX_THREADS) if threads is None else _checked(threads)
        self._file = load_model_file(model)
        self._session = open_session(self._file)
        self._crops = self._file.metadata.get("crops") == "true"
        if model is not None:
            # A file of unknown origin is found out now, and not by the first picture.
            self.predict_inks([np.zeros((1, 1)), np.ones((9, 5))])

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name for each probability."""
        return self._file.class_names

    @property
    def ood_threshold(self) -> float:
        """Ink with a larger ``ood_score`` is taken for no digit."""
        return self._file.ood_threshold

    @property
    def sha256(self) -> str:
        """SHA-256 of the model file, in hexadecimal."""
        return self._file.sha256

    @property
    def metadata(self) -> dict[str, str]:
        """What the model file says of itself: recipe, data, seed, version …."""
        return dict(self._file.metadata)

    def __repr__(self) -> str:
        return f"<Recognizer {self._file.name} sha256={self.sha256[:12]}>"

    def predict(self, picture: PictureSource) -> Prediction:
        """Return the digit of a picture.

        Args:
            picture: a path, ``"-"`` for the standard input, the bytes of a file, an open file, a
                Pillow image or an array; see ``digitnet.reading.pictures.load``.

        Raises:
            InputError: it is no picture, or damaged, or too large.
        """
        return next(self._answers([self.find_ink(picture)]))

    def predict_many(self, pictures: Iterable[PictureSource]) -> list[Prediction]:
        """Return the digits of pictures, in the order given.

        They are taken from ``pictures`` one after the other, and none is kept.

        Raises:
            InputError: one of them is no picture; the message names it.
            UsageError: ``pictures`` is itself one path or the bytes of one file.
        """
        return list(self._answers(self._found(_several(pictures))))

    def predict_each(
        self, pictures: Iterable[PictureSource | InputError]
    ) -> Iterator[Prediction | InputError]:
        """Yield for each picture, in order, its digit or why it cannot be read.

        Args:
            pictures: as for ``predict_many``; up to 256 are taken before the first answer. An
                error among them, of a picture that could not even be had, is yielded in its place.

        Raises:
            UsageError: as for ``predict_many``.
        """
        rest = _several(pictures)
        while window := list(itertools.islice(rest, _WINDOW)):
            found = [self._ink_or_error(picture) for picture in window]
            predictions = self._answers(one for one in found if isinstance(one, Ink))
            for one in found:
                yield next(predictions) if isinstance(one, Ink) else one

    def find_ink(self, picture: PictureSource) -> Ink:
        """Return the ink of a picture as the model wants it, its box in pixels of the original.

        Raises:
            InputError: it is no picture.
        """
        return self.ink_of(decoder.load(picture))

    def ink_of(self, loaded: Picture) -> Ink:
        """Return the ink of a decoded picture, its box in pixels of the original."""
        found = finder.find(loaded.pixels, crop=self._crops)
        if found.box is None or loaded.scale == 1:
            return found
        box = {name: round(side * loaded.scale) for name, side in vars(found.box).items()}
        return Ink(found.pixels, Box(**box))

    def predict_ink(self, ink: NDArray[Any]) -> Prediction:
        """Return the digit of an ink.

        Args:
            ink: (H, W), bright strokes on 0: floats in [0, 1], uint8 or booleans. Zeros around the
                strokes change nothing.

        Raises:
            InputError: it has another shape, type or range.
        """
        return self.predict_inks([ink])[0]

    def predict_inks(self, inks: Iterable[NDArray[Any]]) -> list[Prediction]:
        """Return the digits of inks, each as in ``predict_ink``, or of an array (N, H, W)."""
        return list(self._answers(Ink(array, None) for array in _as_inks(inks)))

    def predict_strokes(self, strokes: Sequence[Sequence[tuple[float, float]]]) -> Prediction:
        """Return the digit that a pen drew.

        Args:
            strokes: for each touch of the pen its points (x, y), y down, in any unit.

        Raises:
            InputError: they are something else, or not finite.
        """
        drawn = finder.from_strokes(strokes)
        return next(self._answers([Ink(drawn.pixels, None)]))

    def features(self, inks: Iterable[NDArray[Any]]) -> NDArray[np.float32]:
        """Return what the network's last hidden layer makes of inks, float32 (N, units).

        Inks that it finds alike are near each other.

        Raises:
            InputError: as ``predict_ink``, or there is no ink at all.
        """
        arrays = list(_as_inks(inks))
        if not arrays:
            raise InputError("There are no inks; pass at least one.")
        found: dict[int, _Array] = {}
        for places in _batches(arrays):
            (rows,) = self._compute(("features",), _stack([arrays[place] for place in places]))
            found.update(zip(places, rows, strict=True))
        return np.stack([found[place] for place in range(len(arrays))])

    def _ink_or_error(self, picture: PictureSource | InputError) -> Ink | InputError:
        try:
            return picture if isinstance(picture, InputError) else self.find_ink(picture)
        except InputError as error:
            return error

    def _found(self, pictures: Iterable[PictureSource]) -> Iterator[Ink]:
        """Yield the ink of each picture; an error says which one it is about."""
        for number, picture in enumerate(pictures, 1):
            try:
                yield self.find_ink(picture)
            except InputError as error:
                raise InputError(f"Picture {number}: {error}") from error

    def _answers(self, inks: Iterable[Ink]) -> Iterator[Prediction]:
        """Yield the prediction of each ink."""
        rest = iter(inks)
        # A pool without work has no threads yet.
        with ThreadPoolExecutor(self._threads) as pool:
            while window := list(itertools.islice(rest, _WINDOW)):
                places = list(_batches([one.pixels for one in window]))
                batches = [[window[place] for place in some] for some in places]
                alone = self._threads == 1 or len(batches) == 1
                answers = (map if alone else pool.map)(self._run, batches)
                found: dict[int, Prediction] = {}
                for some, answer in zip(places, answers, strict=True):
                    found.update(zip(some, answer, strict=True))
                yield from (found[place] for place in range(len(window)))

    def _run(self, batch: Sequence[Ink]) -> list[Prediction]:
        stacked = _stack([one.pixels for one in batch])
        probabilities, scores, images = self._compute(ANSWER, stacked)
        _check_answer(self._file, len(batch), probabilities, scores, images)
        seen = (images[:, 0].clip(0, 1) * 255 + 0.5).astype(np.uint8)
        for array in (probabilities, seen):
            array.setflags(write=False)
        # What can be told of all at once is: one by one NumPy takes longer than the network.
        columns = (
            *(probabilities.argmax(1).tolist(), probabilities.max(1).tolist()),
            *(probabilities, scores.tolist(), seen, stacked.max((1, 2, 3)).tolist()),
        )
        return [
            Prediction(
                digit=digit,
                confidence=confidence,
                probabilities=row,
                ood_score=score,
                is_digit=(reason := self._reason(confidence, score, most)) in (None, "ambiguous"),
                reason=reason,
                image=image,
                box=one.box,
                class_names=self._file.class_names,
            )
            for one, digit, confidence, row, score, image, most in zip(batch, *columns, strict=True)
        ]

    def _compute(self, outputs: Sequence[str], inks: _Array) -> list[_Array]:
        """Return some outputs of the model for inks, float32 (N, 1, H, W)."""
        try:
            found: list[_Array] = self._session.run(outputs, {"ink": inks})
        except _FAILURES as error:
            raise _cannot_run(self._file, error) from error
        return found

    def _reason(self, confidence: float, score: float, most: float) -> Reason | None:
        """Return what to beware of in ink whose strongest pixel is ``most``."""
        if most < _FAINTEST:
            return "blank"
        if score > self.ood_threshold:
            return "not_a_digit"
        return "ambiguous" if confidence < AMBIGUOUS else None


def open_session(file: ModelFile) -> onnxruntime.InferenceSession:
    """Return ONNX Runtime's session of a model file.

    Raises:
        IntegrityError: ONNX Runtime refuses it.
    """
    options = onnxruntime.SessionOptions()
    # The network is so small that threads inside it wait for one another longer than they compute;
    # more of them compute batches side by side.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Both keep the memory of every size of batch that was ever seen; without them it is as fast.
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    options.log_severity_level = 4  # Only fatal messages: errors arrive as exceptions.
    try:
        return onnxruntime.InferenceSession(
            file.content, options, providers=["CPUExecutionProvider"]
        )
    except _FAILURES as error:
        raise _cannot_run(file, error) from error


def _check_answer(
    file: ModelFile, count: int, probabilities: _Array, scores: _Array, images: _Array
) -> None:
    """Refuse what no sound model answers."""
    shapes = (probabilities.shape, scores.shape, images.shape)
    if shapes != ((count, len(file.class_names)), (count,), (count, 1, 28, 28)):
        raise _cannot_run(file, f"its answers have the shapes {shapes}")
    # Written so that NaN is refused.
    sound = np.isfinite(scores).all() and np.isfinite(images).all()
    if not (np.abs(probabilities.sum(1) - 1).max() < 1e-3 and sound):
        raise _cannot_run(file, "its answers are no probabilities")


def _cannot_run(file: ModelFile, error: object) -> IntegrityError:
    reason = " ".join(str(error).split())[:200].rstrip(".")
    return IntegrityError(
        f"{file.name} cannot be run: {reason}. Make it again with `digitnet export RUN`."
    )


def _checked(threads: int) -> int:
    try:
        number = 0 if isinstance(threads, bool) else operator.index(threads)
    except TypeError:
        number = 0
    if not 1 <= number <= MAX_THREADS:
        raise UsageError(f"threads={threads!r}; it must be a whole number, 1 to {MAX_THREADS}.")
    return number


def _several(pictures: Iterable[_T]) -> Iterator[_T]:
    single = isinstance(pictures, (str, bytes, bytearray, os.PathLike))
    flat = isinstance(pictures, np.ndarray) and pictures.ndim < 3
    if single or flat or hasattr(pictures, "read") or hasattr(pictures, "getbands"):
        raise UsageError("This is one picture where several belong; predict takes one.")
    try:
        return iter(pictures)
    except TypeError:
        raise UsageError(
            f"Here belong several pictures, in a list or from a generator, not "
            f"{type(pictures).__name__}."
        ) from None


def _as_inks(inks: Iterable[NDArray[Any]]) -> Iterator[_Array]:
    """Yield inks of the caller's as float32 (H, W) in [0, 1]."""
    if isinstance(inks, np.ndarray) and inks.ndim == 3:
        # Many at once, where they lie together.
        for start in range(0, len(inks), _WINDOW):
            yield from _as_floats(inks[start : start + _WINDOW])
        return
    try:
        several = iter(inks)
    except TypeError:
        raise InputError(
            f"Here belong inks, in a list or an array, not {type(inks).__name__}."
        ) from None
    for ink in several:
        yield _as_floats(_as_array(ink))


def _as_array(ink: Any) -> NDArray[Any]:
    """Return one ink as an array (H, W)."""
    try:
        array = np.asarray(ink)
    except ValueError:
        raise InputError("The ink's rows have different lengths; it must be rectangular.") from None
    if array.ndim != 2:
        raise _wrong_shape(array.shape)
    return array


def _as_floats(array: NDArray[Any]) -> _Array:
    """Return an ink (H, W), or many of one size (N, H, W), as float32 in [0, 1]."""
    height, width = array.shape[-2:]
    if not 1 <= min(height, width) <= max(height, width) <= MAX_INK_SIDE:
        raise _wrong_shape(array.shape)
    if array.dtype.kind == "b" or array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255 if array.dtype == np.uint8 else 1)
    if array.dtype.kind != "f":
        raise InputError(f"The ink is of type {array.dtype}; it must be floats, uint8 or booleans.")
    # Written so that NaN is refused.
    if not (array.min() >= 0 and array.max() <= 1):
        raise InputError(
            f"The ink has values from {array.min()} to {array.max()}; they must be in 0 to 1, "
            "where 0 is paper and 1 full ink."
        )
    # No copy of what is right already: it is only read.
    return array.astype(np.float32, copy=False)


def _wrong_shape(shape: tuple[int, ...]) -> InputError:
    return InputError(
        f"The ink has the shape {shape}; it must be (height, width), each of 1 to "
        f"{MAX_INK_SIDE:,} pixels. A photo or drawing goes to predict, which finds the ink."
    )


def _batches(inks: Sequence[_Array]) -> Iterator[list[int]]:
    """Yield the places of inks in batches of similar size."""
    sides = [max(pixels.shape) for pixels in inks]
    order = sorted(range(len(inks)), key=sides.__getitem__, reverse=True)
    start = 0
    while start < len(order):
        # The first is the largest; all are padded to its size.
        count = max(1, min(_BATCH, _BATCH_PIXELS // sides[order[start]] ** 2))
        yield order[start : start + count]
        start += count


def _stack(inks: Sequence[_Array]) -> _Array:
    """Return inks as one array, float32 (N, 1, H, W), with zeros below and to the right of each."""
    if len({pixels.shape for pixels in inks}) == 1:
        return np.stack(inks)[:, None]
    height, width = (max(pixels.shape[axis] for pixels in inks) for axis in (0, 1))
    stacked = np.zeros((len(inks), 1, height, width), np.float32)
    for place, pixels in zip(stacked, inks, strict=True):
        place[0, : pixels.shape[0], : pixels.shape[1]] = pixels
    return stacked
