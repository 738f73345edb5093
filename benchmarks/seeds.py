"""How good each recipe is: trained with several seeds, every run reported, none chosen.

Seeds share one validation split; the test images are read once a run, after training. Runs are
ordinary run folders under runs/seeds; a finished one is not repeated, a broken one is resumed.

    make seeds
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import digitnet
from digitnet.files import write_json
from digitnet.machine import environment, usable_cores

RESULT = Path(__file__).parent.parent / "docs" / "results" / "seeds.json"
RUNS = Path("runs") / "seeds"


def main() -> None:
    """Train what is missing and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", nargs="+", default=["reference", "plain"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[5, 3], help="one for each recipe")
    parser.add_argument("--jobs", type=int, default=usable_cores(), help="runs at a time")
    args = parser.parse_args()
    counts = zip(args.recipes, args.seeds, strict=True)
    wanted = sorted(((name, seed) for name, n in counts for seed in range(n)), key=lambda w: w[1])
    with ProcessPoolExecutor(args.jobs, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(trained, name, seed) for name, seed in wanted]
        rows = []
        for future in as_completed(futures):
            rows.append(future.result())
            report(rows, args.jobs)


def report(rows: list[dict[str, Any]], jobs: int) -> None:
    """Write what is there so far, so that an interrupted series has its figures too."""
    last = rows[-1]
    print(
        f"{last['recipe']} seed {last['seed']}: test {last['test_accuracy']:.2%}, "
        f"val {last['val_accuracy']:.2%}, {last['seconds']:.0f} s",
        file=sys.stderr,
    )
    result = {
        "schema_version": 1,
        "jobs": jobs,
        "runs": sorted(rows, key=lambda row: (row["recipe"], row["seed"])),
        "environment": environment() | {"command": ["make", "seeds"]},
    }
    write_json(RESULT, result)


def trained(name: str, seed: int) -> dict[str, Any]:
    """Return the figures of one run, training it if need be."""
    # One thread each, because threads of one run wait for one another and runs do not.
    settings = digitnet.recipe(name).override(seed=seed, threads=1)
    folder = RUNS / f"{name}-seed{seed}"
    if (folder / "config.json").is_file():
        run = digitnet.resume(folder, progress=False, **settings.flat())
    else:
        run = digitnet.train(settings, out=folder, progress=False)
    metrics = digitnet.evaluate(run)
    figures = run.metrics
    keys = (
        *("recipe", "seed", "parameters", "epochs", "seconds"),
        *("val_accuracy", "test_accuracy", "test_loss", "misses"),
    )
    return {key: figures[key] for key in keys} | {
        "threads": run.config.threads,
        "expected_calibration_error": metrics.expected_calibration_error,
        "undisputed_accuracy": metrics.undisputed and metrics.undisputed.accuracy,
    }


if __name__ == "__main__":
    main()
