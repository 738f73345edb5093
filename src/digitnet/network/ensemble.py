"""One network or several: what is said of an image, its logits, its strangeness and its features.

Guarantees: several networks answer as one, with the mean of their probabilities,

    p(c | x) = 1/M · Σₘ softmax(zₘ(x))_c,

where zₘ(x) are the logits of member m: B. Lakshminarayanan, A. Pritzel and C. Blundell, "Simple and
scalable predictive uncertainty estimation using deep ensembles" (NeurIPS 2017). What stands for the
logits of an ensemble is the logarithm of p, whose softmax is p again; so whatever is done with the
logits of one network, such as a temperature, is done with those of several.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from digitnet.network.cnn import CNN

# The weight of the energy besides the log odds: more of it refuses fewer zeros drawn as a ring, and
# more broad ones.
ENERGY = 0.5


class Ensemble(nn.Module):
    """Networks of one shape that answer as one.

    Args:
        members: two or more, in evaluation mode, of the same ``config``.
    """

    members: Sequence[CNN]

    def __init__(self, members: Sequence[CNN]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)  # type: ignore[assignment]

    @property
    def canonical(self) -> nn.Module:
        """What comes before the first layer of each member, as of a ``CNN``."""
        return self.members[0].canonical

    @property
    def num_parameters(self) -> int:
        """Number of trained weights and biases of all members."""
        return sum(member.num_parameters for member in self.members)


def answer(model: CNN | Ensemble, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what is said of images, (N, 1, 28, 28), as the network's first layer takes them.

    A network scores ink by the free energy of the classes' logits (Liu, Wang, Owens and Li,
    "Energy-based out-of-distribution detection", NeurIPS 2020); if it has an output for none of
    them, by half of it plus the log odds of that output. The odds alone refuse round zeros: no
    digit of MNIST is as even as a ring, and some drawings that are not digits are. The score of an
    ensemble is the mean of its members' scores, and its features are those of all of them.

    Returns:
        The logits of the classes, (N, classes); the ood_score, (N,), larger is stranger; and the
        features, what the last layer sees, (N, units).
    """
    if isinstance(model, Ensemble):
        answers = [answer(member, images) for member in model.members]
        digits, scores, seen = zip(*answers, strict=True)
        return pooled(digits), torch.stack(scores).mean(dim=0), torch.cat(seen, dim=1)
    features = model.features_of(images)
    logits = model.head[-1](features)
    classes = logits[:, : model.config.num_classes]
    energy = -torch.logsumexp(classes, dim=1)
    score = logits[:, -1] + (1 + ENERGY) * energy if model.config.reject else energy
    return classes, score, features


def pooled(logits: Sequence[Tensor]) -> Tensor:
    """Return the logarithm of the mean probabilities, (N, classes), of members' logits, the same.

    It is computed from logarithms, so that a probability too small for a float is not lost.
    """
    each = torch.stack([torch.log_softmax(one, dim=1) for one in logits])
    return torch.logsumexp(each, dim=0) - math.log(len(logits))
