"""The report of a transfer: one page, like that of a run.

Guarantees: as for a run's report: whole in itself, every name escaped, every verdict computed.
"""

from __future__ import annotations

from pathlib import Path

from digitnet.experiments.transfer.budgets import budget_name
from digitnet.experiments.transfer.figure import NAMES, accuracy_against_labels
from digitnet.experiments.transfer.results import Results, Summary, intervals_apart
from digitnet.files import write_atomic
from digitnet.showing.report.layout import Page, Section, document, picture, section
from digitnet.showing.report.markup import Html, count, duration, el, percent, points, table
from digitnet.showing.theme import drawn, figure_of

FIGURE = "accuracy_against_labels"


def write_page(results: Results, folder: Path) -> Path:
    """Draw the figure and write ``report.html``; return the page.

    Raises:
        StorageError: the folder cannot be written.
    """
    drawings = {}
    if results.budgets():
        drawing = drawn(lambda: figure_of(accuracy_against_labels(results)))
        write_atomic(folder / "figures" / f"{FIGURE}.png", drawing.wide)
        drawings[FIGURE] = drawing
    file = folder / "report.html"
    write_atomic(file, compose(results, Page(drawings, [])))
    return file


def compose(results: Results, page: Page) -> str:
    """Return the page."""
    sections = [each for each in (
        _comparison(results, page),
        _kept(results),
        _old_task(results),
        _how(results),
        _record(results),
    ) if each]  # fmt: skip
    return document(f"{_title(results)} – digitnet", _header(results), sections)


def _title(results: Results) -> str:
    return f"From {results.source['data'] or results.source['name']} to {_target(results)}"


def _target(results: Results) -> str:
    return Path(str(results.target["data"])).name


def _header(results: Results) -> Html:
    final = results.final
    figures_ = {
        "New task": _target(results),
        "Old task": str(results.source["data"] or "unknown"),
        "Start": str(results.source["name"]),
        "Classes": f"{len(results.target['classes'])}",
        "Test images": f"{results.target['test_images']:,}",
    }
    if final:
        low, high = final["test"]["interval"]
        figures_ |= {
            "Test accuracy": percent(final["test"]["accuracy"]),
            "95 % interval": f"{100 * low:.2f}–{percent(high)}",
            "Learnt from": count(final["images"], "image"),
            "Tuning time": duration(final["seconds"]),
        }
    pairs = (el("div", el("dt", name), el("dd", value)) for name, value in figures_.items())
    return el(
        "header",
        el("p", "digitnet transfer", class_="over"),
        el("h1", _headline(results)),
        el("p", _lead(results), class_="lead"),
        el("dl", *pairs, class_="key"),
    )


def _headline(results: Results) -> str:
    final = results.final
    if not final:
        return _title(results)
    test = final["test"]
    return (
        f"{percent(test['accuracy'])} of {count(test['images'], 'test image')} of "
        f"{_target(results)} are read correctly"
    )


def _lead(results: Results) -> str:
    zero = results.summary("zero-shot", 0)
    before = f"As it was, the network read {percent(zero.accuracy)} of them. " if zero else ""
    return (
        f"A network that had learnt {results.source['data'] or 'another task'} went on to learn "
        f"{_target(results)}. {before}Nothing was chosen on these images."
    )


def _comparison(results: Results, page: Page) -> Section | None:
    budgets = results.budgets()
    if not budgets:
        return None
    head = ("Way to learn", *(f"{budget_name(b)} a class" if b else "all" for b in budgets))
    methods = [m for m in NAMES if m != "zero-shot" and any(results.of(m, b) for b in budgets)]
    rows = [
        (NAMES[method], *(_cell(results.summary(method, b)) for b in budgets)) for method in methods
    ]
    return section(
        "comparison",
        "How many labels it takes",
        picture(
            page,
            FIGURE,
            f"Accuracy against labels a class. {_verdict(results)}",
            "Mean accuracy on the test images against the labels of each class that were learnt "
            "from. Bars are 95 % intervals over repetitions, each with other images to learn from; "
            "of a single network, over the test images.",
        ),
        el("p", _verdict(results)),
        table(
            "Test accuracy: mean, and its 95 % interval",
            head,
            rows,
            numbers=range(1, len(head)),
        ),
    )


def _cell(summary: Summary | None) -> str:
    if summary is None:
        return "–"
    return f"{percent(summary.accuracy, 1)} ({100 * summary.low:.1f}–{100 * summary.high:.1f})"


