"""Answers of the model while it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.model.transformer import Decoder
    from engine.training.prepare import Prepared

MAX_BYTES = 2000
"""Samples travel over the queue in one small message."""


def answer(decoder: Decoder, prepared: Prepared, prompt: str, *, step: int) -> str:
    """The model's greedy answer to a prompt (its continuation, after prose), at most MAX_BYTES of UTF-8.

    Args:
        decoder: As it is now, in evaluation mode.
        prepared: Gives tokenizer and settings.
        prompt: What the user says.
        step: Part of the seed, for settings that sample.
    """
    from engine.model.generate import generate, prompt_of_text, prompt_of_turns
    from engine.model.sampling import SamplingSettings
    from engine.text.conversation import Turn

    settings = SamplingSettings(temperature=0.0, max_tokens=prepared.job.eval.max_tokens, seed=step)
    tokenizer, context = prepared.tokenizer, prepared.architecture.context
    if prepared.conversation:
        ready = prompt_of_turns(tokenizer, [Turn(role="user", text=prompt)], context, settings)
    else:
        ready = prompt_of_text(tokenizer, prompt, context, settings)
    text = generate(decoder, tokenizer, ready, settings).text
    return text.encode()[:MAX_BYTES].decode(errors="ignore").strip()
