"""A prediction in words, for tables, pages and terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from digitnet.text import are_digits, percent

if TYPE_CHECKING:
    from digitnet.reading.recognizer import Prediction


def ranked(prediction: Prediction) -> list[int]:
    """Return the numbers of the classes, the most probable first; among equals the lower."""
    return sorted(range(len(prediction.probabilities)), key=lambda d: -prediction.probabilities[d])


def note(prediction: Prediction) -> str:
    """Return in a few words what must be known besides digit and confidence; often nothing."""
    first, second = ranked(prediction)[:2]
    if prediction.reason is None:
        return ""
    if prediction.reason == "blank":
        return "no ink found"
    if prediction.reason == "ambiguous":
        return f"unsure; or {_chance(prediction, second)}"
    return f"not {thing(prediction)}; nearest {_chance(prediction, first)}"


def thing(prediction: Prediction) -> str:
    """Return what the model reads, in general."""
    return "a digit" if are_digits(prediction.class_names) else "one of the classes"


def sentence(prediction: Prediction, ood_threshold: float | None = None) -> str:
    """Return one line on what was read, what came second, and why it was refused if it was.

    Args:
        prediction: of the recogniser.
        ood_threshold: above this ood_score the recogniser refuses; named when it did.
    """
    first, second = ranked(prediction)[:2]
    if prediction.reason == "blank":
        return "refused: no ink was found, so there is nothing to read"
    runner_up = f"runner-up {_chance(prediction, second)}"
    if prediction.is_digit:
        how = "read, but not surely," if prediction.reason == "ambiguous" else "read"
        return f"{how} as {_chance(prediction, first)}; {runner_up}"
    limit = "" if ood_threshold is None else f", above the limit {ood_threshold:.2f}"
    return (
        f"refused: unlike {thing(prediction)} (ood_score {prediction.ood_score:.2f}{limit}); "
        f"nearest {_chance(prediction, first)}, {runner_up}"
    )


def _chance(prediction: Prediction, digit: int) -> str:
    return f"{prediction.class_names[digit]} ({percent(float(prediction.probabilities[digit]))})"
