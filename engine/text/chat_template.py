"""The one chat template, ChatML: as segments for the tokenizer, as text, and as the jinja that other tools run.

    <|im_start|>user
    What is Python?<|im_end|>
    <|im_start|>assistant
    A programming language.<|im_end|>
    <|endoftext|>

`CHAT_TEMPLATE` and `render` give the same bytes for the same turns. The closing `<|endoftext|>` belongs to the
training document, not to the template: a conversation that goes on does not have it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from engine.text.conversation import TOOL_TAGS, Turn

END_OF_TEXT = "<|endoftext|>"
"""Closes every document; also fills the unused end of a row."""
TURN_START = "<|im_start|>"
"""Opens a turn; the role and a newline follow."""
TURN_END = "<|im_end|>"
"""Closes a turn; a newline follows. What a chat stops at."""
CONTROL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END)
"""Written by the template only, never read from anybody's text; without bytes of text of their own."""

ANSWER_PROMPT = f"{TURN_START}assistant\n"
"""What stands before an answer that the model is to give."""

CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
"""The template in the jinja dialect of Hugging Face, llama.cpp and vLLM; a system message is optional."""


class TokenKind(IntEnum):
    """Whose words a token is: what its weight in the loss depends on."""

    TEXT = 0
    """Prose, and the end of a prose document."""
    ANSWER = 1
    """What the assistant says, its tool calls, and the closing `<|im_end|>`."""
    PROMPT = 2
    """What the user and the system say."""
    TEMPLATE = 3
    """Role headers, the newline between turns, the ends of turns that are not the assistant's."""
    TOOL = 4
    """What a tool returned."""
    PADDING = 5
    """The unused end of a row."""


class Segment(NamedTuple):
    """A stretch of a document whose tokens are of one kind."""

    text: str
    """What is encoded."""
    kind: TokenKind
    """The kind of all its tokens."""
    single: bool
    """Whether the text is one control token or tag rather than text to be split."""


TAG_PATTERN = re.compile("(" + "|".join(re.escape(tag) for tag in TOOL_TAGS) + ")")
"""Splits an assistant's or a tool's text at the tool tags."""


def document_segments(turns: Sequence[Turn], tags: re.Pattern[str] = TAG_PATTERN) -> Iterator[Segment]:
    """A whole training document: the conversation or the prose, closed by `<|endoftext|>`."""
    yield from turn_segments(turns, tags)
    prose = len(turns) == 1 and turns[0].role == "text"
    yield Segment(END_OF_TEXT, TokenKind.TEXT if prose else TokenKind.TEMPLATE, True)


def turn_segments(turns: Iterable[Turn], tags: re.Pattern[str] = TAG_PATTERN) -> Iterator[Segment]:
    """The turns one after the other; prose (role `text`) stands as it is, without markers.

    `tags` has one group and matches what becomes a single token in the turns of the assistant and of tools.
    """
    for turn in turns:
        if turn.role == "text":
            yield Segment(turn.text, TokenKind.TEXT, False)
            continue
        yield Segment(TURN_START, TokenKind.TEMPLATE, True)
        yield Segment(f"{turn.role}\n", TokenKind.TEMPLATE, False)
        if turn.role in ("assistant", "tool"):
            yield from _tagged(turn.text, TokenKind.ANSWER if turn.role == "assistant" else TokenKind.TOOL, tags)
        else:
            yield Segment(turn.text, TokenKind.PROMPT, False)
        yield Segment(TURN_END, TokenKind.ANSWER if turn.role == "assistant" else TokenKind.TEMPLATE, True)
        yield Segment("\n", TokenKind.TEMPLATE, False)


def _tagged(text: str, kind: TokenKind, tags: re.Pattern[str]) -> Iterator[Segment]:
    """Text with tags; a complete `<tool_result>` inside an answer is the tool's words, not the assistant's."""
    parts = tags.split(text)
    closings = deque(position for position, part in enumerate(parts) if part == "</tool_result>")
    result_end = -1
    for position, part in enumerate(parts):
        if part == "<tool_result>" and position > result_end:
            while closings and closings[0] < position:
                closings.popleft()
            if closings:
                result_end = closings[0]
        yield Segment(part, TokenKind.TOOL if position <= result_end else kind, position % 2 == 1)


def render(turns: Iterable[Turn], *, answer_prompt: bool = False) -> str:
    """The turns as one string, as `CHAT_TEMPLATE` renders them; with the header of the next answer if asked."""
    text = "".join(segment.text for segment in turn_segments(turns))
    return text + ANSWER_PROMPT if answer_prompt else text
