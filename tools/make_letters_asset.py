"""Make the asset of printed letters that training learns to refuse, out of typefaces.

    python tools/make_letters_asset.py PATH             compare a new one with the shipped file
    python tools/make_letters_asset.py PATH --write     write it

PATH is a folder with npm's archives of the typefaces, as this puts them there:

    npm pack $(python tools/make_letters_asset.py --packages)

Of each typeface up to four cuts are drawn, from the lightest to the heaviest, and some that
matplotlib brings. A letter is drawn large, cut out and reduced to 104 pixels of one bit;
``data.printed_letters`` reads what this writes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from digitnet.data.printed_letters import LETTERS_FILE, SIDE
from make_sample import encode

TARGET = Path(__file__).parents[1] / "src" / "digitnet" / "assets" / LETTERS_FILE
SCOPE = "@expo-google-fonts/"
# Serifs, grotesques, slabs, typewriters, scripts, comics, pixels, neon: what signs are set in.
TYPEFACES = {
    "abril-fatface": "0.4.1", "anton": "0.4.2", "archivo-black": "0.4.1", "audiowide": "0.4.1",
    "bangers": "0.4.1", "barlow-condensed": "0.4.1", "bebas-neue": "0.4.1", "bitter": "0.4.2",
    "chewy": "0.4.0", "cinzel": "0.4.2", "comfortaa": "0.4.2", "cormorant-garamond": "0.4.1",
    "courier-prime": "0.4.1", "crimson-text": "0.4.0",
    "josefin-sans": "0.4.2", "monoton": "0.4.1", "oswald": "0.4.2", "pacifico": "0.4.1",
    "permanent-marker": "0.4.0", "playfair-display": "0.4.2", "press-start-2p": "0.4.1",
    "righteous": "0.4.1", "rubik": "0.4.2", "special-elite": "0.4.1", "vt323": "0.4.1",
    "zilla-slab": "0.4.1",
}  # fmt: skip
BUNDLED = ("DejaVuSans", "DejaVuSansMono", "DejaVuSerif", "STIXGeneral", "cm")
LETTERS = "ABCDEFGHIJKLMNPQRTUVWXYacdefhkmnprtuvwxy&@#%?+=$€§"
CUTS = 4
# Letters are drawn at this size of the typeface, in pixels; brighter pixels than this are ink, even
# of hairlines.
SIZE, INK = 220, 80
# The rows of an I with serifs are this many times as wide at its ends as in its middle.
SERIFS = 1.5


def faces(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the file of each cut that is drawn."""
    for name, version in TYPEFACES.items():
        archive = folder / f"{SCOPE[1:-1]}-{name}-{version}.tgz"
        with tarfile.open(archive) as packed:
            cuts = {Path(m.name).stem: m for m in packed if m.name.endswith(".ttf")}
            for stem in _spread(sorted(cuts)):
                file = packed.extractfile(cuts[stem])
                assert file is not None
                yield stem, file.read()
    bundled = sorted((Path(mpl.get_data_path()) / "fonts" / "ttf").glob("*.ttf"))
    for path in bundled:
        if path.stem.startswith(BUNDLED) and not path.stem.startswith(("cmsy", "cmex", "cmmi")):
            yield path.stem, path.read_bytes()


def _spread(cuts: list[str]) -> list[str]:
    """Return at most ``CUTS`` of them, evenly from the first to the last: names begin by weight."""
    places = np.linspace(0, len(cuts) - 1, min(CUTS, len(cuts))).round().astype(int)
    return [cuts[place] for place in places]


def drawn(font: ImageFont.FreeTypeFont, letter: str) -> NDArray[np.bool_] | None:
    """Return a letter, bool (104, 104), or None if the typeface lacks it or prints a digit's."""
    image = Image.new("L", (3 * SIZE, 3 * SIZE))
    ImageDraw.Draw(image).text((SIZE, SIZE), letter, 255, font)
    box = image.getbbox()
    if box is None or _missing(font, letter):
        return None
    ink = image.crop(box)
    if letter == "I" and not _has_serifs(np.asarray(ink) > INK):
        return None
    scale = SIDE / max(ink.size)
    size = tuple(max(1, round(side * scale)) for side in ink.size)
    fitted = Image.new("L", (SIDE, SIDE))
    place = tuple((SIDE - side) // 2 for side in size)
    fitted.paste(ink.resize((size[0], size[1]), Image.Resampling.BOX), (place[0], place[1]))
    bits = np.asarray(fitted) > INK
    return bits if bits.any() else None


def _missing(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    """Return whether the typeface draws for a letter what it draws for what no typeface has."""
    return bytes(font.getmask(letter)) == bytes(font.getmask("\uffff"))


def _has_serifs(ink: NDArray[np.bool_]) -> bool:
    widths = ink.sum(1)
    return bool(widths[: max(1, len(widths) // 10)].max() >= SERIFS * np.median(widths))


def asset_arrays(folder: Path) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of the asset by name."""
    fonts = [(name, ImageFont.truetype(io.BytesIO(file), SIZE)) for name, file in faces(folder)]
    every = ((drawn(font, letter), letter, name) for name, font in fonts for letter in LETTERS)
    images, letters, names = zip(*(each for each in every if each[0] is not None), strict=True)
    bits = np.packbits(np.array(images), axis=-1)
    return {"bits": bits, "letter": np.array(letters), "face": np.array(names)}


def main() -> int:
    """Make the asset and write it or compare it; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("path", type=Path, nargs="?", help="the folder of archives")
    parser.add_argument("--write", action="store_true", help="write the file")
    parser.add_argument("--packages", action="store_true", help="name npm's packages, no more")
    options = parser.parse_args()
    if options.packages:
        print(*(f"{SCOPE}{name}@{version}" for name, version in TYPEFACES.items()))
        return 0
    if options.path is None:
        parser.error("name the folder of archives")
    arrays = asset_arrays(options.path)
    content = encode(arrays)
    print(f"{len(arrays['letter']):,} letters of {len(set(arrays['face'].tolist()))} cuts")
    print(f"{len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")
    if options.write:
        TARGET.write_bytes(content)
    elif TARGET.read_bytes() != content:
        print(f"differs from {TARGET}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
