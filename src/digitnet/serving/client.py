"""A client of the service, which answers as ``Recognizer`` does.

    from digitnet.serving.client import Client

    client = Client("http://127.0.0.1:8000")
    print(client.predict("photo.jpg").digit)

Guarantees:

- What it returns are ``Prediction`` and ``Reading``, with everything that the service knows.
- What goes wrong there is raised here as the same error of digitnet; a service that is not reached,
  or says that it has too much to do more often than ``retries``, is a ``ServiceError``.
- It needs the base install only.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import requests

from digitnet import errors
from digitnet.errors import DigitnetError, InputError, ServiceError
from digitnet.reading.checks import Check, Digits, wanted
from digitnet.reading.inks import as_ink
from digitnet.reading.picture_bytes import describe, read, several
from digitnet.reading.pictures import PictureSource
from digitnet.reading.prediction import Box, Line, Prediction, Reading
from digitnet.reading.strokes import Strokes, checked_pen

# What one request of several pictures holds: within what a service takes by default.
_BATCH, _BATCH_BYTES = 32, 8_000_000
_LONGEST_WAIT = 10.0


class Client:
    """Reads with a service. One for each thread: its connection is kept open.

    Args:
        address: of the service, as it printed it.
        timeout: seconds to wait for an answer.
        retries: how often a request is sent again when the service has too much to do.
    """

    def __init__(
        self, address: str = "http://127.0.0.1:8000", *, timeout: float = 60.0, retries: int = 3
    ) -> None:
        self._address, self._timeout, self._retries = address.rstrip("/"), timeout, retries
        self._session = requests.Session()
        self._names: tuple[str, ...] | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def predict(self, picture: PictureSource) -> Prediction:
        """Return the digit in a picture.

        Args:
            picture: a path, ``"-"`` for the standard input, the bytes of a file, an open file or
                a data URL.

        Raises:
            InputError: it is not a picture, or damaged, or too large.
            ServiceError: the service does not answer.
        """
        return self._prediction(self._post("predict", data=_content(picture)))

    def read(
        self,
        picture: PictureSource,
        *,
        digits: Digits | None = None,
        check: Check | None = None,
        min_confidence: float = 0.0,
    ) -> Reading:
        """Return all that is written in a picture; see ``Recognizer.read``.

        Args:
            picture: as for ``predict``.
            digits: how many digits it has, or the least and the most of them.
            check: ``"luhn"``, ``"mod97"`` or ``"ean13"``.
            min_confidence: a text that is less likely right is refused.

        Raises:
            InputError: as for ``predict``.
            ServiceError: as for ``predict``.
            UsageError: what is asked for cannot be.
        """
        asked = _asked(digits, check, min_confidence)
        return self._reading(self._post("read", data=_content(picture), params=asked))

    def predict_each(self, pictures: Iterable[PictureSource]) -> Iterator[Prediction | InputError]:
        """Yield for each picture, in order, its digit or why it cannot be read.

        Raises:
            ServiceError: as for ``predict``.
        """
        for answer in self._batches("predict", pictures, {}):
            yield answer if isinstance(answer, InputError) else self._prediction(answer)

    def read_each(
        self,
        pictures: Iterable[PictureSource],
        *,
        digits: Digits | None = None,
        check: Check | None = None,
        min_confidence: float = 0.0,
    ) -> Iterator[Reading | InputError]:
        """Yield for each picture, in order, what is written there or why it cannot be read.

        Raises:
            ServiceError: as for ``predict``.
            UsageError: as for ``read``.
        """
        asked = _asked(digits, check, min_confidence)
        for answer in self._batches("read", pictures, asked):
            yield answer if isinstance(answer, InputError) else self._reading(answer)

    def predict_strokes(self, strokes: Strokes) -> Prediction:
        """Return the digit that a pen drew; see ``Recognizer.predict_strokes``.

        Raises:
            InputError: they are no strokes.
            ServiceError: as for ``predict``.
        """
        return self._prediction(self._post("predict", json={"strokes": _plain(strokes)}))

    def read_strokes(
        self,
        strokes: Strokes,
        *,
        pen: float | None = None,
        digits: Digits | None = None,
        check: Check | None = None,
        min_confidence: float = 0.0,
    ) -> Reading:
        """Return all that a pen wrote; see ``Recognizer.read_strokes``.

        Raises:
            InputError: they are no strokes.
            ServiceError: as for ``predict``.
            UsageError: as for ``read``.
        """
        values: dict[str, Any] = {"strokes": _plain(strokes)}
        if pen is not None:
            values["pen"] = checked_pen(pen)
        asked = _asked(digits, check, min_confidence)
        return self._reading(self._post("read", json=values, params=asked))

    def predict_ink(self, ink: Any) -> Prediction:
        """Return the digit of an ink, (H, W) of floats in [0, 1]; see ``Recognizer.predict_ink``.

        Raises:
            InputError: it has another shape, type or range.
            ServiceError: as for ``predict``.
        """
        values = as_ink(ink).pixels.tolist()
        return self._prediction(self._post("predict", json={"ink": values}))

    def model(self) -> dict[str, Any]:
        """Return the card of the model: ``sha256``, ``class_names``, ``metadata`` ….

        Raises:
            ServiceError: as for ``predict``.
        """
        return self._answer("GET", "/v1/model")

    # ---- requests

    def _batches(
        self, verb: str, pictures: Iterable[PictureSource], asked: dict[str, str]
    ) -> Iterator[dict[str, Any] | InputError]:
        """Yield the answers to pictures, sent some at a time."""
        contents = _contents(several(pictures, verb))
        for batch in _grouped(contents):
            sent = [each for each in batch if isinstance(each, bytes)]
            answers = iter(self._batch(verb, sent, asked))
            for each in batch:
                yield each if isinstance(each, InputError) else next(answers)

    def _batch(
        self, verb: str, contents: list[bytes], asked: dict[str, str]
    ) -> list[dict[str, Any] | InputError]:
        """Return the answers to pictures sent together, or in two halves if that is too much."""
        if not contents:
            return []
        files = [("file", ("picture", content)) for content in contents]
        try:
            values = self._post(f"{verb}:batch", files=files, params=asked)
        except InputError as error:
            if len(contents) == 1:
                return [error]
            halves = contents[: len(contents) // 2], contents[len(contents) // 2 :]
            return [answer for half in halves for answer in self._batch(verb, half, asked)]
        return [_answer_or_error(each) for each in values["answers"]]

    def _post(
        self, verb: str, *, params: dict[str, str] | None = None, **body: Any
    ) -> dict[str, Any]:
        asked = {"images": "1", **(params or {})}
        if isinstance(body.get("data"), bytes):
            body["headers"] = {"Content-Type": "application/octet-stream"}
        return self._answer("POST", f"/v1/{verb}", params=asked, **body)

    def _answer(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Return what the service answers, sending again what it has no time for."""
        for left in range(self._retries, -1, -1):
            try:
                answer = self._session.request(
                    method, self._address + path, timeout=self._timeout, **request
                )
            except requests.ConnectionError as error:
                raise ServiceError(
                    f"No service answers at {self._address}. Start one with: digitnet serve"
                ) from error
            except requests.RequestException as error:
                raise ServiceError(
                    f"No service answers at {self._address}: {errors.reason(error)} Start one "
                    "with: digitnet serve"
                ) from error
            if answer.status_code != 503 or not left:
                break
            time.sleep(_wait(answer.headers.get("Retry-After", "")))
        return _values(answer)

    # ---- answers

    def _prediction(self, values: dict[str, Any]) -> Prediction:
        if self._names is None:
            self._names = tuple(self.model()["class_names"])
        probabilities = np.array(values["probabilities"], np.float32)
        image = np.frombuffer(base64.b64decode(values["image"]), np.uint8).reshape(28, 28)
        probabilities.setflags(write=False)
        box = values["box"]
        return Prediction(
            digit=values["digit"],
            confidence=values["confidence"],
            probabilities=probabilities,
            ood_score=values["ood_score"],
            is_digit=values["is_digit"],
            reason=values["reason"],
            image=image,
            box=box and _box(**box),
            class_names=self._names,
        )

    def _reading(self, values: dict[str, Any]) -> Reading:
        lines = [
            Line(tuple(map(self._prediction, line["digits"])), line["confidence"])
            for line in values["lines"]
        ]
        return Reading(
            lines=tuple(lines),
            confidence=values["confidence"],
            odds=float("inf") if values["odds"] is None else values["odds"],
            reason=values["reason"],
            turned=values["turned"],
            refusal=values["refusal"],
        )


