"""What a study is, and the file that defines it.

    title = "Dropout"
    question = "How much dropout is best?"
    base = "reference"          # the recipe that every variant starts from
    data = "mnist"
    seeds = 3                   # or [0, 1, 2]
    base_variant = "none"       # the one that the others are compared with; default: the first
    axis = "dropout"            # a numeric setting to draw the results against
    test_on = ["usps"]          # more data sets to measure every network on

    [settings]                  # for all variants
    epochs = 5

    [variants.none]
    note = "no dropout at all"
    dropout = 0.0

    [variants.half]
    dropout = 0.5

Guarantees: a ``Study`` that exists is valid; whatever is wrong with a file becomes a ``UsageError``
that names the file, the variant and what is allowed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digitnet.errors import UsageError, unknown_name
from digitnet.network.config import TrainConfig, read_toml, setting_names
from digitnet.network.recipes import recipe

_KEYS = (
    *("title", "question", "cost", "base", "data", "seeds", "base_variant", "axis", "test_on"),
    *("settings", "variants"),
)
# Set by another key of the file, by the data, or by single settings; with what to do instead.
_SINGLE = "give single settings, such as dropout = 0.5"
_ALIKE = "it is the same for all variants; give '{}' at the top of the file"
_NOT_SETTINGS = {
    "recipe": _ALIKE.format("base"),
    "data": _ALIKE.format("data"),
    "seed": _ALIKE.format("seeds"),
    "num_classes": _SINGLE,
    "model": _SINGLE,
    "augmentation": _SINGLE,
}
_SHIPPED = Path(__file__).parents[2] / "assets" / "studies"
# A variant's name becomes part of a folder's.
_NAME = re.compile(r"\w[\w.+-]{0,39}")


@dataclass(frozen=True)
class Variant:
    """One of the ways to train that a study compares."""

    name: str
    note: str
    """A few words more about it, or nothing."""
    config: TrainConfig
    """Its settings; the seed comes with each trial."""


@dataclass(frozen=True)
class Study:
    """A question, and the variants whose comparison answers it."""

    name: str
    """The name of its file, without the suffix."""
    title: str
    question: str
    cost: str
    """How long it takes, in words, or nothing."""
    data: str
    seeds: tuple[int, ...]
    variants: tuple[Variant, ...]
    base_variant: str
    """The name of the variant that the others are compared with."""
    axis: str | None
    """The setting to draw results against; each variant has a number for it."""
    test_on: tuple[str, ...]
    """Data sets that every network is measured on besides its own."""
    text: str
    """The content of the file."""

    @property
    def default_folder(self) -> Path:
        """Where its results go by default."""
        return Path("studies") / self.name


def load_study(source: str | Path) -> Study:
    """Read a study.

    Args:
        source: a file, or the name of a study that ships with digitnet.

    Raises:
        InputError: the file cannot be read or is not TOML.
        UsageError: no study has this name, or the file does not define a study.
    """
    path = Path(source)
    # Not Path.is_file, which raises for names that no file can have.
    if path.suffix == ".toml" or os.path.isfile(path):  # noqa: PTH113
        return _read(path)
    if str(source) not in _shipped_names():
        raise UsageError(
            f"{unknown_name('study', str(source), _shipped_names())} For a study of your own, "
            "give the path of its .toml file."
        )
    return _read(_SHIPPED / f"{source}.toml")


def shipped_studies() -> list[Study]:
    """Return the studies that ship with digitnet, sorted by name."""
    return [load_study(name) for name in _shipped_names()]


def _shipped_names() -> list[str]:
    return sorted(file.stem for file in _SHIPPED.glob("*.toml"))


def _read(path: Path) -> Study:
    values = read_toml(path)
    try:
        return _study(path.stem, values, path.read_text(encoding="utf-8"))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _study(name: str, values: Mapping[str, Any], text: str) -> Study:
    for key in values:
        if key in setting_names() and key not in _KEYS:
            raise UsageError(f"The setting '{key}' belongs in the table [settings] or a variant's.")
        if key not in _KEYS:
            raise unknown_name("key", key, _KEYS)
    variants = tuple(_variants(values))
    names = [variant.name for variant in variants]
    base_variant = _text(values, "base_variant", names[0])
    if base_variant not in names:
        raise unknown_name("base_variant", base_variant, names)
    return Study(
        name=name,
        title=_text(values, "title"),
        question=_text(values, "question"),
        cost=_text(values, "cost", ""),
        data=_text(values, "data", "mnist"),
        seeds=_seeds(values.get("seeds", 3)),
        variants=variants,
        base_variant=base_variant,
        axis=_axis(_text(values, "axis", ""), variants),
        test_on=_test_on(values.get("test_on", []), values.get("data", "mnist")),
        text=text,
    )


def _text(values: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = values.get(key, default)
    if value is None:
        raise UsageError(f"'{key}' is missing; give it as text.")
    if not isinstance(value, str):
        raise UsageError(f"'{key}' cannot be {value!r}; allowed: text.")
    return value


def _table(values: Mapping[str, Any], key: str, name: str = "") -> Mapping[str, Any]:
    value = values.get(key, {})
    if not isinstance(value, Mapping):
        raise UsageError(f"'{name or key}' cannot be {value!r}; allowed: a table of settings.")
    return value


def _seeds(value: Any) -> tuple[int, ...]:
    if type(value) is int and 1 <= value <= 1000:
        return tuple(range(value))
    numbers = value if isinstance(value, list) else []
    valid = all(type(number) is int and 0 <= number < 2**32 for number in numbers)
    if not numbers or not valid or len(set(numbers)) < len(numbers):
        raise UsageError(
            f"'seeds' cannot be {value!r}; allowed: a number of seeds, from 1 to 1,000, or a list "
            "of different whole numbers from 0."
        )
    return tuple(numbers)


def _test_on(names: Any, own: str) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"'test_on' cannot be {names!r}; allowed: a list of names of data sets.")
    if len({*names, own}) <= len(names):
        raise UsageError(
            f"'test_on' cannot be {names!r}; name each data set once, and not '{own}', on whose "
            "test images every network is measured anyway."
        )
    return tuple(names)


def _variants(values: Mapping[str, Any]) -> Iterator[Variant]:
    tables = _table(values, "variants")
    if not tables:
        raise UsageError("There are no variants; add a table such as [variants.plain].")
    base = recipe(_text(values, "base", "reference")).override(data=_text(values, "data", "mnist"))
    base = _override(base, _table(values, "settings"), "[settings]")
    seen: dict[TrainConfig, str] = {}
    for name in tables:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"A variant cannot be called {name!r}; allowed: up to 40 letters and digits, and "
                "after the first also . _ + -"
            )
        settings = dict(_table(tables, name, f"variants.{name}"))
        note = _text({"note": settings.pop("note", "")}, "note")
        config = _override(base, settings, f"[variants.{name}]")
        if twin := seen.get(config):
            raise UsageError(f"The variants '{twin}' and '{name}' have the same settings.")
        seen[config] = name
        yield Variant(name, note, config)


def _override(base: TrainConfig, settings: Mapping[str, Any], table: str) -> TrainConfig:
    for name in settings:
        if name in _NOT_SETTINGS:
            raise UsageError(f"{table} cannot set '{name}': {_NOT_SETTINGS[name]}.")
    try:
        return base.override(**settings)
    except UsageError as error:
        raise UsageError(f"{table}: {error}") from error


def _axis(name: str, variants: Sequence[Variant]) -> str | None:
    if not name:
        return None
    if name not in setting_names():
        raise UsageError(f"'axis': {unknown_name('setting', name, setting_names())}")
    values = {variant.name: variant.config.flat()[name] for variant in variants}
    for variant, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(
                f"'axis' cannot be '{name}': its value in variant '{variant}', {value!r}, is not a "
                "number."
            )
    if len(set(values.values())) == 1 < len(variants):
        raise UsageError(
            f"'axis' cannot be '{name}': it has the same value in all variants. Name the setting "
            "in which they differ."
        )
    return name