def _verdict(results: Results) -> str:
    """Return in words where tuning all layers beats the start from scratch."""
    told = {b: intervals_apart(results, b) for b in results.budgets()}
    measured = [b for b, apart in told.items() if apart is not None]
    if not measured:
        return "Tuning all layers and starting from scratch were not both measured."
    clear = [b for b in measured if told[b]]
    if not clear:
        return (
            "With no number of labels is it shown that what the network knew helps: the intervals "
            "of tuning all layers and of starting from scratch overlap."
        )
    names = ", ".join(f"{budget_name(b)}" for b in clear)
    rest = "everywhere" if clear == measured else f"with {names} labels a class"
    return (
        f"What the network knew helps {rest}: the interval of tuning all layers lies above that of "
        "the same network from scratch."
    )


def _kept(results: Results) -> Section | None:
    final = results.final
    if not final:
        return None
    rows = (
        (
            row["name"],
            percent(row["recall"], 1),
            percent(row["precision"], 1),
            f"{row['support']:,}",
        )
        for row in final["test"]["per_class"]
    )
    return section(
        "network",
        "The network that was kept",
        el(
            "p",
            f"It lies in the folder {final['run']}, an ordinary run folder: digitnet evaluate, "
            "report and export take it, and once exported digitnet predict. It was made by the "
            f"method “{NAMES[final['method']]}” from {count(final['images'], 'image')} in "
            f"{count(final['steps'], 'step')}.",
        ),
        table(
            "Test images, class by class",
            ("Class", "Found", "Right when named", "Images"),
            rows,
            numbers=(1, 2, 3),
        ),
    )


def _old_task(results: Results) -> Section | None:
    final = results.final
    if not final or final["old_accuracy_before"] is None:
        return None
    before, after = final["old_accuracy_before"], final["old_accuracy_after"]
    change = after - before
    told = "It is the same as before."
    if change:
        told = f"That is {points(change)} {'more' if change > 0 else 'less'} than before."
    replay = results.settings["replay"]
    kept = (
        f"{percent(replay, 0)} of each batch were images of the old task, to keep it."
        if replay
        else "No images of the old task were shown again."
    )
    layer = " with its old last layer" if final["old_last_layer"] else ""
    return section(
        "old-task",
        "What became of the old task",
        el(
            "p",
            f"On {count(final['old_test_images'], 'test image')} of {final['old_data']} the "
            f"network read {percent(before)} before, and{layer} {percent(after)} after. {told} "
            f"{kept}",
        ),
    )


def _how(results: Results) -> Section:
    rates = results.settings["rates"]
    used = {r.method for r in results.repetitions}
    used |= {results.final["method"]} if results.final else set()
    ways = {
        "zero-shot": "only where the classes are the same",
        "probe": "logistic regression on the features of the last layer",
        "head": "the convolutions stay as they are",
        "all": f"each layer at {rates['all']['layer_decay']:g} of the next one's rate",
        "scratch": "the same network, batches of the new task only",
    }
    rows = [
        (NAMES[n], f"rate {rates[n]['learning_rate']:g}" if n in rates else "no step", what)
        for n, what in ways.items()
        if n in used
    ]
    return section(
        "how",
        "How it was done",
        el(
            "p",
            "Every way that takes steps got the same images, the same distortions and as many "
            "steps. Settings are the same for every data set. Of the training images a part was "
            "set aside for calibration and never learnt from.",
        ),
        table("Ways to learn", ("Way", "Top rate", "What is special"), rows),
    )


def _record(results: Results) -> Section:
    settings = {k: v for k, v in results.settings.items() if not isinstance(v, dict)}
    settings["labels"] = [budget_name(labels) for labels in settings["labels"]]
    # What a comparison would have compared is no setting of a network alone.
    unused = () if results.repetitions else ("methods", "labels", "seeds")
    rows = [(k.replace("_", " "), _plain(v)) for k, v in settings.items() if k not in unused]
    hashes = [("source", results.source["sha256"]), *results.target["data_sha256"].items()]
    return section(
        "record",
        "Settings and origins",
        table("Settings", ("Setting", "Value"), rows),
        table(
            "Origins",
            ("What", "SHA-256"),
            ((name, el("code", digest, class_="hash")) for name, digest in hashes),
        ),
    )


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
