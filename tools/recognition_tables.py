"""Tables about reading pictures, from the result files, for tools/render_docs.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from digitnet.data.optdigits import load_bitmaps
from digitnet.data.pen_signs import DIGIT_LIKE, load_hands, split_writers
from digitnet.experiments.picture_sets import GROUP_TITLES, set_title
from digitnet.text import count_of, share
from markdown_table import table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
RECORD = ROOT / "src" / "digitnet" / "assets" / "digitnet.json"

# What was promised of the shipped recogniser: least accuracy in per cent, by set.
LEAST = {
    **dict.fromkeys(("white_on_black", "black_on_white", "on_a_sheet"), 99.65),
    **dict.fromkeys(("ten_times", "in_a_corner"), 99.65),
    "photos": 100 * 87 / 88,
    "canvas": 99.9,
    "usps": 99.5,
    "optdigits32": 99.5,
    "church_books": 88.0,
    **dict.fromkeys(("corner", "tiny", "huge", "thin", "thick", "inverted", "faint"), 99.0),
    **dict.fromkeys(("rotated_exif", "shadow", "squared"), 99.0),
    "photo": 98.5,
}
# The same of what is right and accepted in other people's pictures, by kind.
LEAST_ACCEPTED = {
    "photo_paper": 98.5,
    "canvas": 98.0,
    "boxed_lines": 96.0,
    "boxed_inside": 98.0,
    "form_cell": 97.0,
    "printed": None,
}
# The same of numbers that are read exactly, by set or kind.
LEAST_EXACT = {
    "separate": 95.0,
    "touching": 88.0,
    "cheque_amount": 88.0,
    "log_cell": 88.0,
    "photo_pair": 95.0,
    "photo_row": 95.0,
    "form_field": 95.0,
    "mnist_pair": 95.0,
}
LEAST_AUROC = 0.995
HEADLINES = {
    "white_on_black": "MNIST's test digits, as they are",
    "in_a_corner": "the same, in a corner of a page",
    "squared": "simulated photos on squared paper",
    "photo": "simulated photos, all difficulties at once",
    "photos": "other people's photos of pen on paper",
    "canvas": "drawn in a paint program",
    "usps": "US post codes",
    "digits8x8": "digits of 8 × 8 pixels",
    "church_books": "cut from old church books",
}
# Milliseconds at most, and which measurement is the floor of each.
MOST_MILLISECONDS = {
    "drawing": ("a drawing, 280 × 280 PNG", 2.0, "drawing_decoder"),
    "photo_640": ("a photo, 640 × 480 JPEG", 12.0, "photo_640_decoder"),
    "photo_12mp": ("a photo, 12 megapixels", 120.0, "photo_12mp_decoder"),
    "inks": ("10,000 inks of 28 × 28", 1200.0, "inks_network"),
    "command": ("`digitnet predict one.png`", 700.0, "command_libraries"),
}
# Numbers in the README's table.
NUMBER_HEADLINES = {
    "photo_row": "photos of rows of digits",
    "photo_pair": "pairs of digits cut out of them",
    "cheque_amount": "amounts on bank cheques",
    "log_cell": "cells of clinic log books, 60 × 34 pixels",
    "separate": "numbers of 3 to 10 digits by writers set aside, simulated",
    "touching": "the same, with digits that touch",
}
# What the finder may take more than the rules did.
EXTRA_MILLISECONDS = {"drawing": 3.0}
FLOORS = {
    "drawing_decoder": "Pillow's decoder alone",
    "photo_640_decoder": "Pillow's decoder alone",
    "photo_12mp_decoder": "Pillow's decoder alone",
    "inks_network": "the network on prepared batches",
    "command_libraries": "Python and its libraries",
}


def targets() -> str:
    """Return what was promised beside what was reached, misses included."""
    found = _results("robustness.json")
    rows = [
        _target(row, LEAST[row["name"]])
        for row in found["digits"]
        if row["part"] is None and row["name"] in LEAST and not row["group"].startswith("corrupt")
    ]
    spread, reference = 100 * found["spread"], found["reference"]
    rows.append(
        _row("MNIST, spread of the first five", "≤ 0.1 points", f"{spread:.2f}", spread <= 0.1)
    )
    for row in found["non_digits"]:
        if row["part"] in ("fashion", "notmnist"):
            reached = row["auroc"]
            rows.append(
                _row(
                    f"AUROC, {row['part']}",
                    f"≥ {LEAST_AUROC}",
                    f"{reached:.4f}",
                    reached >= LEAST_AUROC,
                )
            )
    rejected, error = 100 * reference["rejected"], reference["expected_calibration_error"]
    rows.append(
        _row("MNIST test refused", "about 1 %", f"{rejected:.2f} %", abs(rejected - 1) <= 0.3)
    )
    rows.append(_row("calibration error, MNIST test", "≤ 0.003", f"{error:.4f}", error <= 0.003))
    rows += _refusal_targets(found)
    return table(("set", "promised", "reached", ""), rows)


def _refusal_targets(found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return what was promised of refusing, of texts and of writers who are set aside."""
    parts = {(row["name"], row["part"]): row for row in found["non_digits"] + found["numbers"]}
    field_set = next(row for row in found["digits"] if row["name"] == "field" and not row["part"])
    hands_found, texts = _results("hands.json"), parts["strings", None]
    refused = {row["digit"]: row["rejected"] for row in field_set["by_digit"]}
    accepted = 1 - parts["field_nondigits", "not digit-like"]["rejected"]
    mean = found["means"]["corruptions_found"]["accuracy"]
    worst = min(row["right_and_accepted"] for row in hands_found["by_digit"])
    at_least = (
        ("MNIST's corruptions as pictures, mean", 0.93, mean),
        ("fashion refused", 0.97, parts["letters_and_clothes", "fashion"]["rejected"]),
        ("notmnist refused", 0.97, parts["letters_and_clothes", "notmnist"]["rejected"]),
        ("set-aside writers' digits, right and accepted", 0.99, hands_found["right_and_accepted"]),
        ("the same, worst digit", 0.975, worst),
        ("strings, exact of the 90 % surest", 0.98, texts["surest_accuracy"]),
    )
    at_most = (
        ("field, zeros refused", 0.02, refused[0]),
        ("field, ones refused", 0.03, refused[1]),
        ("set-aside writers' other signs accepted", 0.025, hands_found["other_signs_accepted"]),
        ("field_nondigits, not digit-like, accepted", 0.03, accepted),
        ("field_several, read as one digit", 0.01, parts["field_several", None]["one_digit"]),
        ("strings, calibration error", 0.03, texts["expected_calibration_error"]),
    )
    return [
        *(_row(name, f"≥ {100 * b:g} %", share(v, 1), v >= b) for name, b, v in at_least),
        *(_row(name, f"≤ {100 * b:g} %", share(v, 1), v <= b) for name, b, v in at_most),
    ]


