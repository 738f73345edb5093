"""The report of a run: figures, and one page that tells a beginner and a researcher the result.

Guarantees: as for every page (``pages``), and every number comes from the run, every verdict is
computed from its numbers, and the same run gives the same bytes: no date, no chance.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from digitnet.errors import UsageError
from digitnet.files import hold_lock, write_atomic
from digitnet.network.config import TrainConfig, setting_meanings, setting_part
from digitnet.network.recipes import RECIPES
from digitnet.showing.ensemble_report import compose_ensemble
from digitnet.showing.finder_report import compose_finder
from digitnet.showing.pages import render
from digitnet.showing.report_facts import EvaluatedRun, answer_to, facts, read_evaluated
from digitnet.showing.report_figures import (
    MOST_FILTERS,
    ReportFigures,
    draw_figures,
    draw_results,
    first_kernels,
)
from digitnet.training.ensemble_runs import as_one, is_ensemble, members_of, open_members
from digitnet.training.runs import Run, open_run
from digitnet.training.trained import Options, Trained, open_trained

# Set by another flag, or by the data.
_NOT_FLAGS = frozenset({"recipe", "data", "seed", "num_classes"})


def write_report(
    run: Run | Path | str, *, data_dir: Path | str | None = None, offline: bool | None = None
) -> Path:
    """Draw the figures of a run, or of an ensemble, and write its report page.

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
    folder = Run(Path(run)) if is_ensemble(run) else open_run(run)
    options = Options(data_dir=data_dir, offline=offline)
    with hold_lock(folder.path):
        # Before the data, which may have to be fetched.
        folder.metrics  # noqa: B018
        if folder.is_ensemble:
            return report_trained(as_one(folder, open_members(folder.path, options)))
        return report_trained(open_trained(folder, options))


def report_trained(trained: Trained) -> Path:
    """Do what ``write_report`` does; the caller holds the lock of the run."""
    if trained.config.lines:
        raise UsageError(
            f"The run {trained.run.path} holds a line reader, of which no report is drawn; its "
            "metrics.json says how well it reads."
        )
    if trained.run.is_ensemble:
        evaluated = read_evaluated(trained)
        page = compose_ensemble(evaluated, draw_results(evaluated), _record_of_members(trained))
    elif trained.config.pages:
        page = compose_finder(trained, _record(trained))
    else:
        run = read_evaluated(trained)
        page = compose(run, draw_figures(run))
    write_atomic(trained.run.report_file, page)
    return trained.run.report_file


def compose(run: EvaluatedRun, figures: ReportFigures) -> str:
    """Return the page."""
    kernels = first_kernels(run.trained.model)
    shown = {
        "filters": min(len(kernels), MOST_FILTERS),
        "all_filters": len(kernels),
        "largest_weight": float(abs(kernels).max()),
        "example": answer_to(run, run.example),
    }
    return render("report.html", figures=figures, shown=shown, **facts(run), **_record(run.trained))


def _record(trained: Trained) -> dict[str, Any]:
    """Return what lets others check and repeat the run."""
    folder, config = trained.run, trained.config
    origin, environment = folder.transfer, folder.environment
    again = transfer_command(origin, config) if origin else train_command(config)
    settings = config.flat()
    return {
        # Those of the network and of its images say nothing of a finder.
        "settings": {
            n: v for n, v in settings.items() if not (config.is_stream and setting_part(n))
        },
        "meanings": setting_meanings(),
        "changed": _changes(config),
        "start_recipe": _start_of(config).recipe,
        "data_files": list(folder.data_sha256.items()),
        "environment": environment | {"command": shlex.join(environment.get("command", []))},
        "again": f"{again} --out again",
        "folder": shlex.quote(str(folder.path)),
    }


def _record_of_members(trained: Trained) -> dict[str, Any]:
    """Return the same of an ensemble: the settings and the environment are its first member's."""
    folder, members = trained.run.path, members_of(trained.run.path)
    again = f"{train_command(trained.config)} --members {len(members)} --out again"
    own = {"again": again, "folder": shlex.quote(str(folder))}
    return _record(replace(trained, run=members[0])) | own


def train_command(config: TrainConfig) -> str:
    """Return the command line that trains with these settings, whatever the recipe's name."""
    words = ["digitnet", "train", "--recipe", _start_of(config).recipe, "--data", config.data]
    words += ["--seed", str(config.seed)]
    for name, value in _changes(config).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{flag}", text]
    return shlex.join(words)


def transfer_command(origin: Mapping[str, Any], config: TrainConfig) -> str:
    """Return the command line that tunes the same network from the same start.

    Args:
        origin: what ``transfer.json`` holds.
        config: of the tuned network.
    """
    words = ["digitnet", "transfer", "--from", origin["source"]["name"], "--to", config.data]
    words += ["--fast", "--method", origin["method"], "--seed", str(origin["seed"])]
    settings = origin["settings"]
    options = {
        "--use": origin["labels"],
        "--old-data": origin["old_data"],
        "--replay": str(settings["replay"]),
        "--threads": config.threads,
        "--steps": settings["steps"],
    }
    for flag, value in options.items():
        # None and 0 stand for what the command does by itself.
        words += [flag, str(value)] if value else []
    return shlex.join([*words, *(["--crops"] if settings["crops"] else [])])


def _changes(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that differ from the recipe's and have a flag of their own."""
    usual = _start_of(config).flat()
    return {
        name: value
        for name, value in config.flat().items()
        if name not in _NOT_FLAGS and value != usual[name]
    }


def _start_of(config: TrainConfig) -> TrainConfig:
    """Return the recipe that a command starts from: "plain" where its name is the user's own."""
    return RECIPES.get(config.recipe, RECIPES["plain"])
