"""What recognition returns: ``Box``, ``Ink``, ``Prediction`` and ``Reading``, and each in words.

Guarantees:

- Importing this loads no other library, so a command that prints predictions starts at once.
- A blank picture has no digit: ``digit`` and ``label`` are None exactly when ``reason`` is "blank".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from digitnet.text import are_digits, percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Reason = Literal["blank", "not_a_digit", "ambiguous", "several"]
ReadingReason = Literal["blank", "no_digits", "uncertain"]

# The longest side of an ink cut out of a picture, in pixels: many times what the network looks at.
INK_SIDE = 160
DIGITS = tuple("0123456789")


class Box(NamedTuple):
    """A rectangle in a picture, in whole pixels; right and bottom are exclusive.

    It unpacks as Pillow's boxes do, so ``image.crop(box)`` cuts it out of a Pillow image that is
    upright (``ImageOps.exif_transpose``), and ``array[box.slices]`` out of an array (H, W, …).
    """

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Number of columns, at least 1."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Number of rows, at least 1."""
        return self.bottom - self.top

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns, to index an array with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, eq=False)
class Ink:
    """The strokes of one digit.

    Attributes:
        pixels: float32 (h, w) in [0, 1], 0 is paper and 1 full ink, soft at the edges where the
            picture is; cut out around the digit with a margin of zeros, at most ``INK_SIDE`` pixels
            a side; a single zero when there is no ink.
        box: where in the picture the digit is; None when there is no ink, or no picture.
    """

    pixels: NDArray[np.float32]
    box: Box | None

    @classmethod
    def blank(cls) -> Ink:
        """Return the ink of a picture that holds none."""
        import numpy as np

        return cls(np.zeros((1, 1), np.float32), None)


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer to one picture.

    Attributes:
        digit: the number of the most probable class, 0 to 9 for digits, whether or not ``is_digit``
            accepts it; None when the picture is blank.
        confidence: the largest of ``probabilities``.
        probabilities: float32 (classes,), read-only; they sum to 1.
        ood_score: how unlike a digit the ink is; larger is stranger. Where several looks were
            taken, it is that of the look by which it is a digit, or is none.
        is_digit: whether there is one digit: ink that is surely there, whose ``ood_score`` is
            within the threshold, in most of the looks that were taken.
        reason: what to beware of. "blank": there is no ink; "not_a_digit": ``ood_score`` is above
            the threshold, or the finder doubts it; "ambiguous": a digit, but none has a probability
            of 0.5; "several": more digits than one, which ``Recognizer.read`` reads, and this is
            the best; None: nothing.
        image: uint8 (28, 28), read-only, bright ink on 0: what the network saw.
        box: where the ink is in the upright picture, in pixels of the original (exact to the few
            pixels that are averaged into one in a large picture); None for a blank, and for ink
            that does not come from a picture.
        class_names: the model's name for each of ``probabilities``.
    """

    digit: int | None
    confidence: float
    probabilities: NDArray[np.float32]
    ood_score: float
    is_digit: bool
    reason: Reason | None
    image: NDArray[np.uint8]
    box: Box | None = None
    class_names: tuple[str, ...] = DIGITS

    @property
    def label(self) -> str | None:
        """The name of ``digit``: "7", or "Sandal" of a model of clothes; None for a blank."""
        return None if self.digit is None else self.class_names[self.digit]

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the image as plain values for JSON."""
        return {
            "digit": self.digit,
            "label": self.label,
            "confidence": self.confidence,
            "probabilities": [float(p) for p in self.probabilities],
            "ood_score": self.ood_score,
            "is_digit": self.is_digit,
            "reason": self.reason,
            "box": self.box
            and {n: getattr(self.box, n) for n in ("left", "top", "width", "height")},
        }

    def __repr__(self) -> str:
        reason = f" {self.reason}" if self.reason else ""
        box = f" {self.box}" if self.box else ""
        return (
            f"<Prediction {self.label} confidence={self.confidence:.4f} "
            f"ood_score={self.ood_score:.2f} is_digit={self.is_digit}{reason}{box}>"
        )


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a text."""

    digits: tuple[Prediction, ...]
    """From left to right, with their boxes; a sign that is no digit has ``is_digit`` False."""
    confidence: float
    """How likely the whole line is right; of a number that must fit, if it is the only line, among
    all that fit."""

    @property
    def text(self) -> str:
        """Its digits; ``?`` for a sign of a digit's size that is none."""
        return "".join((one.label or "?") if one.is_digit else "?" for one in self.digits)


