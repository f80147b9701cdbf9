"""Byte-level BPE: text to token ids and back, without losing a byte.

The split pattern is Qwen2's, which llama.cpp knows as `qwen2`; the alphabet is all 256 bytes; there is no normaliser
and no post-processor. What stands in a text is text: `<|im_end|>` typed by a user is encoded as seven or so ordinary
tokens. Control tokens come from the chat template alone, and the tool tags are single tokens only in the turns of the
assistant and of tools.

Lone surrogates, which JSON can smuggle into a Python string but UTF-8 cannot hold, become U+FFFD before encoding.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

from engine.errors import UsageError
from engine.files import write_atomic
from engine.text.chat_template import (
    ANSWER_PROMPT,
    CONTROL_TOKENS,
    END_OF_TEXT,
    TURN_END,
    TURN_START,
    Segment,
    TokenKind,
    document_segments,
    turn_segments,
)
from engine.text.conversation import TOOL_TAGS, Document, Turn
from engine.text.merges import Merges
from engine.text.stream_decoder import StreamDecoder
from engine.text.tokenizer_file import (
    TOKENIZER_FILE,
    byte_characters,
    definition_hash,
    folder_files,
    read_definition,
    rust_errors,
)

SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's split pattern (sha256 1ff7f410...): what llama.cpp's pre-tokenizer `qwen2` does."""
SMALLEST_VOCABULARY = 256 + len(CONTROL_TOKENS) + len(TOOL_TAGS)
LONGEST_TOKEN = 32
"""Bytes in a learned token; keeps one run of equal characters from filling the vocabulary with itself."""
PIECE = 1 << 16
"""Characters that the library is given at once; a longer text is cut where the pattern cuts anyway."""
TRAINING_PIECE = 1 << 10
"""Characters that are learned from at once: merging takes the square of the longest run without a space."""
SAMPLE_BYTES = 64 * 2**20
"""Text that a tokenizer is trained on; of more, an even sample is taken."""
# Each role costs a token in every turn instead of one a letter, also where the text itself has no conversation.
_ROLES = "system\nuser\nassistant\ntool\n"
_ROLE_COUNT = 10_000


@dataclass(frozen=True, slots=True)
class Encoded:
    """A document or a prompt as tokens."""

    ids: list[int]
    """Token ids."""
    kinds: bytes
    """The `TokenKind` of each token."""


