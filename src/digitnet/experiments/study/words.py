"""What a study found, in words and numbers as people read them."""

from __future__ import annotations

from digitnet.experiments.study.results import (
    VAL,
    Comparison,
    Estimate,
    StudyResults,
    VariantResult,
)

TITLES = {
    VAL: "Validation",
    "mnist": "MNIST",
    "sample": "sample",
    "usps": "USPS",
    "digits8x8": "8×8 digits",
    "fashion_mnist": "Fashion-MNIST",
    "kmnist": "KMNIST",
    "emnist_digits": "EMNIST digits",
    "emnist_letters": "EMNIST letters",
    "qmnist": "QMNIST",
}


def set_title(name: str) -> str:
    """Return how a set of images is called."""
    return TITLES.get(name, name)


def spread(found: Estimate | None) -> str:
    """Return mean and standard deviation of an accuracy, in percent: "98.71 ± 0.05"."""
    if found is None:
        return "–"
    if found.count < 2:
        return f"{100 * found.mean:.2f}"
    return f"{100 * found.mean:.2f} ± {100 * found.sd:.2f}"


def interval(found: Estimate | None) -> str:
    """Return the interval of an accuracy, in percent: "98.59 – 98.83"."""
    if found is None or found.low is None or found.high is None:
        return "–"
    return f"{100 * found.low:.2f} – {100 * found.high:.2f}"


def signed_points(share: float | None) -> str:
    """Return a difference of accuracies in percentage points, with its sign: "+0.21"."""
    return "–" if share is None else f"{100 * share:+.2f}".replace("-", "−")


def p_value(p: float | None) -> str:
    """Return a p-value as people read it."""
    if p is None:
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def verdict(found: Comparison | None, variant: VariantResult) -> str:
    """Return the verdict on a variant in plain words; of the base, that it is the base."""
    if variant.diverged:
        runs = variant.diverged + next((each.count for each in variant.accuracy.values()), 0)
        return "diverged" if not variant.accuracy else f"diverged ({variant.diverged} of {runs})"
    return "the base" if found is None else found.verdict


def headline(results: StudyResults) -> str:
    """Return the answer in a sentence or two, from the verdicts on the study's own test images."""
    told: dict[str, list[str]] = {"better": [], "worse": [], "no difference shown": []}
    for variant in results.variants:
        found = results.comparison(variant.name, results.data)
        if found and found.verdict in told:
            told[found.verdict].append(variant.name)
    base = results.base_variant
    parts = [
        f"{kind.capitalize()} than {base}: {', '.join(names)}."
        for kind, names in told.items()
        if names and kind != "no difference shown"
    ]
    if alike := told["no difference shown"]:
        parts.append(f"No difference from {base} shown: {', '.join(alike)}.")
    if lost := [variant.name for variant in results.variants if variant.diverged]:
        parts.append(f"Diverged, and so not compared: {', '.join(lost)}.")
    if not parts:
        return "There is nothing to compare yet."
    return " ".join(parts)


def missing(results: StudyResults) -> str:
    """Return a sentence about what is not there yet, or nothing."""
    lacking = results.expected_runs - len(results.runs)
    if not lacking:
        return ""
    return (
        f"{lacking} of {results.expected_runs} runs are not finished; these results are of the "
        "others."
    )
