"""The rules that update weights, made from the settings.

Guarantees:

- Each is torch's own, and its state goes into a checkpoint and back, bit for bit.
- ``muon`` is two of them, which look like one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

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
    the weights of dense layers, mixtures of channels (symmetric ones as they are packed), and
    convolutions of several channels, of which each filter is a row.

    Args:
        groups: of weights, each with its rate, which both use.
        betas: of AdamW.
        decay: of all weights.
    """

    def __init__(self, groups: _Groups, betas: tuple[float, float], decay: float) -> None:
        others = _part(groups, matrices=False)
        # torch's Muon takes weights of two dimensions only: for filters, copies.
        matrices, self._copies = [], list[tuple[nn.Parameter, nn.Parameter]]()
        for group in _part(groups, matrices=True):
            params = [self._flat(weight) for weight in group["params"]]
            matrices.append(group | {"params": params})
        muon = torch.optim.Muon(matrices, weight_decay=decay)
        adamw = torch.optim.AdamW(others, betas=betas, weight_decay=decay, fused=True)
        self._parts = (muon, adamw)
        super().__init__([*muon.param_groups, *adamw.param_groups], {})

    def _flat(self, weight: nn.Parameter) -> nn.Parameter:
        """Return a weight itself, or the copy of a filter that has two dimensions."""
        if weight.ndim == 2:
            return weight
        copy = nn.Parameter(weight.detach().flatten(1).clone())
        self._copies.append((weight, copy))
        return copy

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update all weights from their gradients."""
        muon, adamw = self._parts
        count = len(muon.param_groups)
        # A checkpoint that is loaded replaces the state and the groups.
        muon.param_groups, adamw.param_groups = self.param_groups[:count], self.param_groups[count:]
        muon.state = adamw.state = self.state
        for weight, copy in self._copies:
            copy.data.copy_(weight.detach().flatten(1))
            copy.grad = None if weight.grad is None else weight.grad.flatten(1)
        muon.step(closure)  # type: ignore[no-untyped-call]
        adamw.step()
        for weight, copy in self._copies:
            weight.data.copy_(copy.detach().view_as(weight))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, also those of which ``step`` works on copies."""
        super().zero_grad(set_to_none)
        for weight, _ in self._copies:
            weight.grad = None


def _part(groups: _Groups, *, matrices: bool) -> _Groups:
    """Return the groups with their matrices only, or without them."""
    parts = [
        group | {"params": [each for each in group["params"] if _is_matrix(each) == matrices]}
        for group in groups
    ]
    return [part for part in parts if part["params"]]


def _is_matrix(weight: nn.Parameter) -> bool:
    return weight.ndim == 2 or (weight.ndim == 4 and weight.shape[1] > 1)
