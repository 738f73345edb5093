"""Numbers and names as people read them: the same in terminals, tables, pages and figures."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ARGUMENT = re.compile(r"^    (\w+)(?: \(([^)]*)\))?: (.*(?:\n     .*)*)", re.MULTILINE)


def percent(probability: float) -> str:
    """Return a probability in percent, never rounded up to certainty or down to nothing."""
    if probability > 0.9994:
        return ">99.9 %"
    if probability < 0.0005:
        return "<0.1 %"
    return f"{100 * probability:.1f} %"


def share(value: float, decimals: int = 2) -> str:
    """Return a counted share of 1 in percent; "100 %" is said only of all, "0 %" only of none."""
    least = 10**-decimals
    if 0 < value < least / 200:
        return f"<{least:.{decimals}f} %"
    if 1 - least / 200 < value < 1:
        return f">{100 - least:.{decimals}f} %"
    return f"{100 * value:.{decimals}f} %"


def points(difference: float) -> str:
    """Return the size of a difference of two shares in percentage points."""
    return f"{abs(100 * difference):.2f} points"


def duration(seconds: float) -> str:
    """Return a time as people say it: "4.8 s", "48 s", "4 min 12 s", "1 h 3 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def count_of(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: "1 core", "1,234 pictures", "2 misses"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listing(items: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def count_or_range(text: str) -> int | tuple[int, int] | None:
    """Return what "6" or "4-6" means: a number, or the least and the most; None if neither."""
    found = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text, re.ASCII)
    if not found:
        return None
    return int(found[1]) if found[2] is None else (int(found[1]), int(found[2]))


def escaped(text: str, *, kept: str = "") -> str:
    """Return ``text`` with control codes and invalid bytes escaped, except those in ``kept``."""
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in text)


def are_digits(class_names: Sequence[str]) -> bool:
    """Return whether classes are named like digits: 0, 1, 2 and so on, up to 9."""
    return list(class_names) == list("0123456789")[: len(class_names)]


def shortened(name: str, most: int = 12) -> str:
    """Return the name of a class, cut to at most ``most`` characters."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def described(docstring: str) -> dict[str, tuple[str, str]]:
    """Return what an ``Args:`` section says of each name: what is in brackets, and the text.

    Args:
        docstring: without indentation, as ``inspect.cleandoc`` returns it, or the section alone.
    """
    lines = _ARGUMENT.finditer(docstring)
    return {line[1]: (line[2] or "", " ".join(line[3].split())) for line in lines}
