"""Finding a learning rate by short trials: every candidate trains the same first weights on the same first steps.

A trial goes through a whole schedule, from warm-up to the floor, and is judged by the loss of its last steps on text
that it has not seen before. The range test of L. Smith (arXiv 1506.01186), one run in which the rate rises, finds where
training breaks instead: that says little about which rate ends best.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from engine.training.recipe import rounded

RATIO = 2.0
"""Between neighbouring candidates."""
MOST_TRIALS = 6


@dataclass(frozen=True, slots=True)
class Found:
    """What the trials say."""

    rate: float
    """Peak of the schedule that a trial should end best with."""
    losses: dict[float, float]
    """Loss of each rate that was tried, nats per token; inf where it diverged."""

    @property
    def best(self) -> float:
        """The best of the rates that were tried."""
        return min(self.losses, key=lambda rate: self.losses[rate])


def search_rate(first: float, trial: Callable[[float], float | None]) -> Found | None:
    """The rate with the lowest loss: neighbours are tried until the best one lies between two worse ones.

    Args:
        first: Rate to begin with, the rule's.
        trial: Loss of a trial with a rate; None when there is no time for it.

    Returns:
        The lowest point of a parabola through the best rate and its two neighbours (over the logarithm of the rate);
        the best rate itself where it has only one. None when there was no time for three trials, or all diverged.
    """
    losses: dict[float, float] = {}

    def tried(rate: float) -> bool:
        rate = rounded(rate)
        if rate in losses:
            return True
        loss = trial(rate) if len(losses) < MOST_TRIALS else None
        if loss is not None:
            losses[rate] = loss if math.isfinite(loss) else math.inf
        return loss is not None

    if not all(tried(rate) for rate in (first, first * RATIO, first / RATIO)):
        return None
    while True:
        ordered = sorted(losses)
        best = min(ordered, key=lambda rate: losses[rate])
        if best not in (ordered[0], ordered[-1]):
            break
        if not tried(best * RATIO if best == ordered[-1] else best / RATIO):
            break
    if math.isinf(losses[best]):
        return None
    return Found(rounded(_vertex(losses, ordered, best)), losses)


def _vertex(losses: dict[float, float], ordered: list[float], best: float) -> float:
    at = ordered.index(best)
    if at in (0, len(ordered) - 1):
        return best
    low, high = losses[ordered[at - 1]] - losses[best], losses[ordered[at + 1]] - losses[best]
    if math.isinf(low) or math.isinf(high) or low + high <= 0:
        return best
    # Equally spaced in log(rate): the parabola's lowest point lies within half a step of the best one.
    shift: float = RATIO ** ((low - high) / (2 * (low + high)))
    return best * shift
