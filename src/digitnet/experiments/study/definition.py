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

from digitnet.errors import InputError, UsageError, unknown_name
from digitnet.network.config import TrainConfig, read_toml, setting_names
from digitnet.network.recipes import recipe

# The keys of a file with their defaults, whose types their values must have.
_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(("title", "question", "cost", "base_variant", "axis"), ""),
    "base": "reference",
    "data": "mnist",
    "seeds": 3,
    "test_on": [],
    "settings": {},
    "variants": {},
}
_ALLOWED = {str: "text", list: "a list of names of data sets", dict: "a table of settings"}
# What belongs to the whole study, or consists of single settings.
_NOT_SETTINGS = ("recipe", "data", "seed", "num_classes", "model", "augmentation")
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
    if path.suffix != ".toml" and not os.path.isfile(path):  # noqa: PTH113
        if str(source) not in _shipped_names():
            raise UsageError(
                f"{unknown_name('study', str(source), _shipped_names())} For a study of your own, "
                "give the path of its .toml file."
            )
        path = _SHIPPED / f"{source}.toml"
    try:
        return _study(path, read_toml(path, "study"))
    except InputError as error:
        raise InputError(f"{error} Expected: TOML with variants; see docs/studies.md.") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def shipped_studies() -> list[Study]:
    """Return the studies that ship with digitnet, sorted by name."""
    return [load_study(name) for name in _shipped_names()]


def _shipped_names() -> list[str]:
    return sorted(file.stem for file in _SHIPPED.glob("*.toml"))


def _study(path: Path, given: Mapping[str, Any]) -> Study:
    for key, value in given.items():
        if key not in _DEFAULTS and key in setting_names():
            raise UsageError(f"The setting '{key}' belongs in the table [settings] or a variant's.")
        if key not in _DEFAULTS:
            raise unknown_name("key", key, _DEFAULTS)
        wanted: Any = type(_DEFAULTS[key])
        if key != "seeds" and not isinstance(value, wanted):
            raise _not_allowed(key, value, _ALLOWED[wanted])
    values = _DEFAULTS | dict(given)
    for key in ("title", "question"):
        if not values[key]:
            raise UsageError(f"'{key}' is missing; give it as text.")
    variants = tuple(_variants(values))
    names = [variant.name for variant in variants]
    if not names:
        raise UsageError("There are no variants; add a table such as [variants.plain].")
    base_variant = values["base_variant"] or names[0]
    if base_variant not in names:
        raise unknown_name("base_variant", base_variant, names)
    return Study(
        name=path.stem,
        seeds=_seeds(values["seeds"]),
        variants=variants,
        base_variant=base_variant,
        axis=_axis(values["axis"], variants) if values["axis"] else None,
        test_on=_test_on(values["test_on"], values["data"]),
        text=path.read_text(encoding="utf-8"),
        **{name: values[name] for name in ("title", "question", "cost", "data")},
    )


def _not_allowed(key: str, value: Any, allowed: str) -> UsageError:
    return UsageError(f"'{key}' cannot be {value!r}; allowed: {allowed}.")


def _seeds(value: Any) -> tuple[int, ...]:
    numbers = list(range(value)) if type(value) is int and value <= 1000 else value
    whole = isinstance(numbers, list) and all(type(n) is int and 0 <= n < 2**32 for n in numbers)
    if not numbers or not whole or len(set(numbers)) < len(numbers):
        allowed = "a number of seeds, from 1 to 1,000, or a list of different whole numbers from 0"
        raise _not_allowed("seeds", value, allowed)
    return tuple(numbers)


def _test_on(names: list[Any], own: str) -> tuple[str, ...]:
    texts = all(isinstance(name, str) for name in names)
    if not texts or len({*names, own}) <= len(names):
        allowed = f"{_ALLOWED[list]}, each once, without '{own}', on which all are measured anyway"
        raise _not_allowed("test_on", names, allowed)
    return tuple(names)


def _variants(values: Mapping[str, Any]) -> Iterator[Variant]:
    base = recipe(values["base"]).override(data=values["data"])
    base = _override(base, values["settings"], "[settings]")
    seen: dict[TrainConfig, str] = {}
    for name, table in values["variants"].items():
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"A variant cannot be called {name!r}; allowed: up to 40 letters and digits, and "
                "after the first also . _ + -"
            )
        if not isinstance(table, dict):
            raise _not_allowed(f"variants.{name}", table, _ALLOWED[dict])
        note = table.get("note", "")
        if not isinstance(note, str):
            raise _not_allowed("note", note, _ALLOWED[str])
        settings = {key: value for key, value in table.items() if key != "note"}
        config = _override(base, settings, f"[variants.{name}]")
        if config.is_stream:
            kind = "finder" if config.pages else "line reader"
            raise UsageError(
                f"The variant '{name}' is a {kind}; studies compare readers of digits."
            )
        if twin := seen.get(config):
            raise UsageError(f"The variants '{twin}' and '{name}' have the same settings.")
        seen[config] = name
        yield Variant(name, note, config)


def _override(base: TrainConfig, settings: Mapping[str, Any], table: str) -> TrainConfig:
    if wrong := [name for name in _NOT_SETTINGS if name in settings]:
        raise UsageError(
            f"{table} cannot set '{wrong[0]}'; allowed: single settings, such as dropout = 0.5. "
            "('base', 'data' and 'seeds' at the top of the file are for all variants.)"
        )
    try:
        return base.override(**settings)
    except UsageError as error:
        raise UsageError(f"{table}: {error}") from error


def _axis(name: str, variants: Sequence[Variant]) -> str:
    if name not in setting_names():
        raise UsageError(f"'axis': {unknown_name('setting', name, setting_names())}")
    values = {variant.config.flat()[name] for variant in variants}
    numbers = all(type(value) in (int, float) for value in values)
    if not numbers or len(values) == 1 < len(variants):
        allowed = "a setting that is a number in every variant, and not the same in all"
        raise _not_allowed("axis", name, allowed)
    return name
