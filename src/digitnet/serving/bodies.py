"""From the query and the body of a request to what is to be read, and how.

Guarantees:

- A body is a picture as it is, a form of files (``multipart/form-data``) or JSON; the content of a
  picture decides what it is, never its name or its MIME type.
- Nothing in a request is a path or an address that the service would open.
- Parts, their heads, points and inputs are counted while they are parsed.
- Whatever else comes is a ``UsageError`` (there is no such parameter) or an ``InputError``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn
from urllib.parse import parse_qsl

import numpy as np
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from digitnet.errors import InputError, UsageError, unknown_name
from digitnet.reading.inks import as_ink
from digitnet.reading.prediction import Ink
from digitnet.text import count_or_range

Kind = Literal["picture", "strokes", "ink"]
KINDS: dict[str, Kind] = {"image": "picture", "strokes": "strokes", "ink": "ink"}
# What a reading may be asked for, besides ``images``.
ASKED = ("digits", "check", "min_confidence")
MAX_POINTS = 20_000
# Bytes of a part of a form that is no file, and how many such parts there may be. How many headers
# a part may have, and how long, is limited by the parser.
_MAX_FIELD, _OTHER_PARTS = 10_000, 8
_LARGEST = 1e300
_INK_BYTES = 28 * 28
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no")


@dataclass(frozen=True)
class Input:
    """One thing to be read: the bytes of a picture, strokes or ink as JSON has them.

    Attributes:
        kind: of the value.
        value: of the type that its kind has.
        pen: the width of the pen that drew strokes, in their unit, where it is given.
    """

    kind: Kind
    value: Any
    pen: float | None = None


@dataclass(frozen=True)
class Wish:
    """A whole request.

    Attributes:
        inputs: in order; an ``InputError`` in the place of what is none.
        asked: ``digits``, ``check`` and ``min_confidence`` of a reading, where they are given.
        images: whether what the network saw is wanted too.
    """

    inputs: list[Input | InputError]
    asked: dict[str, Any] = field(default_factory=dict)
    images: bool = False


def parse_query(query: bytes, allowed: tuple[str, ...]) -> dict[str, str]:
    """Return the parameters of a query.

    Raises:
        UsageError: one is unknown, comes twice or is no text.
    """
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError as error:
        raise UsageError(f"The query of the address cannot be read: {error}.") from error
    values: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed:
            raise unknown_name("parameter", name[:100], allowed)
        if name in values:
            raise UsageError(f"The parameter '{name}' is there twice; give it once.")
        values[name] = value
    return values


def parse_body(
    content: bytes, content_type: str, given: Mapping[str, Any], most: int, *, batch: bool
) -> Wish:
    """Return what a request wishes.

    Args:
        content: the body.
        content_type: as the request names it.
        given: the parameters of the query; those of the body must not repeat them.
        most: how many inputs there may be.
        batch: whether the request may have several.

    Raises:
        InputError: the body is none of the allowed.
        UsageError: it holds a field that does not exist.
    """
    kind, options = _content_type(content_type)
    if kind == "application/json" or kind.endswith("+json"):
        inputs, fields = _from_json(content, most, batch)
    elif kind == "multipart/form-data":
        inputs, fields = _from_form(content, options.get(b"boundary", b""), most, batch)
    elif batch:
        raise InputError(
            "Several pictures come as a form with a file for each (multipart/form-data), or as "
            f'JSON, {{"inputs": [...]}}; not as {kind or "a body without a Content-Type"}.'
        )
    elif not content:
        raise InputError("The request has no body. Send the bytes of a picture, a form or JSON.")
    else:
        inputs, fields = [Input("picture", content)], {}
    for name in fields:
        if name in given:
            raise UsageError(f"'{name}' is in the address and in the body; give it once.")
    return _wish(inputs, {**given, **fields})


def ink_of(value: Any) -> Ink:
    """Return the ink that JSON holds: base64 of 784 bytes, or rows of numbers or booleans.

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, str):
        content = _unpacked(value, "ink")
        if len(content) != _INK_BYTES:
            raise InputError(
                f"The ink has {len(content):,} bytes; in base64 it must have 784, the rows of "
                "28 × 28 pixels, 0 for paper and 255 for full ink."
            )
        return as_ink(np.frombuffer(content, np.uint8).reshape(28, 28))
    if not isinstance(value, list):
        raise InputError("The ink must be base64 of 784 bytes, or a list of rows of numbers.")
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise InputError("The ink must have rows of one length, all of numbers.") from error
    if array.dtype.kind == "i":
        array = _as_bytes(array)
    return as_ink(array)


