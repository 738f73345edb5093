"""Numbers read by RapidOCR; run by the peers' own Python.

Usage: peer_rapidocr.py PICTURES.npz; reads the packed pictures one after the other, each on one
thread, and prints as JSON what stands there and the seconds that each took.

The models are those that come with the package: nothing is downloaded. Of what it reads the digits
are kept, because it is asked for numbers; its lines are in its own order, from top to bottom.
"""

import contextlib
import importlib.metadata
import json
import re
import sys
import time

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
    texts: list[str] = []
    seconds: list[float] = []
    # It may write notes to the standard output, which is for the result.
    with contextlib.redirect_stdout(sys.stderr):
        engine = RapidOCR(params=ONE_THREAD)
        for start, end, sides in zip(offset, offset[1:], shape, strict=False):
            picture = np.repeat(data[start:end].reshape(sides)[..., None], 3, axis=2)
            if not texts:
                engine(picture)  # the first is slower
            started = time.perf_counter()
            found = engine(picture)
            seconds.append(time.perf_counter() - started)
            lines = [re.sub("[^0-9]", "", line) for line in found.txts or ()]
            texts.append("\n".join(line for line in lines if line))
    versions = {name: importlib.metadata.version(name) for name in ("rapidocr", "onnxruntime")}
    print(json.dumps({"texts": texts, "seconds": seconds, "versions": versions}))


if __name__ == "__main__":
    main()
