"""What a running trainer does when something goes wrong: memory runs out, a step is not to be applied, it diverges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from engine.errors import DivergedError, OutOfMemoryError
from engine.estimate import training_memory
from engine.events import Advice, Resumed
from engine.sizes import SIZES
from engine.training import guard, memory
from engine.training.compiling import CompiledLoss

if TYPE_CHECKING:
    from engine.training.trainer import Trainer


class Trouble:
    """Changes the trainer so that it can go on, and says so in an event; raises when there is no way left."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self.reason = ""
        """Why the guard wants to roll back."""

    def shrink(self) -> None:
        """Use less memory for the same result.

        Raises:
            OutOfMemoryError: one row with activation checkpointing does not fit.
        """
        trainer, progress = self._trainer, self._trainer.progress
        trainer.optimizer.zero_grad()
        memory.release(trainer.placement.device)
        if progress.micro_rows > 1:
            progress.micro_rows //= 2
            if isinstance(trainer.loss, CompiledLoss):
                trainer.loss.tokens = progress.micro_rows * trainer.prepared.recipe.sequence_length
            text = f"Out of memory: going on with micro-batches of {progress.micro_rows} rows; the step is the same."
        elif not progress.activation_checkpointing:
            progress.activation_checkpointing = trainer.decoder.activation_checkpointing = True
            text = "Out of memory: activations are now recomputed instead of kept; the step is the same, but slower."
        else:
            raise self._no_way_left()
        self._warn("out_of_memory", text)

    def _no_way_left(self) -> OutOfMemoryError:
        prepared = self._trainer.prepared
        vocabulary, length = prepared.tokenizer.vocabulary, prepared.recipe.sequence_length
        present = training_memory(prepared.architecture.dimensions, vocabulary, 1, length)
        smaller = [
            name
            for name, size in SIZES.items()
            if training_memory(size.dimensions, vocabulary, 1, length) < 0.8 * present
        ]
        return OutOfMemoryError(
            "Out of memory with a micro-batch of one row and recomputed activations.",
            fix=f"Use a shorter sequence_length than {length}"
            + (f", or a smaller size ({smaller[-1]} needs clearly less)." if smaller else "."),
        )

    def skipped(self, reason: str) -> None:
        """Say that the gradients of the next step are thrown away."""
        self._warn("step_skipped", f"Step {self._trainer.progress.step + 1:,} was not applied: {reason}.")

    def roll_back(self) -> None:
        """Return to the last good checkpoint with a lower learning rate.

        Raises:
            DivergedError: that has been tried often enough.
        """
        trainer, at = self._trainer, self._trainer.progress.step
        tries, scale = trainer.progress.rollbacks + 1, trainer.progress.rate_scale * guard.ROLLBACK_FACTOR
        if tries > guard.MAX_ROLLBACKS:
            raise DivergedError(
                f"Training diverged: {self.reason}, after {guard.MAX_ROLLBACKS} returns to the last good state.",
                fix="Use a lower learning_rate (a tenth), and check the data with `forge-tui check`.",
            )
        self._warn(
            "rolled_back",
            f"{guard.PATIENCE} bad steps in a row at step {at:,} ({self.reason}): "
            f"back to the last good state with {scale:g} of the learning rate ({tries} of {guard.MAX_ROLLBACKS}).",
        )
        resumed = trainer.keeper.restore(trainer)
        if resumed is None:
            trainer.start_over()
            resumed = Resumed(from_step=0, checkpoint="", text="No checkpoint yet: starting over.")
        trainer.progress.rollbacks, trainer.progress.rate_scale = tries, scale
        trainer.report(msgspec.structs.replace(resumed, text=f"Rolled back. {resumed.text}".strip()))
        trainer.pace.restart()

    def _warn(self, code: str, text: str) -> None:
        self._trainer.report(Advice(code=code, severity="warning", text=text))