def strokes_of(value: Any) -> list[Any]:
    """Return strokes as JSON holds them, after their points were counted.

    Raises:
        InputError: they are not lists of points, or too many.
    """
    if not isinstance(value, list) or not all(isinstance(stroke, list) for stroke in value):
        raise InputError(
            "Strokes are a list of strokes, each a list of points: [[[1, 2], [3, 4]]]."
        )
    points = sum(map(len, value))
    for count, what in ((len(value), "strokes"), (points, "points")):
        if count > MAX_POINTS:
            raise InputError(f"There are {count:,} {what}; at most {MAX_POINTS:,} are allowed.")
    for stroke in value:
        for point in stroke:
            # No number of a drawing is as large, and NumPy has no place for it.
            if not isinstance(point, list) or not all(
                type(number) in (int, float) and -_LARGEST <= number <= _LARGEST for number in point
            ):
                raise InputError(
                    "Each point of a stroke must be a list of numbers, [x, y] or [x, y, pressure]."
                )
    return value


def _wish(inputs: list[Input | InputError], values: Mapping[str, Any]) -> Wish:
    """Return inputs with their options, each checked for its type; ``checks.wanted`` does more."""
    asked: dict[str, Any] = {}
    if (digits := values.get("digits")) is not None:
        asked["digits"] = _digits(digits)
    if (check := values.get("check")) is not None:
        if not isinstance(check, str):
            raise UsageError("'check' must be a text: luhn, mod97 or ean13.")
        asked["check"] = check
    if (least := values.get("min_confidence")) is not None:
        asked["min_confidence"] = _probability(least)
    return Wish(inputs, asked, _flag(values.get("images", False)))


def _digits(value: Any) -> int | tuple[int, int]:
    if isinstance(value, str):
        meant = count_or_range(value)
    elif isinstance(value, list) and [type(each) for each in value] == [int, int]:
        meant = (value[0], value[1])
    else:
        meant = value if type(value) is int else None
    if meant is None:
        raise UsageError(
            f"'digits' cannot be {json.dumps(value)[:100]}; allowed: a number, 6, or a range, "
            "4-6, in JSON also [4, 6]."
        )
    return meant


def _probability(value: Any) -> float:
    try:
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise UsageError(
        f"'min_confidence' cannot be {json.dumps(value)[:100]}; it is a probability, 0 to 1."
    )


def _flag(value: Any) -> bool:
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    if isinstance(value, str) and value.lower() in _TRUE + _FALSE:
        return value.lower() in _TRUE
    raise UsageError(f"'images' cannot be {json.dumps(value)[:100]}; allowed: 1 or 0.")


def _content_type(text: str) -> tuple[str, dict[bytes, bytes]]:
    kind, options = parse_options_header(text)
    return kind.decode("latin-1").lower(), options


# ---- JSON


def _from_json(
    content: bytes, most: int, batch: bool
) -> tuple[list[Input | InputError], dict[str, Any]]:
    try:
        values = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"The body is not valid JSON: {why}.") from error
    if not isinstance(values, dict):
        raise InputError('The body must be a JSON object, such as {"image": "..."}.')
    if not batch:
        options = {name: values.pop(name) for name in (*ASKED, "images") if name in values}
        return [_one_input(values)], options
    listed = values.pop("inputs", None)
    if not isinstance(listed, list) or not 1 <= len(listed) <= most:
        raise InputError(f'"inputs" must be a list of 1 to {most:,} objects.')
    unknown = [name for name in values if name not in (*ASKED, "images")]
    if unknown:
        raise unknown_name("field", unknown[0][:100], ("inputs", *ASKED, "images"))
    return [_one_or_error(each) for each in listed], values


def _one_or_error(values: Any) -> Input | InputError:
    try:
        if not isinstance(values, dict):
            raise InputError('Each of "inputs" must be a JSON object, such as {"image": "..."}.')
        of_all = [name for name in values if name in (*ASKED, "images")]
        if of_all:
            raise InputError(f"'{of_all[0]}' is for all inputs; put it beside \"inputs\".")
        return _one_input(values)
    except InputError as error:
        return error
    except UsageError as error:
        return InputError(str(error))


