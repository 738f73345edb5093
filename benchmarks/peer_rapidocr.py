"""Numbers read by RapidOCR; run by the peers' own Python.

Usage: peer_rapidocr.py PICTURES.npz; reads the packed pictures one after the other, each on one
thread, and prints as JSON what stands there and the seconds that each took, of both its ways: it
finds the lines of a page and reads each, or it is told that a picture is one line.

The models are those that come with the package: nothing is downloaded. Of what it reads the digits
are kept, because it is asked for numbers; its lines are in its own order, from top to bottom.
"""

import contextlib
import importlib.metadata
import json
import re
import sys
import time
from typing import Any

import numpy as np
from rapidocr import RapidOCR  # type: ignore[import-not-found, unused-ignore]

ONE_THREAD = {
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    "Global.log_level": "error",
}


def main() -> None:
    """Read every picture of the file."""
    with np.load(sys.argv[1]) as packed:
        data, offset, shape = (packed[name] for name in ("data", "offset", "shape"))
    # It may write notes to the standard output, which is for the result.
    with contextlib.redirect_stdout(sys.stderr):
        engine = RapidOCR(params=ONE_THREAD)
        pictures = [
            np.repeat(data[start:end].reshape(sides)[..., None], 3, axis=2)
            for start, end, sides in zip(offset, offset[1:], shape, strict=False)
        ]
        whole = read(engine, pictures, use_det=True)
        line = read(engine, pictures, use_det=False, use_cls=False)
    versions = {name: importlib.metadata.version(name) for name in ("rapidocr", "onnxruntime")}
    print(json.dumps({"rapidocr": whole, "rapidocr_line": line, "versions": versions}))


def read(engine: Any, pictures: list[Any], **steps: bool) -> dict[str, list[Any]]:
    """Return the digits in pictures and the seconds that each took."""
    engine(pictures[0], **steps)  # the first is slower
    texts: list[str] = []
    seconds: list[float] = []
    for picture in pictures:
        started = time.perf_counter()
        found = engine(picture, **steps)
        seconds.append(time.perf_counter() - started)
        lines = [re.sub("[^0-9]", "", line) for line in found.txts or ()]
        texts.append("\n".join(line for line in lines if line))
    return {"texts": texts, "seconds": seconds}


if __name__ == "__main__":
    main()