def _box(left: int, top: int, width: int, height: int) -> Box:
    return Box(left, top, left + width, top + height)


def _values(answer: requests.Response) -> dict[str, Any]:
    """Return the JSON of an answer.

    Raises:
        DigitnetError: it is a problem.
    """
    try:
        values = answer.json()
    except ValueError:
        values = None
    if isinstance(values, dict) and answer.status_code == 200:
        return values
    if isinstance(values, dict) and "code" in values:
        raise _error(values)
    raise ServiceError(
        f"{answer.url} answered with status {answer.status_code} and no JSON; that is no service "
        "of digitnet, or something between here and there speaks for it."
    )


def _error(problem: dict[str, Any]) -> DigitnetError:
    """Return the error that a problem was."""
    kind = getattr(errors, str(problem["code"]), ServiceError)
    known = isinstance(kind, type) and issubclass(kind, DigitnetError)
    return (kind if known else ServiceError)(str(problem.get("detail", "")))


def _answer_or_error(values: dict[str, Any]) -> dict[str, Any] | InputError:
    return InputError(values["problem"]["detail"]) if "problem" in values else values


def _wait(after: str) -> float:
    return min(float(after), _LONGEST_WAIT) if after.isdigit() else 1.0


def _asked(digits: Digits | None, check: Check | None, min_confidence: float) -> dict[str, str]:
    """Return what a text must be like, as a query."""
    if callable(check):
        raise errors.UsageError(
            "A function cannot be sent to a service; check must be luhn, mod97 or ean13."
        )
    wanted(digits, check, min_confidence)  # refuses what ``Recognizer.read`` refuses
    asked = {"min_confidence": str(min_confidence)} if min_confidence else {}
    if digits is not None:
        ends = digits if isinstance(digits, (tuple, list)) else (digits,)
        asked["digits"] = "-".join(str(int(end)) for end in ends)
    return asked | ({"check": check} if check else {})


