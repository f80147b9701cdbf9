"""LitGPT's own pre-training command on tokens drawn at random, timed between the batches that it asks for.

Needs `pip install litgpt`. Its Config is given the very shapes of ours; everything else is as `litgpt pretrain` has it:
torch.compile of the model, AdamW, clipping.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from throughput import ROWS, SEQUENCE_LENGTH, VOCABULARY

from engine.model.architecture import Architecture
from engine.sizes import SIZES


class _EnoughError(Exception):
    """Ends the training: it has no limit of time."""


def litgpt_steps(size: str, seconds: float, *, bf16: bool, skipped: int) -> list[float]:
    """Seconds of each training step.

    Args:
        size: One of ours.
        seconds: For which it is trained after the skipped steps; three more are made in any case.
        bf16: "bf16-mixed", its default, or "32-true".
        skipped: Steps at the beginning, in which it compiles.
    """
    from litgpt import pretrain
    from litgpt.args import EvalArgs, TrainArgs
    from litgpt.config import Config
    from litgpt.data import DataModule
    from torch.utils.data import DataLoader, IterableDataset

    asked: list[float] = []

    class Rows(IterableDataset):  # type: ignore[misc, type-arg]
        def __iter__(self) -> Iterator[torch.Tensor]:
            generator = torch.Generator().manual_seed(0)
            while True:
                yield torch.randint(0, VOCABULARY, (SEQUENCE_LENGTH + 1,), generator=generator)

    class Timed(DataLoader):  # type: ignore[misc, type-arg]
        def __iter__(self) -> Iterator[Any]:
            for batch in super().__iter__():
                asked.append(time.monotonic())
                if len(asked) > skipped + 3 and asked[-1] - asked[skipped] > seconds:
                    raise _EnoughError
                yield batch

    class Data(DataModule):  # type: ignore[misc]
        def connect(self, *arguments: Any, **more: Any) -> None:
            """It has rows of one length."""

        def train_dataloader(self) -> Timed:
            return Timed(Rows(), batch_size=ROWS[size])

        def val_dataloader(self) -> DataLoader[Any]:
            return DataLoader(Rows(), batch_size=ROWS[size])

    shape = Architecture.of(SIZES[size].dimensions, VOCABULARY, SEQUENCE_LENGTH)
    config = Config(
        name=size, block_size=SEQUENCE_LENGTH, vocab_size=VOCABULARY, padded_vocab_size=VOCABULARY,
        n_layer=shape.layers, n_embd=shape.dim, n_head=shape.heads, n_query_groups=shape.kv_heads,
        head_size=shape.head_dim, intermediate_size=shape.ffn, rotary_percentage=1.0, parallel_residual=False,
        bias=False, norm_class_name="RMSNorm", norm_eps=shape.rms_norm_eps, norm_qk=True, mlp_class_name="LLaMAMLP",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(_EnoughError):
        pretrain.setup(
            model_name=size,
            model_config=config,
            out_dir=Path(folder),
            precision="bf16-mixed" if bf16 else "32-true",
            data=Data(),
            train=TrainArgs(
                save_interval=None, global_batch_size=ROWS[size], micro_batch_size=ROWS[size],
                max_tokens=10**12, max_norm=1.0, lr_warmup_steps=10, tie_embeddings=True,
            ),
            eval=EvalArgs(interval=10**9, max_iters=1, final_validation=False),
            devices=1,
            logger_name="csv",
        )  # fmt: skip
    return [after - before for before, after in itertools.pairwise(asked)]
