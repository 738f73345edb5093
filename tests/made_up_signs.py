"""Signs as a finder might find them, made by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from digitnet.reading import recognizer
from digitnet.reading.finding import Signs


def signs(*rows: tuple[str, float, float], **changes: Any) -> Signs:
    """Return a row of signs: digit or ``?``, how likely it is there, and that it is this one."""
    boxes, presence, share, probabilities, scores = [], [], [], [], []
    for number, (name, there, sure) in enumerate(rows):
        boxes.append((30 * number, 10, 30 * number + 20, 40))
        presence.append(there)
        share.append(0.05 if name == "?" else 0.999)
        chances = np.full(10, (1 - sure) / 9)
        chances[int(name) if name != "?" else 5] = sure
        probabilities.append(chances)
        scores.append(4.0 if name == "?" else -20.0)
    count = len(rows)
    values = {
        "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "presence": np.array(presence, np.float32),
        "digit_share": np.array(share, np.float32),
        "probabilities": np.array(probabilities, np.float32).reshape(-1, 10),
        "ood_score": np.array(scores, np.float32),
        "images": np.zeros((count, 28, 28), np.float32),
    }
    return Signs(**(values | changes))


def sure(text: str) -> list[tuple[str, float, float]]:
    """Return rows for ``signs`` of which there is no doubt."""
    return [(name, 0.999, 0.999) for name in text]


def find(monkeypatch: pytest.MonkeyPatch, found: Callable[..., Signs]) -> None:
    """Let pictures hold made-up signs, which the line reader cannot see."""
    monkeypatch.setattr(recognizer, "find_signs", found)
    monkeypatch.setattr(recognizer, "read_lines", lambda writing, *rest: writing.reading(rest[-1]))
