"""How the next token is chosen from the logits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import ModelError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """What an answer is sampled with."""

    temperature: float = 0.8
    """Divides the logits; 0 always takes the likeliest token."""
    top_k: int = 50
    """Only the k likeliest tokens; 0 for all."""
    top_p: float = 0.95
    """Only the likeliest tokens that together have this probability; 1 for all."""
    min_p: float = 0.0
    """Only tokens at least this share as likely as the likeliest; 0 for all."""
    repetition_penalty: float = 1.1
    """Makes tokens that were there before less likely (CTRL); 1 for no penalty."""
    seed: int | None = None
    """The same seed gives the same answer; None draws one."""
    max_tokens: int = 256
    """Most tokens in the answer."""
    stop: tuple[str, ...] = ()
    """The answer ends before the first of these texts."""

    def __post_init__(self) -> None:
        """Check.

        Raises:
            UsageError: names the setting and the values it can have.
        """
        rules = (
            ("temperature", 0 <= self.temperature < math.inf, "a number of at least 0"),
            ("top_k", self.top_k >= 0, "a whole number of at least 0"),
            ("top_p", 0 < self.top_p <= 1, "more than 0 and at most 1"),
            ("min_p", 0 <= self.min_p <= 1, "from 0 to 1"),
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "a number above 0"),
            ("max_tokens", self.max_tokens >= 1, "a whole number of at least 1"),
            ("stop", isinstance(self.stop, tuple) and all(self.stop), "a tuple of texts that are not empty"),
        )
        for name, good, rule in rules:
            if not good:
                raise UsageError(f"{name} must be {rule}, not {str(getattr(self, name))[:40]}.")


def choose(
    logits: Tensor, seen: Sequence[Sequence[int]], settings: SamplingSettings, generators: Sequence[torch.Generator]
) -> list[int]:
    """The next token of each row.

    The order is that of transformers: repetition penalty, temperature, top-k, top-p, min-p. Each row draws from its
    own generator, so an answer does not depend on what is answered beside it.

    Args:
        logits: [B, V] float32; changed in place.
        seen: the tokens so far of each row, prompt included.
        settings: how to choose.
        generators: one a row, on the CPU.

    Raises:
        ModelError: the logits are not numbers: the weights are damaged or diverged.
    """
    import torch

    if not bool(torch.isfinite(logits).all()):
        raise ModelError("The model's weights give no numbers: training diverged or the file is damaged.")
    if settings.repetition_penalty != 1.0:
        for row, tokens in enumerate(seen):
            penalise(logits[row], tokens, settings.repetition_penalty)
    if settings.temperature == 0:
        return [int(token) for token in logits.argmax(-1).tolist()]
    probabilities = filtered_probabilities(logits, settings).cpu()
    return [
        int(torch.multinomial(row, 1, generator=generator))
        for row, generator in zip(probabilities, generators, strict=True)
    ]


def penalise(logits: Tensor, tokens: Sequence[int], penalty: float) -> None:
    """Lower the logits of `tokens` in place: positive ones are divided, negative ones multiplied (CTRL).

    Args:
        logits: [V].
        tokens: ids; repeats count once.
        penalty: above 1 for less likely.
    """
    import torch

    where = torch.tensor(sorted(set(tokens)), dtype=torch.int64, device=logits.device)
    found = logits[where]
    logits[where] = torch.where(found > 0, found / penalty, found * penalty)


def filtered_probabilities(logits: Tensor, settings: SamplingSettings) -> Tensor:
    """Probabilities after temperature, top-k, top-p and min-p; the likeliest token always stays.

    Args:
        logits: [B, V].
        settings: a temperature above 0.

    Returns:
        [B, V], rows sum to 1.
    """
    logits = (logits - logits.amax(-1, keepdim=True)) / settings.temperature  # the tiniest temperature cannot overflow
    if 0 < settings.top_k < logits.shape[-1]:
        smallest = logits.topk(settings.top_k, dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, -math.inf)
    if settings.top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
        ordered = ordered.masked_fill(before >= settings.top_p, -math.inf)
        logits = logits.scatter(-1, order, ordered)
    probabilities = logits.softmax(-1)
    if settings.min_p > 0:
        floor = settings.min_p * probabilities.amax(-1, keepdim=True)
        probabilities = probabilities.masked_fill(probabilities < floor, 0.0)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    return probabilities
