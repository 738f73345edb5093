"""``digitnet data``: which data sets there are, where they are, and whether they are intact."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from digitnet.cli.console import Output, say, show, show_json, show_rows
from digitnet.cli.flags import Places
from digitnet.errors import DigitnetError, InputError, IntegrityError


def list_all(*, as_json: bool = False) -> None:
    """List the data sets. Instead of a name, --data also takes a folder of your own pictures."""
    from digitnet.data.catalogue import list_datasets

    known = list_datasets()
    if as_json:
        show_json({"data": known})
        return
    header = ("name", "train", "test", "classes", "here", "source", "licence")
    rows: list[tuple[str, ...]] = [header]
    for each in known:
        counts = [f"{each[key]:,}" for key in ("train_images", "test_images", "classes")]
        here = "yes" if each["available"] else "no"
        rows.append((each["name"], *counts, here, each["source"], each["licence"]))
    show_rows(rows)


def fetch(name: str = "mnist", *, places: Places, output: Output) -> None:
    """Download a data set, if it is not here yet, and verify it.

    Args:
        name (NAME): A data set; see: digitnet data list.
    """
    from digitnet.data import fetching

    copies = fetching.fetch(name, **places, progress=output.note)
    _show_paths({copy.name: copy.path for copy in copies}, output.as_json)


def verify(name: str = "mnist", *, data_dir: Path | None = None, as_json: bool = False) -> None:
    """Compare the files of a data set with their checksums.

    Args:
        name (NAME): A data set; see: digitnet data list.
    """
    from digitnet.data import fetching

    statuses = fetching.verify(name, data_dir=data_dir)
    bad = [s for s in statuses if s.state != "good"]
    if as_json:
        files = [
            {
                "name": s.name,
                "path": str(s.path),
                "state": s.state,
                "sha256": s.file.sha256,
                "detail": s.damage,
            }
            for s in statuses
        ]
        show_json({"data": name, "good": not bad, "files": files})
    else:
        show_rows([(s.name, s.state, str(s.path)) for s in statuses])
    if bad:
        listed = ", ".join(f"{s.name} ({s.state})" for s in bad)
        named = data_dir or os.environ.get("DIGITNET_DATA_DIR")
        download = f"`digitnet data fetch {name}` downloads intact ones."
        remedy = "Put intact copies there." if named else download
        kind = IntegrityError if any(s.state == "damaged" for s in bad) else InputError
        raise kind(f"Not intact: {listed}. {remedy}")


def import_copy(path: Path, *, as_json: bool = False, name: str = "mnist") -> None:
    """Copy a data set that you already have into the cache.

    Args:
        path (PATH): A folder, or a file: as published, IDX, .npz, npm's .tgz.
        name (NAME): The data set it holds.
    """
    from digitnet.data import fetching

    _show_paths(fetching.import_files(path, name, progress=say), as_json)


def cache_state() -> dict[str, Any]:
    """Return where the cache is and what it holds, for ``digitnet doctor``."""
    from digitnet.data import fetching
    from digitnet.data.pins import pinned_datasets

    data: dict[str, dict[str, str]] = {}
    for name in pinned_datasets():
        try:
            states: dict[str, str] = {s.name: s.state for s in fetching.verify(name)}
        except DigitnetError as error:
            # What is wrong with the cache belongs in a bug report.
            states = {"error": str(error)}
        # Of the others only what is here: files of MNIST have the same names as files of others.
        if name == "mnist" or "good" in states.values():
            data[name] = states
    named = os.environ.get("DIGITNET_DATA_DIR")
    return {"cache": str(fetching.cache_dir()), "data_dir": named, "data": data}


def _show_paths(paths: dict[str, Path], as_json: bool) -> None:
    if as_json:
        show_json({"files": {name: str(path) for name, path in paths.items()}})
        return
    for path in paths.values():
        show(str(path))
