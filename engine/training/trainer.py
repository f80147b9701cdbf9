"""The training loop, readable from top to bottom.

Everything that decides the weights is a function of the job, the data and the step; everything that looks at a clock
(reports, saves by time, the ETA) leaves the weights alone. That is why a resumed run equals an undisturbed one.
"""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path

import torch

from engine.events import Advice, Control, Eval, Log, Sample, Step, Stopped
from engine.exit_codes import ExitCode
from engine.model.transformer import Decoder
from engine.project import Project
from engine.runs.channel import Reporter
from engine.runs.control import Command
from engine.runs.launch import read_request
from engine.text.dataset import Batch
from engine.training import memory
from engine.training.average import Average
from engine.training.compiling import CompiledLoss, Loss
from engine.training.course import Position
from engine.training.devices import measure
from engine.training.evaluate import Score, evaluate
from engine.training.interruption import Interrupted
from engine.training.keeper import Keeper, Reason
from engine.training.optimizer import Optimizer
from engine.training.orders import Orders
from engine.training.pace import Pace
from engine.training.prepare import Prepared, ensure_same_steps, prepare_run
from engine.training.progress import Progress
from engine.training.publish import publish_run
from engine.training.recipe import EVALUATE_STEPS
from engine.training.sampler import answer
from engine.training.start import first_decoder
from engine.training.step import accumulate
from engine.training.trouble import Trouble
from engine.training.work import remember_speed, work_of

REPORT_SECONDS = (0.5, 5.0)
"""Between two reports of progress, at first and after ten hours: a journal of weeks stays small."""
DEVICE_SECONDS = (5.0, 60.0)
"""Between two reports of the device."""


def plan_run(run: Path, project: Project, reporter: Reporter) -> int:
    """Say what a run would do, without training."""
    reporter(prepare_run(run, project, read_request(run), reporter, trials=False).plan)
    return ExitCode.DONE


def train_run(run: Path, project: Project, reporter: Reporter, *, divisor: int = 1) -> int:
    """Train a run from where it stands to its end, or to a request to stop; returns the exit code."""
    reporter(Log(text="Reading the data."))
    try:
        prepared = prepare_run(run, project, read_request(run), reporter)
    except Interrupted as end:
        return _left_early(end.command, reporter)
    torch.set_num_threads(prepared.placement.threads)
    ensure_same_steps(run, prepared.course)
    reporter(prepared.plan)
    return Trainer(prepared, reporter, divisor=divisor).train()


def _left_early(command: Command, reporter: Reporter) -> int:
    """Nothing has been trained yet: what was found out until now is kept, and the same command goes on from there."""
    code = int(command.value) if command.value is not None else 0
    reporter(Control(command=command.command, by=command.by, id=command.id, text="Leaving before the first step."))
    reporter(Stopped(step=0, reason=command.by, exit_code=code))
    return code


