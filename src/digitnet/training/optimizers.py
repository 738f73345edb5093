"""The rules that update weights, made from the settings.

Guarantees:

- Each is torch's own, and its state goes into a checkpoint and back, bit for bit.
- ``muon`` is two of them, which look like one.
"""

from __future__ import annotations

from typing import Any

import torch

from digitnet.network.config import TrainConfig

_Groups = list[dict[str, Any]]


def make_optimizer(groups: _Groups, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimizer that ``config`` wants, of groups of weights with their top rates."""
    for group in groups:
        group["initial_lr"] = group["lr"]
    decay, betas = config.weight_decay, (config.beta1, config.beta2)
    # fused: one pass over all weights instead of one for each of them and each operation.
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=config.momentum, weight_decay=decay, fused=True)
    if config.optimizer == "muon":
        return MuonWithAdamW(groups, betas, decay)
    cls = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return cls(groups, betas=betas, weight_decay=decay, fused=True)


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for matrices, whose steps it makes orthogonal, and AdamW for all other weights.

    Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024). Matrices are
    weights of two dimensions: those of dense layers, and mixtures of channels.

    Args:
        groups: of weights, each with its rate, which both use.
        betas: of AdamW.
        decay: of all weights.
    """

    def __init__(self, groups: _Groups, betas: tuple[float, float], decay: float) -> None:
        muon = torch.optim.Muon(_part(groups, matrices=True), weight_decay=decay)
        adamw = torch.optim.AdamW(
            _part(groups, matrices=False), betas=betas, weight_decay=decay, fused=True
        )
        self._parts = (muon, adamw)
        super().__init__([*muon.param_groups, *adamw.param_groups], {})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update all weights from their gradients."""
        muon, adamw = self._parts
        count = len(muon.param_groups)
        # A checkpoint that is loaded replaces the state and the groups.
        muon.param_groups, adamw.param_groups = self.param_groups[:count], self.param_groups[count:]
        muon.state = adamw.state = self.state
        muon.step(closure)  # type: ignore[no-untyped-call]
        adamw.step()


def _part(groups: _Groups, *, matrices: bool) -> _Groups:
    """Return the groups with their matrices only, or without them."""
    parts = [
        group | {"params": [each for each in group["params"] if (each.ndim == 2) == matrices]}
        for group in groups
    ]
    return [part for part in parts if part["params"]]
