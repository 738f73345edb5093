"""The line reader as a file: ``lines.onnx``, which comes with digitnet, ready to run.

Guarantees:

- It is loaded when a number is first read, once for a process, and compared with its SHA-256.
- One input, ``strip``: float32 (1, 1, 32, W), grey on any scale; one output, ``columns``: float32
  (T, 12), logarithms of the probabilities of the ten digits, another sign, and nothing new.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError
from digitnet.reading.model_file import shipped_content
from digitnet.reading.runtime import onnxruntime


@dataclass(frozen=True)
class LineFile:
    """The line reader, ready to run; any number of threads may at once."""

    session: onnxruntime.InferenceSession

    def columns(self, strip: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the columns of a strip, (32, W), as float64 (T, 12)."""
        feeds = {"strip": strip.astype(np.float32)[None, None]}
        (columns,) = self.session.run(("columns",), feeds)
        return np.asarray(columns, np.float64)


@functools.cache
def load_line_file() -> LineFile:
    """Return the line reader that comes with digitnet, always the same object.

    Raises:
        InputError: this installation lacks it.
        IntegrityError: it is damaged.
        StorageError: it cannot be read.
    """
    folder = Path(str(resources.files("digitnet"))) / "assets"
    file = folder / "lines.onnx"
    if not file.is_file():
        raise InputError(f"This installation of digitnet lacks {file}. Reinstall digitnet.")
    return LineFile(open_line_session(shipped_content(file)))


def open_line_session(content: bytes) -> onnxruntime.InferenceSession:
    """Return ONNX Runtime's session of a line reader of known origin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    # Weights are kept in half precision; they become whole when it is loaded.
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