def _one_input(values: dict[str, Any]) -> Input:
    """Return the one input that an object names."""
    unknown = [name for name in values if name not in (*KINDS, "pen")]
    if unknown:
        raise unknown_name("field", unknown[0][:100], (*KINDS, "pen", *ASKED, "images"))
    pen = _pen(values) if "pen" in values else None
    if len(values) != 1:
        raise InputError(f"Give one of {', '.join(KINDS)}; the request has {len(values)} of them.")
    ((name, value),) = values.items()
    if pen is not None and name != "strokes":
        raise InputError("'pen' is the width of the pen that drew strokes; leave it out.")
    if KINDS[name] != "picture":
        return Input(KINDS[name], value, pen)
    if not isinstance(value, str):
        raise InputError("'image' must be a text: base64 of a file, or a data URL.")
    if value[:16].lstrip()[:5].lower() == "data:":
        # As bytes, it cannot be taken for a path.
        return Input("picture", value.encode("utf-8", "replace"))
    return Input("picture", _unpacked(value, "image"))


def _pen(values: dict[str, Any]) -> float:
    """Return the width of the pen that is given with strokes, taken out of their object."""
    pen = values.pop("pen")
    # Larger ones have no place in a float.
    if type(pen) not in (int, float) or not -_LARGEST <= pen <= _LARGEST:
        raise InputError("'pen' must be a number: the pen's width in the unit of the strokes.")
    return float(pen)


def _unpacked(text: str, name: str) -> bytes:
    """Return what base64 holds, forgiving white space and missing padding."""
    packed = "".join(text.split()).rstrip("=")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"'{name}' is not valid base64: {error}.") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _as_bytes(array: Any) -> Any:
    """Return whole numbers as the bytes of an ink."""
    if array.size and (array.min() < 0 or array.max() > 255):
        raise InputError(
            f"The ink has values from {array.min()} to {array.max()}; whole numbers must be in "
            "0 to 255, where 0 is paper and 255 full ink."
        )
    if array.size and array.max() == 1:
        raise InputError(
            "The ink holds only the whole numbers 0 and 1, which could mean two things. Send "
            "true and false, or 0 and 255."
        )
    return array.astype(np.uint8)


# ---- forms


@dataclass
class _Part:
    """A part of a form while it arrives."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    content: bytearray = field(default_factory=bytearray)
    name: str = ""
    is_file: bool = False


class _Form:
    """Collects the parts of a form.

    Args:
        most: how many files it may have.
    """

    def __init__(self, most: int) -> None:
        self._most, self._part = most, _Part()
        self._field, self._value = bytearray(), bytearray()
        self.files: list[Input | InputError] = []
        self.fields: dict[str, str] = {}
        self.ended = False

    def callbacks(self) -> dict[str, Callable[..., None]]:
        """Return what the parser calls."""
        names = (
            *("part_begin", "header_field", "header_value", "header_end", "headers_finished"),
            *("part_data", "part_end", "end"),
        )
        return {f"on_{name}": getattr(self, f"_{name}") for name in names}

    def _part_begin(self) -> None:
        if len(self.files) + len(self.fields) >= self._most + _OTHER_PARTS:
            raise InputError(f"The form has too many parts; at most {self._most:,} files.")
        self._part = _Part()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._part.headers[bytes(self._field).lower()] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _headers_finished(self) -> None:
        about = self._part.headers.get(b"content-disposition", b"")
        _, options = parse_options_header(about)
        self._part.is_file = b"filename" in options
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if not part.is_file and len(part.content) + end - start > _MAX_FIELD:
            raise InputError(
                f"The field '{part.name[:100]}' of the form is too long. A picture must be a "
                "file, with a filename."
            )
        part.content += data[start:end]

    def _part_end(self) -> None:
        part = self._part
        if part.is_file:
            if len(self.files) == self._most:
                raise InputError(
                    f"The form has too many files; allowed: {self._most:,}. Several pictures go to "
                    "/v1/predict:batch or /v1/read:batch."
                )
            self.files.append(Input("picture", bytes(part.content)))
            return
        if part.name not in (*ASKED, "images"):
            raise unknown_name("field", part.name[:100], (*ASKED, "images"))
        if part.name in self.fields:
            raise UsageError(f"The field '{part.name}' is there twice; give it once.")
        self.fields[part.name] = part.content.decode("utf-8", "replace")

    def _end(self) -> None:
        self.ended = True


def _from_form(
    content: bytes, boundary: bytes, most: int, batch: bool
) -> tuple[list[Input | InputError], dict[str, Any]]:
    if not 1 <= len(boundary) <= 200:
        raise InputError("The Content-Type of the form names no boundary between its parts.")
    form = _Form(most if batch else 1)
    try:
        # Of its callbacks it knows the names only.
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        parser.write(content)
        parser.finalize()
    except FormParserError as error:
        raise InputError(f"The form is damaged: {error}.") from error
    if not form.ended:
        raise InputError("The form is not complete: its last boundary is missing.")
    if not form.files:
        raise InputError("The form holds no file. Add the picture as one, with a filename.")
    return form.files, dict(form.fields)
