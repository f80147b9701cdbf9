"""The optimizer: one place where parameters are grouped and the update rule is chosen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.training.recipe import BETAS


def build_optimizer(decoder: nn.Module, *, weight_decay: float, device: str) -> torch.optim.Optimizer:
    """AdamW with decay on the matrices of the blocks only; its states exist from the start.

    Fused on every device that has it: the plain version is a Python loop per tensor, which costs small models dearly.

    Args:
        decoder: The model; its parameters stay where they are.
        weight_decay: Decoupled decay.
        device: Type of the device that the parameters live on.
    """
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for name, parameter in decoder.named_parameters():
        (decayed if parameter.ndim >= 2 and "embed" not in name else plain).append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=0.0,
        betas=BETAS,
        eps=1e-8,
        fused=device in ("cpu", "cuda", "mps"),
    )
    allocate_states(optimizer)
    return optimizer


def allocate_states(optimizer: torch.optim.Optimizer) -> None:
    """Create the moments now, so that memory runs out before the first update and never in the middle of one."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` in the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def optimizer_tensors(decoder: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Every state tensor by name (`exp_avg/blocks.0...`), for saving."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in decoder.named_parameters()}
    return {
        f"{key}/{names[parameter]}": value.detach().contiguous()
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def load_optimizer_tensors(decoder: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put saved state tensors back, bit for bit.

    Raises:
        ValueError: names, shapes or types differ from what this model and optimizer have.
    """
    present = optimizer_tensors(decoder, optimizer)
    if present.keys() != tensors.keys():
        raise ValueError("the optimizer state belongs to another model")
    with torch.no_grad():
        for parameter, name in ((parameter, name) for name, parameter in decoder.named_parameters()):
            for key, value in optimizer.state[parameter].items():
                saved = tensors[f"{key}/{name}"]
                if saved.shape != value.shape or saved.dtype != value.dtype:
                    raise ValueError(f"the optimizer state of {name} has another shape or type")
                value.copy_(saved)
