"""Cross entropy of a linear head, a slice of tokens at a time: the full table of logits never exists.

Forward and backward of a slice are done together while its logits are in cache, so there is one buffer of logits
instead of three and no second pass over the head (1.4 to 2 times faster than `F.cross_entropy` on two cores).
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

_SLICE_BYTES = {"cpu": 8 << 20, "other": 128 << 20}
"""Logits alive at once: about a core's share of cache on a CPU, large enough to fill a GPU."""


def weighted_cross_entropy(hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Sum over tokens of weight x negative log likelihood, in nats.

    Args:
        hidden: [N, D] final hidden states.
        head: [V, D] output matrix.
        targets: [N] token ids; any id within the vocabulary where the weight is 0.
        weights: [N] float; 0 leaves a position out of the loss and of the gradient.

    Returns:
        A float32 scalar.
    """
    if torch.is_grad_enabled() and (hidden.requires_grad or head.requires_grad):
        rows = _slice_rows(hidden, head)
        total = _WeightedCrossEntropy.apply(hidden, head, targets, weights.float(), rows)  # type: ignore[no-untyped-call]
        return cast(Tensor, total)
    return (token_nats(hidden, head, targets) * weights.float()).sum()


def token_nats(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Negative log likelihood of each token, in nats; without gradients.

    Args:
        hidden: [N, D] final hidden states.
        head: [V, D] output matrix.
        targets: [N] token ids.

    Returns:
        [N] float32.
    """
    rows = _slice_rows(hidden, head)
    with torch.no_grad():
        return torch.cat(
            [
                functional.cross_entropy(functional.linear(states, head).float(), wanted, reduction="none")
                for states, wanted in zip(torch.split(hidden, rows), torch.split(targets, rows), strict=True)
            ]
        )


def _slice_rows(hidden: Tensor, head: Tensor) -> int:
    budget = _SLICE_BYTES["cpu" if hidden.device.type == "cpu" else "other"]
    return max(1, min(hidden.shape[0], budget // (4 * head.shape[0])))


class _WeightedCrossEntropy(torch.autograd.Function):
    """Computes the gradients during the forward pass; the backward pass only scales them."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor, rows: int) -> Tensor:
        device = hidden.device.type
        # float16 has no room for unscaled gradients, so there the two gradient products stay in float32.
        half = hidden.dtype is torch.float16 or (
            torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) is torch.float16
        )
        dtype = torch.float32 if half else hidden.dtype
        grad_hidden = torch.empty_like(hidden)
        grad_head: Tensor | None = None
        total = hidden.new_zeros((), dtype=torch.float32)
        for start in range(0, hidden.shape[0], rows):
            part = slice(start, start + rows)
            states, target, weight = hidden[part], targets[part].unsqueeze(1), weights[part].unsqueeze(1)
            logits = functional.linear(states, head).float()
            logits = logits.sub_(logits.amax(-1, keepdim=True))
            picked = logits.gather(1, target)
            logits = logits.exp_()
            normaliser = logits.sum(-1, keepdim=True)
            total = total + ((normaliser.log() - picked) * weight).sum()
            slope = logits.mul_(weight / normaliser).scatter_add_(1, target, -weight).to(dtype)
            with torch.autocast(device, enabled=torch.is_autocast_enabled(device) and not half):
                grad_hidden[part] = (slope @ head.to(dtype)).to(hidden.dtype)
                product = (slope.t() @ states.to(dtype)).float()
            grad_head = product if grad_head is None else grad_head.add_(product)
        ctx.head_dtype = head.dtype
        ctx.save_for_backward(grad_hidden, torch.zeros_like(head) if grad_head is None else grad_head)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (scale,) = grad_outputs
        grad_hidden, grad_head = ctx.saved_tensors
        return grad_hidden * scale, (grad_head * scale).to(ctx.head_dtype), None, None, None
