"""The arithmetic of one optimizer step up to its gradients: for the trainer, and for the rehearsal that times it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from engine.text.dataset import Batch
    from engine.training.compiling import Loss
    from engine.training.devices import Placement


def tensors(batch: Batch, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, targets and weights of a micro-batch, each of shape (rows, length), on the device."""
    return (
        torch.from_numpy(batch.ids).to(device),
        torch.from_numpy(batch.targets).to(device),
        torch.from_numpy(batch.weights).to(device),
    )


def accumulate(
    loss_of: Loss, batches: Sequence[Batch], placement: Placement, scaler: torch.amp.GradScaler
) -> tuple[float, float]:
    """Sum the gradients of all micro-batches of a step; each token counts the same in whichever it is.

    The device is waited for once, at the end.

    Args:
        loss_of: `Decoder.loss`, or the same compiled.
        batches: The micro-batches.
        placement: Device and precision.
        scaler: Of fp16's gradients.

    Returns:
        Weighted loss in nats, summed over the tokens, and the sum of the tokens' weights.
    """
    weight = float(sum(batch.weights.sum(dtype="float64") for batch in batches)) or 1.0
    losses = []
    for batch in batches:
        with placement.autocast():
            loss = loss_of(*tensors(batch, placement.device))
        torch.autograd.backward(scaler.scale(loss / weight))
        losses.append(loss.detach())
    return float(sum(torch.stack(losses).cpu().double().tolist())), weight
