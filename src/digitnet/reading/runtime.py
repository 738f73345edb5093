"""ONNX Runtime, for all who run networks with it.

Guarantee: it tells nobody what it does. Newer versions report their use to their maker, and keep in
the home folder what they will report, unless they are told not to before they are loaded. A
variable of the environment that says otherwise already stays as it is.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

__all__ = ["onnxruntime"]
