"""What a result may depend on besides its settings: versions, processor, threads, revision."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    *("digitnet", "numpy", "onnxruntime", "onnx", "opencv-python-headless", "pillow", "torch"),
    *("safetensors", "scikit-learn", "scikit-image", "scipy", "matplotlib", "pooch", "typer"),
    *("rich", "ray", "pyarrow"),
)


def environment() -> dict[str, Any]:
    """Return the environment as plain JSON values; what cannot be found out is None."""
    return {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in _PACKAGES},
        "cpu": cpu_name(),
        "cpu_features": _cpu_features(),
        "cores": usable_cores(),
        "git_revision": _git_revision(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def usable_cores() -> int:
    """Return how many cores this process may use."""
    # Linux tells of limits set on the process; elsewhere the machine's cores must do.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_name() -> str | None:
    """Return the processor's name, as the kernel tells it."""
    return _cpu_field("model name") or platform.processor() or None


def _cpu_features() -> list[str]:
    """Return those instruction sets that decide the speed of matrix products."""
    flags = (_cpu_field("flags") or _cpu_field("Features") or "").split()
    return [
        name for name in ("avx2", "fma", "avx512f", "amx_tile", "asimd", "sve") if name in flags
    ]


def _cpu_field(name: str) -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(found, None)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """Return the commit of the source tree that runs, with + if it was changed; None elsewhere."""
    source = Path(__file__).parent
    command = ["git", "-C", str(source), "describe", "--always", "--abbrev=12", "--dirty=+"]
    try:
        # Only a checkout of digitnet has the package below src/; site-packages does not.
        if source.parent.name != "src":
            return None
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
