"""Make the asset of pen strokes that training draws signs from, out of a file of recorded strokes.

    python tools/make_strokes_asset.py PATH             compare a new one with the shipped file
    python tools/make_strokes_asset.py PATH --write     write it

PATH is an ``.npz`` of signs as UNIPEN's pens recorded them: ``points`` (x, y in steps of the
tablet, y down), ``stroke_start``, ``item_start``, and for each sign ``label``, ``writer``,
``contributor``, ``country`` and ``usual_side``, the usual longer side of its writer's signs. Points
are set at equal distances and smoothed, which takes away the stairs of coarse tablets, and rounded
to a 255th of the sign's longer side; ``data.pen_signs`` reads what this writes.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digitnet.data.pen_signs import STROKES_FILE
from digitnet.data.unipen import rounded
from make_sample import encode

TARGET = Path(__file__).parents[1] / "src" / "digitnet" / "assets" / STROKES_FILE
TEXTS = ("label", "writer", "contributor", "country")


def asset_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of the asset by name."""
    with np.load(path) as stored:
        pens = {name: stored[name] for name in stored.files}
    strokes: list[NDArray[np.uint8]] = []
    for first, after, label, usual in zip(
        pens["item_start"], pens["item_start"][1:], pens["label"], pens["usual_side"], strict=False
    ):
        edges = pens["stroke_start"][first : after + 1]
        own = [pens["points"][a:b].astype(float) for a, b in itertools.pairwise(edges)]
        strokes += rounded(own, str(label), float(usual))
    points = np.concatenate(strokes)
    # How the way from point to point changes, modulo 256, is nearly 0 along a smooth stroke.
    bends = np.diff(points, n=2, axis=0, prepend=np.zeros((2, 2), np.uint8))
    return {
        "bends": np.ascontiguousarray(bends.T),
        "stroke_points": np.array([len(stroke) for stroke in strokes], np.uint16),
        "sign_strokes": np.diff(pens["item_start"]).astype(np.uint8),
        **{name: pens[name] for name in TEXTS},
        "usual_side": pens["usual_side"],
    }


def main() -> int:
    """Make the asset and write it or compare it; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("path", type=Path, help="the recorded strokes")
    parser.add_argument("--write", action="store_true", help="write the file")
    options = parser.parse_args()
    content = encode(asset_arrays(options.path))
    if options.write:
        TARGET.write_bytes(content)
    same = TARGET.read_bytes() == content
    digest = hashlib.sha256(content).hexdigest()
    sys.stdout.write(f"{len(content)} bytes, SHA-256 {digest}, as shipped: {same}\n")
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