def reading() -> str:
    """Return the README's table: how well a few sets are read, beside the plain CNN."""
    found = {row["name"]: row for row in _results("robustness.json")["digits"] if not row["part"]}
    rows = [
        (
            title,
            f"{found[name]['pictures']:,}",
            share(found[name]["accuracy"], 1),
            share(found[name]["rejected"], 1),
            share(found[name]["plain_accuracy"], 1),
        )
        for name, title in HEADLINES.items()
    ]
    header = ("", "pictures", "read right", "refused as no digit", "plain CNN, invert and resize")
    return table(header, rows)


def reading_numbers() -> str:
    """Return the README's table: how exactly numbers are read."""
    found = {row["part"] or row["name"]: row for row in _results("robustness.json")["numbers"]}
    rows = [
        (
            title,
            f"{found[name]['pictures']:,}",
            share(found[name]["accuracy"], 1),
            share(found[name]["rejected"], 1),
        )
        for name, title in NUMBER_HEADLINES.items()
        if name in found
    ]
    return table(("", "pictures", "read exactly", "said to be unsure"), rows)


def any_picture() -> str:
    """Return every set of digits: digitnet beside the plain CNN."""
    found = _results("robustness.json")
    rows = []
    for row in found["digits"]:
        if row["part"] is not None and row["part"] not in ("test",):
            continue
        title = set_title(row["group"], row["name"]) + (f", {row['part']}" if row["part"] else "")
        plain = row["plain_accuracy"]
        rows.append(
            (
                GROUP_TITLES[row["group"]],
                title,
                f"{row['pictures']:,}",
                share(row["accuracy"]),
                "–".join(f"{100 * limit:.1f}" for limit in row["interval"]) + " %",
                share(row["rejected"], 1),
                "" if plain is None else share(plain),
            )
        )
    header = ("group", "set", "pictures", "digitnet", "95 % interval", "refused", "plain CNN")
    return table(header, rows) + "\n\n" + _means(found)


def field() -> str:
    """Return how other people's single digits are read, by kind."""
    rows = []
    for row in _results("robustness.json")["digits"]:
        if row["name"] == "field" and row["part"] in LEAST_ACCEPTED:
            least, reached = LEAST_ACCEPTED[row["part"]], 100 * row["accepted_right"]
            verdict = "" if least is None else "reached" if reached >= least else "**missed**"
            rows.append(
                (
                    row["part"].replace("_", " "),
                    f"{row['pictures']:,}",
                    share(row["accuracy"], 1),
                    share(row["accepted_right"], 1),
                    "" if least is None else f"≥ {least:.1f} %",
                    verdict,
                )
            )
    header = ("kind", "pictures", "right", "right and accepted", "promised", "")
    return table(header, rows)


