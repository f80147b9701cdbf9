"""`generation_config.json`: how other programs sample from our models when nobody says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.model.sampling import SamplingSettings


def generation_config(ends: Sequence[int], pad: int) -> dict[str, Any]:
    """The content of `generation_config.json`: our own defaults.

    Args:
        ends: token ids that end an answer.
        pad: token id of padding.
    """
    settings = SamplingSettings()
    return {
        "eos_token_id": list(ends),
        "pad_token_id": pad,
        "do_sample": True,
        "temperature": settings.temperature,
        "top_k": settings.top_k,
        "top_p": settings.top_p,
        "repetition_penalty": settings.repetition_penalty,
        "max_new_tokens": settings.max_tokens,
    }
