"""Numbers of a known length or with a check digit: the likeliest, compared with all there are."""

import itertools
import math
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from digitnet.errors import UsageError
from digitnet.reading.checks import ANYTHING, Fit, likeliest, wanted

FITTING = {
    "luhn": ["4539578763621486", "79927398713", "18"],
    "mod97": ["98", "3214282912345698765432161182"],
    "ean13": ["4006381333931", "9783161484100"],
}


def luhn(text: str) -> bool:
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(text))]
    return len(text) > 1 and sum(n - 9 * (n > 9) for n in doubled) % 10 == 0


def mod97(text: str) -> bool:
    return len(text) > 2 and int(text) % 97 == 1


def ean13(text: str) -> bool:
    total = sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(text))
    return len(text) == 13 and total % 10 == 0


def sure(text: str, chance: float = 0.99) -> tuple[NDArray[Any], NDArray[Any]]:
    taken = np.full((len(text), 10), (1 - chance) / 9)
    taken[range(len(text)), [*map(int, text)]] = chance
    return np.log(taken * 0.99), np.full(len(text), math.log(0.01))


def unsure(signs: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(11, 0.15), signs).clip(1e-9)
    return np.log(table[:, :10]), np.log(table[:, 10])


def text_of(fit: Fit | None) -> str:
    assert fit
    return "".join(str(pick) for pick in fit.picks if pick >= 0)


def fit_of(table: tuple[NDArray[Any], NDArray[Any]], **asked: Any) -> Fit | None:
    goal = wanted(asked.get("digits"), asked.get("check"))
    return likeliest(*table, goal)


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, ts in FITTING.items() for t in ts])
def test_a_number_that_fits_is_left_as_it_is(name: Any, text: str) -> None:
    if text == "98":
        text = "098"
    fit = fit_of(sure(text), check=name)
    assert text_of(fit) == text
    assert fit
    assert fit.odds > 10


@pytest.mark.parametrize(("name", "text"), [("luhn", "79927398713"), ("ean13", "4006381333931")])
def test_a_check_digit_mends_the_digit_in_doubt(name: Any, text: str) -> None:
    taken, left = sure(text)
    taken[4] = np.log(0.001)
    taken[4, int(text[4])], taken[4, (int(text[4]) + 1) % 10] = math.log(0.3), math.log(0.6)
    fit = fit_of((taken, left), check=name)
    assert text_of(fit) == text


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("digits", "check", "fits"),
    [
        (3, None, lambda text: len(text) == 3),
        ((2, 3), None, lambda text: 2 <= len(text) <= 3),
        (None, "luhn", luhn),
        ((3, 4), "luhn", lambda text: luhn(text) and len(text) > 2),
        (None, "mod97", mod97),
        (2, lambda text: text[0] == text[1], lambda text: len(text) == 2 and text[0] == text[1]),
    ],
)
def test_no_other_text_that_fits_is_likelier(seed: int, digits: Any, check: Any, fits: Any) -> None:
    taken, left = unsure(4, seed)
    table = np.concatenate([taken, left[:, None]], axis=1)
    chances: dict[str, float] = {}
    for choice in itertools.product(range(11), repeat=4):
        text = "".join(str(c) for c in choice if c < 10)
        if text and fits(text):
            chances[text] = chances.get(text, 0) + math.exp(table[range(4), choice].sum())
    first, second = sorted(chances.values(), reverse=True)[:2]
    fit = fit_of((taken, left), digits=digits, check=check)
    assert fit
    # Few ways lead to one text; those that are not among the likeliest are missed.
    assert chances[text_of(fit)] >= 0.8 * first
    if not callable(check):
        assert fit.mass == pytest.approx(sum(chances.values()))
        assert fit.share == pytest.approx(first / sum(chances.values()), rel=0.1)
        assert fit.odds == pytest.approx(first / second, rel=0.2)


def test_ean13_has_thirteen_digits() -> None:
    text = "4006381333931"
    table = [
        np.concatenate([a[:5], b, a[5:]]) for a, b in zip(sure(text), unsure(1, 3), strict=True)
    ]
    fit = fit_of((table[0], table[1]), check="ean13")
    assert len(text_of(fit)) == 13
    assert ean13(text_of(fit))
    assert fit_of(sure(text[:12]), check="ean13") is None


def test_a_long_number_takes_no_long_time() -> None:
    text = "3214282912345698765432161182"
    for check in ("mod97", "luhn", lambda text: text.endswith("82")):
        assert fit_of(sure(text), check=check)


def test_a_long_number_takes_little_memory() -> None:
    tracemalloc.start()
    assert fit_of(sure("1234567890" * 6), check="mod97")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000


def test_where_no_text_fits_there_is_none() -> None:
    assert fit_of(sure("123"), digits=4) is None
    assert fit_of(sure("123"), check=lambda _: False) is None
    certain = np.full((2, 10), -np.inf)
    certain[:, 1] = 0
    assert fit_of((certain, np.full(2, -np.inf)), check="luhn") is None


@pytest.mark.parametrize("digits", [0, -1, 101, 2.5, True, (4,), (6, 4), (0, 2), (1, 2, 3), "6"])
def test_a_number_of_digits_that_cannot_be_is_refused(digits: Any) -> None:
    with pytest.raises(UsageError, match=r"from 1 to 100.*the most of them"):
        wanted(digits, None)


def test_a_check_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(UsageError, match=r"'luhm'.*Did you mean 'luhn'.*luhn, mod97, ean13"):
        wanted(None, "luhm")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs 13"):
        wanted(12, "ean13")
    with pytest.raises(UsageError, match="at least 3"):
        wanted(2, "mod97")


def test_what_is_wanted_can_be_sent_to_another_process() -> None:
    goal = wanted((4, 6), "luhn")
    assert pickle.loads(pickle.dumps(goal)) == goal
    assert wanted() == ANYTHING
    with pytest.raises(UsageError, match=r"cannot be 1.5.*0 to 1"):
        wanted(min_confidence=1.5)
    with pytest.raises(UsageError, match="cannot be 'much'"):
        wanted(min_confidence="much")  # type: ignore[arg-type]