def numbers() -> str:
    """Return how numbers are read, by set and kind."""
    rows = []
    for row in _results("robustness.json")["numbers"]:
        name = row["part"] or row["name"]
        if name not in LEAST_EXACT and row["part"] is not None:
            continue
        least = LEAST_EXACT.get(name)
        verdict = "reached" if least is None or 100 * row["accuracy"] >= least else "**missed**"
        rows.append(
            (
                name.replace("_", " "),
                f"{row['pictures']:,}",
                share(row["accuracy"], 1),
                share(row["accepted_right"], 1),
                share(row["rejected"], 1),
                f"{row['expected_calibration_error']:.3f}",
                share(row["one_digit"], 1),
                "" if least is None else f"≥ {least:.0f} %",
                "" if least is None else verdict,
            )
        )
    header = ("set", "pictures", "exact", "exact and accepted", "refused")
    more = ("calibration error", "`predict`: one digit, no word", "promised", "")
    return table(header + more, rows)


def numbers_beside_peer() -> str:
    """Return how exactly and how fast numbers are read beside RapidOCR."""
    rows = [
        (
            (row["part"] or row["name"]).replace("_", " "),
            f"{row['pictures']:,}",
            *(
                f"{share(row[who]['accuracy'], 1)} in {row[who]['milliseconds']:.0f} ms"
                for who in ("digitnet", "rapidocr", "rapidocr_line")
            ),
        )
        for row in _results("reading.json")["sets"]
        if row["part"] is None or row["part"] in LEAST_EXACT
    ]
    return table(("set", "pictures", "digitnet", "RapidOCR", "RapidOCR, told it is a line"), rows)


def non_digits() -> str:
    """Return how well non-digits are told from digits."""
    rows = [
        (
            row["name"] + (f", {row['part']}" if row["part"] else ""),
            f"{row['pictures']:,}",
            f"{row['auroc']:.4f}",
            share(row["rejected"], 1),
            "" if row["plain_auroc"] is None else f"{row['plain_auroc']:.4f}",
        )
        for row in _results("robustness.json")["non_digits"]
        # Kinds, and not who made them.
        if "/" not in (row["part"] or "")
    ]
    return table(("set", "pictures", "AUROC", "refused", "AUROC of the plain CNN"), rows)


def reject_methods() -> str:
    """Return how well each method tells non-digits from digits."""
    found = _results("reject.json")
    kinds = found["auroc"]
    methods = list(next(iter(kinds.values())))
    rows = []
    for method in methods:
        seen = [kinds[kind][method] for kind in found["seen"]]
        new = [kinds[kind][method] for kind in found["unseen"]]
        rows.append(
            (
                method,
                f"{sum(seen) / len(seen):.4f}",
                f"{min(seen):.4f}",
                f"{sum(new) / len(new):.4f}",
                f"{min(new):.4f}",
            )
        )
    header = ("method", "kinds trained on: mean", "worst", "kinds never seen: mean", "worst")
    return table(header, rows)


def hands() -> str:
    """Return how digits of writers who are set aside are read, by digit and by pen."""
    found = _results("hands.json")
    rows = [
        (f"all {found['digits']:,} digits, three pens each", found["right_and_accepted"]),
        *(
            (f"pens of {100 * low:g} to {100 * high:g} % of the side", row["right_and_accepted"])
            for row in found["by_pen"]
            for low, high in [row["pens"]]
        ),
        *(
            (f"the {row['count']} digits {row['digit']}", row["right_and_accepted"])
            for row in found["by_digit"]
        ),
    ]
    accepted = share(found["other_signs_accepted"], 1)
    return (
        table(("", "right and accepted"), [(name, share(value, 1)) for name, value in rows])
        + f"\n\n{found['writers']} writers. Of {found['other_signs']:,} letters and symbols that "
        f"may not fairly be read as a digit, {accepted} are accepted."
    )


