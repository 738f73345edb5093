"""The settings of a training run: what they are, what they may be, how they are written down.

Guarantees:

- Every setting has one flat name, the same in Python, as a flag (``--learning-rate``) and in files.
- A config that exists is valid: wrong names, types and values end in a ``UsageError`` sentence.
- ``from_dict(as_dict(c)) == c``; ``config.json`` in a run folder is ``as_dict``.
- Nothing here imports torch, so ``--help`` and config errors are instant.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

from digitnet.errors import InputError, UsageError, unknown_name

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "one-cycle", "exponential", "warm-cosine"]

SCHEMA_VERSION = 1
# Of the schedule "warm-cosine": the fraction of steps in which the rate rises, and the fraction of
# the top rate below which it does not fall.
WARM_UP, LEAST_RATE = 0.12, 0.1
# Height and width of an image, in pixels.
IMAGE_SIZE = 28


def _setting(default: Any, meaning: str, limits: tuple[float, float] | None = None) -> Any:
    """Return a dataclass field that carries its meaning and, of a number, its limits."""
    return field(default=default, metadata={"meaning": meaning, "limits": limits})


_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A convolutional network: blocks of convolutions and max pooling, then dense layers.

    The defaults are the reference network with its 121,930 parameters.
    """

    channels: tuple[int, ...] = _setting(
        (32, 64),
        "Output channels of each block; more entries make the network deeper, larger ones wider.",
    )
    convs_per_block: int = _setting(1, "Convolutions before each max pooling.", (1, 8))
    kernel_size: int = _setting(
        3, "Height and width of every convolution kernel, in pixels.", (1, 11)
    )
    padding: bool = _setting(
        False, "Pad with zeros so that a convolution keeps the size; without, it shrinks the image."
    )
    batch_norm: bool = _setting(
        False, "Batch normalisation between each convolution and its activation."
    )
    residual: bool = _setting(
        False, "Add its input to each convolution but the first of a block; needs --padding."
    )
    dense: tuple[int, ...] = _setting(
        (64,), "Units of the hidden dense layers between the last block and the logits."
    )
    activation: Activation = _setting("relu", "Non-linearity after every hidden layer.")
    dropout: float = _setting(
        0.0, "Fraction of units dropped before each dense layer, in training only.", (0, 0.95)
    )
    conv_dropout: float = _setting(
        0.0, "Fraction of whole channels dropped after each block, in training only.", (0, 0.95)
    )
    canonical: bool = _setting(
        False,
        "First bring ink of any size to a canonical 28 by 28 image: longer side 20 pixels, centre "
        "of mass in the middle.",
    )
    crops: bool = _setting(
        False,
        "Pictures, in folders and to recognise, are cut from rows of writing: neighbours and ruled "
        "lines beside the middle are ignored.",
    )
    reject: bool = _setting(False, "One more output, for 'none of the classes'.")
    num_classes: int = _setting(10, "Number of classes.", (2, 1000))

    def __post_init__(self) -> None:
        _check(self)
        _require(self, "channels", bool(self.channels), "at least one block")
        for name in ("channels", "dense"):
            _require(self, name, all(n >= 1 for n in getattr(self, name)), "numbers from 1")
        odd = self.kernel_size % 2 == 1 or not self.padding
        _require(self, "kernel_size", odd, "an odd number when --padding is on")
        _require(self, "residual", self.padding or not self.residual, "off without --padding")


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """How far training images may be distorted; every amount is drawn anew for each image.

    All zero means no augmentation.
    """

    shift: float = _setting(
        0.0, "Largest shift along each axis, in pixels, before rotation and scale.", (0, 14)
    )
    rotate: float = _setting(0.0, "Largest rotation either way, in degrees.", (0, 180))
    scale: float = _setting(
        0.0, "Largest change of size along each axis: 0.1 gives sizes from 1/1.1 to 1.1.", (0, 1)
    )
    shear: float = _setting(0.0, "Largest slant either way, in degrees.", (0, 60))
    elastic: float = _setting(
        0.0, "Typical size of a smooth random displacement of the pixels, in pixels.", (0, 14)
    )
    stroke: float = _setting(
        0.0,
        "Largest thickening or thinning of strokes: 1 is a full 3 by 3 dilation or erosion.",
        (0, 1),
    )
    style: float = _setting(
        0.0,
        "Fraction of zeros, ones, sevens and nines redrawn in other styles: rings, flags, bars, "
        "curls; classes of other names stay as they are.",
        (0, 1),
    )
    pen: float = _setting(
        0.0,
        "Fraction of images whose strokes are redrawn with a pen of one width, fine or broad.",
        (0, 1),
    )
    faults: float = _setting(
        0.0,
        "Fraction of images with each fault of real pictures: gaps, remains of lines, specks, "
        "blur, and hard edges five times as often.",
        (0, 1),
    )

    def __post_init__(self) -> None:
        _check(self)

    @property
    def is_off(self) -> bool:
        """True when no image is changed."""
        return self == AugmentationConfig()


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides the outcome of a training run."""

    recipe: str = _setting("custom", "Name of the recipe these settings started from.")
    data: str = _setting(
        "mnist",
        "Data set to train, validate and test on, or a folder with one subfolder of pictures for "
        "each class.",
    )
    seed: int = _setting(
        0,
        "Seed of the initial weights, the order of images, augmentation, drawings and dropout.",
        (0, 2**32 - 1),
    )
    epochs: int = _setting(10, "Passes over the training images.", (1, 100_000))
    batch_size: int = _setting(64, "Images in one update of the weights.", (1, 1_000_000))
    optimizer: Optimizer = _setting("adam", "Rule that updates the weights.")
    learning_rate: float = _setting(
        1e-3, "Step size; the largest one where the schedule changes it.", (1e-8, 100)
    )
    schedule: Schedule = _setting(
        "constant", "How the learning rate moves from the first step to the last."
    )
    weight_decay: float = _setting(
        0.0, "Decay of the weights (decoupled for adamw, an L2 penalty otherwise).", (0, 10)
    )
    momentum: float = _setting(0.9, "Momentum of sgd; the other optimizers ignore it.", (0, 0.9999))
    label_smoothing: float = _setting(
        0.0, "Fraction of each label that is spread evenly over all classes.", (0, 0.9)
    )
    non_digits: float = _setting(
        0.0,
        "Drawings of no digit added to each batch, as a fraction of it; the network learns to "
        "refuse them, with --reject.",
        (0, 4),
    )
    val_fraction: float = _setting(
        0.1, "Fraction of the training images of each class set aside for validation."
    )
    split_seed: int = _setting(
        0,
        "Seed of that split, apart from ``seed`` so that runs of many seeds share one split.",
        (0, 2**32 - 1),
    )
    train_images: int = _setting(
        0,
        "Images to train on, the same number of each class, drawn by the seed; 0 takes all. Those "
        "for validation stay the same.",
        (0, 100_000_000),
    )
    early_stopping: int = _setting(
        0,
        "Stop after this many epochs without a lower validation loss and keep the best; 0 is off.",
        (0, 100_000),
    )
    threads: int = _setting(
        0,
        "CPU threads; 0 takes one per core. The last digits of the outcome depend on it.",
        (0, 1024),
    )
    model: ModelConfig = field(default_factory=ModelConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        _check(self)
        _require(self, "val_fraction", 0 < self.val_fraction < 1, "between 0 and 1, both excluded")
        refuses = self.model.reject or not self.non_digits
        _require(self, "non_digits", refuses, "0 without --reject")
        canonical = self.model.canonical or not self.non_digits
        _require(self, "non_digits", canonical, "0 without --canonical")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values, nested as in ``config.json``."""
        return _plain(dataclasses.asdict(self))  # type: ignore[no-any-return]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, base: Self | None = None) -> Self:
        """Build a config from nested plain values, those not given taken from ``base``.

        Raises:
            UsageError: a key is unknown (the nearest is named) or a value is not allowed.
        """
        return _build(cls, values, base or cls())

    def override(self, **settings: Any) -> Self:
        """Return a copy with flat settings replaced: ``override(epochs=3, dropout=0.5)``.

        Raises:
            UsageError: a name is unknown (the nearest is named) or a value is not allowed.
        """
        own: dict[str, Any] = {}
        parts: dict[str, dict[str, Any]] = {}
        for name, value in settings.items():
            part = setting_part(name)
            (parts.setdefault(part, {}) if part else own)[name] = value
        # What is set as a whole, such as ``model``, is what single settings inside it change. All
        # at once, because some settings are allowed only with others.
        for part, values in parts.items():
            own[part] = _build(_PARTS[part], values, _value(part, own.get(part, {}), self))
        return self.from_dict(own, base=self)

    def flat(self) -> dict[str, Any]:
        """Return every setting under its flat name: ``epochs``, ``dropout``, ``rotate``."""
        values = {name: getattr(self, name) for name in _names(TrainConfig)}
        parts = [values.pop(part) for part in _PARTS]
        return values | {name: getattr(part, name) for part in parts for name in _names(type(part))}


