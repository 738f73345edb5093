"""The results of ``digitnet bench train``: kept in one file, read again, and compared in pairs.

Which test images a network misread stands in the file as text, "321:7 947:9": index, colon, the
class that it named. With the number of images that is all of its predictions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digitnet.errors import InputError, UsageError
from digitnet.files import storage_errors
from digitnet.training.runs import Predictions
from digitnet.training.statistics import (
    crossed_difference,
    mcnemar,
    mean_interval,
    p_of_less,
    summarise,
)

SCHEMA_VERSION = 1
RESULT_FILE = "bench.json"
# What is raised where a file holds something else than a result.
_DAMAGE = (
    *(ValueError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, MemoryError, RecursionError),
)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return count, mean, standard deviation, smallest, largest, and the mean's 95 % interval."""
    interval = mean_interval(values) if len(values) > 1 else None
    return asdict(summarise(values)) | {"interval": interval and list(interval)}


def target_reached(accuracies: Sequence[float], target: float | None) -> dict[str, Any] | None:
    """Return whether a mean accuracy of ``target`` is reached; None without a target.

    ``p`` is that of a one-sided test, None with a single seed.
    """
    if target is None:
        return None
    p = p_of_less(accuracies, target) if len(accuracies) > 1 else None
    return {"accuracy": target, "reached": summarise(accuracies).mean >= target, "p": p}


def misread(predictions: Predictions) -> str:
    """Return which images were misread, and as what, as text."""
    wrong = np.flatnonzero(predictions.label != predictions.predicted)
    pairs = zip(predictions.index[wrong], predictions.predicted[wrong], strict=True)
    return " ".join(f"{index}:{named}" for index, named in pairs)


def read_result(path: Path) -> dict[str, Any]:
    """Read the result of ``digitnet bench train``: its file, or the folder that holds it.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    with storage_errors(path, "read"):
        file = path / RESULT_FILE if path.is_dir() else path
        if not file.is_file():
            raise InputError(f"There is no result {file}. `digitnet bench train` makes one.")
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        if (result["schema_version"], result["kind"]) != (SCHEMA_VERSION, "train"):
            raise ValueError("it has another format")
        right(result)
        result["data_sha256"], result["recipe"], result["settings"]["data"]
    except _DAMAGE as error:
        raise InputError(f"{file} is not a result of `digitnet bench train`: {error}.") from error
    return dict(result)


def right(result: Mapping[str, Any]) -> dict[int, NDArray[np.bool_]]:
    """Return which test images each seed reads correctly: by seed, (images,)."""
    rows = {}
    for run in result["runs"]:
        wrong = [int(pair.partition(":")[0]) for pair in run["misread"].split()]
        rows[int(run["seed"])] = np.ones(int(result["test_images"]), np.bool_)
        rows[int(run["seed"])][wrong] = False
    return rows


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Compare two results image by image.

    Returns:
        ``pairs``: for each seed that both have, the images that only one of them reads and the
        p-value of McNemar's exact test, which holds for these two networks; ``difference``: of the
        mean accuracies, second less first, with interval and p-value, which holds for other seeds
        and images too; None with fewer than two seeds in common.

    Raises:
        UsageError: they were measured on other test images, or have no seed in common.
    """
    if first["data_sha256"] != second["data_sha256"]:
        raise UsageError(
            "The two results cannot be compared: they were measured on different data, "
            f"{first['settings']['data']} and {second['settings']['data']}."
        )
    one, two = right(first), right(second)
    seeds = sorted(one.keys() & two.keys())
    if not seeds:
        raise UsageError("The two results cannot be compared: they have no seed in common.")
    pairs = []
    for seed in seeds:
        only = [int((a & ~b).sum()) for a, b in ((one[seed], two[seed]), (two[seed], one[seed]))]
        pairs.append(
            {"seed": seed, "only_first": only[0], "only_second": only[1], "p": mcnemar(*only)}
        )
    a, b = (np.stack([rows[seed] for seed in seeds]) for rows in (one, two))
    whole = asdict(crossed_difference(a, b)) if len(seeds) > 1 else None
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "compare",
        "recipes": [first["recipe"], second["recipe"]],
        "pairs": pairs,
        "difference": whole,
    }
