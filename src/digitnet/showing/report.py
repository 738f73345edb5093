"""The report of a run: its figures, and one page that tells a beginner and a researcher the result.

Guarantees: as for every page (``pages``), and every number comes from the run, every verdict is
computed from its numbers, and the same run gives the same bytes: no date, no chance.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from digitnet.files import hold_lock, write_atomic
from digitnet.showing.commands import (
    environment_rows,
    settings_rows,
    start_of,
    train_command,
    transfer_command,
)
from digitnet.showing.pages import render
from digitnet.showing.report_facts import EvaluatedRun, answer_to, facts, read_evaluated
from digitnet.showing.report_figures import (
    MOST_FILTERS,
    ReportFigures,
    draw_figures,
    first_kernels,
)
from digitnet.training.runs import Run, open_run
from digitnet.training.trained import Options, Trained, open_trained


def write_report(
    run: Run | Path | str, *, data_dir: Path | str | None = None, offline: bool | None = None
) -> Path:
    """Draw the figures of a run and write its report page.

    Args:
        run: the run, or its folder; it must be evaluated.
        data_dir: folder that holds the data; by default the cache, filled when needed.
        offline: use no network.

    Returns:
        The page, ``report.html`` in the run folder; the figures are in ``figures/`` beside it.

    Raises:
        InputError: there is no such run, it is not evaluated, or its files contradict each other.
        UsageError: the data are not those of the run, or another process works in the folder.
        IntegrityError: the model file is damaged.
        DataUnavailableError: the data cannot be had.
        StorageError: the run folder cannot be written.
    """
    run = open_run(run)
    with hold_lock(run.path):
        # Before the data, which may have to be fetched.
        run.metrics  # noqa: B018
        return report_trained(open_trained(run, Options(data_dir=data_dir, offline=offline)))


def report_trained(trained: Trained) -> Path:
    """Do what ``write_report`` does; the caller holds the lock of the run."""
    run = read_evaluated(trained)
    write_atomic(trained.run.report_file, compose(run, draw_figures(run)))
    return trained.run.report_file


def compose(run: EvaluatedRun, figures: ReportFigures) -> str:
    """Return the page."""
    return render("report.html", figures=figures, shown=_shown(run), **facts(run), **_record(run))


def _shown(run: EvaluatedRun) -> dict[str, Any]:
    """Return what the figures of the network show."""
    kernels = first_kernels(run.trained.model)
    return {
        "filters": min(len(kernels), MOST_FILTERS),
        "all_filters": len(kernels),
        "largest_weight": float(abs(kernels).max()),
        "example": answer_to(run, run.example),
    }


def _record(run: EvaluatedRun) -> dict[str, Any]:
    """Return what lets others check and repeat the run."""
    trained, config = run.trained, run.config
    origin = trained.run.transfer
    again = transfer_command(origin, config) if origin else train_command(config)
    return {
        "settings": settings_rows(config),
        "start_recipe": start_of(config).recipe,
        "data_files": list(trained.run.data_sha256.items()),
        "environment": environment_rows(trained.run.environment),
        "again": f"{again} --out again",
        "folder": shlex.quote(str(trained.run.path)),
    }
