"""The settings of a training run: what they are, what they may be, how they are written down.

Guarantees:

- Every setting has one flat name, the same in Python, as a flag (``--learning-rate``) and in files.
- What a setting means stands in the docstring of its class; the help of its flag says the same.
- A config that exists is valid: wrong names, types and values end in a ``UsageError`` sentence.
- ``from_dict(as_dict(c)) == c``; ``config.json`` in a run folder is ``as_dict``.
- Nothing here imports torch, so ``--help`` and config errors are instant.
"""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

from digitnet.errors import InputError, UsageError, unknown_name
from digitnet.text import described

Activation = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]
Optimizer = Literal["adam", "adamw", "sgd", "muon"]
Schedule = Literal["constant", "cosine", "one-cycle", "exponential", "warm-cosine"]
GlobalPooling = Literal["none", "mean", "max-mean"]

SCHEMA_VERSION = 1
# Of the schedule "warm-cosine": the fraction of steps in which the rate rises, and the fraction of
# the top rate below which it does not fall.
WARM_UP, LEAST_RATE = 0.12, 0.1
# Height and width of an image, in pixels.
IMAGE_SIZE = 28


def _limited(default: float, low: float, high: float) -> Any:
    """Return a dataclass field for a number from ``low`` to ``high``."""
    return field(default=default, metadata={"limits": (low, high)})