class Tokenizer:
    """A trained tokenizer. Immutable; safe to share between threads."""

    def __init__(self, definition: dict[str, Any], file: Path | None = None) -> None:
        """From the checked content of a tokenizer.json; use `train` or `load`."""
        self._definition = definition
        self._file = file
        added = {token["content"]: token for token in definition["added_tokens"]}
        self.end_of_text: int = added[END_OF_TEXT]["id"]
        self.turn_start: int = added[TURN_START]["id"]
        self.turn_end: int = added[TURN_END]["id"]
        self._controls = {token["id"] for token in added.values() if token.get("special")}
        self.tags: dict[str, int] = {
            text: token["id"] for text, token in added.items() if text[0] == "<" and token["id"] not in self._controls
        }
        """Single tokens of the assistant and of tools, which decoding shows: the four tool tags in our own."""
        longest_first = sorted(self.tags, key=len, reverse=True)
        self._tag_pattern = re.compile("(" + ("|".join(map(re.escape, longest_first)) or "(?!)") + ")")
        self._single = {text: token["id"] for text, token in added.items()}
        self._template_ids: dict[str, list[int]] = {}
        with rust_errors(file):
            self._library = tokenizers.Tokenizer.from_str(json.dumps(_as_text(definition)))
            self._library.encode_special_tokens = True
            self._library.encode("A" * 64 + "a" * 64 + " \n\t" + "0" * 64 + "!", add_special_tokens=False)

    # ------------------------------------------------------------------ making

    @classmethod
    def train(cls, texts: Iterable[str], vocabulary: int) -> Tokenizer:
        """Learn at most `vocabulary` tokens from the texts, which are streamed; deterministic.

        Every merge needs two occurrences, so a short text supports fewer tokens: `.vocabulary` says how many there
        are. The role names of the template become single tokens first (they take 20 merges).

        Raises:
            UsageError: `vocabulary` cannot hold the bytes and the control tokens.
        """
        if vocabulary < SMALLEST_VOCABULARY:
            raise UsageError(f"A vocabulary of {vocabulary} is too small.", fix=f"Use {SMALLEST_VOCABULARY} or more.")
        library = tokenizers.Tokenizer(models.BPE())
        split = pre_tokenizers.Split(Regex(SPLIT_PATTERN), "isolated")
        to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        library.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
        library.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            min_frequency=2,
            show_progress=False,
            special_tokens=[*CONTROL_TOKENS, *TOOL_TAGS],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            max_token_length=LONGEST_TOKEN,
        )
        pieces = (piece for text in texts for piece in split_long(well_formed(text), TRAINING_PIECE))
        batches = iter(lambda: list(islice(pieces, 256)), [])
        library.train_from_iterator(chain([[_ROLES * _ROLE_COUNT]], batches), trainer)
        definition = json.loads(library.to_str())
        for token in definition["added_tokens"]:
            token["special"] = token["content"] in CONTROL_TOKENS
        return cls(definition)

    @classmethod
    def load(cls, folder: Path | str) -> Tokenizer:
        """The tokenizer of a model folder.

        Raises:
            ModelError: it is missing, damaged, hostile, or of a kind that we cannot run.
        """
        file = Path(folder) / TOKENIZER_FILE
        return cls(read_definition(file), file)

    def save(self, folder: Path | str, *, context: int | None = None) -> None:
        """Write tokenizer.json, tokenizer_config.json and chat_template.jinja into an existing folder.

        Args:
            folder: The model folder.
            context: The model's longest sequence, for tools that warn about longer texts.
        """
        for name, text in folder_files(self._definition, context).items():
            write_atomic(Path(folder) / name, text.encode())

    @property
    def vocabulary(self) -> int:
        """Number of token ids: what the model's embedding needs."""
        return len(self._token_bytes)

    @cached_property
    def hash(self) -> str:
        """Hex sha256 of the canonical tokenizer.json: ties a model and a token cache to this tokenizer."""
        return definition_hash(self._definition)

    # ---------------------------------------------------------------- encoding

    def encode(self, text: str) -> list[int]:
        """Token ids of a text; never a control token or a tag, whatever the text contains."""
        return list(chain.from_iterable(self._encode_pieces(list(split_long(well_formed(text))))))

    def encode_turns(self, turns: Sequence[Turn], *, answer_prompt: bool = False) -> Encoded:
        """A conversation by the chat template, or prose as it is, closed by `<|endoftext|>`.

        With `answer_prompt` it is left open for the model to go on instead: after the header of the assistant's turn,
        or at the end of the prose.
        """
        if not answer_prompt:
            return self._encode_segments([list(document_segments(turns, self._tag_pattern))])[0]
        segments = list(turn_segments(turns, self._tag_pattern))
        if not (len(turns) == 1 and turns[0].role == "text"):
            header = ANSWER_PROMPT.removeprefix(TURN_START)
            segments += [Segment(TURN_START, TokenKind.TEMPLATE, True), Segment(header, TokenKind.TEMPLATE, False)]
        return self._encode_segments([segments])[0]

    def encode_documents(self, documents: Iterable[Document]) -> list[Encoded]:
        """Many documents at once, on all cores (`TOKENIZERS_PARALLELISM=false` and `RAYON_NUM_THREADS` are obeyed)."""
        return self._encode_segments(
            [list(document_segments(document.turns, self._tag_pattern)) for document in documents]
        )

    def _encode_segments(self, documents: list[list[Segment]]) -> list[Encoded]:
        plans: list[list[tuple[list[int] | None, int, TokenKind]]] = []
        pieces: list[str] = []
        for segments in documents:
            plan: list[tuple[list[int] | None, int, TokenKind]] = []
            for text, kind, single in segments:
                if single:
                    plan.append(([self._single[text]], 0, kind))
                elif kind is TokenKind.TEMPLATE:
                    plan.append((self._template(text), 0, kind))
                else:
                    before = len(pieces)
                    pieces.extend(split_long(well_formed(text)))
                    plan.append((None, len(pieces) - before, kind))
            plans.append(plan)
        encoded = iter(self._encode_pieces(pieces))
        result = []
        for plan in plans:
            ids: list[int] = []
            kinds = bytearray()
            for fixed, count, kind in plan:
                before = len(ids)
                if fixed is not None:
                    ids += fixed
                for _ in range(count):
                    ids += next(encoded)
                kinds += bytes((kind,)) * (len(ids) - before)
            result.append(Encoded(ids, bytes(kinds)))
        return result

    def _template(self, text: str) -> list[int]:
        ids = self._template_ids.get(text)
        if ids is None:
            ids = self._template_ids[text] = self.encode(text)
        return ids

    def _encode_pieces(self, pieces: list[str]) -> list[list[int]]:
        with rust_errors(self._file):
            return [found.ids for found in self._library.encode_batch_fast(pieces, add_special_tokens=False)]

    # ---------------------------------------------------------------- decoding

    def decode(self, ids: Iterable[int], skip_special: bool = True) -> str:
        """The text of the tokens; control tokens are left out or shown, tool tags always shown.

        Bytes that are not UTF-8 become U+FFFD; an id outside the vocabulary is no text.
        """
        token_bytes = self.token_bytes if skip_special else self.token_bytes_shown
        return b"".join(map(token_bytes, ids)).decode("utf-8", "replace")

    def stream(self, *, skip_special: bool = True) -> StreamDecoder:
        """A decoder for tokens that arrive one by one."""
        return StreamDecoder(self.token_bytes if skip_special else self.token_bytes_shown)

    def token_bytes(self, token: int) -> bytes:
        """The bytes of text that a token stands for; none for a control token."""
        return b"" if token in self._controls else self.token_bytes_shown(token)

    def token_bytes_shown(self, token: int) -> bytes:
        """The bytes of a token, a control token's name included."""
        return self._token_bytes[token] if 0 <= token < len(self._token_bytes) else b""

    @cached_property
    def byte_lengths(self) -> list[int]:
        """UTF-8 bytes of text of every id, 0 for control tokens: what bits per byte are counted over."""
        return [len(self.token_bytes(token)) for token in range(self.vocabulary)]

    @cached_property
    def merges(self) -> Merges:
        """What each token was merged from."""
        return Merges.of(self._definition["model"], self.vocabulary, self._single.values())

    @cached_property
    def _token_bytes(self) -> list[bytes]:
        byte_of = {character: value for value, character in enumerate(byte_characters())}
        names = {number: text for text, number in self._definition["model"]["vocab"].items()}
        table = [b""] * (1 + max(chain(names, self._single.values())))
        for number, text in names.items():
            known = all(character in byte_of for character in text)
            table[number] = bytes(byte_of[character] for character in text) if known else text.encode()
        for text, number in self._single.items():
            table[number] = text.encode()
        return table


