"""What a model knows about itself: `forge.json` for programs, `README.md` for people."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from engine.errors import ModelError
from engine.typed import decode_json

CARD_FILE = "forge.json"
README_FILE = "README.md"

Action = Literal["build", "train", "grow", "import", "clone"]


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that the model was trained on."""

    path: str
    """As the job named it."""
    sha256: str
    """Hex digest of its bytes."""
    bytes: int
    """Its size."""
    documents: int = 0
    """Conversations or pieces of prose in it."""
    weight: float = 1.0
    """How often each document is seen in an epoch."""


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One step of how the model came to be."""

    action: Action
    """What was done."""
    time: float = 0.0
    """Seconds since the epoch, when it was finished."""
    run: str = ""
    """Id of the run."""
    size: str = ""
    """Size after the step: a name of the ladder, or "custom"."""
    parameters: int = 0
    """Weights after the step."""
    steps: int = 0
    """Optimizer steps taken."""
    tokens: int = 0
    """Tokens trained on."""
    val_bpb: float | None = None
    """Validation bits per byte at the end of the step."""
    source: str = ""
    """Name of the model that it started from, when that was another one."""
    source_sha256: str = ""
    """Hex digest of that model's weights."""
    note: str = ""
    """Anything else in words, such as the measured error of a growth."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """`forge.json`. The trainer fills in what happened; `write_model_files` fills in what the weights are."""

    name: str
    """The model's name when it was written."""
    created: float = 0.0
    """Seconds since the epoch, when the model was first built or imported."""
    updated: float = 0.0
    """Seconds since the epoch, when these weights were written."""
    run: str = ""
    """Id of the run that wrote them."""
    step: int = 0
    """Optimizer step of these weights within that run."""
    epochs: float = 0.0
    """Passes over the data in that run up to here."""
    tokens: int = 0
    """Tokens trained on, over all runs."""
    conversation: bool = True
    """Whether it was trained on conversations, so that a prompt is a question; else a prompt is a beginning."""
    data: tuple[DataFile, ...] = ()
    """What it was trained on."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Final figures, such as val_bpb and val_loss (nats per token)."""
    lineage: tuple[Ancestor, ...] = ()
    """Oldest first."""
    size: str = ""
    """A name of the ladder, or "custom"."""
    parameters: int = 0
    """Exact number of weights."""
    vocabulary: int = 0
    """Token ids."""
    context: int = 0
    """Most tokens in one sequence."""
    tokenizer_hash: str = ""
    """Ties the weights to their tokenizer."""
    weights_sha256: str = ""
    """Hex digest of model.safetensors."""
    software: str = ""
    """What wrote it."""
    format: int = 1
    """Version of this file's layout."""

    def to_json(self) -> bytes:
        """The content of forge.json; figures that are not numbers are left out, as JSON has none of those."""
        finite = {name: value for name, value in self.metrics.items() if math.isfinite(value)}
        return msgspec.json.format(msgspec.json.encode(replace(self, metrics=finite)), indent=2) + b"\n"

    @classmethod
    def from_json(cls, data: bytes, file: str | None = None) -> ModelCard:
        """The card in the content of a forge.json; keys of later versions are left out.

        Raises:
            ModelError: it is damaged.
        """
        try:
            return decode_json(data, cls)
        except (msgspec.MsgspecError, RecursionError) as error:
            reason = str(error)[:120]
            raise ModelError(f"The model's record is damaged: {reason}.", file=file) from error

    def readme(self) -> str:
        """The model card that model hubs show: YAML facts, then what a reader wants to know."""
        lines = [
            "---",
            "library_name: transformers",
            "pipeline_tag: text-generation",
            "tags:",
            "- forge-tui",
            "---",
            "",
            f"# {_plain(self.name)}",
            "",
            f"A language model of {self.parameters:,} parameters (size {_plain(self.size)}, {self.vocabulary:,} tokens "
            f"of vocabulary, {self.context:,} tokens of context), trained with forge-tui.",
            "",
            *self._usage(),
        ]
        if self.metrics:
            lines += ["## Measured", "", "| figure | value |", "|---|---|"]
            lines += [f"| {_plain(name)} | {value:.5g} |" for name, value in self.metrics.items()] + [""]
        if self.data:
            lines += ["## Trained on", "", "| file | bytes | documents | sha256 |", "|---|---|---|---|"]
            for file in self.data:
                lines.append(f"| {_plain(file.path)} | {file.bytes:,} | {file.documents:,} | {file.sha256[:16]} |")
            lines.append("")
        if self.lineage:
            lines += ["## History", ""]
            lines += [f"{number}. {_history(ancestor)}" for number, ancestor in enumerate(self.lineage, 1)] + [""]
        lines += [
            "## Limits",
            "",
            "A small model repeats what it was trained on and makes up the rest. Check what it says.",
            "",
        ]
        return "\n".join(lines)

    def _usage(self) -> list[str]:
        prompt = [
            'messages = [{"role": "user", "content": "What is Python?"}]',
            'ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", '
            "return_dict=True)",
        ]
        if not self.conversation:
            prompt = ['ids = tokenizer("In the beginning", return_tensors="pt")']
        return [
            "```python",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            'folder = "."  # this folder',
            "tokenizer = AutoTokenizer.from_pretrained(folder)",
            "model = AutoModelForCausalLM.from_pretrained(folder)",
            *prompt,
            "answer = model.generate(**ids, max_new_tokens=100)",
            'print(tokenizer.decode(answer[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))',
            "```",
            "",
        ]


def _history(ancestor: Ancestor) -> str:
    text = f"{ancestor.action}: {_plain(ancestor.size)}, {ancestor.parameters:,} parameters"
    if ancestor.source:
        text += f", from {_plain(ancestor.source)}"
    if ancestor.steps:
        text += f", {ancestor.steps:,} steps, {ancestor.tokens:,} tokens"
    if ancestor.val_bpb is not None:
        text += f", {ancestor.val_bpb:.4f} validation bits per byte"
    return text + (f" ({_plain(ancestor.note)})" if ancestor.note else "")


def _plain(text: str) -> str:
    """Text from anywhere as one line that Markdown shows as it is."""
    line = "".join(char if char.isprintable() else "?" for char in text[:200])
    return re.sub(r"([\\`*_{}\[\]<>|#~$!])", r"\\\1", line)
