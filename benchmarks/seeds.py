"""How good each recipe is: trained with several seeds, every run reported, none chosen.

Seeds share one validation split; the test images are read once a run, after training. Runs are
ordinary run folders under runs/seeds; a finished one is not repeated, a broken one is resumed.

    make seeds
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import digitnet
from digitnet.environment import environment
from digitnet.files import write_json

RESULT = Path(__file__).parent.parent / "docs" / "results" / "seeds.json"
RUNS = Path("runs") / "seeds"


def main() -> None:
    """Train what is missing and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", nargs="+", default=["reference", "plain"])
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    rows = []
    for seed in range(args.seeds):
        for name in args.recipes:
            rows.append(trained(name, seed))
            print(
                f"{name} seed {seed}: test {rows[-1]['test_accuracy']:.2%}, "
                f"val {rows[-1]['val_accuracy']:.2%}, {rows[-1]['seconds']:.0f} s",
                file=sys.stderr,
            )
            # After each run, so that an interrupted series has its figures too.
            write_json(
                RESULT,
                {
                    "schema_version": 1,
                    "runs": sorted(rows, key=lambda row: (row["recipe"], row["seed"])),
                    "environment": environment() | {"command": ["make", "seeds"]},
                },
            )


def trained(name: str, seed: int) -> dict[str, Any]:
    """Return the figures of one run, training it if need be."""
    folder = RUNS / f"{name}-seed{seed}"
    if (folder / "config.json").is_file():
        run = digitnet.resume(folder)
    else:
        run = digitnet.train(name, seed=seed, out=folder)
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
