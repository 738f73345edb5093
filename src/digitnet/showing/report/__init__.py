"""The report of a run: its figures, and one page that tells a beginner and a researcher the result.

Guarantees:

- ``report.html`` is whole: no script, nothing loaded from anywhere, all figures inside.
- It fits a phone, a wide screen, a dark one, and paper.
- Every number comes from the run and every verdict is computed from them; every name is escaped.
- The same run gives the same bytes: no date, no chance.
"""

from __future__ import annotations

from pathlib import Path

from digitnet.files import hold_lock, write_atomic
from digitnet.showing.report import prose
from digitnet.showing.report.drawings import diagram_layers, draw_figures
from digitnet.showing.report.layout import Page, document
from digitnet.showing.report.markup import Html, el, percent
from digitnet.showing.report.material import Material, gather
from digitnet.showing.report.sections_record import again_section, settings_section, words_section
from digitnet.showing.report.sections_results import (
    correct_section,
    failures_section,
    quality_section,
    seen_section,
    trust_section,
)
from digitnet.showing.report.sections_training import (
    data_section,
    learning_section,
    network_section,
)
from digitnet.training.runs import Run, open_run
from digitnet.training.trained import Trained, open_trained

__all__ = ["report_trained", "write_report"]


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
        return report_trained(open_trained(run, data_dir=data_dir, offline=offline))


def report_trained(trained: Trained) -> Path:
    """Do what ``write_report`` does; the caller holds the lock of the run."""
    run, material = trained.run, gather(trained)
    page = Page(draw_figures(material), diagram_layers(material))
    write_atomic(run.report_file, _compose(material, page))
    return run.report_file


def _compose(material: Material, page: Page) -> str:
    config = material.config
    title = (
        f"{percent(material.metrics.accuracy)} on {config.data} "
        f"({config.recipe}, seed {config.seed}) – digitnet"
    )
    sections = (
        data_section(material, page),
        network_section(material, page),
        learning_section(material, page),
        quality_section(material),
        failures_section(material),
        correct_section(material, page),
        seen_section(material, page),
        trust_section(material, page),
        settings_section(material),
        again_section(material),
        words_section(),
    )
    return document(title, _header(material), sections)


def _header(material: Material) -> Html:
    config = material.config
    notes = [note for note in (prose.ending(material), prose.guessing(material)) if note]
    if config.data == "sample":
        notes.append(
            f"The data are the sample that digitnet ships, {material.num_train:,} training images. "
            "With the full MNIST, --data mnist, networks read far more digits correctly."
        )
    return el(
        "header",
        el("p", f"digitnet report: {material.run.path}", class_="over"),
        el("h1", prose.headline(material)),
        el("p", prose.summary(material), class_="lead"),
        *(el("p", note, class_="note") for note in notes),
        _key_figures(material),
    )


def _key_figures(material: Material) -> Html:
    config, metrics = material.config, material.metrics
    low, high = metrics.interval
    figures = {
        "Test accuracy": percent(metrics.accuracy),
        "95 % interval": f"{100 * low:.2f}–{percent(high)}",
        "Misses": f"{metrics.misses:,} of {metrics.images:,}",
        "Validation accuracy": percent(material.summary["val_accuracy"]),
        "Test loss": f"{metrics.loss:.4f}",
        "Calibration error": percent(metrics.expected_calibration_error),
        "Parameters": f"{material.summary['parameters']:,}",
        "Training time": prose.time_of(material),
        "Epochs": f"{len(material.history)} of {config.epochs}",
        "Recipe": config.recipe,
        "Data": config.data,
        "Seed": f"{config.seed}",
    }
    pairs = (el("div", el("dt", name), el("dd", value)) for name, value in figures.items())
    return el("dl", *pairs, class_="key")