@dataclass(frozen=True, eq=False)
class Reading:
    """All that is written in a picture.

    Attributes:
        lines: from top to bottom; of a refused text, those of what was seen. Where a text must fit,
            a prediction's ``digit`` is the one in this text, and ``confidence`` its probability.
        confidence: how likely the whole text is right.
        odds: how many times likelier it is than the next text, at the look that is surest of it;
            infinite if there is none.
        reason: what to beware of. "blank": there is no sign; "no_digits": none of the signs is a
            digit; "uncertain": the text is likelier wrong than right, or refused; None: nothing.
        turned: by how many degrees, clockwise, the picture was turned to be read: 0, 90, 180, 270.
        refusal: why the text is not accepted, so that ``text`` is empty: no text fits what was
            asked for, or it is too unsure; None where it is accepted.
    """

    lines: tuple[Line, ...]
    confidence: float
    odds: float
    reason: ReadingReason | None
    turned: int = 0
    refusal: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the text is what was asked for."""
        return self.refusal is None

    @property
    def text(self) -> str:
        """What is written, lines separated by a newline; empty where it was refused."""
        return "\n".join(line.text for line in self.lines) if self.accepted else ""

    def refused(self, refusal: str) -> Reading:
        """Return it without its text: what was seen stays, with the reason and why."""
        return replace(self, refusal=refusal, reason=self.reason or "uncertain")

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the images as plain values for JSON."""
        return {
            "text": self.text,
            "confidence": self.confidence,
            "odds": self.odds if math.isfinite(self.odds) else None,
            "reason": self.reason,
            "refusal": self.refusal,
            "turned": self.turned,
            "lines": [
                {
                    "text": line.text,
                    "confidence": line.confidence,
                    "digits": [one.as_dict() for one in line.digits],
                }
                for line in self.lines
            ],
        }

    def __repr__(self) -> str:
        reason = f" {self.reason}" if self.reason else ""
        turned = f" turned={self.turned}" if self.turned else ""
        return f"<Reading {self.text!r} confidence={self.confidence:.4f}{reason}{turned}>"


def ranked(prediction: Prediction) -> list[int]:
    """Return the class numbers, most probable first; of equals the lower number first."""
    return sorted(range(len(prediction.probabilities)), key=lambda d: -prediction.probabilities[d])


def note(prediction: Prediction) -> str:
    """Return in a few words what to know besides digit and confidence; often nothing."""
    first, second = ranked(prediction)[:2]
    if prediction.reason is None:
        return ""
    if prediction.reason == "blank":
        return "no ink found"
    if prediction.reason == "several":
        return "several digits; read them with: digitnet read"
    if prediction.reason == "ambiguous":
        return f"unsure; or {_chance(prediction, second)}"
    return f"not {_what_it_reads(prediction)}; nearest {_chance(prediction, first)}"


def sentence(prediction: Prediction, ood_threshold: float) -> str:
    """Return one line on what was read, what came second, and why it was refused if it was.

    Args:
        prediction: of the recogniser.
        ood_threshold: the ``ood_score`` above which the recogniser refuses.
    """
    first, second = ranked(prediction)[:2]
    if prediction.reason == "blank":
        return "refused: no ink was found, so there is nothing to read"
    if prediction.reason == "several":
        return (
            "refused: there are several digits; `digitnet read` and Recognizer.read read them all"
        )
    runner_up = f"runner-up {_chance(prediction, second)}"
    if prediction.is_digit:
        how = "read, but with doubt," if prediction.reason == "ambiguous" else "read"
        return f"{how} as {_chance(prediction, first)}; {runner_up}"
    why = f"unlike {_what_it_reads(prediction)}"
    if prediction.ood_score > ood_threshold:
        why += f" (ood_score {prediction.ood_score:.2f}, above the limit {ood_threshold:.2f})"
    else:
        why += ", or hardly there, by the finder"
    return f"refused: {why}; nearest {_chance(prediction, first)}, {runner_up}"


def remark(reading: Reading) -> str:
    """Return in a few words what to know besides the text of a reading; often nothing."""
    words = {
        "blank": "nothing is written there",
        "no_digits": "no digit among what is written there",
        "uncertain": f"unsure ({percent(reading.confidence)})",
        None: "",
    }[reading.reason]
    if not reading.accepted and reading.reason == "uncertain":
        words = f"{reading.refusal}; seen: {' '.join(line.text for line in reading.lines)}"
    turned = f"read after turning it by {reading.turned}°" if reading.turned else ""
    return "; ".join(filter(None, (words, turned)))


def _what_it_reads(prediction: Prediction) -> str:
    return "a digit" if are_digits(prediction.class_names) else "one of the classes"


def _chance(prediction: Prediction, digit: int) -> str:
    return f"{prediction.class_names[digit]} ({percent(float(prediction.probabilities[digit]))})"
