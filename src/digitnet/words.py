"""Numbers as people read them, the same in terminals, tables, pages and figures."""


def percent(probability: float) -> str:
    """Return a probability in percent, never rounded up to certainty or down to nothing."""
    if probability > 0.9994:
        return ">99.9 %"
    if probability < 0.0005:
        return "<0.1 %"
    return f"{100 * probability:.1f} %"
