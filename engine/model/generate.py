"""Answers, a token at a time: prompts that fit, stop strings that never show, characters that are never split.

When the context is full the answer ends with the reason "context". The decoder has not seen positions beyond it, and
going on with half of the conversation forgotten would look like an answer to the whole.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from engine.errors import ModelError
from engine.model.cache import KeyValueCache
from engine.model.sampling import SamplingSettings, choose
from engine.model.transformer import Decoder
from engine.text.conversation import Turn
from engine.text.tokenizer import Tokenizer

EndReason = Literal["end", "stop", "length", "context"]
"""The model ended it · a stop string came · `max_tokens` are reached · the context is full."""

PREFILL = 512
"""Prompt tokens read at once: bounds the memory of a long prompt."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids that leave room for an answer."""

    ids: list[int]
    """What the model reads."""
    truncated: int = 0
    """Tokens left out at the front because the context is too short for them."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A finished answer."""

    text: str
    """Without the stop string and without control tokens."""
    tokens: tuple[int, ...]
    """What was sampled, without the token that ended it."""
    reason: EndReason
    """Why it ended."""
    truncated: int = 0
    """Tokens of the prompt that were left out because the context is too short for them."""


def room_for_answer(context: int, max_tokens: int) -> int:
    """Tokens of the context kept free for the answer: what was asked for, at most half."""
    return min(max_tokens, max(1, context // 2))


def prompt_of_text(tokenizer: Tokenizer, text: str, context: int, settings: SamplingSettings) -> Prompt:
    """A text to be continued; of one too long the newest tokens are kept. An empty text begins a new document."""
    budget = context - room_for_answer(context, settings.max_tokens)
    ids = tokenizer.encode(text) or [tokenizer.end_of_text]
    return Prompt(ids[-budget:], max(0, len(ids) - budget))


def prompt_of_turns(tokenizer: Tokenizer, turns: Sequence[Turn], context: int, settings: SamplingSettings) -> Prompt:
    """A conversation to be answered. Of one too long the oldest turns are left out, the system's turn last.

    What remains starts at a user's turn where possible. When not even the newest turn fits, its header and its
    newest tokens are kept.
    """
    budget = context - room_for_answer(context, settings.max_tokens)
    whole = tokenizer.encode_turns(turns, answer_prompt=True).ids
    if len(whole) <= budget:
        return Prompt(whole)
    system = [turn for turn in turns[:1] if turn.role == "system"]
    later = list(turns[len(system) :])
    starts = [at for at in range(1, len(later)) if later[at].role == "user"]
    for head in (system, []) if system else ([],):
        for at in starts or range(1, len(later)):
            ids = tokenizer.encode_turns([*head, *later[at:]], answer_prompt=True).ids
            if len(ids) <= budget:
                return Prompt(ids, len(whole) - len(ids))
    newest = tokenizer.encode_turns(turns[-1:], answer_prompt=True).ids
    header = newest[: 1 + len(tokenizer.encode(f"{turns[-1].role}\n"))] if turns[-1].role != "text" else []
    if len(newest) <= budget or len(header) >= budget:
        kept = newest[-budget:]
    else:
        kept = header + newest[len(header) - budget :]
    return Prompt(kept, len(whole) - len(kept))


class StopScanner:
    """Finds stop strings in text that arrives in pieces, and holds back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False
        """Whether a stop string came; nothing after it is text."""

    def push(self, piece: str) -> str:
        """The text that is surely not part of a stop string."""
        if self.found:
            return ""
        self._held += piece
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if places:
            self.found = True
            keep, self._held = self._held[: min(places)], ""
            return keep
        held = max((self._overlap(stop) for stop in self._stops), default=0)
        cut = len(self._held) - held
        safe, self._held = self._held[:cut], self._held[cut:]
        return safe

    def finish(self) -> str:
        """What was held back: the text ended, so it was no stop string."""
        rest, self._held = self._held, ""
        return rest

    def _overlap(self, stop: str) -> int:
        """Length of the longest end of the held text with which `stop` begins."""
        for length in range(min(len(stop) - 1, len(self._held)), 0, -1):
            if self._held.endswith(stop[:length]):
                return length
        return 0


class _Answer:
    """One answer on its way: tokens in, text out."""

    def __init__(
        self, tokenizer: Tokenizer, prompt: Prompt, settings: SamplingSettings, stop_ids: Collection[int], context: int
    ) -> None:
        self.prompt = prompt
        self.seen = list(prompt.ids)
        self.reason: EndReason | None = None
        self.generator = torch.Generator()
        self.generator.manual_seed(settings.seed if settings.seed is not None else int.from_bytes(os.urandom(7)))
        self._settings = settings
        self._stop_ids = stop_ids
        self._context = context
        self._characters = tokenizer.stream()
        self._stops = StopScanner(settings.stop)
        self._text: list[str] = []

    @property
    def tokens(self) -> list[int]:
        return self.seen[len(self.prompt.ids) :]

    def take(self, token: int) -> str:
        """Add a token; return the text that became certain, and set `reason` when the answer has ended."""
        if token in self._stop_ids:
            self.reason = "end"
            return self._show(self._stops.finish())
        self.seen.append(token)
        text = self._stops.push(self._characters.push(token))
        if self._stops.found:
            self.reason = "stop"
        elif len(self.tokens) >= self._settings.max_tokens:
            self.reason = "length"
        elif len(self.seen) >= self._context:
            self.reason = "context"
        return self._show(text + (self._stops.finish() if self.reason else ""))

    def _show(self, text: str) -> str:
        self._text.append(text)
        return text

    def finished(self) -> Generation:
        assert self.reason is not None
        return Generation("".join(self._text), tuple(self.tokens), self.reason, self.prompt.truncated)


def stream(
    decoder: Decoder,
    tokenizer: Tokenizer,
    prompt: Prompt,
    settings: SamplingSettings,
    stop_ids: Collection[int] | None = None,
) -> Generator[str, None, Generation]:
    """An answer in pieces of text as they become certain; the generator returns the whole.

    Args:
        decoder: on any device.
        tokenizer: the model's own.
        prompt: from `prompt_of_turns` or `prompt_of_text`.
        settings: how to sample.
        stop_ids: tokens that end the answer; the control tokens when None.

    Raises:
        ModelError: the prompt is empty or as long as the context, or the weights give no numbers.
    """
    answer = _Answer(tokenizer, prompt, settings, _ends(tokenizer, stop_ids), decoder.architecture.context)
    for _, text in _answer_all(decoder, [answer], settings):
        if text:
            yield text
    return answer.finished()


def generate(
    decoder: Decoder,
    tokenizer: Tokenizer,
    prompt: Prompt,
    settings: SamplingSettings,
    stop_ids: Collection[int] | None = None,
) -> Generation:
    """A whole answer; arguments and errors as in `stream`."""
    return generate_batch(decoder, tokenizer, [prompt], settings, stop_ids)[0]


def generate_batch(
    decoder: Decoder,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    settings: SamplingSettings,
    stop_ids: Collection[int] | None = None,
) -> list[Generation]:
    """Answers to several prompts side by side, each the one that it would get alone (up to rounding)."""
    ends = _ends(tokenizer, stop_ids)
    answers = [_Answer(tokenizer, prompt, settings, ends, decoder.architecture.context) for prompt in prompts]
    for _ in _answer_all(decoder, answers, settings):
        pass
    return [answer.finished() for answer in answers]


def _ends(tokenizer: Tokenizer, stop_ids: Collection[int] | None) -> frozenset[int]:
    controls = (tokenizer.end_of_text, tokenizer.turn_end, tokenizer.turn_start)
    return frozenset(controls if stop_ids is None else stop_ids)


def _answer_all(
    decoder: Decoder, answers: Sequence[_Answer], settings: SamplingSettings
) -> Iterator[tuple[_Answer, str]]:
    if not answers:
        return
    active = list(answers)
    cache, logits = _read_prompts(decoder, [answer.prompt.ids for answer in active], settings.max_tokens)
    while True:
        generators = [answer.generator for answer in active]
        tokens = choose(logits, [answer.seen for answer in active], settings, generators)
        for answer, token in zip(active, tokens, strict=True):
            yield answer, answer.take(token)
        going = [row for row, answer in enumerate(active) if answer.reason is None]
        if not going:
            return
        if len(going) < len(active):
            active = [active[row] for row in going]
            cache.keep(torch.tensor(going, device=cache.keys.device))
        logits = _read(decoder, torch.tensor([[answer.seen[-1]] for answer in active]), cache)


def _read_prompts(decoder: Decoder, prompts: list[list[int]], max_tokens: int) -> tuple[KeyValueCache, Tensor]:
    """Fill a cache with prompts, the shorter ones padded on the left: the cache and the logits after them, [B, V]."""
    context = decoder.architecture.context
    longest, shortest = max(map(len, prompts)), min(map(len, prompts))
    if not shortest:
        raise ModelError("An empty prompt has no answer.")
    if longest >= context:
        raise ModelError(f"A prompt of {longest} tokens leaves no room in the model's context of {context}.")
    weight = decoder.embed.weight
    cache = KeyValueCache(
        decoder.architecture,
        batch=len(prompts),
        capacity=longest + min(max_tokens, context - shortest),
        starts=[longest - len(prompt) for prompt in prompts],
        device=weight.device,
        dtype=weight.dtype,
    )
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
    for start in range(0, longest - PREFILL, PREFILL):
        _read(decoder, ids[:, start : start + PREFILL], cache)
    return cache, _read(decoder, ids[:, cache.length :], cache)


@torch.no_grad()
def _read(decoder: Decoder, ids: Tensor, cache: KeyValueCache) -> Tensor:
    """Read tokens [B, T] into the cache; the logits after the last, [B, V] float32."""
    hidden = decoder.hidden(ids.to(cache.keys.device), cache)[:, -1]
    return functional.linear(hidden, decoder.head_weight).float()
