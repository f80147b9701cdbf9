"""What a run remembers besides weights and moments; it is saved in every checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import msgspec

from engine.training.guard import Guard
from engine.typed import convert


@dataclass(slots=True)
class Progress:
    """The trainer's own state. Everything that later steps depend on is here or a function of the step."""

    step: int = 0
    """Optimizer steps done."""
    tokens: int = 0
    """Training tokens seen."""
    micro_rows: int = 1
    """Rows that go through the model at once; halved when memory runs out, with the same result."""
    activation_checkpointing: bool = False
    rate_scale: float = 1.0
    """What commands and roll-backs have done to the learning rate."""
    best_bpb: float | None = None
    best_step: int = 0
    untrained_bpb: float | None = None
    evaluations_without_gain: int = 0
    rollbacks: int = 0
    seconds: float = 0.0
    """Time in training over all attempts."""
    nats_since_eval: float = 0.0
    weight_since_eval: float = 0.0
    text_tokens_since_eval: int = 0
    bytes_since_eval: int = 0
    guard: Guard = field(default_factory=Guard)
    probe_loss: float | None = None
    """Loss of the next step's first micro-batch with these weights: recomputed on resume."""
    scaler: dict[str, Any] | None = None
    """State of the fp16 gradient scaler."""

    @property
    def train_bpb(self) -> float:
        """Bits per byte of the training text since the last evaluation, from the mean loss of its tokens."""
        if not self.weight_since_eval or not self.bytes_since_eval:
            return math.nan
        nats = self.nats_since_eval / self.weight_since_eval * self.text_tokens_since_eval
        return nats / math.log(2) / self.bytes_since_eval

    def forget_training_loss(self) -> None:
        """Start a new average after an evaluation."""
        self.nats_since_eval = self.weight_since_eval = 0.0
        self.text_tokens_since_eval = self.bytes_since_eval = 0

    def dump(self) -> dict[str, Any]:
        """As JSON values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values

    @classmethod
    def restore(cls, values: dict[str, Any]) -> Progress:
        """From JSON values.

        Raises:
            msgspec.ValidationError: they are of another shape.
        """
        return convert(values, cls)
