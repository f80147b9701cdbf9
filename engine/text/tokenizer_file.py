"""tokenizer.json as data to be distrusted: read, checked, hashed, and the files that stand beside it.

A tokenizer.json can come from anybody. It is parsed as JSON and compared with what we know to run (byte-level BPE)
before the Rust library sees it, and the library's panics, which pass `except Exception`, become a ModelError.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.text.chat_template import CHAT_TEMPLATE, CONTROL_TOKENS, END_OF_TEXT, TURN_END

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
TEMPLATE_FILE = "chat_template.jinja"

LARGEST_FILE = 64 * 2**20
"""Bytes; the largest tokenizers in use (256,000 tokens) take 33 MB."""
LARGEST_VOCABULARY = 2**20

_PRE_TOKENIZERS = {"Sequence", "Split", "ByteLevel", "Digits"}
_NORMALIZERS = {"Sequence", "NFC", "NFD", "NFKC", "NFKD"}
_DECODERS = {"Sequence", "ByteLevel"}
_CHILDREN = ("pretokenizers", "normalizers", "decoders")
_FIX = "Use the tokenizer.json that came with the model, or build a new model."


def read_definition(path: Path) -> dict[str, Any]:
    """The parsed and checked content of a tokenizer.json.

    Raises:
        ModelError: missing, too large, not JSON, damaged, not byte-level BPE, or without the ChatML tokens.
    """
    try:
        if not path.is_file():
            raise ModelError("There is no tokenizer here.", file=path, fix="Is this a model folder?")
        if path.stat().st_size > LARGEST_FILE:
            raise ModelError(f"The file is larger than {LARGEST_FILE >> 20} MB: not a tokenizer.", file=path, fix=_FIX)
        definition = json.loads(path.read_bytes())
    except OSError as error:
        raise ModelError(f"Cannot read the tokenizer: {error.strerror}.", file=path) from error
    except (ValueError, RecursionError) as error:
        raise ModelError("The tokenizer is damaged: not JSON.", file=path, fix=_FIX) from error
    problem = _problem(definition)
    if problem:
        raise ModelError(f"The tokenizer cannot be used: {problem}.", file=path, fix=_FIX)
    definition["truncation"] = definition["padding"] = None
    definition["model"]["dropout"] = None
    return dict(definition)


def _problem(definition: object) -> str:
    """What is wrong with the content in a few words; empty when it can be used."""
    if not isinstance(definition, dict) or not isinstance(definition.get("model"), dict):
        return "it has no model"
    model, added = definition["model"], definition.get("added_tokens")
    if model.get("type", "BPE") != "BPE" or model.get("byte_fallback"):
        return "only byte-level BPE is supported"
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict) or not isinstance(model.get("merges"), list) or not isinstance(added, list):
        return "its vocabulary, merges or added tokens are missing"
    ids = list(vocabulary.values())
    names: set[str] = set()
    for token in added:
        if not isinstance(token, dict) or not isinstance(token.get("content"), str) or not token["content"]:
            return "an added token has no content"
        if vocabulary.get(token["content"]) != token.get("id"):
            ids.append(token.get("id"))
        names.add(token["content"])
    if not all(type(number) is int and 0 <= number < LARGEST_VOCABULARY for number in ids):
        return f"its token ids are not numbers from 0 to {LARGEST_VOCABULARY - 1}"
    if len(set(ids)) != len(ids):
        return "two of its tokens have the same id"
    bytes_lost = sum(character not in vocabulary for character in byte_characters())
    if bytes_lost:
        return f"{bytes_lost} of the 256 bytes are not in its vocabulary"
    missing = [token for token in CONTROL_TOKENS if token not in names]
    if missing:
        return f"it lacks {', '.join(missing)}, which the chat template needs"
    return _unknown_parts(definition)


def _unknown_parts(definition: dict[str, Any]) -> str:
    for part, known in (("pre_tokenizer", _PRE_TOKENIZERS), ("normalizer", _NORMALIZERS), ("decoder", _DECODERS)):
        types = _types(definition.get(part))
        unknown = sorted(types - known)
        if unknown:
            return f"its {part} is of a kind that is not supported ({', '.join(unknown)[:60]})"
        if part != "normalizer" and "ByteLevel" not in types:
            return "only byte-level BPE is supported"
    return ""


def _types(part: object) -> set[str]:
    """The type names of a part and of what it consists of, one level down (no tokenizer in use nests deeper)."""
    if not isinstance(part, dict):
        return set()
    found = {str(part.get("type"))}
    for name in _CHILDREN:
        children = part.get(name)
        if isinstance(children, list):
            found |= {str(child.get("type")) if isinstance(child, dict) else "nothing" for child in children}
            found |= {
                "a nested sequence" for child in children if isinstance(child, dict) and child.keys() & set(_CHILDREN)
            }
    return found


def byte_characters() -> list[str]:
    """The printable character that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (chr(0x100 + position) for position in range(256))
    return [chr(value) if value in printable else next(others) for value in range(256)]


def definition_hash(definition: dict[str, Any]) -> str:
    """Hex sha256 of the canonical JSON: equal for equal content, however the file is laid out."""
    canonical = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def folder_files(definition: dict[str, Any], context: int | None) -> dict[str, str]:
    """Name to text of the files that make `transformers.AutoTokenizer` load the same tokenizer.

    The class is PreTrainedTokenizerFast because transformers 5 rebuilds some others (Qwen2Tokenizer) with a normaliser
    of their own. The end of a turn is `eos`, as in other chat models, so that it differs from the padding token.
    """
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": TURN_END,
        "pad_token": END_OF_TEXT,
        "unk_token": None,
        "add_bos_token": False,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    if context is not None:
        config["model_max_length"] = context
    return {
        TOKENIZER_FILE: json.dumps(definition, indent=2, ensure_ascii=False) + "\n",
        CONFIG_FILE: json.dumps(config, indent=2, ensure_ascii=False) + "\n",
        TEMPLATE_FILE: CHAT_TEMPLATE,
    }


@contextmanager
def rust_errors(file: Path | None) -> Iterator[None]:
    """Turn what the Rust library raises into a ModelError.

    Its PanicException (a hostile split pattern, for one) derives from BaseException and cannot be imported: it is
    known by its name. Catching every BaseException would swallow the user's Ctrl-C.
    """
    try:
        yield
    except BaseException as error:
        panic = type(error).__name__ == "PanicException"
        if not panic and type(error) is not Exception:
            raise
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"The tokenizer cannot be used: {reason}.", file=file, fix=_FIX) from error
