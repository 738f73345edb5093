"""Under what conditions a benchmark was run, without paths of the machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from digitnet.machine import environment


def conditions() -> dict[str, Any]:
    """Return the environment; what the command line calls by its path is called by its name."""
    here = environment()
    return here | {"command": [_named(each) for each in here["command"]]}


def _named(argument: str) -> str:
    flag, equals, value = argument.rpartition("=")
    return f"{flag}{equals}{Path(value).name}" if os.sep in value else argument
