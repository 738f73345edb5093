"""Ways of writing digits that neither MNIST nor UNIPEN has enough of, as the strokes of a pen.

Bare ones, flags as long as the stem, feet; slashed, barred and dotted zeros; threes with a flat
top; fours like φ, ψ or h; fives like an S or a hook; sevens with curl and bar, or with a low bar
like a 2; eights that begin or end with a tail; nines like a P, a g or a closed question mark;
sevens, eights and nines with the loop of a ribbon; zeros with a tail, twos with a loop, eights like
a B; and what clerks wrote, see ``old_digits``.

Guarantees: strokes are float64 (M, 2), x and y with y down, their box begins at 0, 0 and its longer
side is 1; every digit is drawn anew with its corners moved, by the given generator only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from digitnet.synthesis.curves import Points, Strokes, boxed, curve, dash, line, oval
from digitnet.synthesis.old_digits import flagged_five, open_four, ringed_two, zigzag_three

# So far from the stem of a 1, in its height, a flag begins that leaves no room for a foot.
_FAR = 0.7


def rare_digit(rng: Generator) -> tuple[int, Strokes]:
    """Return a digit and the strokes it is written with."""
    digit, write, _ = _STYLES[rng.choice(len(_STYLES), p=_shares(_STYLES))]
    return digit, boxed(write(rng))


def rarely_written(digit: int, rng: Generator) -> Strokes | None:
    """Return the strokes of this digit in one of the rare styles; None if there is none of it."""
    styles = [style for style in _STYLES if style[0] == digit]
    if not styles:
        return None
    _, write, _ = styles[rng.choice(len(styles), p=_shares(styles))]
    return boxed(write(rng))


def bare_one(rng: Generator) -> Strokes:
    """Return a one that is a stem and nothing else."""
    return boxed(_bare_one(rng))


def continental(digit: int, rng: Generator) -> Strokes | None:
    """Return the strokes of a digit as it is written where 1s have flags; None if as elsewhere.

    A 7 has a bar or a hook there, a 2 often begins with a loop; so may a 5, an 8 and a 9 differ.
    """
    seven = (_bent_seven, _one_like_seven, _seven)[rng.choice(3, p=(0.3, 0.1, 0.6))]
    own = {1: _flagged_one, 2: _looped_two, 7: seven}.get(digit)
    if own is not None:
        return boxed(own(rng))
    return rarely_written(digit, rng) if digit in (5, 8, 9) and rng.random() < 0.5 else None


def _bare_one(rng: Generator) -> Strokes:
    lean = rng.normal(0.08, 0.16)
    return [line(rng, np.array((lean, 0.0)), np.array((-lean, 1.0)))]


def _flagged_one(rng: Generator) -> Strokes:
    """Begin with an upstroke, short or from the base line; some have a foot, a hook, no corner.

    Some lean back: like a Λ.
    """
    lean, style, back = rng.normal(0.04, 0.06), rng.random(), rng.random() < 0.2
    if back:
        lean = -rng.uniform(0.05, 0.28)
    top, bottom = np.array((lean, 0.0)), np.array((-lean, 1.0))
    angle = np.radians(rng.uniform(56 if back else 28, 78))
    length = rng.uniform(0.15, 0.6) if style < 0.35 else rng.uniform(0.5, 1.05)
    if style > 0.65:
        angle = max(angle, np.radians(46))
        length = rng.uniform(0.7, 1.1) / np.sin(angle)
    begin = top + length * np.array((-np.cos(angle), np.sin(angle)))
    flag, stem = line(rng, begin, top, rng.choice((0.02, 0.07))), line(rng, top, bottom)
    if rng.random() < 0.2:
        flag = np.concatenate([line(rng, begin - rng.uniform(0, 0.15, 2), begin), flag])
    if rng.random() < 0.25:
        hook = rng.uniform((0.05, 0.03), (0.35, 0.2)) * (1, -1)
        stem = np.concatenate([stem, line(rng, bottom, bottom + hook, 0.04)])
    strokes = [np.concatenate([flag, stem])]
    if rng.random() < 0.2:
        strokes = [curve(rng, *strokes[0][::4], jitter=0.01)]
    if rng.random() < 0.3 and top[0] - flag[0, 0] < _FAR:
        strokes.append(_foot(rng, bottom))
    return strokes


def _standing_one(rng: Generator) -> Strokes:
    lean = rng.normal(0.02, 0.04)
    bottom = np.array((-lean, 1.0))
    return [line(rng, np.array((lean, 0.0)), bottom), _foot(rng, bottom)]


def _foot(rng: Generator, at: Points) -> Points:
    return dash(rng, at, rng.normal(0, 0.03))


def _plain_zero(rng: Generator) -> Strokes:
    return [oval(rng)]


def _tailed_zero(rng: Generator) -> Strokes:
    """Begin with a tail from the left, or end with one to the right, as in zeros of one stroke."""
    wide, high = rng.uniform(0.5, 0.95), rng.uniform(-0.1, 0.55)
    ring = ((0.5, 0.0), (0.1, 0.05), (0.0, 0.55), (0.4, 1.04), (0.9, 0.8), (0.95, 0.25))
    over = ((0.6, -0.03), (0.42, 0.06))
    corners = [*ring, *over]
    if rng.random() < 0.8:
        corners.append((rng.uniform(0.75, 1.0), rng.uniform(0.1, 0.3)))
        corners.append((rng.uniform(1.1, 1.5), high))
    if rng.random() < 0.45:
        corners.insert(0, (rng.uniform(-0.5, -0.1), high))
    return [curve(rng, *((x * wide, y) for x, y in corners), jitter=0.025)]


def _slashed_zero(rng: Generator) -> Strokes:
    """Put a stroke through the ring, within it or beyond it on both sides."""
    ring = oval(rng)
    middle, half = ring.mean(0), np.ptp(ring, axis=0) / 2
    reach = half * rng.uniform(0.5, 1.25) * (1.0, -1.0)
    return [ring, line(rng, middle - reach, middle + reach)]


def _dotted_zero(rng: Generator) -> Strokes:
    ring = oval(rng)
    middle = ring.mean(0) + rng.normal(0, 0.03, 2)
    return [ring, np.array([middle, middle + rng.normal(0, 0.03, 2)])]


def _barred_zero(rng: Generator) -> Strokes:
    ring = oval(rng)
    (left, top), (right, bottom) = ring.min(0), ring.max(0)
    high = top + (bottom - top) * rng.uniform(0.3, 0.6)
    return [ring, line(rng, np.array((left, high)), np.array((right, high)))]


def _looped_two(rng: Generator) -> Strokes:
    """Begin with a loop or a hook, end with a loop at the base, a wave or a straight line."""
    far = rng.uniform(0.5, 0.75)
    start: tuple[tuple[float, float], ...] = ((0.12, 0.34), (0.0, 0.24), (0.08, 0.06))
    if rng.random() < 0.5:  # once around
        start = ((0.3 * far, 0.12), (0.5 * far, 0.3), (0.2 * far, 0.46), (-0.04, 0.2), (0.12, 0.0))
    neck = ((0.55 * far, -0.06), (far, 0.1), (0.95 * far, 0.42), (0.4 * far, 0.78))
    end = far + rng.uniform(0.0, 0.4)
    foot: tuple[tuple[float, float], ...] = [
        ((0.0, 1.0), (0.02, 1.02), (end, 1.0)),
        ((-0.05, 1.0), (0.3, 0.86), (end, 1.02)),
    ][int(rng.integers(2))]
    if rng.random() < 0.5:
        left = -rng.uniform(0.1, 0.35)
        foot = ((left, 1.02), (left, 0.82), (0.25, 0.92), (0.5 * end, 1.08), (end, 0.9))
    return [curve(rng, *start, *neck, *foot, jitter=0.025)]


def _flat_three(rng: Generator) -> Strokes:
    """A flat top, a slope to the middle, a bow."""
    wide, neck = rng.uniform(0.45, 0.7), rng.uniform(0.1, 0.35)
    top = line(rng, np.array((0.0, rng.uniform(0.0, 0.08))), np.array((0.93 * wide, 0.0)))
    middle = (neck, rng.uniform(0.36, 0.46))
    bow = ((wide, 0.38), (1.05 * wide, 0.98), (0.4 * wide, 1.02), (0.0, rng.uniform(0.85, 0.98)))
    return [np.concatenate([top, curve(rng, middle, *bow, jitter=0.02)])]


def _s_like_five(rng: Generator) -> Strokes:
    """An S, with or without a flag."""
    wide = rng.uniform(0.45, 0.7)
    upper = ((wide, 0.05), (0.5 * wide, -0.05), (0.0, 0.1), (0.05, 0.4), (0.5 * wide, 0.45))
    lower = ((1.1 * wide, 0.55), (wide, 0.95), (0.5 * wide, 1.05), (0.0, rng.uniform(0.85, 0.97)))
    strokes = [curve(rng, *upper, *lower, jitter=0.025)]
    if rng.random() < 0.4:
        begin = strokes[0][0]
        end = begin + np.array((rng.uniform(0.15, 0.5), rng.normal(0, 0.05)))
        strokes.append(line(rng, begin, end))
    return strokes


def _hooked_five(rng: Generator) -> Strokes:
    """A bar, and a stem that ends in a hook to the left: hardly a bow."""
    wide, bow = rng.uniform(0.3, 0.6), rng.uniform(0.0, 0.2)
    top = np.array((rng.uniform(0.15, 0.45), rng.normal(0.02, 0.03)))
    bar = line(rng, top, top + np.array((wide, rng.normal(-0.04, 0.05))))
    neck = ((0.85 * float(top[0]), 0.4), (float(top[0]) + bow, 0.5 + rng.uniform(-0.05, 0.1)))
    hook = ((float(top[0]) + bow, 0.9), (0.1, 1.04), (rng.uniform(-0.2, 0.0), 0.88))
    stem = curve(rng, (float(top[0]), float(top[1])), *neck, *hook, jitter=0.02)
    return [bar, stem] if rng.random() < 0.5 else [np.concatenate([bar[::-1], stem])]


def _seven(rng: Generator) -> Strokes:
    """Begin with a hook, a wave or plainly; most have a bar through the stem, some a foot."""
    corner = np.array((rng.uniform(0.5, 0.75), rng.normal(0.04, 0.03)))
    begin = np.array((0.0, rng.normal(0.06, 0.04)))
    style = rng.random()
    if style < 0.4:  # a short stroke down to it, or up from below
        down = rng.uniform(0.08, 0.28) * rng.choice((-1, 1))
        hook = begin + np.array((rng.normal(0, 0.04), down))
        top = np.concatenate([line(rng, hook, begin), line(rng, begin, corner, 0.03)])
    elif style < 0.75:  # a wave
        wave = ((-0.02, 0.22), (0.1, 0.0), (0.3, 0.16), (0.5, 0.14))
        top = curve(rng, *wave, (float(corner[0]), float(corner[1])))
    else:
        top = line(rng, begin, corner, 0.03)
    foot = np.array((rng.uniform(0.05, 0.45), 1.0))
    bent = (corner + foot) / 2 + rng.normal(0, (0.08, 0.05))
    stem = curve(rng, top[-1], bent, foot, jitter=0.01)
    stem[0] = top[-1]
    strokes = [np.concatenate([top, stem])]
    if rng.random() < 0.7:
        level = rng.uniform(0.4, 0.62)
        middle = np.array((corner[0] + (foot[0] - corner[0]) * level, level))
        strokes.append(dash(rng, middle, rng.normal(0.02, 0.05)))
    if rng.random() < 0.12:
        strokes.append(dash(rng, foot, rng.normal(0, 0.03)))
    return strokes


def _one_like_seven(rng: Generator) -> Strokes:
    """A 1 with a long flag, and a low bar through its stem that does not meet the flag."""
    lean, high = rng.normal(0.02, 0.06), rng.uniform(0.25, 0.6)
    begin = np.array((-rng.uniform(0.3, 0.6), high))
    top, foot = np.array((lean, 0.0)), np.array((-lean, 1.0))
    level = rng.uniform(high + 0.08, 0.74)
    bar = dash(rng, top + (foot - top) * level, rng.normal(0.02, 0.05))
    return [np.concatenate([line(rng, begin, top, 0.04), line(rng, top, foot)]), bar]


def _bent_seven(rng: Generator) -> Strokes:
    """A top that slopes down to a blunt corner, and a low bar: like a 2, or a z with a foot."""
    wide = rng.uniform(0.4, 0.8)
    corner = np.array((wide, rng.uniform(0.12, 0.35)))
    foot = np.array((wide * rng.uniform(-0.1, 0.5), 1.0))
    top = ((0.0, rng.uniform(-0.02, 0.15)), (0.5 * wide, rng.uniform(-0.05, 0.15)))
    tail = [foot + rng.uniform((0.1, -0.1), (0.4, 0.03))] if rng.random() < 0.3 else []
    stem = curve(rng, *top, corner, (corner + 2 * foot) / 3, foot, *tail, jitter=0.02)
    level = rng.uniform(0.35, 0.75)
    at = corner + (foot - corner) * level
    left, right = rng.uniform((0.05, 0.15), (0.3, 0.6))
    rise = rng.normal(0.02, 0.05)
    return [stem, line(rng, at - np.array((left, -rise)), at + np.array((right, -rise)))]


def _p_shaped_nine(rng: Generator) -> Strokes:
    """Lead from the left over the top of the stem and back to it, like a P with a flag."""
    loop = curve(
        rng,
        *((-0.08, 0.42), (0.02, 0.2), (0.3, 0.0), (0.75, -0.02)),
        *((0.86, 0.3), (0.62, 0.48), (0.28, 0.46)),
    )
    stem = line(rng, np.array((0.34, rng.uniform(0.02, 0.2))), np.array((0.3, 1.0)), 0.04)
    return [loop, stem]


def _hooked_nine(rng: Generator) -> Strokes:
    """A loop that ends in a stem which runs far to the left, or curls up again."""
    end = rng.uniform((-0.1, 0.8), (0.3, 1.0))
    loop = ((0.72, 0.12), (0.4, -0.02), (0.1, 0.2), (0.25, 0.48), (0.62, 0.4), (0.74, 0.1))
    stem = ((0.76, 0.5), (0.68, 0.95), (0.4, 1.05), (float(end[0]), float(end[1])))
    return [curve(rng, *loop, *stem)]


def _tailed_nine(rng: Generator) -> Strokes:
    """A loop with a tail from its left down to the right: a question mark that is closed."""
    wide, low = rng.uniform(0.5, 0.85), rng.uniform(0.4, 0.56)
    ring = [(0.25, 0.95), (-0.05, 0.5), (0.2, 0.0), (0.9, -0.08), (1.0, 0.6), (0.55, 1.08)]
    if rng.random() < 0.4:  # the other way around
        ring = [(0.15, 0.95), (0.8, 1.0), (1.05, 0.4), (0.6, -0.08), (-0.05, 0.1)]
    corners = [(x * wide, y * low) for x, y in [*ring, (0.05, 0.85)]]
    foot = rng.uniform((0.35, 0.95), (1.0, 1.02)) * (wide, 1)
    corners += [(0.3 * wide, low + 0.03), (rng.uniform(0.6, 0.9) * wide, 0.72)]
    return [curve(rng, *corners, (float(foot[0]), float(foot[1])), jitter=0.02)]


def _g_like_nine(rng: Generator) -> Strokes:
    """A bow that hardly meets the stem, which begins above it and ends in a hook: like g or S."""
    wide, low = rng.uniform(0.4, 0.75), rng.uniform(0.32, 0.56)
    begin = wide * rng.uniform(0.65, 1.0), rng.uniform(0.0, 0.18)
    bow = ((0.35 * wide, -0.05), (-0.04, 0.5 * low), (0.3 * wide, 1.1 * low))
    turn = wide * rng.uniform(0.85, 1.1)
    tail = ((turn, 0.75), (rng.uniform(0.3, 0.6) * wide, 1.05), (-0.05, rng.uniform(0.8, 1.02)))
    if rng.random() < 0.5:  # two strokes: the stem begins right of the bow, or above it
        end = (0.95 * wide, rng.uniform(0.5, 1) * low)
        first = curve(rng, begin, *bow, end, jitter=0.025)
        top = (turn + rng.normal(0, 0.04), rng.uniform(-0.12, 0.25))
        return [first, curve(rng, top, (turn, 0.4), *tail, jitter=0.02)]
    back = (0.9 * wide, rng.uniform(0.3, 0.8) * low), (turn, rng.uniform(0.05, 0.6) * low)
    return [curve(rng, begin, *bow, *back, (turn, 0.55), *tail, jitter=0.025)]


def _h_like_four(rng: Generator) -> Strokes:
    """Down, to the right, and a stem that begins low, or high and meets the first stroke."""
    wide, bar = rng.uniform(0.4, 0.7), rng.uniform(0.5, 0.72)
    lean, top = rng.uniform(-0.05, 0.25), rng.uniform(-0.05, bar)
    first = np.array((lean, rng.uniform(0.0, 0.15)))
    corner = np.array((rng.uniform(-0.1, 0.1), bar))
    end = np.array((wide * rng.uniform(1.0, 1.35), bar + rng.normal(0, 0.04)))
    if rng.random() < 0.5:  # a corner, or as round as in a u
        angle = np.concatenate([line(rng, first, corner), line(rng, corner, end)])
    else:
        start = (float(first[0]), float(first[1])), (float(corner[0]), bar - 0.15)
        angle = curve(rng, *start, (0.3 * wide, bar + 0.06), (float(end[0]), float(end[1])))
    above = wide + lean * (1 - top) if top > 0.1 else rng.uniform(lean, wide + lean)
    stem = line(rng, np.array((above, top)), np.array((wide - 0.05, 1.0)), 0.03)
    return [angle, stem]


def _ribbon(rng: Generator) -> list[tuple[float, float]]:
    """Return corners from the left to the right, around a loop at the top, and back to the middle.

    So begin 7s, 8s and 9s of one stroke in China.
    """
    wide, low = rng.uniform(0.3, 0.6), rng.uniform(0.36, 0.5)
    begin = (-wide * rng.uniform(0.3, 1.1), low + rng.uniform(-0.25, 0.06))
    loop = [(0.35 * wide, low + 0.04), (wide, 0.5 * low), (0.75 * wide, -0.04), (0.25 * wide, 0.02)]
    return [begin, *loop, (0.0, 0.6 * low), (0.0, low + 0.08)]


def _ribbon_nine(rng: Generator) -> Strokes:
    """End in a stem, straight or bent at its foot."""
    foot = (rng.uniform(-0.12, 0.12), 1.0)
    bent = [] if rng.random() < 0.7 else [(foot[0] + rng.uniform(-0.3, 0.3), 1.02)]
    return [curve(rng, *_ribbon(rng), (0.0, 0.75), foot, *bent, jitter=0.02)]


def _ribbon_seven(rng: Generator) -> Strokes:
    """Begin high on the left, and have a bar: like ¥."""
    ribbon = _ribbon(rng)
    ribbon[0] = (ribbon[0][0] - 0.1, rng.uniform(-0.02, 0.2))
    foot, level = rng.normal(0.0, 0.08), rng.uniform(0.55, 0.72)
    stem = curve(rng, *ribbon, (foot / 2, 0.75), (foot, 1.0), jitter=0.02)
    return [stem, dash(rng, np.array((foot * level, level)), rng.normal(0, 0.03))]


def _ribbon_eight(rng: Generator) -> Strokes:
    """End around a second loop, with a tail to the right."""
    wide, high = rng.uniform(0.15, 0.4), rng.uniform(0.6, 0.85)
    lower = ((0.05, 0.7), (-0.05, 1.03), (-wide, 1.0), (-wide, 0.85), (0.0, 0.8 * high + 0.1))
    tail = (rng.uniform(0.3, 0.65), rng.uniform(0.5, 0.75))
    return [curve(rng, *_ribbon(rng), *lower, tail, jitter=0.02)]


def _phi_like_four(rng: Generator) -> Strokes:
    """A bowl that a stem crosses: closed above like φ, or open like ψ."""
    closed = rng.random() < 0.5
    right = ((0.9, 0.3), (0.72, 0.02), (0.5, 0.1)) if closed else ((0.85, 0.4), (0.98, 0.12))
    left = ((0.22, 0.02), (0.02, 0.42), (0.16, 0.68), (0.6, 0.66))
    stem = line(rng, np.array((0.54, rng.uniform(0.05, 0.25))), np.array((0.46, 1.0)), 0.03)
    return [curve(rng, *left, *right), stem]


def _b_like_eight(rng: Generator) -> Strokes:
    """A stem and two bowls that end where it began, or cross it: like a B that leans."""
    lean, wide = rng.uniform(-0.05, 0.25), rng.uniform(0.4, 0.7)
    waist = rng.uniform(0.38, 0.55)
    top, foot = np.array((lean, 0.0)), np.array((0.0, 1.0))
    start = (lean + rng.uniform(-0.1, 0.05), rng.uniform(-0.05, 0.12))
    upper = ((lean + 0.6 * wide, -0.06), (lean + wide, 0.22), (lean + 0.3 * wide, waist))
    lower = ((1.1 * wide, 0.55), (wide, 0.98), (0.3 * wide, 1.03), (-0.04, rng.uniform(0.8, 1)))
    bowls = curve(rng, start, *upper, *lower, jitter=0.025)
    stem = line(rng, top, foot, 0.03)
    if rng.random() < 0.5:  # in one stroke, up or down the stem first
        return [np.concatenate([stem[::-1], bowls])]
    return [stem, bowls]


def _tailed_eight(rng: Generator) -> Strokes:
    """Begin, or end, far above to the right of the upper loop."""
    tail = (rng.uniform(0.8, 1.15), rng.uniform(-0.1, 0.2))
    if rng.random() < 0.5:  # begin there
        lower = ((0.5, 0.46), (0.08, 0.7), (0.2, 1.04), (0.66, 1.0), (0.7, 0.66))
        upper = ((0.36, 0.44), (0.1, 0.2), (0.3, -0.04), (0.62, 0.06), (0.52, 0.36))
        return [curve(rng, tail, *lower, *upper)]
    down = ((0.62, 0.1), (0.4, -0.04), (0.12, 0.1), (0.26, 0.38))
    up = ((0.68, 0.62), (0.62, 1.02), (0.14, 1.04), (0.12, 0.74), (0.5, 0.44))
    return [curve(rng, *down, *up, tail)]


# Each style: the digit it writes, how it is written, and how often beside the others.
_Style = tuple[int, Callable[[Generator], Strokes], float]
_STYLES: tuple[_Style, ...] = (
    (0, _plain_zero, 3),
    (0, _tailed_zero, 2.5),
    (0, _slashed_zero, 2),
    (0, _dotted_zero, 1),
    (0, _barred_zero, 0.5),
    (1, _bare_one, 4),
    (1, _flagged_one, 6),
    (1, _standing_one, 1),
    (2, _looped_two, 2.5),
    (2, ringed_two, 2),
    (3, _flat_three, 1),
    (3, zigzag_three, 2.5),
    (4, _phi_like_four, 2),
    (4, _h_like_four, 1.5),
    (4, open_four, 1.5),
    (5, _s_like_five, 1.5),
    (5, flagged_five, 1.5),
    (5, _hooked_five, 1),
    (7, _seven, 3),
    (7, _bent_seven, 2),
    (7, _one_like_seven, 0.5),
    (7, _ribbon_seven, 1.5),
    (8, _tailed_eight, 2),
    (8, _ribbon_eight, 1.5),
    (8, _b_like_eight, 2.5),
    (9, _p_shaped_nine, 1.5),
    (9, _hooked_nine, 1.5),
    (9, _tailed_nine, 1.5),
    (9, _g_like_nine, 3),
    (9, _ribbon_nine, 2),
)


def _shares(styles: Sequence[_Style]) -> NDArray[np.float64]:
    weights = np.array([weight for *_, weight in styles])
    return np.asarray(weights / weights.sum())