_HINTS = {cls: get_type_hints(cls) for cls in (ModelConfig, AugmentationConfig, TrainConfig)}
_PARTS: dict[str, type] = {"model": ModelConfig, "augmentation": AugmentationConfig}


def setting_part(name: str) -> str | None:
    """Return the part a flat setting belongs to ("model", "augmentation"), None for the top.

    Raises:
        UsageError: there is no such setting; the nearest is named.
    """
    for part, cls in _PARTS.items():
        if name in _names(cls):
            return part
    if name in _names(TrainConfig):
        return None
    raise unknown_name("setting", name, setting_names())


def setting_names() -> list[str]:
    """Return the flat names of all settings, in the order of the config classes."""
    return list(TrainConfig().flat())


def setting_meanings() -> dict[str, str]:
    """Return what each setting means, by its flat name."""
    classes = (TrainConfig, *_PARTS.values())
    metadata = {f.name: f.metadata for cls in classes for f in fields(cls)}
    return {name: metadata[name]["meaning"] for name in setting_names()}


def differences(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return in words which values differ, "seed is 0, not 3; …", or nothing when none does."""
    names = [name for name in {**saved, **wanted} if saved.get(name) != wanted.get(name)]
    return "; ".join(f"{name} is {saved.get(name)!r}, not {wanted.get(name)!r}" for name in names)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file of settings, nested as in ``config.json``; checking them is ``from_dict``'s.

    Raises:
        InputError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read the config file {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"The config file {path} is not valid TOML: {error}.") from error


def _build(cls: type[_T], values: Mapping[str, Any], base: _T) -> _T:
    if not isinstance(values, Mapping):
        raise UsageError(f"Expected a table of settings for {cls.__name__}, got {values!r}.")
    for name in values:
        if name not in _names(cls):
            raise _unknown_setting(name, cls)
    changes = {name: _value(name, value, base) for name, value in values.items()}
    return dataclasses.replace(base, **changes)  # type: ignore[type-var]


def _unknown_setting(name: str, cls: type) -> UsageError:
    part = next((p for p, inner in _PARTS.items() if name in _names(inner)), None)
    if part and _PARTS[part] is not cls:
        return UsageError(f"The setting '{name}' belongs in the table [{part}].")
    return unknown_name("setting", name, _names(cls))


def _value(name: str, value: Any, base: Any) -> Any:
    """Return one plain value as its field wants it: tables to configs, lists to tuples."""
    if name in _PARTS:
        part = getattr(base, name)
        return value if isinstance(value, _PARTS[name]) else _build(_PARTS[name], value, part)
    if isinstance(value, list | tuple):
        return tuple(map(_scalar, value))
    value = _scalar(value)
    # JSON and TOML write 1 for 1.0 where a number is meant.
    if type(value) is int and _HINTS[type(base)][name] is float:
        # An integer too large for a float stays one, for the range check to refuse.
        with contextlib.suppress(OverflowError):
            return float(value)
    return value


def _scalar(value: Any) -> Any:
    """Return a number of NumPy or torch, such as sweeps yield, as Python's own."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def _names(cls: type) -> list[str]:
    return [f.name for f in fields(cls)]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _check(config: Any) -> None:
    """Refuse a setting of another type than its field, or outside its range.

    Raises:
        UsageError: the message names flag, value, and what is allowed.
    """
    for setting in fields(config):
        name, hint = setting.name, _HINTS[type(config)][setting.name]
        value = getattr(config, name)
        if get_origin(hint) is Literal:
            if value not in get_args(hint):
                raise unknown_name(name.replace("_", " "), str(value), get_args(hint))
        elif get_origin(hint) is tuple:
            whole = isinstance(value, tuple) and all(type(n) is int for n in value)
            _require(config, name, whole, "whole numbers")
        elif hint is float:
            # A whole number is a fine float; True is not, though Python calls it an int.
            _require(config, name, type(value) in (int, float), "a number")
        else:
            fits = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
            _require(config, name, fits, _TYPE_NAMES.get(hint, hint.__name__))
        if limits := setting.metadata.get("limits"):
            low, high = limits
            # Written so that NaN fails too.
            _require(config, name, low <= value <= high, f"from {low:,} to {high:,}")


_TYPE_NAMES = {int: "a whole number", bool: "true or false", str: "text"}


def _require(config: Any, name: str, condition: bool, allowed: str) -> None:
    if not condition:
        flag = "--" + name.replace("_", "-")
        raise UsageError(f"{flag} cannot be {getattr(config, name)!r}; allowed: {allowed}.")
