"""What each token weighs in the loss, and the same for people to look at.

Building from scratch trains on every token: a question is data as well. Fine-tuning (`prompt_weight` below 1) trains
on what the assistant says, on its tool calls and on the end of its turn; on prose; and with the prompt weight on what
the user and the system say and on the role headers. What a tool returned has no weight then: it cannot be predicted,
and a model that learns to write it makes results up.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Literal

from engine.text.chat_template import TokenKind
from engine.text.conversation import Document
from engine.text.tokenizer import Tokenizer

SpanKind = Literal["trained", "weighted", "masked", "split"]


def weight_of(kind: TokenKind, prompt_weight: float) -> float:
    """Weight in the loss of predicting a token of this kind; `prompt_weight` 1 is building from scratch."""
    if kind is TokenKind.PADDING:
        return 0.0
    if prompt_weight == 1.0 or kind in (TokenKind.TEXT, TokenKind.ANSWER):
        return 1.0
    return 0.0 if kind is TokenKind.TOOL else prompt_weight


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a document whose tokens are treated alike."""

    text: str
    """The text, control tokens by their names; empty for a split."""
    kind: SpanKind
    """trained: weight 1 · weighted: the prompt weight · masked: weight 0 · split: here a new row begins (nothing is
    ever cut away)."""
    tokens: int
    """Number of tokens; 0 for a split."""


def mask_of(document: Document, tokenizer: Tokenizer, sequence_length: int, prompt_weight: float) -> list[Span]:
    """How a document is trained on, from its first token to its last.

    The splits are those of a document that starts a row; where another one stands before it they lie elsewhere, and
    elsewhere again in the next epoch.
    """
    encoded = tokenizer.encode_documents([document])[0]
    kinds = {kind: _span_kind(weight_of(kind, prompt_weight)) for kind in TokenKind}
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    spans: list[Span] = []
    text, count = "", 0
    for position, (token, kind) in enumerate(zip(encoded.ids, encoded.kinds, strict=True)):
        text += decoder.decode(tokenizer.token_bytes_shown(token))
        count += 1
        following = position + 1
        row_ends = following > sequence_length and (following - 1) % sequence_length == 0
        last = following == len(encoded.ids)
        if last or row_ends or kinds[TokenKind(encoded.kinds[following])] != kinds[TokenKind(kind)]:
            if last:
                text += decoder.decode(b"", final=True)
            spans.append(Span(text, kinds[TokenKind(kind)], count))
            text, count = "", 0
            if row_ends and not last:
                spans.append(Span("", "split", 0))
    return spans


def _span_kind(weight: float) -> SpanKind:
    if weight == 0.0:
        return "masked"
    return "trained" if weight == 1.0 else "weighted"
