"""Numbers and names as people read them, the same in terminals, tables, pages and figures."""

from __future__ import annotations

from collections.abc import Sequence


def percent(probability: float) -> str:
    """Return a probability in percent, never rounded up to certainty or down to nothing."""
    if probability > 0.9994:
        return ">99.9 %"
    if probability < 0.0005:
        return "<0.1 %"
    return f"{100 * probability:.1f} %"


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: "1 core", "1,234 pictures"."""
    return f"{number:,} {noun}" + "s" * (number != 1)


def escaped(text: str, *, kept: str = "") -> str:
    """Return ``text`` with control codes and stray bytes written out, but those in ``kept``."""
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in text)


def are_digits(class_names: Sequence[str]) -> bool:
    """Return whether classes are called 0, 1, 2 and so on, as digits are, up to 9."""
    return len(class_names) <= 10 and all(
        name == str(number) for number, name in enumerate(class_names)
    )


def shortened(name: str, most: int = 12) -> str:
    """Return the name of a class as it fits in ``most`` characters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"