_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A convolutional network: blocks of convolutions and max pooling, then dense layers.

    The defaults are the reference network with its 121,930 parameters.

    Args:
        border: Rows and columns of pixels left out at each edge of the image; MNIST's digits have
            next to no ink there.
        stem: Output channels of a first block with one convolution only; 0 has none.
        channels: Output channels of each block; more entries make the network deeper, larger ones
            wider.
        convs_per_block: Convolutions before each max pooling.
        kernel_size: Height and width of every convolution kernel, in pixels.
        stride: Step of the first convolution, in pixels; 2 takes a quarter of the work. Later
            convolutions always step by 1.
        padding: Pad with zeros so that a convolution keeps the size; without, it shrinks the image.
        separable: Depthwise separable convolutions (one filter for each input channel, then a
            mixture of channels), except in the first layer.
        shared_filters: The filters of the first convolution are those of all others too, which
            differ in their mixtures only; needs --separable, and one number of channels.
        mixtures: Different mixtures of channels, which separable convolutions use in turn; 0 gives
            each its own. Needs one number of channels.
        symmetric: Mixtures are symmetric matrices, so that 16 channels take 136 numbers and not
            256; needs --mixtures, and an even number of channels.
        batch_norm: Batch normalisation between each convolution and its activation.
        norm_scale: A scale for each channel in batch normalisation, besides a shift. Without it,
            pooling comes before normalisation, which then has a quarter of the pixels.
        residual: Add its input to each convolution but the first of a block; needs --padding.
        squeeze_excite: Weigh the channels of each block by what their means say, through a hidden
            layer of so many times fewer units than channels; 0 does not.
        global_pooling: What is kept of each channel of the last block: every pixel with none, else
            its mean, or its maximum and its mean.
        pool_phases: Pool the last block but one at all four places where 2 by 2 squares can begin;
            the last layer sees the mean of what follows. Needs --padding and two blocks.
        test_shifts: Pixels by which an image is shifted each way, outside training; what the last
            layer sees is the mean over all places. At most --border.
        dense: Units of the hidden dense layers between the last block and the logits.
        activation: Non-linearity after every hidden layer.
        dropout: Fraction of units dropped before each dense layer, in training only.
        conv_dropout: Fraction of whole channels dropped after each block, in training only.
        canonical: First bring ink of any size to a canonical 28 by 28 image: longer side 20 pixels,
            centre of mass in the middle.
        crops: Pictures, in folders and to recognise, are cut from rows of writing: neighbours and
            ruled lines beside the middle are ignored.
        reject: One more output, for 'none of the classes'.
        num_classes: Number of classes.
    """

    border: int = _limited(0, 0, 10)
    stem: int = _limited(0, 0, 4096)
    channels: tuple[int, ...] = (32, 64)
    convs_per_block: int = _limited(1, 1, 8)
    kernel_size: int = _limited(3, 1, 11)
    stride: int = _limited(1, 1, 4)
    padding: bool = False
    separable: bool = False
    shared_filters: bool = False
    mixtures: int = _limited(0, 0, 64)
    symmetric: bool = False
    batch_norm: bool = False
    norm_scale: bool = True
    residual: bool = False
    squeeze_excite: int = _limited(0, 0, 1024)
    global_pooling: GlobalPooling = "none"
    pool_phases: bool = False
    test_shifts: int = _limited(0, 0, 10)
    dense: tuple[int, ...] = (64,)
    activation: Activation = "relu"
    dropout: float = _limited(0.0, 0, 0.95)
    conv_dropout: float = _limited(0.0, 0, 0.95)
    canonical: bool = False
    crops: bool = False
    reject: bool = False
    num_classes: int = _limited(10, 2, 1000)

    def __post_init__(self) -> None:
        _check(self)
        _require(self, "channels", bool(self.channels), "at least one block")
        for name in ("channels", "dense"):
            _require(self, name, all(n >= 1 for n in getattr(self, name)), "numbers from 1")
        odd = self.kernel_size % 2 == 1 or not self.padding
        _require(self, "kernel_size", odd, "an odd number when --padding is on")
        _require(self, "stride", self.stride == 1 or not self.padding, "1 with --padding")
        _require(self, "residual", self.padding or not self.residual, "off without --padding")
        one_width = len({self.stem or self.channels[0], *self.channels}) == 1
        for name, off in (("shared_filters", "off"), ("mixtures", "0")):
            shareable = (self.separable and one_width) or not getattr(self, name)
            allowed = f"{off} without --separable and one number of channels"
            _require(self, name, shareable, allowed)
        packable = bool(self.mixtures) and self.channels[0] % 2 == 0
        allowed = "off without --mixtures and an even number of channels"
        _require(self, "symmetric", packable or not self.symmetric, allowed)
        poolable = self.padding and len(self.channels) + bool(self.stem) > 1
        allowed = "off without --padding and two blocks"
        _require(self, "pool_phases", poolable or not self.pool_phases, allowed)
        _require(self, "norm_scale", self.batch_norm or self.norm_scale, "on without --batch-norm")
        most = f"from 0 to {self.border}, the --border"
        _require(self, "test_shifts", self.test_shifts <= self.border, most)


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """How far training images may be distorted; every amount is drawn anew for each image.

    All zero means no augmentation.

    Args:
        shift: Largest shift along each axis, in pixels, before rotation and scale.
        rotate: Largest rotation either way, in degrees.
        scale: Largest change of size along each axis: 0.1 gives sizes from 1/1.1 to 1.1.
        shear: Largest slant either way, in degrees.
        elastic: Typical size of a smooth random displacement of the pixels, in pixels.
        stroke: Largest thickening or thinning of strokes: 1 is a full 3 by 3 dilation or erosion.
        style: Fraction of zeros, ones, sevens and nines, and a third of it of fives, redrawn with
            rings, flags, bars, curls; classes of other names stay as they are.
        pen: Fraction of images whose strokes are redrawn with a pen of one width, fine or broad.
        faults: Fraction of images with each fault of real pictures: gaps, remains of lines, specks,
            blur, and hard edges five times as often.
    """

    shift: float = _limited(0.0, 0, 14)
    rotate: float = _limited(0.0, 0, 180)
    scale: float = _limited(0.0, 0, 1)
    shear: float = _limited(0.0, 0, 60)
    elastic: float = _limited(0.0, 0, 14)
    stroke: float = _limited(0.0, 0, 1)
    style: float = _limited(0.0, 0, 1)
    pen: float = _limited(0.0, 0, 1)
    faults: float = _limited(0.0, 0, 1)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def is_off(self) -> bool:
        """True when no image is changed."""
        return self == AugmentationConfig()


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that decides the outcome of a training run.

    Args:
        recipe: Name of the recipe these settings started from.
        data: Data set to train, validate and test on, or a folder with one subfolder of pictures
            for each class.
        seed: Seed of the initial weights, the order of images, augmentation, drawings and dropout.
        epochs: Passes over the training images.
        batch_size: Images in one update of the weights.
        optimizer: Rule that updates the weights; muon is for matrices and filters, with adamw for
            the rest.
        learning_rate: Step size; the largest one where the schedule changes it.
        schedule: How the learning rate moves from the first step to the last.
        weight_decay: Decay of the weights (decoupled for adamw and muon, an L2 penalty for adam
            and sgd).
        momentum: Momentum of sgd; the other optimizers ignore it.
        beta1: Decay, at each step, of the mean of gradients that adam and adamw follow, and adamw
            beside muon.
        beta2: Decay, at each step, of the mean of squared gradients in adam and adamw; a smaller
            one adapts faster when steps are few.
        label_smoothing: Fraction of each label that is spread evenly over all classes.
        averaging: Decay, at each step, of the moving average of the weights that is validated and
            saved instead of the last weights; 0 is off.
        plain_fraction: Fraction of the epochs, the last ones, in which images are not distorted.
        non_digits: Drawings of no digit added to each batch, as a fraction of it; the network
            learns to refuse them, with --reject.
        hands: Digits of other hands added to each batch, as a fraction of it: pen strokes of
            UNIPEN drawn with any pen, bitmaps of optdigits, and styles that are rare.
        signs: Letters and symbols of other hands, several digits in one, pieces and boxes, added to
            each batch, as a fraction of it; refused like --non-digits.
        found: What digitnet's finder finds on synthetic pages, added to each batch, as a fraction
            of it: digits as pictures give them, and what is none, to be refused.
        bfloat16: Train with numbers of 16 bits where convolutions allow it; up to 1.6 times as fast
            on processors that compute with them.
        val_fraction: Fraction of the training images of each class set aside for validation.
        split_seed: Seed of that split, apart from the other seed, so that runs of many seeds share
            one split.
        train_images: Images to train on, the same number of each class, drawn by the seed; 0 takes
            all. Those for validation stay the same.
        pages: Synthetic pages in an epoch, from which the finder learns where signs are; 0 trains a
            network that reads images.
        lines: Synthetic lines in an epoch, from which the line reader learns to read without
            cutting apart; 0 trains another network.
        early_stopping: Stop after this many epochs without a lower validation loss and keep the
            best; 0 is off.
        start_from: Run folder or weights file of a network of the same architecture, to learn on
            from; empty starts from random weights.
        threads: CPU threads; 0 takes one per core. The last digits of the outcome depend on it.
    """

    recipe: str = "custom"
    data: str = "mnist"
    seed: int = _limited(0, 0, 2**32 - 1)
    epochs: int = _limited(10, 1, 100_000)
    batch_size: int = _limited(64, 1, 1_000_000)
    optimizer: Optimizer = "adam"
    learning_rate: float = _limited(1e-3, 1e-8, 100)
    schedule: Schedule = "constant"
    weight_decay: float = _limited(0.0, 0, 10)
    momentum: float = _limited(0.9, 0, 0.9999)
    beta1: float = _limited(0.9, 0, 0.9999)
    beta2: float = _limited(0.999, 0, 0.999_999)
    label_smoothing: float = _limited(0.0, 0, 0.9)
    averaging: float = _limited(0.0, 0, 0.999_999)
    plain_fraction: float = _limited(0.0, 0, 1)
    non_digits: float = _limited(0.0, 0, 4)
    hands: float = _limited(0.0, 0, 4)
    signs: float = _limited(0.0, 0, 4)
    found: float = _limited(0.0, 0, 4)
    bfloat16: bool = False
    val_fraction: float = 0.1
    split_seed: int = _limited(0, 0, 2**32 - 1)
    train_images: int = _limited(0, 0, 100_000_000)
    pages: int = _limited(0, 0, 1_000_000)
    lines: int = _limited(0, 0, 10_000_000)
    early_stopping: int = _limited(0, 0, 100_000)
    start_from: str = ""
    threads: int = _limited(0, 0, 1024)
    model: ModelConfig = field(default_factory=ModelConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def __post_init__(self) -> None:
        _check(self)
        _require(self, "val_fraction", 0 < self.val_fraction < 1, "between 0 and 1, both excluded")
        # With a constant rate a run may be extended, and no epoch is known to be one of the last.
        ends = self.schedule != "constant" or not self.plain_fraction
        _require(self, "plain_fraction", ends, "0 with the schedule constant")
        for name in ("non_digits", "signs", "found"):
            refuses = self.model.reject or not getattr(self, name)
            _require(self, name, refuses, "0 without --reject")
        for name in ("non_digits", "hands", "signs", "found"):
            canonical = self.model.canonical or not getattr(self, name)
            _require(self, name, canonical, "0 without --canonical")
        for name in ("pages", "lines"):
            if getattr(self, name):
                self._refuse_settings_of_images(name)

    def _refuse_settings_of_images(self, stream: str) -> None:
        """Refuse what a network that learns from a stream has no use for."""
        largest_batch = getattr(self, stream) >= self.batch_size
        _require(self, stream, largest_batch, "0, or --batch-size and more")
        flags = ("early_stopping", "train_images", "label_smoothing", "averaging")
        for name in (
            *flags,
            "plain_fraction",
            *(("bfloat16", "lines") if stream == "pages" else ("pages",)),
        ):
            _require(self, name, not getattr(self, name), f"its default with --{stream}")
        # The network has one shape; its data decide these two.
        usual = dataclasses.replace(self.model, crops=False, num_classes=10) == ModelConfig()
        whole = usual and self.augmentation.is_off
        _require(self, stream, whole, "0 with settings of images or of what reads them")

    @property
    def distorted_epochs(self) -> int:
        """How many epochs, the first ones, learn from distorted images."""
        return round(self.epochs * (1 - self.plain_fraction))

    @property
    def is_stream(self) -> bool:
        """Whether a network learns from what is drawn for it, a finder or a line reader."""
        return bool(self.pages or self.lines)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values, nested as in ``config.json``."""
        return dataclasses.asdict(self, dict_factory=_plain)

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
# The type of each setting, by its flat name.
SETTING_TYPES = {name: hint for hints in _HINTS.values() for name, hint in hints.items()}
_PARTS: dict[str, type] = {"model": ModelConfig, "augmentation": AugmentationConfig}


def setting_part(name: str) -> str | None:
    """Return the part a flat setting belongs to ("model", "augmentation"), None for the top.

    Raises:
        UsageError: there is no such setting; the nearest is named.
    """
    for part, cls in (*_PARTS.items(), (None, TrainConfig)):
        if name in _names(cls):
            return part
    raise unknown_name("setting", name, setting_names())


def setting_names() -> list[str]:
    """Return the flat names of all settings, in the order of the config classes."""
    return list(TrainConfig().flat())


def setting_meanings() -> dict[str, str]:
    """Return what each setting means, by its flat name."""
    docstrings = (inspect.cleandoc(cls.__doc__ or "") for cls in (TrainConfig, *_PARTS.values()))
    return {name: text for each in docstrings for name, (_, text) in described(each).items()}


def differences(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return in words which values differ, "seed is 0, not 3; …", or nothing when none does."""
    names = [name for name in {**saved, **wanted} if saved.get(name) != wanted.get(name)]
    return "; ".join(f"{name} is {saved.get(name)!r}, not {wanted.get(name)!r}" for name in names)


def read_toml(path: Path, kind: str = "config") -> dict[str, Any]:
    """Read a TOML file of settings, nested as in ``config.json``; checking them is ``from_dict``'s.

    Raises:
        InputError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"Cannot read the {kind} file {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"The {kind} file {path} is not valid TOML: {error}.") from error


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


def _plain(values: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in values}


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
