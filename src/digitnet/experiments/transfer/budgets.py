"""How many labels of each class: 0 stands for all there are. Nothing here imports torch."""

from __future__ import annotations

from digitnet.errors import UsageError


def parse_budgets(text: str, flag: str = "--labels") -> tuple[int, ...]:
    """Return the budgets of a text such as "10,30,all".

    Raises:
        UsageError: a part is neither a number from 1 nor "all".
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    for part in parts:
        if part != "all" and not (part.isdecimal() and int(part)):
            raise UsageError(
                f"{flag} cannot have {part!r}; allowed: numbers of images a class from 1, and "
                "'all', such as 10,30,all."
            )
    if not parts:
        raise UsageError(f"{flag} is empty; allowed: such as 10,30,all.")
    return tuple(0 if part == "all" else int(part) for part in parts)


def budget_name(labels: int) -> str:
    """Return a budget in words: "30", or "all"."""
    return f"{labels:,}" if labels else "all"
