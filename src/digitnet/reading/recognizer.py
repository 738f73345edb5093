"""Pictures to digits: finds and reads signs with the model file, and says how sure it is.

Guarantees:

- A picture gets the same answer alone, in a batch and in any order: the same digit, probabilities
  within 1e-5.
- A ``Recognizer`` may be used by any number of threads at once, and can be pickled.
- A blank picture and one of something other than a digit are answers with ``is_digit`` False and a
  ``reason``; a picture that cannot be read is an ``InputError``.
- Memory does not grow with the number of pictures, except for their predictions.
- No torch: the model file holds the way from a page to probabilities, and ONNX Runtime runs it.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError, UsageError
from digitnet.machine import usable_cores
from digitnet.reading.checks import ANYTHING, Check, Digits, Wanted, wanted
from digitnet.reading.finding import find_signs, ink_map, whole_ink
from digitnet.reading.inks import as_inks, batched, stacked
from digitnet.reading.line_file import load_line_file
from digitnet.reading.line_reading import read_lines
from digitnet.reading.looks import Looks, agreed_sign, agreed_text
from digitnet.reading.model_file import ANSWER, load_model_file
from digitnet.reading.picture_bytes import several
from digitnet.reading.pictures import Picture, PictureSource, load
from digitnet.reading.prediction import DIGITS, Box, Ink, Prediction, Reading, Reason
from digitnet.reading.strokes import Strokes, as_picture, from_strokes, judged
from digitnet.reading.turning import turned_back, upright
from digitnet.reading.writing import Writing, familiar, lone_digit
from digitnet.text import are_digits, percent

# Below it, other digits together are likelier than the one that is named.
AMBIGUOUS = 0.5
MAX_THREADS = 256

# Inks that are sorted by size at a time.
_WINDOW = 256
# Pictures that are read ahead of the one that is waited for, for each thread.
_AHEAD = 2
# Half a step of an 8-bit picture: what is fainter is not ink.
_FAINTEST = 0.5 / 255

_Array = NDArray[np.float32]
_T = TypeVar("_T")
_R = TypeVar("_R")


class Recognizer:
    """Reads handwritten digits.

        recognizer = Recognizer()
        print(recognizer.predict("photo.jpg").digit)

    Args:
        model: a model file (``digitnet export`` writes it) or a run folder that has one; None for
            the model that comes with digitnet.
        threads: how many pictures are read at a time when there are several; by default as many
            as there are usable cores.

    Raises:
        InputError: there is no such model.
        IntegrityError: it is damaged, or not a model of digitnet.
        UsageError: ``threads`` is not a whole number from 1 to 256.
    """

    def __init__(self, model: Path | str | None = None, *, threads: int | None = None) -> None:
        self._threads = min(usable_cores(), MAX_THREADS) if threads is None else _checked(threads)
        self._file = load_model_file(model)
        self.class_names = self._file.class_names
        """One name for each probability."""
        self.ood_threshold = self._file.ood_threshold
        """Ink with a larger ``ood_score`` is refused."""
        # Signs have names of one letter; what has longer ones is a picture of a thing.
        self._reads_signs = all(len(name) == 1 for name in self.class_names)
        self.sha256 = self._file.sha256
        """SHA-256 of the model file, in hexadecimal."""

    @property
    def metadata(self) -> dict[str, str]:
        """What the model file says about itself: recipe, data, seed, version …."""
        return dict(self._file.metadata)

    @property
    def content(self) -> bytes:
        """The whole model file."""
        return self._file.content

    def __repr__(self) -> str:
        return f"<Recognizer {self._file.name} sha256={self.sha256[:12]}>"

    def predict(self, picture: PictureSource) -> Prediction:
        """Return the digit in a picture.

        Args:
            picture: a path, ``"-"`` for the standard input, the bytes of a file, an open file, a
                data URL, a Pillow image or an array; see ``digitnet.reading.pictures.load``.

        Raises:
            InputError: it is not a picture, or damaged, or too large.
        """
        return self.prediction_of(load(picture))

    def predict_many(self, pictures: Iterable[PictureSource]) -> list[Prediction]:
        """Return the digits in pictures, in the order given.

        They are taken from ``pictures`` one after the other, at most two for each thread at a time.

        Raises:
            InputError: one of them is not a picture; the message names it.
            UsageError: ``pictures`` is itself one path, the bytes of one file or the like.
        """
        return list(_all_read(self.predict_each(pictures)))

    def predict_each(
        self, pictures: Iterable[PictureSource | InputError]
    ) -> Iterator[Prediction | InputError]:
        """Yield for each picture, in order, its digit or why it cannot be read.

        Args:
            pictures: as for ``predict_many``; two for each thread are read ahead. An
                ``InputError`` among them, for a picture that could not be fetched, is passed on.

        Raises:
            UsageError: as for ``predict_many``.
        """
        one_by_one = several(pictures, "predict")
        with ThreadPoolExecutor(self._threads) as pool:
            yield from self._mapped(pool, _or_error(self.prediction_of), one_by_one)

    def read(
        self,
        picture: PictureSource,
        *,
        digits: Digits | None = None,
        check: Check | None = None,
        min_confidence: float = 0.0,
    ) -> Reading:
        """Return all that is written in a picture.

        Args:
            picture: as for ``predict``.
            digits: how many digits it has, 6, or the least and the most of them, (4, 6). Weak signs
                are left out or taken in, whichever makes the likeliest number of this length.
            check: ``"luhn"``, ``"mod97"``, ``"ean13"`` or a function that is given all digits as a
                string, and returns whether they fit. The likeliest number that fits is returned,
                and none, as a refusal, where all that fit are very unlikely.
            min_confidence: a text that is less likely right is refused too.

        Raises:
            InputError: it is not a picture, or damaged, or too large.
            UsageError: what is asked for cannot be, or the model reads other things than digits.
        """
        return self.reading_of(load(picture), self.goal_of(digits, check, min_confidence))

    def read_many(
        self,
        pictures: Iterable[PictureSource],
        *,
        digits: Digits | None = None,
        check: Check | None = None,
        min_confidence: float = 0.0,
    ) -> list[Reading]:
        """Return all that is written in pictures, in the order given.

        Raises:
            InputError: as for ``predict_many``.
            UsageError: as for ``predict_many`` and ``read``.
        """
        asked: Any = {"digits": digits, "check": check, "min_confidence": min_confidence}
        return list(_all_read(self.read_each(pictures, **asked)))

    def read_each(
        self,
        pictures: Iterable[PictureSource | InputError],
        *,
        digits: Digits | None = None,
        check: Check | None = None,
        min_confidence: float = 0.0,
    ) -> Iterator[Reading | InputError]:
        """Yield for each picture, in order, what is written there or why it cannot be read.

        Args:
            pictures: as for ``predict_each``; two for each thread are read ahead.
            digits: as for ``read``.
            check: as for ``read``.
            min_confidence: as for ``read``.

        Raises:
            UsageError: as for ``read_many``.
        """
        goal = self.goal_of(digits, check, min_confidence)
        one_by_one = several(pictures, "read")
        with ThreadPoolExecutor(self._threads) as pool:
            read = _or_error(lambda loaded: self.reading_of(loaded, goal))
            yield from self._mapped(pool, read, one_by_one)

    def reading_of(self, loaded: Picture, goal: Wanted = ANYTHING) -> Reading:
        """Return all that is written in a decoded picture, boxes in pixels of the original.

        Args:
            loaded: the picture.
            goal: as of ``goal_of``.
        """
        look = functools.partial(self._looks, scale=loaded.scale)
        looks, quarter = upright(look, self._read, loaded.pixels)
        reading = self._read(looks, goal)
        if goal.fewest is None and lone_digit(reading):
            reading = familiar(reading, self.ood_threshold, self._best(looks).ood_score)
        height, width = (round(side * loaded.scale) for side in loaded.pixels.shape)
        reading = turned_back(reading, quarter, height, width)
        return _sure_enough(reading, goal.min_confidence)

    def _read(self, looks: Looks, goal: Wanted = ANYTHING) -> Reading:
        """Return what is written in an upright picture, at one look or at several."""
        return agreed_text(lambda zoom: self._read_once(looks.writing(zoom), looks.pixels, goal))

    def _read_once(self, writing: Writing, pixels: NDArray[np.uint8], goal: Wanted) -> Reading:
        """Return what is written, read sign by sign and line by line."""
        # The line reader knows all ten digits, and nothing else.
        if len(self.class_names) != len(DIGITS):
            return writing.reading(goal)
        columns = load_line_file().columns
        return read_lines(writing, pixels, columns, lambda ink: self._run([ink])[0], goal)

    def prediction_of(self, loaded: Picture) -> Prediction:
        """Return the digit in a decoded picture, its box in pixels of the original."""
        crops = self._file.metadata.get("crops") == "true"
        return self._sign_of(loaded, crops) if self._reads_signs else self._thing_of(loaded)

    def seen_in(self, loaded: Picture, *, crops: bool, signs: bool) -> NDArray[np.uint8] | None:
        """Return what a network is to learn from a picture, uint8 (28, 28); None for a blank.

        Args:
            loaded: a decoded picture.
            crops: whether it was cut from a row of writing, so that what is in the middle counts.
            signs: whether it shows a digit or a letter, and not another thing.
        """
        seen = self._sign_of(loaded, crops) if signs else self._thing_of(loaded)
        return None if seen.digit is None else seen.image

    def _sign_of(self, loaded: Picture, crops: bool) -> Prediction:
        """Return the best sign in a picture, a digit if there is one."""
        return self._best(self._looks(loaded.pixels, loaded.scale), crops=crops)

    def _best(self, looks: Looks, *, crops: bool = False) -> Prediction:
        height, width = looks.pixels.shape

        def judge(zoom: float) -> Prediction:
            writing = looks.writing(zoom)
            place, reason = writing.best((width / 2, height / 2), crops=crops)
            return (
                self._run([Ink.blank()])[0] if place is None else writing.prediction(place, reason)
            )

        # What a network learned of a crop, and sees of it, depends on the picture alone.
        return judge(1.0) if crops else agreed_sign(judge, self.ood_threshold)

    def _thing_of(self, loaded: Picture) -> Prediction:
        """Return what is in a picture of one thing."""
        ink = whole_ink(loaded.pixels)
        scale = loaded.scale
        box = ink.box and Box(*(round(side * scale) for side in ink.box))
        return replace(self._run([ink])[0], box=box)

    def strokes_of(self, loaded: Picture) -> NDArray[np.float32]:
        """Return where in a decoded picture the finder sees strokes; see ``finding.ink_map``."""
        return ink_map(self._file, loaded.pixels)

    def predict_ink(self, ink: Any) -> Prediction:
        """Return the digit of an ink.

        Args:
            ink: (H, W), bright strokes on 0: floats in [0, 1], uint8 or booleans; an array, a
                tensor or nested lists. Zeros around the strokes change nothing, nor do leading
                axes of size 1.

        Raises:
            InputError: it has another shape, type or range.
        """
        return self.predict_inks([ink])[0]

    def predict_inks(self, inks: Iterable[Any]) -> list[Prediction]:
        """Return the digits of inks, each as in ``predict_ink``, or of an array (N, H, W)."""
        with ThreadPoolExecutor(self._threads) as pool:
            arrays, predictions = as_inks(inks), list[Prediction]()
            while window := list(itertools.islice(arrays, _WINDOW)):
                predictions += self._in_batches(pool, self._run, window)
        return predictions

    def predictions_of(self, inks: Sequence[Ink]) -> list[Prediction]:
        """Return the digits of inks, in their order, computed together in this thread."""
        found: dict[int, Prediction] = {}
        for batch in batched(inks):
            found |= zip(batch, self._run([inks[place] for place in batch]), strict=True)
        return [found[place] for place in range(len(inks))]

    def predict_strokes(self, strokes: Strokes) -> Prediction:
        """Return the digit that a pen drew.

        Args:
            strokes: for each time the pen touched the paper its points (x, y), y down, in any unit,
                or (x, y, pressure).

        Raises:
            InputError: they are something else, or not finite.
        """
        return self._run([from_strokes(strokes)])[0]

    def read_strokes(
        self,
        strokes: Strokes,
        *,
        pen: float | None = None,
        digits: Digits | None = None,
        check: Check | None = None,
        min_confidence: float = 0.0,
    ) -> Reading:
        """Return all that a pen wrote, boxes in whole units of the strokes.

        Args:
            strokes: as for ``predict_strokes``.
            pen: its width in the same unit; by default a tenth of a sign.
            digits: as for ``read``.
            check: as for ``read``.
            min_confidence: as for ``read``.

        Raises:
            InputError: as for ``predict_strokes``, or ``pen`` is not a positive number.
            UsageError: as for ``read``.
        """
        if isinstance(strokes, Iterator):  # they are looked at twice
            strokes = list(strokes)
        drawing = as_picture(strokes, pen)
        goal = self.goal_of(digits, check, min_confidence)
        # Nobody draws upside down.
        writing = self.writing_of(drawing.pixels)
        reading = drawing.placed(self._read_once(writing, drawing.pixels, goal))
        if goal.fewest is None:
            whole = functools.partial(self.predict_strokes, strokes)
            reading = judged(reading, whole, self.ood_threshold)
        return _sure_enough(reading, goal.min_confidence)

    def features(self, inks: Iterable[Any]) -> NDArray[np.float32]:
        """Return the output of the network's last hidden layer for inks, float32 (N, units).

        Inks that look alike to the network are near each other.

        Raises:
            InputError: as for ``predict_ink``, or there is no ink at all.
        """
        arrays = list(as_inks(inks))
        if not arrays:
            raise InputError("There are no inks; pass at least one.")
        with ThreadPoolExecutor(self._threads) as pool:
            return np.stack(self._in_batches(pool, self._features, arrays))

    def writing_of(
        self, pixels: NDArray[np.uint8], scale: float = 1.0, zoom: float = 1.0
    ) -> Writing:
        """Return what was found in a picture, uint8 (H, W), before anything is decided."""
        signs = find_signs(self._file, pixels, zoom)
        return Writing(signs, self.ood_threshold, self.class_names, scale)

    def _looks(self, pixels: NDArray[np.uint8], scale: float) -> Looks:
        return Looks(pixels, lambda zoom: self.writing_of(pixels, scale, zoom))

    def goal_of(
        self, digits: Digits | None = None, check: Check | None = None, min_confidence: float = 0.0
    ) -> Wanted:
        """Return what ``read`` looks for, given these.

        Raises:
            UsageError: as for ``read``.
        """
        if not are_digits(self.class_names):
            raise UsageError(
                f"{self!r} knows {self.class_names[0]}, {self.class_names[1]} and so on; only "
                "digits make a text. Use predict, which names what is in a picture."
            )
        return wanted(digits, check, min_confidence)

    def _mapped(
        self, pool: ThreadPoolExecutor, function: Callable[[_T], _R], items: Iterable[_T]
    ) -> Iterator[_R]:
        """Yield what a function makes of each item, in order, taking few items ahead."""
        if self._threads == 1:
            yield from map(function, items)
            return
        waiting: deque[Future[_R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) == _AHEAD * self._threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _in_batches(
        self,
        pool: ThreadPoolExecutor,
        function: Callable[[list[Ink]], Iterable[_R]],
        inks: list[Ink],
    ) -> list[_R]:
        """Return what a function makes of inks, computed in batches of similar size, in order."""
        places = list(batched(inks))
        batches = ([inks[place] for place in batch] for batch in places)
        rows = itertools.chain.from_iterable(self._mapped(pool, function, batches))
        found = dict(zip(itertools.chain.from_iterable(places), rows, strict=True))
        return [found[place] for place in range(len(inks))]

    def _features(self, batch: list[Ink]) -> _Array:
        return self._file.of_inks(("features",), stacked(batch))[0]

    def _run(self, batch: list[Ink]) -> list[Prediction]:
        """Return the predictions for a few inks."""
        together = stacked(batch)
        probabilities, scores, images = self._file.of_inks(ANSWER, together)
        seen = (images[:, 0].clip(0, 1) * 255 + 0.5).astype(np.uint8)
        for array in (probabilities, seen):
            array.setflags(write=False)
        # For all at once what can be: one by one NumPy takes longer than the network.
        digits, confidences = probabilities.argmax(1).tolist(), probabilities.max(1).tolist()
        reasons = map(self._reason, confidences, scores, together.max((1, 2, 3)))
        columns = (digits, confidences, probabilities, scores.tolist(), reasons, seen)
        return [
            Prediction(
                digit=None if reason == "blank" else digit,
                confidence=confidence,
                probabilities=row,
                ood_score=score,
                is_digit=reason in (None, "ambiguous"),
                reason=reason,
                image=image,
                box=one.box,
                class_names=self.class_names,
            )
            for one, digit, confidence, row, score, reason, image in zip(
                batch, *columns, strict=True
            )
        ]

    def _reason(self, confidence: float, score: float, most: float) -> Reason | None:
        """Return what to beware of in an ink whose strongest pixel is ``most``."""
        if most < _FAINTEST:
            return "blank"
        if score > self.ood_threshold:
            return "not_a_digit"
        return "ambiguous" if confidence < AMBIGUOUS else None


def _sure_enough(reading: Reading, least: float) -> Reading:
    """Return a reading, refused if it is less likely right than it must be."""
    if reading.confidence >= least or not reading.accepted:
        return reading
    sure, asked = percent(reading.confidence), percent(least)
    if sure == asked:
        sure, asked = (f"{100 * each:.4f} %" for each in (reading.confidence, least))
    return reading.refused(f"{sure} sure, where {asked} is asked for")


def _or_error(
    answer: Callable[[Picture], _R],
) -> Callable[[PictureSource | InputError], _R | InputError]:
    """Return a function from a picture to its answer, or to why it cannot be read."""

    def answered(picture: PictureSource | InputError) -> _R | InputError:
        try:
            return picture if isinstance(picture, InputError) else answer(load(picture))
        except InputError as error:
            return error

    return answered


def _checked(threads: Any) -> int:
    whole = isinstance(threads, (int, np.integer)) and not isinstance(threads, bool)
    if not (whole and 1 <= threads <= MAX_THREADS):
        raise UsageError(f"threads={threads!r}; it must be a whole number, 1 to {MAX_THREADS}.")
    return int(threads)


def _all_read(answers: Iterable[_T | InputError]) -> Iterator[_T]:
    """Yield answers; the first error among them is raised, with the picture's number."""
    for number, answer in enumerate(answers, 1):
        if isinstance(answer, InputError):
            raise InputError(f"Picture {number}: {answer}") from answer
        yield answer