def _content(picture: PictureSource) -> bytes:
    """Return the bytes of a picture.

    Raises:
        InputError: it cannot be read, or is something else than a file.
    """
    if isinstance(picture, list) or hasattr(picture, "__array__"):
        raise InputError(
            f"A service takes files, not {type(picture).__name__}: save the picture as PNG and "
            "pass its bytes, or send an ink to predict_ink."
        )
    return read(picture, describe(picture))


def _contents(pictures: Iterator[PictureSource]) -> Iterator[bytes | InputError]:
    for picture in pictures:
        try:
            yield _content(picture)
        except InputError as error:
            yield error


def _grouped(contents: Iterator[bytes | InputError]) -> Iterator[list[bytes | InputError]]:
    """Yield pictures in groups that fit into a request."""
    group: list[bytes | InputError] = []
    size = 0
    for content in contents:
        more = len(content) if isinstance(content, bytes) else 0
        if group and (len(group) == _BATCH or size + more > _BATCH_BYTES):
            yield group
            group, size = [], 0
        group.append(content)
        size += more
    if group:
        yield group


def _plain(strokes: Strokes) -> list[list[list[float]]]:
    """Return strokes as JSON has them."""
    try:
        lines = [np.asarray(stroke, np.float64) for stroke in strokes]
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            "Expected a list of strokes, each a list of points (x, y) or (x, y, pressure)."
        ) from error
    if not all(np.isfinite(line).all() for line in lines):
        raise InputError("The strokes hold NaN or infinity; every x and y must be finite.")
    return [line.tolist() for line in lines]
