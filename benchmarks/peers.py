"""What the comparisons share: a split, a plain Hugging Face Trainer as the peer, and one measure for every model.

The peer gets more than a user of it would have: our tokenizer, its learning rate from a sweep on the very text that it
is judged by, its best epoch or its whole time without start-up, and bfloat16 where the processor is fast in it. Needs
`pip install transformers accelerate`.
"""

from __future__ import annotations

import math
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from batch_run import run_batch

from engine.model.architecture import Architecture
from engine.processor import cpu_does_bf16
from engine.sizes import SIZES
from engine.text.conversation import Document
from engine.text.formats import read_documents
from engine.text.tokenizer import Tokenizer
from engine.text.writers import WRITERS

LENGTH = 256
"""Tokens of a training row."""
ROWS = 8
"""Rows of a batch of the peer: 2,048 tokens."""
RATES = (5e-4, 1.5e-3, 4e-3)
"""Learning rates that the peer is swept over."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text to train on and another one to judge by, of the same kind."""

    train: list[Document]
    held_out: list[Document]

    def write(self, path: Path) -> None:
        """The part to train on, as JSON Lines."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(WRITERS["jsonl"](one) or "" for one in self.train), encoding="utf-8")


def text_of(files: Sequence[Path], train_bytes: int | None = None, held_out_bytes: int = 100_000) -> Text:
    """Documents drawn at random, the same ones each time: first those that are held out, then those to train on."""
    documents = [document for file in files for document in read_documents(file)]
    random.Random(0).shuffle(documents)
    held_out = _taken(documents, min(held_out_bytes, sum(one.text_bytes for one in documents) // 10))
    return Text(_taken(documents, train_bytes or sys.maxsize), held_out)


def _taken(documents: list[Document], size: int) -> list[Document]:
    taken: list[Document] = []
    while documents and sum(one.text_bytes for one in taken[-1:]) <= size:
        size -= documents[-1].text_bytes
        taken.append(documents.pop())
        if size <= 0:
            break
    return taken


@dataclass(frozen=True, slots=True)
class Ours:
    """A run of the real command."""

    folder: Path
    """The published model."""
    epochs: int
    seconds: float
    """From the command to its end, tokenizer and all."""


def train_ours(root: Path, text: Text, size: str, *settings: str) -> Ours:
    """`forge-tui --batch` in a project of its own; settings as for --set."""
    text.write(root / "data" / "text.jsonl")
    job = (
        f'[model]\nname = "model"\nsize = "{size}"\n[data]\nfiles = ["data/text.jsonl"]\n'
        f"[train]\nsequence_length = {LENGTH}\n[eval]\nprompts = []\n"
    )
    events, seconds = run_batch(root, job, settings)
    plan = next(event for event in events if event["event"] == "plan")
    return Ours(root / "models" / "model", plan["epochs"], seconds)


class Judge:
    """Bits per byte of any causal model of transformers on the held-out documents, each one by itself."""

    def __init__(self, tokenizer: Tokenizer, documents: Iterable[Document]) -> None:
        documents = list(documents)
        self._ids = [encoded.ids for encoded in tokenizer.encode_documents(documents)]
        self._bytes = sum(document.text_bytes for document in documents)

    def __call__(self, model: Any) -> float:
        """A document that is longer than a row is read in pieces."""
        nats, training = 0.0, model.training
        model.eval()
        pieces = [ids[at : at + LENGTH + 1] for ids in self._ids for at in range(0, max(1, len(ids) - 1), LENGTH)]
        pieces.sort(key=len)
        with torch.inference_mode():
            for first in range(0, len(pieces), ROWS):
                rows = pieces[first : first + ROWS]
                width = max(len(row) for row in rows)
                ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
                logits = model(input_ids=ids[:, :-1]).logits.float()
                losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
                for row, loss in zip(rows, losses, strict=True):
                    nats += float(loss[: len(row) - 1].sum())
        model.train(training)
        return nats / math.log(2) / self._bytes

    def ours(self, folder: Path) -> float:
        """The same of a published model, opened by transformers as well."""
        from transformers import AutoModelForCausalLM

        return self(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32))


def peer_model(kind: str, size: str, vocabulary: int) -> Any:
    """A fresh model: "qwen3" has exactly our shapes, "gpt2" about as many parameters."""
    from transformers import GPT2Config, GPT2LMHeadModel, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    dims = SIZES[size].dimensions
    if kind == "qwen3":
        config = Architecture.of(dims, vocabulary, LENGTH).to_config()
        return Qwen3ForCausalLM(Qwen3Config(**config))
    wanted = dims.parameters(vocabulary)
    widths = [64 * count for count in range(1, 64)]
    parameters = [(vocabulary + LENGTH) * width + dims.layers * 12 * width * width for width in widths]
    width = min(zip(widths, parameters, strict=True), key=lambda pair: abs(pair[1] - wanted))[0]
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary,
            n_positions=LENGTH,
            n_embd=width,
            n_layer=dims.layers,
            n_head=width // 64,
            attn_pdrop=0.0,
            embd_pdrop=0.0,
            resid_pdrop=0.0,
        )
    )


def rows_of(tokenizer: Tokenizer, documents: Sequence[Document]) -> list[dict[str, list[int]]]:
    """The documents one after the other, cut into rows, as everybody does it."""
    stream = [token for encoded in tokenizer.encode_documents(documents) for token in encoded.ids]
    rows = [stream[at : at + LENGTH] for at in range(0, len(stream) - LENGTH + 1, LENGTH)]
    return [{"input_ids": row, "labels": row} for row in rows]


def train_peer(
    model: Any,
    rows: list[dict[str, list[int]]],
    rate: float,
    *,
    epochs: float = 1.0,
    seconds: float | None = None,
    each_epoch: Callable[[], None] | None = None,
) -> float:
    """A Trainer with AdamW, 5 % warm-up and a cosine to a tenth; returns the seconds that it trained.

    Args:
        model: Is trained in place.
        rows: Its data.
        rate: Peak learning rate.
        epochs: How often it sees them.
        seconds: Plan the schedule for this time instead, by the speed of a few steps that do not count.
        each_epoch: Called after each epoch; its time does not count.
    """
    from transformers import Trainer, TrainerCallback, TrainingArguments

    per_epoch = max(1, len(rows) // ROWS)
    steps = max(1, round(epochs * per_epoch))
    if seconds is not None:
        steps = max(1, int(seconds / _seconds_per_step(model, rows)))
    looking = 0.0

    class Look(TrainerCallback):  # type: ignore[misc]
        def on_epoch_end(self, *args: Any, **more: Any) -> None:
            nonlocal looking
            if each_epoch is not None:
                started = time.monotonic()
                each_epoch()
                looking += time.monotonic() - started

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=ROWS, dataloader_drop_last=True, learning_rate=rate,
            lr_scheduler_type="cosine_with_min_lr", lr_scheduler_kwargs={"min_lr_rate": 0.1},
            warmup_steps=max(1, steps // 20), max_steps=steps, weight_decay=0.1, adam_beta2=0.95, max_grad_norm=1.0,
            use_cpu=not torch.cuda.is_available(), save_strategy="no", report_to="none", disable_tqdm=True,
            logging_strategy="no", seed=0, bf16=_does_bf16(),
        )  # fmt: skip
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, callbacks=[Look()])
        started = time.monotonic()
        trainer.train()
        return time.monotonic() - started - looking


def _does_bf16() -> bool:
    return torch.cuda.is_bf16_supported() if torch.cuda.is_available() else cpu_does_bf16()


def _seconds_per_step(model: Any, rows: list[dict[str, list[int]]], steps: int = 12) -> float:
    """Of training steps of this model, on weights that are put back."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ids = torch.tensor([row["input_ids"] for row in rows[:ROWS]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    times = []
    for _ in range(steps):
        started = time.monotonic()
        with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=_does_bf16()):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.monotonic() - started)
    model.load_state_dict(before)
    return sorted(times)[len(times) // 2]


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table; the first row is its head."""
    for index, row in enumerate(rows):
        print(f"| {' | '.join(row)} |", flush=True)
        if index == 0:
            print(f"|{'---|' * len(row)}", flush=True)
