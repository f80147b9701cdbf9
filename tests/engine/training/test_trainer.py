"""The loop: what it reports, what it saves, how it stops, and that a resumed run equals an undisturbed one."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import DivergedError, OutOfMemoryError
from engine.events import Advice, Checkpoint, Control, Done, Eval, Plan, Resumed, Sample, Step, Stopped
from engine.runs.control import Command
from engine.training.checkpoint import found, same_tensors
from engine.training.trainer import Trainer

from .conftest import EXACTLY, Recorder, TinyRun, corpus

Make = Callable[..., TinyRun]


def final_state(run: Path) -> dict[str, torch.Tensor]:
    newest = found(run / "checkpoints")[0]
    return load_file(newest / "model.safetensors") | load_file(newest / "optimizer.safetensors")


def test_a_run_reports_its_plan_progress_and_result(tiny_run: Make) -> None:
    tiny = tiny_run()
    run = tiny.prepare()
    code, recorder = tiny.train(run)
    assert code == 0
    plan = recorder.of(Plan)[0]
    steps = [event.step for event in recorder.of(Step)]
    assert steps == list(range(1, plan.steps + 1))
    evaluations = recorder.of(Eval)
    assert [round(event.epoch) for event in evaluations] == [0, 1, 2, 3]
    done = recorder.of(Done)[0]
    assert done.val_bpb == min(event.val_bpb for event in evaluations[1:])
    assert done.val_bpb < 0.9 * done.untrained_bpb
    assert (tiny.project.root / "models/tiny/model.safetensors").exists()
    assert all(event.learning_rate > 0 for event in recorder.of(Step))
    assert {event.prompt for event in recorder.of(Sample)} == {"What is a loop?"}


@pytest.mark.parametrize("stop_at", [1, 4, 9, 14])
def test_resume_equals_an_undisturbed_run_bit_for_bit(tiny_run: Make, stop_at: int) -> None:
    straight = tiny_run(name="straight")
    first = straight.prepare()
    straight.train(first)
    broken = tiny_run(name="broken")
    run = broken.prepare()
    stop = Recorder(at_step={stop_at: [Command(command="stop", by="test", value=130.0)]})
    code, _ = broken.train(run, stop)
    assert code == 130
    assert stop.of(Stopped)[0].step == stop_at
    code, rest = broken.train(broken.prepare())
    assert code == 0
    assert rest.of(Resumed)[0].from_step == stop_at
    assert "bit for bit" in rest.of(Resumed)[0].text
    assert same_tensors(final_state(first), final_state(run))
    published = [load_file(p.project.root / "models/tiny/model.safetensors") for p in (straight, broken)]
    assert same_tensors(*published)


def test_resume_with_another_thread_count_says_so_when_bits_differ(tiny_run: Make) -> None:
    tiny = tiny_run()
    run = tiny.prepare()
    tiny.train(run, Recorder(at_step={3: [Command(command="stop", by="test", value=130.0)]}))
    newest = found(run / "checkpoints")[0]
    import json

    from engine.files import sha256_of

    values = json.loads((newest / "trainer.json").read_text())
    values["probe_loss"] += 0.5
    (newest / "trainer.json").write_text(json.dumps(values))
    manifest = json.loads((newest / "MANIFEST.json").read_text())
    path = newest / "trainer.json"
    manifest["files"]["trainer.json"] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    (newest / "MANIFEST.json").write_text(json.dumps(manifest))
    _, rest = tiny.train(run)
    assert "not bit for bit" in rest.of(Resumed)[0].text


def test_accumulation_equals_the_big_batch(tiny_run: Make) -> None:
    whole, pieces = (
        tiny_run("train.batch_size=4", "train.gradient_accumulation=1", EXACTLY),
        tiny_run("train.batch_size=1", "train.gradient_accumulation=4", EXACTLY),
    )
    gradients = []
    for tiny in (whole, pieces):
        recorder = Recorder()
        trainer = _trainer(tiny, recorder)
        trainer._begin()
        trainer._gradients()
        gradients.append({name: p.grad.clone() for name, p in trainer.decoder.named_parameters()})
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], atol=1e-6), name


def _trainer(tiny: TinyRun, recorder: Recorder) -> Trainer:
    from engine.runs.launch import read_request
    from engine.training.prepare import prepare_run

    run = tiny.prepare(force=True)
    torch.set_num_threads(1)
    return Trainer(prepare_run(run, tiny.project, read_request(run), recorder), recorder)  # type: ignore[arg-type]


def test_out_of_memory_halves_the_micro_batch_and_keeps_the_step(
    tiny_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    calm = tiny_run(EXACTLY, name="calm")
    calm_run = calm.prepare()
    calm.train(calm_run)
    tiny = tiny_run(EXACTLY, name="tight")
    original = Trainer._accumulate

    def short_of_memory(self: Trainer, batches: list) -> tuple[float, float]:
        if any(len(batch.ids) > 1 for batch in batches):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.")
        return original(self, batches)

    monkeypatch.setattr(Trainer, "_accumulate", short_of_memory)
    run = tiny.prepare()
    code, recorder = tiny.train(run)
    assert code == 0
    advice = [event for event in recorder.of(Advice) if event.code == "out_of_memory"]
    assert len(advice) == 1 and "1 row" in advice[0].text
    for name, value in final_state(calm_run).items():
        if "/" not in name:
            assert torch.allclose(value, final_state(run)[name], atol=1e-4), name


def test_out_of_memory_with_one_row_recomputes_then_gives_up_with_advice(
    tiny_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(self: Trainer, batches: list) -> tuple[float, float]:
        raise MemoryError

    monkeypatch.setattr(Trainer, "_accumulate", never)
    tiny = tiny_run()
    recorder = Recorder()
    with pytest.raises(OutOfMemoryError, match="one row") as failure:
        tiny.train(tiny.prepare(), recorder)
    assert "sequence_length" in failure.value.fix
    assert any("recomputed" in event.text for event in recorder.of(Advice))


def test_a_non_finite_step_is_skipped_and_not_learned(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Trainer._accumulate

    def poisoned(self: Trainer, batches: list) -> tuple[float, float]:
        loss, weight = original(self, batches)
        return (math.nan if self.progress.step == 2 else loss), weight

    monkeypatch.setattr(Trainer, "_accumulate", poisoned)
    tiny = tiny_run()
    code, recorder = tiny.train(tiny.prepare())
    assert code == 0
    skipped = [event for event in recorder.of(Advice) if event.code == "step_skipped"]
    assert len(skipped) == 1 and "Step 3" in skipped[0].text


def test_divergence_rolls_back_with_a_lower_rate_then_fails_and_publishes_nothing(
    tiny_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Trainer._accumulate

    def poisoned(self: Trainer, batches: list) -> tuple[float, float]:
        loss, weight = original(self, batches)
        return (math.nan if self.progress.step >= 4 else loss), weight

    monkeypatch.setattr(Trainer, "_accumulate", poisoned)
    tiny = tiny_run()
    recorder = Recorder()
    with pytest.raises(DivergedError):
        tiny.train(tiny.prepare(), recorder)
    rolled = [event for event in recorder.of(Advice) if event.code == "rolled_back"]
    assert len(rolled) == 3
    assert "0.125 of the learning rate" in rolled[-1].text
    assert not (tiny.project.root / "models/tiny/config.json").exists()


def test_an_absurd_learning_rate_ends_as_diverged_not_as_finished(tiny_run: Make) -> None:
    tiny = tiny_run("train.learning_rate=10", "train.gradient_clip=0", "train.epochs=6")
    with pytest.raises(DivergedError):
        tiny.train(tiny.prepare())
    assert not (tiny.project.root / "models/tiny/config.json").exists()


def test_commands_are_carried_out_and_acknowledged(tiny_run: Make) -> None:
    recorder = Recorder(
        at_step={
            2: [Command(command="save", by="ann", id="a"), Command(command="sample", by="ann", id="b", prompt="Hi")],
            3: [Command(command="set_learning_rate", by="ann", id="c", value=0.0001)],
            4: [Command(command="resume", by="ann", id="d")],
            5: [
                Command(command="pause", by="ann", id="e"),
                Command(command="pause", by="ann", id="f"),
                Command(command="resume", by="ann", id="g"),
            ],
        }
    )
    tiny = tiny_run("train.warmup=0.02")
    code, _ = tiny.train(tiny.prepare(), recorder)
    assert code == 0
    answers = {event.id: event.accepted for event in recorder.of(Control)}
    assert answers == {"a": True, "b": True, "c": True, "d": False, "e": True, "f": False, "g": True}
    assert [event.prompt for event in recorder.of(Sample) if event.by == "ann"] == ["Hi"]
    rates = {event.step: event.learning_rate for event in recorder.of(Step)}
    assert rates[4] == pytest.approx(0.0001)
    assert [event.reason for event in recorder.of(Checkpoint)][:1] == ["command"]


def test_a_changed_learning_rate_survives_a_resume(tiny_run: Make) -> None:
    recorder = Recorder(
        at_step={
            3: [Command(command="set_learning_rate", by="ann", value=0.0001)],
            5: [Command(command="stop", by="ann", value=0.0)],
        }
    )
    tiny = tiny_run()
    run = tiny.prepare()
    tiny.train(run, recorder)
    _, rest = tiny.train(run)
    assert max(event.learning_rate for event in rest.of(Step)) <= 0.0001


def test_an_orphan_saves_and_leaves(tiny_run: Make) -> None:
    recorder = Recorder()
    tiny = tiny_run()
    run = tiny.prepare()
    recorder.orphaned.set()
    tiny.train(run, recorder)
    assert recorder.of(Checkpoint)[-1].reason == "orphan"
    code, _ = tiny.train(run)
    assert code == 0


def test_early_stop_ends_with_the_best(tiny_run: Make) -> None:
    tiny = tiny_run("train.epochs=60", "train.early_stop=2", "train.learning_rate=0.01", text=corpus(2))
    code, recorder = tiny.train(tiny.prepare())
    done = recorder.of(Done)[0]
    assert code == 0 and done.early_stopped
    best = min(recorder.of(Eval)[1:], key=lambda event: event.val_bpb)
    assert done.best_step == best.step < recorder.of(Step)[-1].step
    assert recorder.of(Advice)[-1].code == "early_stop"


def test_stages_are_one_history(tiny_run: Make) -> None:
    tiny = tiny_run()
    (tiny.project.root / "data/more.txt").write_text(corpus(3).replace("Number", "Figure"))
    from dataclasses import replace

    from engine.job import Stage

    job = replace(tiny.job, stage=[Stage(name="more", files=["data/more.txt"], epochs=2, learning_rate=0.0005)])
    tiny = TinyRun(tiny.project, job)
    code, recorder = tiny.train(tiny.prepare())
    plan = recorder.of(Plan)[0]
    assert code == 0
    assert [stage.name for stage in plan.stages] == ["main", "more"]
    assert recorder.of(Step)[-1].epoch == 5.0
    second = [event for event in recorder.of(Step) if event.step > plan.stages[0].steps]
    assert max(event.learning_rate for event in second) == pytest.approx(0.0005)


def test_continuing_a_model_starts_from_its_weights(tiny_run: Make) -> None:
    tiny = tiny_run()
    _, first = tiny.train(tiny.prepare())
    _, second = tiny.train(tiny.prepare(force=True))
    before = first.of(Done)[0].val_bpb
    assert second.of(Eval)[0].val_bpb == pytest.approx(before, rel=1e-5)
    assert second.of(Plan)[0].job["train"]["prompt_weight"] == 0.3


def test_without_enough_documents_validation_is_impossible_and_said(tiny_run: Make) -> None:
    tiny = tiny_run(text="Q: One?\nA: This is the only document there is here.\n")
    code, recorder = tiny.train(tiny.prepare())
    assert code == 0
    assert recorder.of(Done)[0].val_bpb is None
    assert "no_validation" in [event.code for event in recorder.of(Advice)]
