"""Write the constants that the page and the reader in the browser share with Python.

    python tools/reader_constants.py            write src/digitnet/static/reader/constants.js
    python tools/reader_constants.py --check    only say whether it is up to date

Every number that decides what is read or shown stands in one module of Python, and nowhere else;
JavaScript gets them from there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType

from digitnet.reading import (
    cleaning,
    explanation,
    finding,
    grey,
    inks,
    light,
    line_reading,
    line_strips,
    line_texts,
    lines,
    looks,
    model_file,
    pictures,
    recognizer,
    strokes,
    turning,
    writing,
)
from digitnet.serving import lessons

TARGET = Path(__file__).parents[1] / "src" / "digitnet" / "static" / "reader" / "constants.js"
HEAD = "// Written by tools/reader_constants.py from Python; do not edit.\n"
_WIDTH = 100
# The name in JavaScript, the module or modules, and their constants; there they have no leading
# underscore.
SHARED: tuple[tuple[str, ModuleType | tuple[ModuleType, ...], str], ...] = (
    ("pictures", pictures, "MAX_PIXELS MAX_SIDE"),
    ("grey", grey, "_CLEARLY_MORE _MIN_CONTRAST _JUDGED_SIDE _BLANK_RANGE _DEPTHS"),
    ("modelFile", model_file, "LEAST_PAGE FORMAT FORMAT_VERSION"),
    (
        "finding",
        finding,
        "PAGE_AREA LONGEST MOST_AREA ENLARGED TINY CLEAR MOST_PARTS CROWD _LOOKS SMALL ROOM EVEN "
        "UNSURE CLOSER _MARGIN _BEYOND _ONE_SIGN "
        "_CLOSER_BY _REACH _SMALLER _GAP _CLEAREST _UNCLEAR _CLEARLY _DOUBTLESS",
    ),
    ("cleaning", cleaning, "_COMMON _DARK _NARROW _SPECK _FEW"),
    (
        "light",
        light,
        "_EVEN _DARKEST _WIDE _NARROW _PAPER _LIGHTEST _APART _NARROWEST _GROUND _ROUGH",
    ),
    (
        "strokes",
        strokes,
        "_SIDE _PEN _MARGIN USUAL_PRESSURE THINNEST _STEP _SMALLEST _PEN_OF_SIGN _PAPER "
        "_LEAST_SIGN _LONGEST_WAY _MOST_STROKES _FLAT _FINEST _BROADEST _UNSURE _PLAINLY_ONE",
    ),
    ("lines", lines, "_STEP _FAR_STEP _STEEPEST _TRIED _LEVEL _OWN_SLOPE _LONG _FLAT _OVERLAP"),
    (
        "writing",
        writing,
        "LEFT_OUT DOUBTFUL SURE LEAST_SHARE WITHIN LIKENESS COMPANY _AT_MOST FAINTEST "
        "_PLAINLY _AS_LARGE _MIDDLE _WITNESSES _PLAIN _TINY _ROUNDING",
    ),
    (
        "lineStrips",
        line_strips,
        "HEIGHT LEAST_WIDTH MOST_WIDTH ABOVE BESIDE _FLAT _LEVEL _STEEPEST",
    ),
    (
        "lineTexts",
        line_texts,
        "LIKELY SIGNS BLANK BEAMS _LEAST _EMPTY _APART _TOUCHING _SUREST _EQUAL",
    ),
    (
        "lineReading",
        line_reading,
        "INK_SIDE BY_COLUMNS BY_SIGNS WHERE_CLOSE MISSED DOUBTS _NEVER _PAPER",
    ),
    ("looks", looks, "DOUBTED LOOKS MOST_LINES _ALL PLAIN FAMILIAR _ENOUGH _REFUSED"),
    ("turning", turning, "_WELL _VERY_WELL _LIKELIER _LEFT _FEWEST _MANY _MANY_WELL"),
    ("reader", (recognizer, inks), "AMBIGUOUS MAX_INK_SIDE _FAINTEST"),
    ("explanation", explanation, "PATCH STRIDE NEIGHBOURS"),
    ("lessons", lessons, "MOST_IMAGES HOW_TAUGHT"),
)


def source() -> str:
    """Return the text of ``constants.js``."""
    parts = [HEAD]
    for name, homes, constants in SHARED:
        modules = homes if isinstance(homes, tuple) else (homes,)
        held = {key: value for module in modules for key, value in vars(module).items()}
        values = {each: json.dumps(held[each]) for each in constants.split()}
        pairs = [f"{each.lstrip('_')}: {value}," for each, value in values.items()]
        parts.append(f"\nexport const {name} = {{\n{_filled(pairs)}\n}};\n")
    return "".join(parts)


def _filled(pairs: list[str]) -> str:
    """Return lines of as many pairs as fit."""
    lines = [""]
    for pair in pairs:
        if len(lines[-1]) + 1 + len(pair) > _WIDTH:
            lines.append("")
        lines[-1] += f" {pair}"
    return "\n".join(f" {line}" for line in lines)


def main() -> int:
    """Write or compare the file; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if outdated")
    check = parser.parse_args().check
    text = source()
    if not check:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text:
        sys.stderr.write(
            f"{TARGET.name} differs from Python; run: python tools/reader_constants.py\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