class Trainer:
    """One worker's attempt at a run."""

    def __init__(self, prepared: Prepared, reporter: Reporter, *, divisor: int = 1) -> None:
        self.prepared = prepared
        self.report = reporter
        self.course = prepared.course
        self.train_section = prepared.job.train
        self.placement = prepared.placement
        self.keeper = Keeper(prepared, reporter)
        self.pace = Pace()
        self.orders = Orders(self)
        self.trouble = Trouble(self)
        self.progress = Progress(
            micro_rows=prepared.recipe.batch_size,
            activation_checkpointing=prepared.recipe.activation_checkpointing,
        )
        self.progress.guard.ceiling = math.log(prepared.tokenizer.vocabulary) + 2.5
        self.decoder = self._first_decoder()
        self.decoder.activation_checkpointing = self.progress.activation_checkpointing
        self.loss = self._loss()
        self.optimizer = self._new_optimizer()
        self.average = self._new_average()
        self.scaler = torch.amp.GradScaler(enabled=self.placement.precision == "fp16")
        self._divisor = divisor
        self._paused = False
        self.started = time.monotonic()
        self._reported = self._measured = 0.0
        self._loss_sum = self._weight_sum = 0.0
        self._norm = math.nan

    def train(self) -> int:
        """The loop."""
        self._begin()
        while self.progress.step < self.course.steps:
            stop = self.orders.obey()
            if stop is not None:
                return self._leave(stop)
            position = self.course.locate(self.progress.step)
            self._say_longer_rows()
            if not self._step():
                self.trouble.roll_back()
                continue
            self._report_step(position)
            if self._is_evaluation_due(position):
                self._evaluate()
            if position.ends_epoch:
                self._end_epoch(position)
            if self._should_stop_early():
                return self._finish(early=True)
            self.keeper.save_by_clock(self)
        return self._finish(early=False)

    # ---- beginning

    def _first_decoder(self) -> Decoder:
        prepared = self.prepared
        return first_decoder(prepared.job, prepared.architecture, prepared.start, self.placement.device, self.report)

    def _loss(self) -> Loss:
        return CompiledLoss(self.decoder, self.report) if self.train_section.compile else self.decoder.loss

    def _new_optimizer(self) -> Optimizer:
        prepared = self.prepared
        return Optimizer.of(self.decoder, prepared.architecture, prepared.recipe, self.placement)

    def _new_average(self) -> Average:
        half_life = self.prepared.recipe.average * self.course.stages[0].steps_per_epoch
        return Average(self.decoder, half_life)

    def _begin(self) -> None:
        """Go on from the newest whole checkpoint, or start; measure the untrained model first."""
        resumed = self.keeper.restore(self)
        if resumed is not None:
            self.report(resumed)
        self.progress.micro_rows = max(
            1, min(self.progress.micro_rows, self.prepared.recipe.batch_size // self._divisor)
        )
        if isinstance(self.loss, CompiledLoss):
            self.loss.warm(self.progress.micro_rows, self.prepared.recipe.sequence_length, self.placement)
        self._measure_device()
        if resumed is None:
            score = self._score()
            if score is not None:
                self.progress.untrained_bpb = score.bits_per_byte
                if self.prepared.start is not None:
                    self.progress.best_bpb = score.bits_per_byte
                self._report_evaluation(score, best=False, seconds=self.pace.other("evaluate"))
        self.decoder.train()
        self.pace.restart()

    def _say_longer_rows(self) -> None:
        """At a step that reads longer pieces than the one before: the loss may jump there, and the speed fall."""
        step = self.progress.step
        length = self.course.length(step)
        if step and length > self.course.length(step - 1):
            whole = length == self.prepared.recipe.sequence_length
            how = "whole" if whole else f"in pieces of {length} tokens"
            self.report(Log(text=f"From here on rows are read {how}."))

    # ---- one step

    def _step(self) -> bool:
        """Do one optimizer step; False when the guard wants to roll back."""
        batches, loss, weight = self._gradients()
        rate = self.course.learning_rate(self.progress.step) * self.progress.rate_scale
        self.optimizer.unscale(self.scaler)
        clip = self.train_section.gradient_clip or math.inf
        norm = float(torch.nn.utils.clip_grad_norm_(self.decoder.parameters(), clip))
        verdict, reason = self.progress.guard.judge(loss / weight, norm)
        if verdict == "step":
            self.optimizer.set_rate(rate)
            self.optimizer.step(self.scaler)
        elif verdict == "skip":
            self.trouble.skipped(reason)
        self.scaler.update()
        self.optimizer.zero_grad()
        if verdict == "roll back":
            self.trouble.reason = reason
            return False
        tokens = sum(int((batch.weights > 0).sum()) for batch in batches)
        self.progress.step += 1
        self.progress.tokens += tokens
        if verdict == "step":
            self._loss_sum += loss
            self._weight_sum += weight
            self._norm = norm
            self.average.update(self.progress.step)
            self.progress.nats_since_eval += loss
            self.progress.weight_since_eval += weight
            self.progress.text_tokens_since_eval += sum(int(batch.text.sum()) for batch in batches)
            self.progress.bytes_since_eval += sum(batch.bytes for batch in batches)
        self.pace.step(tokens)
        return True

    def _gradients(self) -> tuple[list[Batch], float, float]:
        """Gradients of a step; when memory runs out the same step is redone in smaller pieces."""
        while True:
            batches = self.course.batches(self.progress.step, self.progress.micro_rows)
            try:
                loss, weight = self._accumulate(batches)
            except (RuntimeError, MemoryError) as error:
                if not memory.is_out_of_memory(error):
                    raise
            else:
                return batches, loss, weight
            self.trouble.shrink()

    def _accumulate(self, batches: list[Batch]) -> tuple[float, float]:
        return accumulate(self.loss, batches, self.placement, self.scaler)

    # ---- what follows a step

    def _report_step(self, position: Position) -> None:
        now = time.monotonic()
        done = self.progress.step
        if now - self._reported < self._interval(REPORT_SECONDS) and 5 < done < self.course.steps:
            return
        self._reported = now
        loss = self._loss_sum / self._weight_sum if self._weight_sum else math.nan
        self._loss_sum = self._weight_sum = 0.0
        self.report(
            Step(
                step=done,
                steps=self.course.steps,
                epoch=round(position.epochs_done, 4),
                loss=loss,
                learning_rate=self.course.learning_rate(done - 1) * self.progress.rate_scale,
                grad_norm=self._norm,
                tokens=self.progress.tokens,
                tokens_per_second=round(self.pace.tokens_per_second, 1),
                eta_seconds=self._eta(),
            )
        )
        if now - self._measured >= self._interval(DEVICE_SECONDS):
            self._measure_device()

    def _interval(self, bounds: tuple[float, float]) -> float:
        """Seconds between two reports: growing with the age of the run, from one bound to the other."""
        shortest, longest = bounds
        return min(longest, shortest * max(1.0, self.seconds / 3600))

    def _measure_device(self) -> None:
        self._measured = time.monotonic()
        self.report(measure(self.placement.device, shutil.disk_usage(self.prepared.run).free))

    def _eta(self) -> float | None:
        left = self.course.steps - self.progress.step
        now = self.course.length(max(0, self.progress.step - 1))
        epochs = self.course.epochs * left / self.course.steps
        return self.pace.eta(
            left * work_of(self, self.course.mean_length(self.progress.step)) / work_of(self, now),
            {
                "evaluate": math.ceil(max(epochs, left / EVALUATE_STEPS)),
                "save": math.ceil(epochs / self.train_section.save_every) + 1,  # type: ignore[operator]
                "sample": math.ceil(epochs / self.prepared.job.eval.every),
            },
        )

    def _is_evaluation_due(self, position: Position) -> bool:
        return position.ends_epoch or (position.step_in_epoch + 1) % EVALUATE_STEPS == 0

    def _end_epoch(self, position: Position) -> None:
        epoch = math.ceil(position.epochs_done - 1e-9)
        if epoch % self.prepared.job.eval.every == 0 or self.progress.step == self.course.steps:
            self.sample()
        if self.progress.step < self.course.steps and epoch % self.train_section.save_every == 0:  # type: ignore[operator]
            self.keeper.save(self, "schedule")

    def _score(self) -> Score | None:
        self.decoder.eval()
        with self.average.applied():
            score = evaluate(
                self.decoder,
                [stage.corpus for stage in self.course.stages],
                self.placement,
                sequence_length=self.prepared.recipe.sequence_length,
                rows=max(1, self.progress.micro_rows),
                interrupted=self.report.orphaned.is_set,
            )
        self.decoder.train()
        return score

    def _evaluate(self) -> None:
        self.pace.restart()
        score = self._score()
        seconds = self.pace.other("evaluate")
        if score is None:
            return
        better = self.progress.best_bpb is None or score.bits_per_byte < self.progress.best_bpb
        if better:
            self.progress.best_bpb, self.progress.best_step = score.bits_per_byte, self.progress.step
            self.progress.evaluations_without_gain = 0
        else:
            self.progress.evaluations_without_gain += 1
        self._report_evaluation(score, best=better, seconds=seconds)
        self.progress.forget_training_loss()
        if better and self.progress.step < self.course.steps:
            self.keeper.save_best(self)

    def _report_evaluation(self, score: Score, *, best: bool, seconds: float) -> None:
        train_bpb = self.progress.train_bpb
        position = self.course.locate(max(0, self.progress.step - 1))
        self.report(
            Eval(
                step=self.progress.step,
                epoch=round(position.epochs_done, 4) if self.progress.step else 0.0,
                val_loss=score.loss,
                val_bpb=score.bits_per_byte,
                train_bpb=score.bits_per_byte if math.isnan(train_bpb) else train_bpb,
                best=best,
                seconds=round(seconds, 3),
            )
        )

    def sample(self, prompts: list[str] | None = None, by: str = "") -> None:
        self.pace.restart()
        self.decoder.eval()
        for prompt in self.prepared.job.eval.prompts if prompts is None else prompts:
            with self.average.applied():
                text = answer(self.decoder, self.prepared, prompt, step=self.progress.step)
            self.report(Sample(step=self.progress.step, prompt=prompt[:500], text=text, by=by))
        self.decoder.train()
        self.pace.other("sample")

    def _should_stop_early(self) -> bool:
        patience = self.train_section.early_stop
        return patience > 0 and self.progress.evaluations_without_gain >= patience

    # ---- starting over

    def start_over(self) -> None:
        """Back to the first weights; what memory and time have taught stays."""
        self.decoder.load_state_dict(self._first_decoder().state_dict())
        kept = self.progress
        self.progress = Progress(
            micro_rows=kept.micro_rows,
            activation_checkpointing=kept.activation_checkpointing,
            untrained_bpb=kept.untrained_bpb,
            seconds=kept.seconds,
            best_bpb=kept.untrained_bpb if self.prepared.start else None,
        )
        self.progress.guard.ceiling = kept.guard.ceiling
        self.optimizer = self._new_optimizer()
        self.average = self._new_average()

    # ---- ending

    def _leave(self, command: Command) -> int:
        """Save and leave, to be continued by the same command."""
        reason: Reason = "signal" if command.by.startswith("SIG") else "stop"
        self.keeper.save(self, "orphan" if self.report.orphaned.is_set() else reason)
        code = int(command.value) if command.value is not None else 0
        latest = self.keeper.latest
        self.report(Stopped(step=self.progress.step, reason=command.by, exit_code=code, checkpoint=latest))
        return code

    def _finish(self, *, early: bool) -> int:
        """Publish the best weights and say that the run is done."""
        if early:
            self.report(
                Advice(
                    code="early_stop",
                    severity="hint",
                    text=f"Validation has not improved for {self.progress.evaluations_without_gain} evaluations: "
                    f"ending with the best, of step {self.progress.best_step:,}.",
                )
            )
        self.keeper.save(self, "end", must=True)
        remember_speed(self)
        self.report(publish_run(self, early=early))
        return ExitCode.DONE

    @property
    def seconds(self) -> float:
        """Time in training over all attempts."""
        return self.progress.seconds + time.monotonic() - self.started
