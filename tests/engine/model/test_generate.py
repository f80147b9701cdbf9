from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ModelError
from engine.model import generate as generation
from engine.model.generate import (
    Generation,
    Prompt,
    StopScanner,
    generate,
    generate_batch,
    prompt_of_text,
    prompt_of_turns,
    stream,
)
from engine.model.sampling import SamplingSettings
from engine.model.transformer import Decoder
from engine.text.conversation import Turn
from engine.text.tokenizer import Tokenizer
from tests.engine.model.conftest import TEXT

GREEDY = SamplingSettings(temperature=0.0, repetition_penalty=1.0, max_tokens=20)


class Scripted:
    """Stands for a decoder that says what the test wants, whatever it reads."""

    def __init__(self, decoder: Decoder, answer: Sequence[int]) -> None:
        self.architecture = decoder.architecture
        self.embed = decoder.embed
        self.head_weight = torch.eye(decoder.architecture.vocabulary)
        self.answer = list(answer)

    def hidden(self, ids: torch.Tensor, cache: Any) -> torch.Tensor:
        cache.length += ids.shape[1]
        states = torch.zeros(*ids.shape, self.architecture.vocabulary)
        states[:, :, self.answer.pop(0)] = 1.0
        return states


def say(decoder: Decoder, tokenizer: Tokenizer, ids: Sequence[int], **settings: Any) -> tuple[list[str], Generation]:
    chosen = SamplingSettings(temperature=0.0, repetition_penalty=1.0, **settings)
    scripted: Any = Scripted(decoder, [*ids, tokenizer.turn_end])
    pieces, running = [], stream(scripted, tokenizer, Prompt([5]), chosen)
    while True:
        try:
            pieces.append(next(running))
        except StopIteration as end:
            return pieces, end.value


def greedy_by_reading_all(decoder: Decoder, ids: list[int], count: int) -> list[int]:
    ids = list(ids)
    with torch.no_grad():
        for _ in range(count):
            ids.append(int(decoder(torch.tensor([ids]))[0, -1].argmax()))
    return ids[-count:]


def test_greedy_with_the_cache_is_greedy_without(decoder: Decoder, tokenizer: Tokenizer) -> None:
    prompt = prompt_of_text(tokenizer, "The quick brown", decoder.architecture.context, GREEDY)
    answer = generate(decoder, tokenizer, prompt, GREEDY, stop_ids=())
    assert list(answer.tokens) == greedy_by_reading_all(decoder, prompt.ids, 20)
    assert answer.reason == "length"


