"""The guard: which gradients are never stepped into the weights, and when to go back to the last good checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["step", "skip", "roll back"]

SPIKE_SIGMAS = 8.0
"""A gradient norm so many standard deviations above its running mean is a spike (ZClip, arXiv 2504.02507, clips at 2.5;
we only refuse what is far out, clipping takes care of the rest)."""
SPIKE_RATIO = 20.0
"""... and at least so many times the mean."""
LOSS_JUMP = 3.0
"""A loss so many nats above its running mean is a spike, too."""
WARMUP_STEPS = 50
"""Steps that the running means need before they are believed."""
MEMORY = 0.98
"""Weight of the past in the running means."""
PATIENCE = 5
"""Bad steps in a row after which the run rolls back."""
MAX_ROLLBACKS = 3
"""Roll-backs after which the run has diverged."""
ROLLBACK_FACTOR = 0.5
"""What a roll-back does to the learning rate."""


@dataclass(slots=True)
class Guard:
    """Running statistics of loss and gradient norm; part of every checkpoint."""

    ceiling: float = math.inf
    """A loss above this is worse than guessing and never right, even at the start (nats)."""
    steps: int = 0
    mean_norm: float = 0.0
    mean_square: float = 0.0
    mean_loss: float = 0.0
    bad_in_a_row: int = 0
    skipped: int = 0

    def judge(self, loss: float, norm: float) -> tuple[Verdict, str]:
        """Decide about a step from its loss and gradient norm; returns the reason when it is not stepped."""
        reason = self._reason(loss, norm)
        if not reason:
            self._learn(loss, norm)
            self.bad_in_a_row = 0
            return "step", ""
        self.skipped += 1
        self.bad_in_a_row += 1
        return ("roll back" if self.bad_in_a_row >= PATIENCE else "skip"), reason

    def _reason(self, loss: float, norm: float) -> str:
        if not math.isfinite(loss):
            return "the loss is not a finite number"
        if not math.isfinite(norm):
            return "the gradient is not finite"
        if loss > self.ceiling:
            return f"the loss of {loss:.2f} is worse than guessing"
        if self.steps < WARMUP_STEPS:
            return ""
        if loss > self.mean_loss + LOSS_JUMP:
            return f"the loss jumped from {self.mean_loss:.2f} to {loss:.2f}"
        spread = math.sqrt(max(0.0, self.mean_square - self.mean_norm**2))
        if norm > max(self.mean_norm + SPIKE_SIGMAS * spread, SPIKE_RATIO * self.mean_norm):
            return f"the gradient norm jumped from {self.mean_norm:.2g} to {norm:.2g}"
        return ""

    def _learn(self, loss: float, norm: float) -> None:
        self.steps += 1
        weight = max(1.0 - MEMORY, 1.0 / self.steps)
        self.mean_loss += weight * (loss - self.mean_loss)
        self.mean_norm += weight * (norm - self.mean_norm)
        self.mean_square += weight * (norm * norm - self.mean_square)
