"""Muon: momentum whose matrices are made orthogonal before they are applied, each neuron's share evened out.

After K. Jordan (kellerjordan.github.io/posts/muon) and NorMuon (arXiv 2510.05491). Our own, as `torch.optim.Muon`
always multiplies in bfloat16, which is several times slower than fp32 on processors without matrix units, treats each
matrix alone, and does not know that our q, k, v and gate, up lie fused in one parameter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

COEFFICIENTS = ((8.0934, -23.6205, 17.4462), (3.6366, -2.7219, 0.5365), (2.6613, -1.9772, 0.4526))
"""Of x, x^3 and x^5 in each iteration.

Each comes as near to one as an odd quintic can over the interval that those before leave of 0.01 to 1 (the minimax
choice of Polar Express, arXiv 2505.16932, worked out by us as linear programs): singular values from 0.01 upwards land
between 0.73 and 1.27, smaller ones stay small. Muon's usual five reach 0.002 and are two thirds more work; measured on
text seen once they gain 0.002 bits per byte, on repeated text they lose 0.011, as weak directions are memorised.
"""
MOMENTUM = 0.95
EVENNESS = 0.95
"""Memory of the mean squares by which the lines of an update are divided."""
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
    """Nesterov momentum, orthogonalised by Newton-Schulz iterations in batches of equal shape, its lines evened out.

    Lines are the rows of tall and square matrices and the columns of wide ones: along the shorter side an orthogonal
    matrix is even by itself, along the longer one some neurons get many times the step of others. State is a momentum
    for each weight and a mean square for each line.
    """

    def __init__(
        self, matrices: Sequence[Matrix], *, lr: float, weight_decay: float, products: torch.dtype = torch.float32
    ) -> None:
        """All state exists from the start.

        Args:
            matrices: What is stepped.
            lr: Learning rate.
            weight_decay: What a step takes off the weights, as a share of the rate.
            products: Type of the products that make a step orthogonal; weights and state are as the parameters.
        """
        self._products = products
        self._rows = {matrix.parameter: matrix.rows for matrix in matrices}
        self._lines = {
            parameter: [max(one, parameter.shape[1]) for one in rows] for parameter, rows in self._rows.items()
        }
        super().__init__([matrix.parameter for matrix in matrices], {"lr": lr, "weight_decay": weight_decay})
        for parameter, lines in self._lines.items():
            self.state[parameter]["momentum"] = torch.zeros_like(parameter)
            # What the mean square is where all lines are alike: the first steps are those of plain Muon.
            start = [torch.full((number,), 1 / number, device=parameter.device) for number in lines]
            self.state[parameter]["squares"] = torch.cat(start)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Apply one update; parameters without a gradient stay as they are."""
        for group in self.param_groups:
            groups: dict[tuple[int, int], list[_Update]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                momentum, squares = self.state[parameter]["momentum"], self.state[parameter]["squares"]
                momentum.lerp_(parameter.grad, 1 - MOMENTUM)
                blended = parameter.grad.lerp(momentum, MOMENTUM)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                rows, lines = self._rows[parameter], self._lines[parameter]
                for parts in zip(blended.split(rows), parameter.split(rows), squares.split(lines), strict=True):
                    groups[(parts[0].shape[0], parts[0].shape[1])].append(_Update(*parts))
            for (rows_of_one, columns), updates in groups.items():
                # An orthogonal matrix of r rows has r**0.5 times the length of one row: tall ones step further.
                scale = -group["lr"] * max(1.0, rows_of_one / columns) ** 0.5
                directions = torch.stack([one.direction for one in updates])
                orthogonal = orthogonalise(directions, self._products)
                across = 2 if rows_of_one >= columns else 1
                factors = _evened(orthogonal, [one.squares for one in updates], across)
                for update, matrix, factor in zip(updates, orthogonal, factors.unsqueeze(across), strict=True):
                    update.target.addcmul_(matrix, factor, value=scale)


class _Update(NamedTuple):
    """What one matrix needs for its step; views into the parameter and its state."""

    direction: Tensor
    """[rows, columns], the blended momentum."""
    target: Tensor
    """[rows, columns], the weights."""
    squares: Tensor
    """[the longer side]."""


def _evened(orthogonal: Tensor, squares: Sequence[Tensor], across: int) -> Tensor:
    """Take in the mean squares of the lines; the factors that make lines alike and keep each matrix' length.

    Args:
        orthogonal: [n, rows, columns].
        squares: n running mean squares, changed in place.
        across: the dimension that a line runs along, the shorter one: 1 or 2.

    Returns:
        [n, lines].
    """
    present = torch.linalg.vector_norm(orthogonal, dim=across).square() / orthogonal.shape[across]
    for mean, line in zip(squares, present, strict=True):
        mean.lerp_(line, 1 - EVENNESS)
    factors = (torch.stack(list(squares)) + 1e-12).rsqrt()
    evened = (present * factors.square()).sum(dim=1, keepdim=True) + 1e-30  # no gradient at all: nothing, not NaN
    even: Tensor = factors * (present.sum(dim=1, keepdim=True) / evened).sqrt()
    return even


def orthogonalise(matrices: Tensor, products: torch.dtype = torch.float32) -> Tensor:
    """The nearest orthogonal matrix of each, roughly: singular values go to about one.

    Args:
        matrices: [n, rows, columns].
        products: In which the iterations are done: bfloat16 where the device is fast in it; what it rounds off does
            not matter (measured), as the values need not come nearer to one than between 0.73 and 1.27.

    Returns:
        [n, rows, columns] of the type of `matrices`.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    iterate = _by_gram if x.shape[2] > GRAM_FROM * x.shape[1] else _directly
    x = iterate(x.to(products)).to(matrices.dtype)
    return x.transpose(1, 2) if tall else x


def _gram(x: Tensor) -> tuple[Tensor, Tensor]:
    """x and x x^T, scaled so that no singular value of x is above one: by the root of the length of x x^T.

    That is at least the largest singular value and at most the length of x, which is several times larger: the small
    singular values have a shorter way to one.
    """
    gram = x @ x.transpose(1, 2)
    square = gram.norm(dim=(1, 2), keepdim=True) + 1e-14
    return x / square.sqrt(), gram / square


def _directly(x: Tensor) -> Tensor:
    x, gram = _gram(x)
    for step, (a, b, c) in enumerate(COEFFICIENTS):
        if step:
            gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _by_gram(x: Tensor) -> Tensor:
    """The same polynomials, collected in the small square matrices and applied to the long ones once."""
    x, gram = _gram(x)
    collected: Tensor | None = None
    for step, (a, b, c) in enumerate(COEFFICIENTS):
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal(dim1=1, dim2=2).add_(a)
        collected = polynomial if collected is None else polynomial @ collected
        if step + 1 < len(COEFFICIENTS):
            gram = polynomial @ gram @ polynomial
    assert collected is not None
    return collected @ x
