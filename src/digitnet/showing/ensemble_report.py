"""The report of an ensemble: what its networks read alone, what they read as one, and what not.

Guarantees: as for the report of one network (``report``), whose sections on results it shares.
"""

from __future__ import annotations

from typing import Any

from digitnet.showing.pages import render
from digitnet.showing.report_facts import EvaluatedRun, results
from digitnet.showing.report_figures import ReportFigures
from digitnet.training.evaluation import Metrics
from digitnet.training.statistics import summarise


def compose_ensemble(run: EvaluatedRun, figures: ReportFigures, record: dict[str, Any]) -> str:
    """Return the page.

    Args:
        run: the ensemble, evaluated.
        figures: of what it says of the test images.
        record: what lets others check and repeat it.

    Raises:
        InputError: ``metrics.json`` does not tell of the members.
    """
    rows = [dict(row) for row in run.summary.get("members", [])]
    seeds = [row.pop("seed", None) for row in rows]
    alone = [Metrics.from_dict(row) for row in rows]
    return render(
        "ensemble_report.html",
        figures=figures,
        members=list(zip(seeds, alone, strict=True)),
        alone=summarise([each.accuracy for each in alone]),
        tuning=None,
        ending={"how": "complete"},
        **results(run),
        **record,
    )
