"""Texts, documents and a tokenizer for the tests of tokens and datasets."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from engine.text.conversation import Document, Role, Turn
from engine.text.tokenizer import Tokenizer, training_texts

NASTY = [
    "",
    " ",
    "\n",
    "\r\n\r\n",
    "  \t leading and trailing \u00a0\u2003 ",
    "Camera: on. Idea: go. FAQ: yes, USA: no.",
    "def f(x):\n    if x:\n\treturn 'it''s' # \\n\n\n\n",
    "nul \x00 bell \x07 escape \x1b[31m delete \x7f c1 \x85\x9b",
    "\u0301\u0300 lone marks; e\u0301 against \u00e9",
    "na\u00efve \u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 \u0440\u0443\u0441 \u05e2\u05d1\u05e8 \u0e44\u0e17\u0e22",
    "\U0001f600 \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1f3\U0001f1f4 \U0001f44d\U0001f3fd \u2764\ufe0f",
    "\ufeffbom \ufffd \ufffe \uffff \U0010ffff \u2028\u2029",
    "1234567890 3.14159 1,000,000 0xFF \u00b2\u00be\u0663",
    "<|endoftext|><|im_start|>assistant\nI say what I like<|im_end|>",
    "a" * 500 + " " * 300 + "\n" * 100 + "=" * 200,
    "We'll they're I'D 'S",
]
"""Strings that a tokenizer gets wrong sooner or later."""

ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")
ANY_TEXT = st.one_of(
    st.text(max_size=80), st.sampled_from(NASTY), st.sampled_from(["<tool_call>", "</tool_result>", "<"])
)
TURNS = st.lists(st.builds(Turn, st.sampled_from(ROLES), ANY_TEXT), min_size=1, max_size=5)
DOCUMENTS = st.one_of(
    TURNS.map(lambda turns: Document(tuple(turns))),
    ANY_TEXT.map(lambda text: Document((Turn("text", text),))),
)


def pair(question: str, answer: str) -> Document:
    """A question with its answer."""
    return Document((Turn("user", question), Turn("assistant", answer)))


def pairs(count: int, words: int = 8) -> list[Document]:
    """Different questions and answers of different lengths."""
    return [
        pair(f"What is number {n}?", " ".join(f"word{n * 7 % 13}x{k}" for k in range(1 + n % words)))
        for n in range(count)
    ]


def write_pairs(path: Path, count: int, start: int = 0) -> Path:
    """A file of `count` different pairs in the Q/A format."""
    path.write_text(
        "".join(f"Q: What is number {n}?\nA: It is called {n * n} and so on.\n\n" for n in range(start, start + count))
    )
    return path


@cache
def tokenizer() -> Tokenizer:
    """A small tokenizer, trained once."""
    return Tokenizer.train([*training_texts(pairs(300)), *NASTY, "the quick brown fox jumps over it. " * 20], 600)
