"""Options that several verbs have, the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
DataDir = Annotated[
    Path | None, typer.Option(help="Folder that holds the data files; default: the cache.")
]
Offline = Annotated[
    bool | None, typer.Option("--offline", help="Use no network.", show_default=False)
]
