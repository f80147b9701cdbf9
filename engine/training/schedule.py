"""The learning rate as a pure function of the step: warm up, hold, fall in a line to the floor."""

from __future__ import annotations

from dataclasses import dataclass

FLOOR = 0.01
"""Share of the peak at the last step. Linear decay to (nearly) zero beats cosine to a tenth: arXiv 2502.15938."""
HOLD = 0.4
"""Share of the steps after which the fall begins (warm-up included)."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Learning rates of one stage, in optimizer steps."""

    peak: float
    steps: int
    warmup_steps: int
    hold: float = HOLD
    floor: float = FLOOR

    def __call__(self, step: int) -> float:
        """The rate of optimizer step `step` (0-based): near 0 first, `peak` at the end of warm-up, the floor last."""
        warmup = min(self.warmup_steps, max(0, self.steps - 1))
        if step < warmup:
            return self.peak * ((step + 1) / warmup)
        last = self.steps - 1
        fall_from = min(max(warmup - 1, int(self.hold * self.steps) - 1, 0), last)
        if step <= fall_from or last <= fall_from:
            return self.peak
        share = min(1.0, (step - fall_from) / (last - fall_from))
        return self.peak * (1.0 - share * (1.0 - self.floor))