def _as_text(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition with every tag marked special, so that one switch makes the library read them all as text."""
    tokens = [
        {**token, "special": token.get("special") or token["content"][0] == "<"} for token in definition["added_tokens"]
    ]
    return {**definition, "added_tokens": tokens, "post_processor": None}


def well_formed(text: str) -> str:
    """The text as UTF-8 can hold it: surrogate pairs joined, lone surrogates replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def split_long(text: str, size: int = PIECE) -> Iterator[str]:
    """The text in pieces of at most `size` characters that together encode as the whole does.

    A cut goes before the first space after something else, where every known split pattern cuts, or else after a
    newline. Only in a text without either for thousands of characters does the cut change the tokens there (never
    the text).
    """
    start = 0
    while len(text) - start > size:
        window = text[start : start + size]
        end = _cut(window)
        yield window[:end]
        start += end
    if start < len(text):
        yield text[start:]


def _cut(window: str) -> int:
    at = len(window)
    while (at := window.rfind(" ", 1, at)) > 0:
        if not window[at - 1].isspace():
            return at
    at = len(window) - 1
    while (at := window.rfind("\n", 0, at)) >= 0:
        if not window[at + 1].isspace():
            return at + 1
    return len(window)


def training_texts(documents: Iterable[Document], text_bytes: int = 0) -> Iterator[str]:
    """What to train a tokenizer on: the turns' texts, without the tags that are tokens of their own.

    Args:
        documents: Streamed.
        text_bytes: Size of all files together, if known: of more than `SAMPLE_BYTES` an even share of the documents
            is taken, chosen by their text.
    """
    share = min(1.0, SAMPLE_BYTES / text_bytes) if text_bytes > 0 else 1.0
    for document in documents:
        if share < 1.0:
            text = document.turns[0].text[:4096] if document.turns else ""
            draw = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
            if int.from_bytes(draw) >= share * 2**64:
                continue
        for segment in turn_segments(document.turns):
            if not segment.single and segment.text:
                yield segment.text


def suggest_vocabulary(text_bytes: int) -> tuple[int, str]:
    """How many tokens suit a corpus of this size, and why.

    4096 a megabyte up to 8192, and 2048 * megabytes^0.35 where that is more (from 52 MB on), to the nearest power of
    two from 512 to 32768. More tokens make text shorter and the model larger, at the price of more logits, and a token
    of little text is rarely seen. Measured at size nano, bits per byte of text that neither tokenizer nor model had
    seen: 2.4 MB of the Bible once, 2048 tokens 1.436, 4096 1.392, 8192 1.364, 16384 1.350 in a quarter more time; three
    times, 4096 1.252, 8192 1.233; 2.4 MB of program text once, 1024 1.784, 4096 1.703, 8192 1.684; 600 kB of the
    Bible 16 times, 1024 1.475, 2048 1.465, 4096 1.470; 200 kB of it, 512 1.718, 2048 1.714; 200 kB of program text, 512
    2.111, 2048 2.222; 150 kB of short dialogues, 512 2.464, 2048 2.540, 4096 2.616; starter data, 165 kB 12 times, 512
    1.716, 2048 1.727 (a fifth of the tokens split, 512 1.723, 1024 1.701), 354 kB 10 times, 1024 1.650, 2048 1.604. The
    upper part fits GPT-BERT (8192 at 10 M words, 16384 at 100 M words).
    """
    megabytes = text_bytes / 1e6
    ideal = max(512.0, min(4096 * megabytes, max(8192.0, 2048 * megabytes**0.35)))
    value = min(32768, 2 ** round(math.log2(ideal)))
    if value == 512:
        return value, f"{text_bytes / 1000:.0f} kB of text: the smallest vocabulary, so that every token is seen often"
    return value, f"{megabytes:.3g} MB of text: about {ideal:.0f} tokens suit so much, to a power of two"
