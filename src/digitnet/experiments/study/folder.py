"""The folder of a study.

    study.toml    the file it was started with
    study.json    every variant's settings in full, the seeds, the threads of each run
    runs/         a run folder for each variant and seed
    results.json  what came out; results.csv the same as a table
    figures/*.png pictures
    report.html   all of it on one page

Guarantees: a folder holds one study. It may grow, by variants, seeds and data sets to test on;
what has been trained in it stays true.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from digitnet.errors import InputError, UsageError
from digitnet.experiments.study.definition import Study
from digitnet.files import is_occupied, storage_errors, write_atomic, write_json
from digitnet.network.config import TrainConfig, differences

SCHEMA_VERSION = 1


def check(study: Study, folder: Path) -> None:
    """Refuse a folder that a study cannot go to.

    Raises:
        UsageError: it holds another study, or something else.
        InputError: its ``study.json`` cannot be read.
    """
    saved = read(folder)
    if saved is None:
        _refuse_full(folder)
    else:
        _refuse_other(saved, study, folder)


def begin(study: Study, folder: Path, threads: int) -> None:
    """Write what a study is into its folder; the caller holds its lock.

    Args:
        study: the study.
        folder: its folder, new, empty, or that of the same study.
        threads: of each run.

    Raises:
        UsageError, InputError: as for ``check``.
        StorageError: it cannot be written.
    """
    check(study, folder)
    write_atomic(folder / "study.toml", study.text)
    write_json(folder / "study.json", _as_dict(study, threads))


def read(folder: Path) -> dict[str, Any] | None:
    """Return what ``study.json`` says, None when there is none.

    Raises:
        InputError: it cannot be read.
    """
    file = folder / "study.json"
    with storage_errors(file, "read"):
        if not file.is_file():
            return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        if values["schema_version"] != SCHEMA_VERSION or type(values["threads"]) is not int:
            raise ValueError("its format is another one")
        for row in values["variants"]:
            TrainConfig.from_dict(row["config"])
        return dict(values)
    except (OSError, ValueError, KeyError, TypeError, UsageError) as error:
        raise InputError(
            f"{file} is not the description of a study: {error}. Name a new folder with --out."
        ) from error


def _refuse_full(folder: Path) -> None:
    if is_occupied(folder):
        raise UsageError(f"--out {folder} is not empty and holds no study. Name a new folder.")


def _refuse_other(saved: dict[str, Any], study: Study, folder: Path) -> None:
    """Refuse to change what runs in the folder were trained with."""
    wanted = {variant.name: variant.config for variant in study.variants}
    told = []
    for row in saved["variants"]:
        name, config = row["name"], TrainConfig.from_dict(row["config"])
        if name not in wanted:
            told.append(f"it has a variant '{name}', and {study.name} has none")
        elif differ := differences(config.flat(), wanted[name].flat()):
            told.append(f"in variant '{name}', {differ}")
    lost = [str(seed) for seed in saved["seeds"] if seed not in study.seeds]
    if lost:
        told.append(f"it has the seeds {', '.join(lost)}, which {study.name} has not")
    if told:
        raise UsageError(
            f"The folder {folder} holds another study: {'; '.join(told)}. Name a new folder with "
            "--out. (Variants, seeds and data sets may be added, but not changed.)"
        )


def _as_dict(study: Study, threads: int) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "name": study.name,
        "title": study.title,
        "question": study.question,
        "data": study.data,
        "test_on": list(study.test_on),
        "seeds": list(study.seeds),
        "threads": threads,
        "axis": study.axis,
        "base_variant": study.base_variant,
        "variants": [
            {"name": v.name, "note": v.note, "config": v.config.as_dict()} for v in study.variants
        ],
    }
