"""What the mask view shows is what the loss does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.chat_template import TokenKind, render
from engine.text.conversation import Document, Turn
from engine.text.mask import Span, mask_of, weight_of
from engine.text.tokenizer import well_formed
from tests.engine.text.token_samples import DOCUMENTS, pair, tokenizer

TOOL_TALK = Document(
    (
        Turn("user", "Weather?"),
        Turn("assistant", "I look.<tool_call>{}</tool_call>"),
        Turn("tool", "<tool_result>rain</tool_result>"),
        Turn("assistant", "It rains."),
    )
)


@given(DOCUMENTS, st.sampled_from([16, 64, 512]), st.sampled_from([0.0, 0.3, 1.0]))
def test_the_spans_are_the_document(document: Document, length: int, prompt_weight: float) -> None:
    spans = mask_of(document, tokenizer(), length, prompt_weight)
    assert "".join(span.text for span in spans) == render(document.turns) + "<|endoftext|>"
    encoded = tokenizer().encode_documents([document])[0]
    assert sum(span.tokens for span in spans) == len(encoded.ids)
    weights = [weight_of(TokenKind(kind), prompt_weight) for kind in encoded.kinds]
    at = 0
    shown = {"trained": 1.0, "weighted": prompt_weight, "masked": 0.0}
    for span in spans:
        if span.kind == "split":
            assert (at - 1) % length == 0
            continue
        assert {*weights[at : at + span.tokens]} == {shown[span.kind]}
        at += span.tokens
    assert sum(span.kind == "split" for span in spans) == max(0, (len(weights) - 2) // length)


def test_building() -> None:
    assert {span.kind for span in mask_of(TOOL_TALK, tokenizer(), 512, 1.0)} == {"trained"}


def test_tuning() -> None:
    spans = mask_of(TOOL_TALK, tokenizer(), 512, 0.3)
    assert [(span.kind, span.text) for span in spans] == [
        ("weighted", "<|im_start|>user\nWeather?<|im_end|>\n<|im_start|>assistant\n"),
        ("trained", "I look.<tool_call>{}</tool_call><|im_end|>"),
        ("weighted", "\n<|im_start|>tool\n"),
        ("masked", "<tool_result>rain</tool_result>"),
        ("weighted", "<|im_end|>\n<|im_start|>assistant\n"),
        ("trained", "It rains.<|im_end|>"),
        ("weighted", "\n<|endoftext|>"),
    ]


def test_answers_only() -> None:
    assert {span.kind for span in mask_of(pair("a", "b"), tokenizer(), 512, 0.0)} == {"masked", "trained"}


def test_prose_is_trained_on_in_any_case() -> None:
    assert {span.kind for span in mask_of(Document((Turn("text", "Once."),)), tokenizer(), 512, 0.0)} == {"trained"}


def test_a_split_inside_a_character_shows_the_character_whole() -> None:
    text = "\U0010abcd" * 40
    spans = mask_of(Document((Turn("text", text),)), tokenizer(), 17, 1.0)
    assert Span("", "split", 0) in spans
    assert "".join(span.text for span in spans) == well_formed(text) + "<|endoftext|>"


@pytest.mark.parametrize("kind", list(TokenKind))
def test_every_kind_has_a_weight(kind: TokenKind) -> None:
    assert weight_of(kind, 1.0) == (0.0 if kind is TokenKind.PADDING else 1.0)
    assert weight_of(kind, 0.4) in (0.0, 0.4, 1.0)
