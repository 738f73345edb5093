"""What a study is, and the file that says it.

    title = "Dropout"
    question = "How much dropout is best?"
    base = "reference"          # the recipe that every variant starts from
    data = "mnist"
    seeds = 3                   # or [0, 1, 2]
    base_variant = "none"       # which one the others are compared with; default: the first
    axis = "dropout"            # a setting to draw the figure against, if its values are numbers
    test_on = ["usps"]          # more data sets to measure every network on

    [settings]                  # for all variants
    epochs = 5

    [variants.none]
    note = "no dropout at all"
    dropout = 0.0

    [variants.half]
    dropout = 0.5

Guarantees: a ``Study`` that exists is valid; whatever is wrong with a file ends in a ``UsageError``
sentence that names the file, the variant and what is allowed.
"""

from __future__ import annotations

import importlib.resources
import os
import re
from collections.abc import Iterable, Mapping, Sequence
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
# Set by other keys of the file, by the data, or only as a whole.
_NOT_SETTINGS = ("recipe", "data", "seed", "num_classes", "model", "augmentation")
# A variant's name is part of a folder's.
_NAME = re.compile(r"\w[\w.+-]{0,39}")


@dataclass(frozen=True)
class Variant:
    """One of the things that a study compares."""

    name: str
    note: str
    """A few words more about it, or nothing."""
    config: TrainConfig
    """Its settings, but for the seed."""


@dataclass(frozen=True)
class Study:
    """A question, and the variants whose comparison answers it."""

    name: str
    """The name of its file, without the ending."""
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
    """The file."""

    @property
    def default_folder(self) -> Path:
        """Where it goes unless told otherwise."""
        return Path("studies") / self.name


def load_study(source: str | Path) -> Study:
    """Read a study.

    Args:
        source: a file, or the name of a study that ships.

    Raises:
        InputError: the file cannot be read or is not TOML.
        UsageError: there is no study of this name, or the file does not say what a study needs.
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
    with importlib.resources.as_file(_shipped() / f"{source}.toml") as file:
        return _read(file)


def shipped_studies() -> list[Study]:
    """Return the studies that are part of digitnet, by name."""
    return [load_study(name) for name in _shipped_names()]


def _shipped() -> Any:
    return importlib.resources.files("digitnet") / "assets" / "studies"


def _shipped_names() -> list[str]:
    return sorted(
        file.name.removesuffix(".toml")
        for file in _shipped().iterdir()
        if file.name.endswith(".toml")
    )


def _read(path: Path) -> Study:
    values = read_toml(path)
    try:
        return _study(path.stem, values, path.read_text(encoding="utf-8"))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _study(name: str, values: Mapping[str, Any], text: str) -> Study:
    for key in values:
        if key not in _KEYS:
            raise _unknown_key(key)
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
        axis=_axis(values, variants),
        test_on=_test_on(values),
        text=text,
    )


def _unknown_key(key: str) -> UsageError:
    if key in setting_names():
        return UsageError(
            f"The setting '{key}' belongs in the table [settings], or in that of a variant."
        )
    return unknown_name("key", key, _KEYS)


def _text(values: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = values.get(key, default)
    if value is None:
        raise UsageError(f"'{key}' is missing; give it as text.")
    if not isinstance(value, str):
        raise UsageError(f"'{key}' cannot be {value!r}; allowed: text.")
    return value


def _seeds(value: Any) -> tuple[int, ...]:
    if type(value) is int and 1 <= value <= 1000:
        return tuple(range(value))
    whole = isinstance(value, list) and all(type(n) is int and 0 <= n < 2**32 for n in value)
    if not whole or not value or len(set(value)) < len(value):
        raise UsageError(
            f"'seeds' cannot be {value!r}; allowed: how many, from 1 to 1,000, or a list of "
            "different whole numbers from 0."
        )
    return tuple(value)


def _test_on(values: Mapping[str, Any]) -> tuple[str, ...]:
    names = values.get("test_on", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"'test_on' cannot be {names!r}; allowed: a list of names of data sets.")
    own = values.get("data", "mnist")
    if len({*names, own}) <= len(names):
        raise UsageError(
            f"'test_on' cannot be {names!r}; each data set once, and not '{own}', on whose test "
            "images every network is measured anyway."
        )
    return tuple(names)


def _variants(values: Mapping[str, Any]) -> Iterable[Variant]:
    tables = _table(values.get("variants", {}), "variants")
    if not tables:
        raise UsageError("There are no variants; add a table such as [variants.plain].")
    base = recipe(_text(values, "base", "reference")).override(data=_text(values, "data", "mnist"))
    base = _override(base, _table(values.get("settings", {}), "settings"), "[settings]")
    seen: dict[TrainConfig, str] = {}
    for name, table in tables.items():
        where = f"[variants.{name}]"
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"A variant cannot be called {name!r}; allowed: up to 40 letters and digits, and "
                "any of . _ + - behind the first."
            )
        settings = dict(_table(table, f"variants.{name}"))
        note = _text(settings, "note", "")
        settings.pop("note", None)
        config = _override(base, settings, where)
        if twin := seen.get(config):
            raise UsageError(f"The variants '{twin}' and '{name}' have the same settings.")
        seen[config] = name
        yield Variant(name, note, config)


def _table(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"'{name}' cannot be {value!r}; allowed: a table of settings.")
    return value


def _override(base: TrainConfig, settings: Mapping[str, Any], where: str) -> TrainConfig:
    for name in settings:
        if name in _NOT_SETTINGS:
            key = {"seed": "seeds", "recipe": "base"}.get(name, name)
            remedy = (
                f"it is the same for all variants; give '{key}' at the top of the file"
                if key in _KEYS
                else "give single settings, such as dropout = 0.5"
            )
            raise UsageError(f"{where} cannot set '{name}': {remedy}.")
    try:
        return base.override(**settings)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _axis(values: Mapping[str, Any], variants: Sequence[Variant]) -> str | None:
    if "axis" not in values:
        return None
    name = _text(values, "axis")
    if name not in setting_names():
        raise UsageError(f"'axis': {unknown_name('setting', name, setting_names())}")
    for variant in variants:
        value = variant.config.flat()[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(
                f"'axis' cannot be '{name}': its value {value!r} of variant '{variant.name}' is "
                "no number."
            )
    if len({variant.config.flat()[name] for variant in variants}) == 1 < len(variants):
        raise UsageError(
            f"'axis' cannot be '{name}': it has the same value in all variants. Name the setting "
            "in which they differ."
        )
    return name
