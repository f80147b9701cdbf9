"""The optimizer: one place where parameters are grouped and the update rule is chosen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from engine.model.architecture import Architecture
from engine.model.names import weights_of
from engine.model.transformer import Decoder
from engine.training.devices import Placement, Precision
from engine.training.muon import Matrix, Muon
from engine.training.recipe import BETAS, Recipe

Rule = Literal["adamw", "muon"]


class Optimizer:
    """What steps a decoder: AdamW for everything, or Muon for the matrices of the blocks and AdamW for the rest.

    Muon multiplies in bfloat16 where the run does. All state exists from the start, so that memory runs out before the
    first update and never in the middle of one.
    """

    def __init__(
        self,
        decoder: Decoder,
        architecture: Architecture,
        rule: Rule,
        *,
        weight_decay: float,
        placement: Placement,
        embedding_share: float = 1.0,
    ) -> None:
        self._names: dict[Tensor, str] = {parameter: name for name, parameter in decoder.named_parameters()}
        matrices = _matrices(decoder, architecture)
        inside = {matrix.parameter for matrix in matrices}
        rest = [parameter for parameter in self._names if parameter not in inside]
        self._shares: list[float] = [1.0]
        self.parts: list[torch.optim.Optimizer]
        if rule == "muon":
            self.parts = [
                Muon(matrices, lr=0.0, weight_decay=weight_decay, products=products_of(placement.precision)),
                _adamw([(rest, 0.0)], placement.device),
            ]
            self._shares.append(embedding_share)
        else:
            groups = [([matrix.parameter for matrix in matrices], weight_decay), (rest, 0.0)]
            self.parts = [_adamw(groups, placement.device)]

    @classmethod
    def of(cls, decoder: Decoder, architecture: Architecture, recipe: Recipe, placement: Placement) -> Optimizer:
        """The one that a recipe asks for."""
        return cls(
            decoder,
            architecture,
            recipe.optimizer,
            weight_decay=recipe.weight_decay,
            placement=placement,
            embedding_share=recipe.embedding_share,
        )

    def set_rate(self, rate: float) -> None:
        """Use the learning rate `rate` (of the matrices) in the next step."""
        for part, share in zip(self.parts, self._shares, strict=True):
            for group in part.param_groups:
                group["lr"] = rate * share

    def step(self, scaler: torch.amp.GradScaler) -> None:
        """Apply the gradients, unless the scaler found them to overflow."""
        for part in self.parts:
            scaler.step(part)

    def unscale(self, scaler: torch.amp.GradScaler) -> None:
        """Take the fp16 loss scale out of the gradients."""
        for part in self.parts:
            scaler.unscale_(part)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """Every state tensor by name (`exp_avg/blocks.0...`), for saving."""
        return {
            f"{key}/{self._names[parameter]}": value.detach().contiguous()
            for part in self.parts
            for parameter, state in part.state.items()
            for key, value in state.items()
        }

    def load_tensors(self, saved: dict[str, Tensor]) -> None:
        """Put saved state tensors back, bit for bit.

        Raises:
            ValueError: names, shapes or types differ from what this model and rule have.
        """
        present = {
            f"{key}/{self._names[parameter]}": value
            for part in self.parts
            for parameter, state in part.state.items()
            for key, value in state.items()
        }
        if present.keys() != saved.keys():
            raise ValueError("the optimizer state is of another model or optimizer")
        with torch.no_grad():
            for name, value in present.items():
                if saved[name].shape != value.shape or saved[name].dtype != value.dtype:
                    raise ValueError(f"the optimizer state {name} has another shape or type")
                value.copy_(saved[name])


def products_of(precision: Precision) -> torch.dtype:
    """The type of Muon's own products: bfloat16 where the run multiplies in it, else float32."""
    return torch.bfloat16 if precision == "bf16" else torch.float32


def _matrices(decoder: Decoder, architecture: Architecture) -> list[Matrix]:
    """The matrices of the blocks, with the rows at which fused ones are divided."""
    parameters = dict(decoder.named_parameters())
    return [
        Matrix(parameters[weight.name], tuple(shape[0] for _, shape in weight.parts))
        for weight in weights_of(architecture)
        if weight.name.startswith("blocks.") and len(weight.shape) == 2
    ]


def _adamw(groups: Iterable[tuple[list[Tensor], float]], device: str) -> torch.optim.AdamW:
    """Fused where it is to be had: the plain version is a Python loop per tensor, which costs small models dearly."""
    optimizer = torch.optim.AdamW(
        [{"params": parameters, "weight_decay": decay} for parameters, decay in groups],
        lr=0.0,
        betas=BETAS,
        eps=1e-8,
        fused=device in ("cpu", "cuda", "mps"),
    )
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }
    return optimizer
