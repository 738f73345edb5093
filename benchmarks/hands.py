"""How well a model file reads digits, and refuses other signs, of writers who are set aside.

    python benchmarks/hands.py                 # the shipped model; writes docs/results/hands.json
    python benchmarks/hands.py MODEL.onnx --out FILE

Every digit of UNIPEN's validation writers is drawn with a pen of each of three ranges, 20 to 120
pixels high, with another seed than the digits that the threshold was set on; then every letter and
symbol of theirs that may not fairly be read as a digit. They go into the model file as ink.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conditions import conditions
from digitnet.data.pen_signs import DIGIT_LIKE, load_hands, split_writers
from digitnet.files import write_json
from digitnet.reading.model_file import ModelFile, load_model_file
from digitnet.synthesis.hands import draw

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "src" / "digitnet" / "assets" / "digitnet.onnx"
SEED = 30_000
# Pens, as a fraction of the longer side of the sign, and the heights that it is drawn at.
PENS = ((0.015, 0.03), (0.03, 0.06), (0.06, 0.12))
SIDES = (20, 120)


def measure(model: ModelFile) -> dict[str, Any]:
    """Return what docs/results/hands.json holds."""
    hands, rng = load_hands(), np.random.default_rng(SEED)
    _, val = split_writers(hands)
    digits = val[hands.is_digit[val]]
    is_other = ~hands.is_digit[val] & ~np.isin(hands.label[val], list(DIGIT_LIKE))
    labels = hands.label[digits].astype(np.int64)
    good, refused, pens = [], [], []
    for pen in PENS:
        probabilities, accepted = _answers(model, _inks(digits, pen, rng))
        right = probabilities.argmax(1) == labels
        good.append(right & accepted)
        refused.append(~accepted)
        pens.append({"pens": pen, "right": right.mean(), "right_and_accepted": good[-1].mean()})
    both, never = np.array(good), np.array(refused)
    others = [_answers(model, _inks(val[is_other], pen, rng))[1] for pen in PENS]
    return {
        "schema_version": 1,
        "environment": conditions(),
        "seed": SEED,
        "writers": len(np.unique(hands.writer[digits])),
        "digits": len(digits),
        "right": float(np.mean([row["right"] for row in pens])),
        "right_and_accepted": float(both.mean()),
        "by_pen": [{name: _plain(value) for name, value in row.items()} for row in pens],
        "by_digit": [
            {
                "digit": digit,
                "count": int((labels == digit).sum()),
                "right_and_accepted": float(both[:, labels == digit].mean()),
                "refused": float(never[:, labels == digit].mean()),
            }
            for digit in range(10)
        ],
        "other_signs": int(is_other.sum()),
        "other_signs_accepted": float(np.mean(others)),
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else float(value)


def _inks(
    rows: NDArray[np.intp], pens: tuple[float, float], rng: np.random.Generator
) -> Iterable[NDArray[np.float32]]:
    """Return the signs drawn at random sizes with pens of a range, even on a log scale."""
    hands = load_hands()
    for row in rows.tolist():
        side = rng.uniform(*SIDES)
        pen = side * np.exp(rng.uniform(*np.log(pens)))
        yield draw(hands.strokes(row), side, pen)


def _answers(
    model: ModelFile, inks: Iterable[NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return probabilities, (N, 10), and which inks are taken for digits, (N,)."""
    answers = [model.of_inks(("probabilities", "ood_score"), ink[None, None]) for ink in inks]
    probabilities, scores = (np.concatenate(part) for part in zip(*answers, strict=True))
    return probabilities, scores <= model.ood_threshold


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path, nargs="?", default=MODEL)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "hands.json")
    arguments = parser.parse_args()
    result = measure(load_model_file(arguments.model))
    write_json(arguments.out, result)
    print(json.dumps({k: v for k, v in result.items() if k != "environment"}, indent=1))


if __name__ == "__main__":
    main()
