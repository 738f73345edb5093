"""What a result may depend on besides its settings: versions, processor, cores, revision."""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_CGROUP = Path("/sys/fs/cgroup")
_PACKAGES = (
    *("digitnet", "numpy", "onnxruntime", "onnx", "opencv-python-headless", "pillow", "torch"),
    *("safetensors", "scikit-learn", "scikit-image", "scipy", "matplotlib", "requests", "typer"),
    *("rich", "ray", "pyarrow", "fastapi", "uvicorn"),
)


def environment() -> dict[str, Any]:
    """Return the environment as plain JSON values; None stands for what is unknown."""
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
    # Linux knows the limits of this process; elsewhere all cores of the machine count.
    if hasattr(os, "sched_getaffinity"):
        return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _quota())))
    return os.cpu_count() or 1


def _quota() -> float:
    """Return how many cores' time a container may take, infinity if it is not limited."""
    try:
        # Of cgroups in their second version, and in their first.
        if _CGROUP.joinpath("cpu.max").is_file():
            most, period = _CGROUP.joinpath("cpu.max").read_text().split()
        else:
            most, period = (
                _CGROUP.joinpath("cpu", f"cpu.cfs_{name}_us").read_text().strip()
                for name in ("quota", "period")
            )
        # "max" or -1 where there is no limit.
        return int(most) / int(period) if most.isdigit() and int(most) else math.inf
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def cpu_name() -> str | None:
    """Return the processor's name, None if the system does not say."""
    return _cpu_field("model name") or platform.processor() or None


def _cpu_features() -> list[str]:
    """Return the instruction sets that decide how fast matrix products are."""
    flags = (_cpu_field("flags") or _cpu_field("Features") or "").split()
    known = ("avx2", "fma", "avx512f", "amx_tile", "asimd", "sve")
    return [name for name in known if name in flags]


def _cpu_field(name: str) -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(values, None)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    """Return the commit of the running source tree, with + if it was changed; None if installed."""
    source = Path(__file__).parent
    command = ["git", "-C", str(source), "describe", "--always", "--abbrev=12", "--dirty=+"]
    try:
        # Only a checkout has the package below src/; site-packages may lie in another repository.
        if source.parent.name != "src":
            return None
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
