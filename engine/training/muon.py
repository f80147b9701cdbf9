"""Muon: momentum whose matrices are made orthogonal before they are applied.

After K. Jordan (kellerjordan.github.io/posts/muon). Our own, as `torch.optim.Muon` multiplies in bfloat16, which is
several times slower than fp32 on processors without matrix units, treats each matrix alone, and does not know that our
q, k, v and gate, up lie fused in one parameter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration, tuned for slope at zero: singular values land between 0.7 and 1.2."""
STEPS = 5
MOMENTUM = 0.95
GRAM_FROM = 2
"""Columns for each row above which the iteration runs on x x^T: with three (the feed-forward layers) it is a quarter to
a third less work and differs by rounding alone; square matrices lose by it."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A parameter that consists of one or more matrices lying below each other."""

    parameter: Tensor
    rows: tuple[int, ...]
    """Rows of each matrix."""


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised by Newton-Schulz iterations in batches of equal shape."""

    def __init__(self, matrices: Sequence[Matrix], *, lr: float, weight_decay: float) -> None:
        self._rows = {matrix.parameter: matrix.rows for matrix in matrices}
        super().__init__([matrix.parameter for matrix in matrices], {"lr": lr, "weight_decay": weight_decay})
        for parameter in self._rows:
            self.state[parameter]["momentum"] = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Apply one update; parameters without a gradient stay as they are."""
        for group in self.param_groups:
            updates: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                momentum = self.state[parameter]["momentum"]
                momentum.lerp_(parameter.grad, 1 - MOMENTUM)
                blended = parameter.grad.lerp(momentum, MOMENTUM)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                rows = self._rows[parameter]
                for update, target in zip(blended.split(rows), parameter.split(rows), strict=True):
                    updates[(update.shape[0], update.shape[1])].append((update, target))
            for (rows_of_one, columns), pairs in updates.items():
                orthogonal = orthogonalise(torch.stack([update for update, _ in pairs]))
                # An orthogonal matrix of r rows has r**0.5 times the length of one row: tall ones step further.
                scale = -group["lr"] * max(1.0, rows_of_one / columns) ** 0.5
                for update, (_, target) in zip(orthogonal, pairs, strict=True):
                    target.add_(update, alpha=scale)


def orthogonalise(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrix of each, roughly: singular values go to about one.

    Args:
        matrices: [n, rows, columns]; fp32 is kept, on devices with fast bfloat16 the caller may pass that.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    x = _by_gram(x) if x.shape[2] > GRAM_FROM * x.shape[1] else _directly(x)
    return x.transpose(1, 2) if tall else x


def _directly(x: Tensor) -> Tensor:
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _by_gram(x: Tensor) -> Tensor:
    """The same polynomials, collected in the small square matrices and applied to the long ones once."""
    a, b, c = COEFFICIENTS
    gram = x @ x.transpose(1, 2)
    collected: Tensor | None = None
    for step in range(STEPS):
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal(dim1=1, dim2=2).add_(a)
        collected = polynomial if collected is None else polynomial @ collected
        if step + 1 < STEPS:
            gram = polynomial @ gram @ polynomial
    assert collected is not None
    return collected @ x