def recognition_speed() -> str:
    """Return how long reading takes, beside what was promised and its floor."""
    found = _results("recognition_speed.json")
    seconds, before = found["seconds"], (found.get("before") or {}).get("seconds", {})
    rows = []
    for name, (title, usual, floor) in MOST_MILLISECONDS.items():
        reached = 1000 * seconds[name]["median"]
        most, promised = usual, f"≤ {usual:,.0f} ms"
        if name in before:
            most = 1000 * before[name]["median"] + EXTRA_MILLISECONDS.get(name, 0)
            promised = f"≤ {most:,.1f} ms"
        rows.append(
            (
                title,
                promised,
                f"{reached:,.1f} ms",
                "reached" if reached <= most else "**missed**",
                f"{1000 * before[name]['median']:,.1f} ms" if name in before else "",
                f"{1000 * seconds[floor]['median']:,.1f} ms: {FLOORS[floor]}",
            )
        )
    megabytes = found["memory_megabytes"]["peak"]
    rows.append(
        (
            "resident memory, at its peak",
            "≤ 200 MB",
            f"{megabytes:.0f} MB",
            "reached" if megabytes <= 200 else "**missed**",
            "",
            f"{found['memory_megabytes']['imported']:.0f} MB: imports alone",
        )
    )
    arithmetic, machine = found["arithmetic"], found["environment"]["cpu"]
    return (
        table(("", "promised", "median", "", "by rules, before", "floor"), rows)
        + f"\n\nMedian of {found['rounds']} rounds, {found['threads']} threads of an {machine}. "
        f"The network takes {arithmetic['network_multiply_adds'] / 1e6:.2f} million multiply-adds "
        f"an image; it reaches {100 * arithmetic['share']:.0f} % of a large matrix product's speed "
        f"there, {arithmetic['matrix_product_gflops']:.0f} GFLOP/s."
    )


def model_card() -> str:
    """Return the facts of the shipped model."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    machine = record["trained_on"]
    rows = [
        ("file", f"`digitnet.onnx`, {record['bytes']:,} bytes, operator set 18"),
        ("SHA-256", f"`{record['sha256']}`"),
        ("recipe", f"`{record['recipe']}`, seed {record['seed']}, {record['epochs']} epochs"),
        ("parameters", f"{record['parameters']:,}"),
        ("trained on", _learned_from()),
        ("MNIST validation", share(record["val_accuracy"])),
        (
            f"digits of {record['other_hands']['writers']} writers set aside",
            f"{share(record['other_hands']['right'])} right",
        ),
        ("MNIST test", f"{100 * record['test_accuracy']:.2f} % ({record['misses']} misses)"),
        ("temperature", f"{record['temperature']:.4f}, found on validation images"),
        ("threshold of ood_score", f"{record['ood_threshold']:.4f}: refuses at most 1 % of each"),
        ("PyTorch against ONNX Runtime", f"{record['largest_difference']:.1e} apart at most"),
        (
            "made with",
            f"torch {machine['packages']['torch']}, Python {machine['python']}, "
            f"{count_of(record['threads'], 'thread')} of an {machine['cpu']}, "
            f"{record['training_seconds'] / 60:.0f} minutes",
        ),
    ]
    if finder := record.get("finder"):
        rows += [
            ("finder", f"recipe `{finder['recipe']}`, seed {finder['seed']}, "
             f"{finder['epochs']} epochs, {finder['parameters']:,} parameters"),
            ("synthetic test pages", f"{share(finder['pages_exact'])} without a mistake, "
             f"{share(finder['signs_found'])} of signs found"),
        ]  # fmt: skip
    return table(("", ""), rows)


def _learned_from() -> str:
    """Return what the shipped model was trained on."""
    pens = load_hands()
    train, _ = split_writers(pens)
    is_digit = pens.is_digit[train]
    is_other = ~is_digit & ~np.isin(pens.label[train], list(DIGIT_LIKE))
    writers = len(np.unique(pens.writer[train]))
    return (
        f"54,000 images of MNIST's training split, {is_digit.sum():,} digits and "
        f"{is_other.sum():,} other signs by {writers} writers of UNIPEN, "
        f"{len(load_bitmaps().labels):,} bitmaps of optdigits"
    )


def _target(row: dict[str, Any], least: float) -> tuple[str, str, str, str]:
    reached = 100 * row["accuracy"]
    title = f"{GROUP_TITLES[row['group']]}: {set_title(row['group'], row['name'])}"
    digits = 1 if least == round(least, 1) else 2
    return _row(title, f"≥ {least:.{digits}f} %", f"{reached:.2f} %", reached >= least)


def _row(title: str, promised: str, reached: str, met: bool) -> tuple[str, str, str, str]:
    return (title, promised, reached, "reached" if met else "**missed**")


def _means(found: dict[str, Any]) -> str:
    lines = []
    for group, mean in found["means"].items():
        plain = mean["plain_accuracy"]
        beside = "" if plain is None else f", the plain CNN {100 * plain:.2f} %"
        lines.append(f"- {GROUP_TITLES[group]}, mean: {100 * mean['accuracy']:.2f} %{beside}.")
    return "\n".join(lines)


def _results(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))
