"""The ways to learn a new task, and their settings.

    zero-shot  the network as it is; only where the classes are the same
    probe      a new last layer, fitted to features that stay as they are
    head       the dense layers are tuned, the convolutions stay as they are
    all        every layer is tuned, early ones at a lower rate
    scratch    the same network, begun from nothing: the rival

Guarantees: the settings of a method are the same for every data set; a ``TransferConfig`` that
exists is valid. Nothing here imports torch.

Lower rates for early layers are the discriminative fine-tuning of Howard and Ruder, "Universal
language model fine-tuning for text classification" (ACL 2018).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from digitnet.errors import UsageError, unknown_name
from digitnet.network.config import AugmentationConfig

Method = Literal["zero-shot", "probe", "head", "all", "scratch"]
METHODS: tuple[Method, ...] = ("zero-shot", "probe", "head", "all", "scratch")
TUNED: tuple[Method, ...] = ("head", "all", "scratch")

# Labels a class; 0 stands for all there are.
BUDGETS = (10, 30, 100, 300, 1000, 0)

BATCH_SIZE = 64
WEIGHT_DECAY = 0.02
LABEL_SMOOTHING = 0.05
# Share of the steps in which the rate rises, so that a new layer finds its place first.
WARM_UP = 0.12
# Share of the steps, the last ones, over which the weights are averaged; the rate stays above this
# share of its top, so that they have something to average.
AVERAGED, LEAST_RATE = 0.5, 0.1
# Weight of reading old images as the source reads them, and the temperature it is compared at.
REMEMBERING, TEMPERATURE = 2.0, 2.0
_REPLAY, _REPLAY_CROPS = 0.4, 0.2
_FEWEST_STEPS, _MOST_STEPS = 40, 400
# To look past neighbours and rules is more to learn than another hand.
_CROPS_STEPS = 3.5
# Images of the old task to choose from when it is replayed, and its drawings of no digit.
REPLAYED, NON_DIGITS = 6_000, 400

# Milder than a network is first trained with: it knows what pens and paper do.
AUGMENTATION = AugmentationConfig(
    rotate=8, scale=0.15, shear=8, elastic=0.6, stroke=0.3, faults=0.02
)


@dataclass(frozen=True)
class Rates:
    """How fast a method's layers learn."""

    learning_rate: float
    """Of the last layer, at the top of the schedule."""
    layer_decay: float
    """The rate of each layer is that of the next one times this; 0 leaves blocks as they are."""


RATES: dict[Method, Rates] = {
    "head": Rates(3e-3, 0.0),
    "all": Rates(4e-3, 0.8),
    "scratch": Rates(4e-3, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class TransferConfig:
    """What a comparison compares, and how a network is tuned.

    Args:
        methods: some of ``METHODS``.
        labels: images of each class to learn from; 0 takes all.
        seeds: how many repetitions; each draws other images.
        replay: share of each batch that is taken from the old task, 0 to 0.9; None takes 0.4, or
            0.2 with ``crops``, where there is more to learn.
        steps: updates of the weights; 0 lets the number of images decide.
        crops: whether the pictures are cut from rows of writing, with bits of what stands beside:
            only their middle is read, and the network is shown such rows.
        threads: CPU threads; 0 takes one a core.
    """

    methods: tuple[Method, ...] = METHODS
    labels: tuple[int, ...] = BUDGETS
    seeds: int = 3
    replay: float | None = None
    steps: int = 0
    crops: bool = False
    threads: int = 0

    def __post_init__(self) -> None:
        for method in self.methods:
            if method not in METHODS:
                raise unknown_name("method", str(method), METHODS)
        if len(set(self.methods)) < max(len(self.methods), 1):
            raise UsageError("--methods names none, or one twice; name each at most once.")
        if not self.labels or any(type(n) is not int or n < 0 for n in self.labels):
            raise UsageError(
                f"--labels cannot be {list(self.labels)}; allowed: numbers of images a class, "
                "from 1, and 'all'."
            )
        # Written so that NaN fails too.
        if not 0 <= self.replayed <= 0.9:
            raise UsageError(f"--replay cannot be {self.replay}; allowed: a share from 0 to 0.9.")
        for name, low, high in (("seeds", 1, 100), ("steps", 0, 100_000), ("threads", 0, 1024)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise UsageError(f"--{name} cannot be {value!r}; allowed: from {low} to {high:,}.")

    @property
    def replayed(self) -> float:
        """The share of each batch that is taken from the old task."""
        return self.replay if self.replay is not None else _REPLAY_CROPS if self.crops else _REPLAY

    def steps_for(self, images: int) -> int:
        """Return how many steps to take with so many images of the new task."""
        # Four times the images deserve twice the steps: each image teaches less than the last.
        wanted = max(4 * math.sqrt(images), _FEWEST_STEPS) * (_CROPS_STEPS if self.crops else 1)
        return self.steps or min(round(wanted), _MOST_STEPS)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, with everything that is fixed."""
        return {
            **{name: _plain(value) for name, value in dataclasses.asdict(self).items()},
            "replay": self.replayed,
            "batch_size": BATCH_SIZE,
            "weight_decay": WEIGHT_DECAY,
            "label_smoothing": LABEL_SMOOTHING,
            "warm_up": WARM_UP,
            "averaged": AVERAGED,
            "remembering": REMEMBERING,
            "rates": {method: dataclasses.asdict(rates) for method, rates in RATES.items()},
            "augmentation": dataclasses.asdict(AUGMENTATION),
        }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