def test_a_long_prompt_is_read_in_parts(
    decoder: Decoder, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = Prompt(tokenizer.encode(TEXT)[:61])
    whole = generate(decoder, tokenizer, prompt, GREEDY, stop_ids=())
    monkeypatch.setattr(generation, "PREFILL", 7)
    assert generate(decoder, tokenizer, prompt, GREEDY, stop_ids=()) == whole


def test_answers_side_by_side_are_those_given_alone(decoder: Decoder, tokenizer: Tokenizer) -> None:
    sampled = SamplingSettings(temperature=0.9, seed=5, max_tokens=40)
    prompts = [Prompt(tokenizer.encode(text)) for text in ("What", "The quick brown fox jumps", "Äpfel und")]
    for settings in (GREEDY, sampled):
        alone = [generate(decoder, tokenizer, prompt, settings) for prompt in prompts]
        assert generate_batch(decoder, tokenizer, prompts, settings) == alone
    assert generate_batch(decoder, tokenizer, [], GREEDY) == []


def test_the_seed_decides(decoder: Decoder, tokenizer: Tokenizer) -> None:
    prompt = Prompt(tokenizer.encode("What"))
    texts = [
        generate(decoder, tokenizer, prompt, SamplingSettings(temperature=1.0, seed=seed, max_tokens=30)).text
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_pieces_add_up_and_are_never_half_a_character(decoder: Decoder, tokenizer: Tokenizer) -> None:
    text = "日本 naïve 🍎🍏!"
    ids = [token for character in text for token in tokenizer.encode(character)]
    pieces, answer = say(decoder, tokenizer, ids)
    assert "".join(pieces) == answer.text == text
    assert answer.reason == "end" and list(answer.tokens) == ids
    assert all("\ufffd" not in piece for piece in pieces)


def test_an_answer_cut_inside_a_character_ends_before_it(decoder: Decoder, tokenizer: Tokenizer) -> None:
    apple = tokenizer.encode("\N{FOUR LEAF CLOVER}")
    assert len(apple) > 1
    _, answer = say(decoder, tokenizer, [*tokenizer.encode("ok "), *apple], max_tokens=len(tokenizer.encode("ok ")) + 1)
    assert answer.text == "ok " and answer.reason == "length"


def test_stop_strings_never_show(decoder: Decoder, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("The dog sleeps. Q: and on")
    pieces, answer = say(decoder, tokenizer, ids, stop=("\nQ:", " Q:"))
    assert "".join(pieces) == answer.text == "The dog sleeps."
    assert answer.reason == "stop"


def test_control_tokens_end_the_answer_and_tool_tags_show(decoder: Decoder, tokenizer: Tokenizer) -> None:
    tags = tokenizer.tags
    ids = [tags["<tool_call>"], *tokenizer.encode("{}"), tags["</tool_call>"]]
    for end in (tokenizer.end_of_text, tokenizer.turn_start):
        pieces, answer = say(decoder, tokenizer, [*ids, end, *ids])
        assert answer.text == "<tool_call>{}</tool_call>" == "".join(pieces)
        assert answer.reason == "end"


def test_a_full_context_ends_the_answer(decoder: Decoder, tokenizer: Tokenizer) -> None:
    settings = SamplingSettings(temperature=0.0, repetition_penalty=1.0, max_tokens=1000)
    answer = generate(decoder, tokenizer, Prompt(list(range(20, 50))), settings, stop_ids=())
    assert answer.reason == "context"
    assert len(answer.tokens) == decoder.architecture.context - 30


def test_prompts_that_cannot_be_answered_are_refused(decoder: Decoder, tokenizer: Tokenizer) -> None:
    for ids in ([], [5] * decoder.architecture.context):
        with pytest.raises(ModelError):
            generate(decoder, tokenizer, Prompt(ids), GREEDY)


def test_training_can_go_on_while_an_answer_is_streamed(decoder: Decoder, tokenizer: Tokenizer) -> None:
    running = stream(decoder, tokenizer, Prompt([5]), GREEDY)
    next(running)
    assert torch.is_grad_enabled()


# ------------------------------------------------------------------------- prompts


def test_a_text_too_long_keeps_its_newest_tokens(tokenizer: Tokenizer) -> None:
    whole = tokenizer.encode(TEXT)
    prompt = prompt_of_text(tokenizer, TEXT, 96, GREEDY)
    assert prompt.ids == whole[-76:]
    assert prompt.truncated == len(whole) - 76
    assert prompt_of_text(tokenizer, "", 96, GREEDY).ids == [tokenizer.end_of_text]


def conversation(count: int) -> list[Turn]:
    return [Turn("user" if at % 2 == 0 else "assistant", f"The dog number {at} sleeps on.") for at in range(count)]


def test_a_conversation_that_fits_is_whole(tokenizer: Tokenizer) -> None:
    turns = conversation(3)
    prompt = prompt_of_turns(tokenizer, turns, 200, GREEDY)
    assert prompt == Prompt(tokenizer.encode_turns(turns, answer_prompt=True).ids)


def test_the_oldest_turns_go_first_and_the_system_stays(tokenizer: Tokenizer) -> None:
    system, turns = Turn("system", "Be brief."), conversation(9)
    whole = tokenizer.encode_turns([system, *turns], answer_prompt=True).ids
    prompt = prompt_of_turns(tokenizer, [system, *turns], 120, GREEDY)
    text = tokenizer.decode(prompt.ids, skip_special=False)
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n")
    assert text.endswith("The dog number 8 sleeps on.<|im_end|>\n<|im_start|>assistant\n")
    assert prompt.truncated == len(whole) - len(prompt.ids) > 0
    assert len(prompt.ids) <= 100


def test_a_system_turn_that_leaves_no_room_goes_too(tokenizer: Tokenizer) -> None:
    prompt = prompt_of_turns(tokenizer, [Turn("system", TEXT), *conversation(3)], 96, GREEDY)
    assert tokenizer.decode(prompt.ids, skip_special=False).startswith("<|im_start|>user\nThe dog number 2")


def test_one_turn_too_long_keeps_its_header_and_its_end(tokenizer: Tokenizer) -> None:
    prompt = prompt_of_turns(tokenizer, [*conversation(2), Turn("user", TEXT)], 96, GREEDY)
    text = tokenizer.decode(prompt.ids, skip_special=False)
    assert len(prompt.ids) == 76
    assert text.startswith("<|im_start|>user\n")
    assert text.endswith("through the wood.\n<|im_end|>\n<|im_start|>assistant\n")


@given(st.integers(8, 400), st.integers(1, 300), st.integers(1, 6), st.booleans(), st.integers(0, 3))
def test_every_prompt_leaves_room(context: int, room: int, turns: int, system: bool, long: int) -> None:
    settings = SamplingSettings(max_tokens=room)
    talk = [Turn(turn.role, turn.text * (1 + 5 * long)) for turn in conversation(turns)]
    head = [Turn("system", "Be brief. " * long)] if system else []
    prompt = prompt_of_turns(SHARED, [*head, *talk], context, settings)
    assert 0 < len(prompt.ids) <= context - min(room, context // 2)
    whole = len(SHARED.encode_turns([*head, *talk], answer_prompt=True).ids)
    assert prompt.truncated == whole - len(prompt.ids)


SHARED = Tokenizer.train([TEXT] * 10, 300)


# ---------------------------------------------------------------------- stop strings


@given(
    st.text("abQ:\n", max_size=40),
    st.lists(st.text("abQ:\n", min_size=1, max_size=4), max_size=3),
    st.lists(st.integers(1, 5), min_size=40, max_size=40),
)
def test_scanned_text_is_what_stands_before_the_first_stop(text: str, stops: list[str], cuts: list[int]) -> None:
    scanner = StopScanner(stops)
    shown, at = "", 0
    for cut in cuts:
        shown += scanner.push(text[at : at + cut])
        at += cut
        assert not any(stop in shown for stop in stops)
    shown += scanner.finish()
    # As the text arrives: the stop string that is complete first, and of those the one that begins first.
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    if not ends:
        assert shown == text and not scanner.found
    else:
        assert scanner.found and text.startswith(shown)
        assert any(text[len(shown) :].startswith(stop) for stop in stops)
