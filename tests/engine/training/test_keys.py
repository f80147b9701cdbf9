"""Every key of forge.toml has an effect, shown here for the keys that the trainer obeys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from engine.errors import UsageError
from engine.events import Checkpoint, Done, Eval, Log, Plan, Resumed, Sample, Step
from engine.job_file import parse_job
from engine.job_schema import known_keys
from engine.runs.control import Command
from engine.training import rehearsal
from engine.training.checkpoint import found, same_tensors
from engine.training.course import Course
from engine.training.prepare import Prepared
from engine.training.recipe import Recipe, decide_epochs
from engine.training.trainer import Trainer

from .conftest import Recorder, TinyRun, corpus

Make = Callable[..., TinyRun]


def prepared(tiny: TinyRun) -> Prepared:
    return tiny.settle(tiny.prepare(force=True))


def plan(make: Make, *overrides: str, **kwargs: str) -> Plan:
    return prepared(make(*overrides, **kwargs)).plan


def test_model_keys(tiny_run: Make) -> None:
    assert plan(tiny_run, "model.name=other").model == "other"
    assert plan(tiny_run, "model.size=nano").size == "nano"
    assert plan(tiny_run, "model.vocabulary=340").vocabulary == 340


def test_data_files_accepts_globs_and_tables_with_weights(tiny_run: Make) -> None:
    one = plan(tiny_run, 'data.files=["data/*.txt"]')
    heavy = prepared(tiny_run('data.files=[{path = "data/qa.txt", weight = 2.0}]'))
    assert one.documents == heavy.plan.documents
    rows = [prepared(tiny_run()).course.stages[0].order(0).tokens, heavy.course.stages[0].order(0).tokens]
    assert rows[1] == pytest.approx(2 * rows[0], rel=0.01)


def test_data_format_decides_what_a_document_is(tiny_run: Make) -> None:
    assert prepared(tiny_run()).conversation
    assert not prepared(tiny_run("data.format=text")).conversation


def test_data_validation_is_the_share_held_out(tiny_run: Make) -> None:
    counts = [plan(tiny_run, f"data.validation={share}").validation_documents for share in (0.0, 0.1, 0.3)]
    assert counts[0] == 0 < counts[1] < counts[2]


def test_data_deduplicate_drops_repeated_documents(tiny_run: Make) -> None:
    twice = corpus() + "\n" + corpus()
    kept, dropped = (plan(tiny_run, f"data.deduplicate={value}", text=twice) for value in ("false", "true"))
    assert kept.documents >= 2 * dropped.documents - 12


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.epochs=7", ("epochs",), 7),
        ("train.learning_rate=0.0123", ("job", "train", "learning_rate"), 0.0123),
        ("train.batch_size=3", ("job", "train", "batch_size"), 3),
        ("train.gradient_accumulation=5", ("job", "train", "gradient_accumulation"), 5),
        ("train.sequence_length=64", ("job", "train", "sequence_length"), 64),
        ("train.mixed_precision=bf16", ("precision",), "bf16"),
        ("train.mixed_precision=false", ("precision",), "fp32"),
        ("train.threads=1", ("threads",), 1),
        ("train.device=cpu", ("device",), "cpu"),
        ("train.optimizer=muon", ("job", "train", "optimizer"), "muon"),
        ("train.optimizer=adamw", ("job", "train", "optimizer"), "adamw"),
        ("train.weight_decay=0.7", ("job", "train", "weight_decay"), 0.7),
        ("train.warmup=0.5", ("job", "train", "warmup"), 0.5),
        ("train.length_warmup=0.5", ("job", "train", "length_warmup"), 0.5),
        ("train.bpe_dropout=0.2", ("job", "train", "bpe_dropout"), 0.2),
        ("train.prompt_weight=0.25", ("job", "train", "prompt_weight"), 0.25),
    ],
)
def test_numbers_are_taken_as_asked(tiny_run: Make, override: str, path: tuple[str, ...], value: object) -> None:
    found_value: object = plan(tiny_run, override)
    for part in path:
        found_value = found_value[part] if isinstance(found_value, dict) else getattr(found_value, part)
    assert found_value == value


def test_a_device_that_is_not_there_is_refused(tiny_run: Make) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UsageError, match="cuda"):
        plan(tiny_run, "train.device=cuda")


def test_optimizer_auto_is_muon_unless_a_learning_rate_is_named(tiny_run: Make) -> None:
    assert plan(tiny_run).job["train"]["optimizer"] == "adamw"
    ours = plan(tiny_run, "train.learning_rate=auto").job["train"]
    assert ours["optimizer"] == "muon" and ours["learning_rate"] >= 0.004


def test_preset_classic_is_the_guides_numbers(tiny_run: Make) -> None:
    open_keys = ("learning_rate", "batch_size", "gradient_accumulation", "sequence_length")
    train = plan(tiny_run, "train.preset=classic", *(f"train.{key}=auto" for key in open_keys)).job["train"]
    assert train["learning_rate"] == 1e-4
    assert (train["batch_size"], train["gradient_accumulation"], train["sequence_length"]) == (32, 4, 512)
    assert train["save_every"] == 100


def test_sequence_length_auto_comes_from_the_documents(tiny_run: Make) -> None:
    train = plan(tiny_run, "train.sequence_length=auto").job["train"]
    assert train["sequence_length"] == 128


def test_every_auto_has_a_value_and_a_reason(tiny_run: Make) -> None:
    names = ("learning_rate", "batch_size", "gradient_accumulation", "sequence_length")
    found_plan = plan(tiny_run, *(f"train.{name}=auto" for name in names))
    assert "auto" not in [
        value for key, value in found_plan.job["train"].items() if key not in ("preset", "checkpoint_budget")
    ]
    for key in (
        *names,
        "weight_decay",
        "warmup",
        "length_warmup",
        "bpe_dropout",
        "save_every",
        "prompt_weight",
        "mixed_precision",
        "device",
        "threads",
    ):
        assert found_plan.why[f"train.{key}"]


def test_warmup_and_learning_rate_shape_the_first_steps(tiny_run: Make) -> None:
    tiny = tiny_run("train.warmup=0.5", "train.learning_rate=0.01")
    _, recorder = tiny.train(tiny.prepare())
    rates = [event.learning_rate for event in recorder.of(Step)]
    half = len(rates) // 2
    assert rates[0] < rates[half // 2] < rates[half - 1] <= 0.01


def test_weight_decay_applies_to_matrices_only(tiny_run: Make) -> None:
    run = prepared(tiny_run("train.weight_decay=0.7"))
    trainer = Trainer(run, Recorder())  # type: ignore[arg-type]
    groups = [group for part in trainer.optimizer.parts for group in part.param_groups]
    decays = {group["weight_decay"]: [p.ndim for p in group["params"]] for group in groups}
    assert min(decays[0.7]) == 2 and 1 in decays[0.0]


def test_gradient_clip_bounds_the_update(tiny_run: Make) -> None:
    weights = []
    for clip in ("0.0001", "1.0"):
        tiny = tiny_run(f"train.gradient_clip={clip}", "train.epochs=1", name=f"clip{clip}")
        tiny.train(tiny.prepare())
        weights.append(load_file(tiny.project.root / "models/tiny/model.safetensors"))
    assert not same_tensors(*weights)


def test_prompt_weight_masks_what_the_user_says(tiny_run: Make) -> None:
    full, answers = (prepared(tiny_run(f"train.prompt_weight={w}")).course.batches(0, 99)[0] for w in ("1.0", "0.0"))
    assert full.weights.min() >= 0 and set(answers.weights.flatten().tolist()) == {0.0, 1.0}
    assert answers.weights.sum() < full.weights.sum()


def test_seed_changes_the_weights_and_nothing_else_does(tiny_run: Make) -> None:
    finals = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        tiny = tiny_run(f"train.seed={seed}", "train.epochs=1", name=name)
        run = tiny.prepare()
        tiny.train(run)
        finals.append(load_file(found(run / "checkpoints")[0] / "model.safetensors"))
    assert same_tensors(finals[0], finals[1])
    assert not same_tensors(finals[0], finals[2])


def test_save_every_counts_epochs_and_keep_checkpoints_bounds_them(tiny_run: Make) -> None:
    tiny = tiny_run("train.save_every=2", "train.epochs=6", "train.keep_checkpoints=2")
    run = tiny.prepare()
    _, recorder = tiny.train(run)
    assert [event.reason for event in recorder.of(Checkpoint) if event.reason != "best"] == [
        "schedule",
        "schedule",
        "end",
    ]
    assert len(found(run / "checkpoints")) == 2
    tiny = tiny_run("train.save_every=1", "train.epochs=6", "train.keep_checkpoints=4", name="four")
    run = tiny.prepare()
    tiny.train(run)
    assert len(found(run / "checkpoints")) == 4


def test_save_minutes_saves_by_the_clock(tiny_run: Make) -> None:
    tiny = tiny_run("train.save_minutes=0.0000001", "train.epochs=1")
    _, recorder = tiny.train(tiny.prepare())
    assert "time" in [event.reason for event in recorder.of(Checkpoint)]


def test_checkpoint_budget_bounds_the_bytes(tiny_run: Make) -> None:
    tiny = tiny_run(
        "train.save_every=1", "train.epochs=5", "train.keep_checkpoints=5", "train.checkpoint_budget=0.000001"
    )
    run = tiny.prepare()
    tiny.train(run)
    assert len(found(run / "checkpoints")) == 2


def test_eval_keys(tiny_run: Make) -> None:
    tiny = tiny_run('eval.prompts=["One?", "Two?"]', "eval.every=1", "eval.max_tokens=1", "train.epochs=2")
    _, recorder = tiny.train(tiny.prepare())
    samples = recorder.of(Sample)
    assert [event.prompt for event in samples] == ["One?", "Two?"] * 2
    assert all(len(event.text.split()) <= 2 for event in samples)


def test_method_build_replaces_only_by_force_and_keeps_the_old_one(tiny_run: Make) -> None:
    tiny = tiny_run("train.epochs=1")
    tiny.train(tiny.prepare())
    again = tiny_run("train.epochs=1", "train.method=build")
    with pytest.raises(UsageError, match="would be replaced"):
        again.prepare()
    _, recorder = again.train(again.prepare(force=True))
    assert recorder.of(Done)
    trashed = list((tiny.project.models / ".trash").glob("tiny-*"))
    assert len(trashed) == 1


def test_method_grow_starts_from_the_smaller_model_exactly(tiny_run: Make) -> None:
    tiny = tiny_run("train.epochs=2")
    _, first = tiny.train(tiny.prepare())
    bigger = "model.size={layers = 3, dim = 128, heads = 2, kv_heads = 1, ffn = 128}"
    grown = tiny_run("train.epochs=1", "train.method=grow", bigger)
    _, second = grown.train(grown.prepare())
    assert second.of(Plan)[0].parameters > 2 * first.of(Plan)[0].parameters
    assert second.of(Eval)[0].val_bpb == pytest.approx(first.of(Done)[0].val_bpb, rel=1e-4)


def test_export_gguf_writes_a_file_beside_the_model(tiny_run: Make) -> None:
    tiny = tiny_run("train.epochs=1", 'export.gguf=["f16"]')
    tiny.train(tiny.prepare())
    files = list((tiny.project.root / "models/tiny").glob("*.gguf"))
    assert len(files) == 1
    assert files[0].read_bytes()[:4] == b"GGUF"


def test_no_key_is_without_a_test() -> None:
    here = Path(__file__).read_text() + (Path(__file__).parent / "test_trainer.py").read_text()
    elsewhere = {"stage.name", "stage.files", "stage.epochs", "stage.learning_rate", "model.name", "train.compile"}
    missing = [key for key in known_keys() if key not in elsewhere and key.rpartition(".")[2] not in here]
    assert not missing


def test_epochs_auto_is_as_many_as_the_model_learns_from(tiny_run: Make) -> None:
    few = plan(tiny_run, "train.epochs=auto")
    assert few.epochs == 16 == few.job["train"]["epochs"] and "teach nothing new" in few.why["train.epochs"]
    assert plan(tiny_run, "train.epochs=auto", "train.preset=classic").epochs == 30


def test_epochs_auto_of_much_text_is_forty_tokens_a_parameter() -> None:
    train = parse_job("[train]\nepochs = 'auto'\n").train
    assert decide_epochs(train, 10_000_000, 1_000_000) == (4, "40 tokens a parameter")
    assert decide_epochs(train, 10**9, 1_000_000)[0] == 1


def test_average_is_kept_beside_the_weights_and_published(tiny_run: Make) -> None:
    for value, differs in (("0", False), ("auto", True)):
        tiny = tiny_run(f"train.average={value}")
        run = tiny.prepare(force=True)
        _, recorder = tiny.train(run)
        newest = found(run / "checkpoints")[0]
        present = [name for name in load_file(newest / "optimizer.safetensors") if name.startswith("present/")]
        assert bool(present) == differs
        (done,) = recorder.of(Done)
        assert isinstance(done, Done)
        published = load_file(tiny.project.model("tiny") / "model.safetensors")
        best = newest if done.best_step == recorder.of(Step)[-1].step else found(run / "checkpoints", "best")[0]  # type: ignore[attr-defined]
        assert same_tensors(published, load_file(best / "model.safetensors"))


def test_max_time_shortens_the_schedule_to_its_end(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "seconds_per_step", lambda *_: 10.0)
    tiny = tiny_run("train.max_time=5m", "train.learning_rate=auto")
    run = tiny.prepare()
    code, recorder = tiny.train(run)
    (planned,), steps = recorder.of(Plan), recorder.of(Step)
    assert isinstance(planned, Plan) and code == 0
    assert 15 <= planned.steps <= 28 and steps[-1].step == planned.steps  # type: ignore[attr-defined]
    assert steps[-1].learning_rate == pytest.approx(0.01 * planned.job["train"]["learning_rate"])  # type: ignore[attr-defined]
    assert recorder.of(Eval)[-1].step == planned.steps  # type: ignore[attr-defined]
    assert "end within 5m" in planned.why["train.epochs"] and recorder.of(Done)


def test_what_max_time_decided_stays_decided(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "seconds_per_step", lambda *_: 10.0)
    tiny = tiny_run("train.max_time=5m")
    run = tiny.prepare()
    stop = Recorder(at_step={3: [Command(command="stop", by="me", value=143.0)]})
    assert tiny.train(run, stop)[0] == 143
    monkeypatch.setattr(rehearsal, "seconds_per_step", lambda *_: pytest.fail("measured again"))
    code, recorder = tiny.train(tiny.prepare())
    assert code == 0 and recorder.of(Plan)[0].steps == stop.of(Plan)[0].steps  # type: ignore[attr-defined]


def test_the_rate_of_the_embeddings_stays_decided(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = tiny_run("train.learning_rate=auto")
    undisturbed = tiny_run("train.learning_rate=auto", name="undisturbed")
    assert undisturbed.train(undisturbed.prepare())[0] == 0
    stop = Recorder(at_step={3: [Command(command="stop", by="me", value=143.0)]})
    assert tiny.train(tiny.prepare(), stop)[0] == 143
    monkeypatch.setattr("engine.training.recipe.EMBEDDING_SHARE", 0.1)
    code, recorder = tiny.train(tiny.prepare())
    assert code == 0 and recorder.of(Resumed)
    weights = [load_file(one.project.models / "tiny" / "model.safetensors") for one in (tiny, undisturbed)]
    assert same_tensors(*weights)


def test_max_time_with_room_for_everything_changes_nothing_and_without_room_is_refused(tiny_run: Make) -> None:
    free, timed = plan(tiny_run), plan(tiny_run, "train.max_time=2h")
    assert timed.steps == free.steps and timed.epochs == free.epochs
    with pytest.raises(UsageError, match="a single step takes"):
        plan(tiny_run, "train.max_time=1s")
    with pytest.raises(UsageError, match="no length of time"):
        plan(tiny_run, "train.max_time=soon")


def test_how_fast_a_run_was_corrects_the_next_estimate(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.training.work.TOO_SHORT_TO_REMEMBER", 0.0)
    tiny = tiny_run()
    before = prepared(tiny).plan.seconds
    _, recorder = tiny.train(tiny.prepare(force=True))
    (done,) = recorder.of(Done)
    assert any("of the time that the plan said" in log.text for log in recorder.of(Log))  # type: ignore[attr-defined]
    after = prepared(tiny).plan.seconds
    assert before is not None and after is not None and isinstance(done, Done)
    assert abs(after - done.seconds) < abs(before - done.seconds)


def test_max_time_takes_steps_that_suit_a_run_of_that_length(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    def seconds_per_step(left: float, course: Course, recipe: Recipe, *_: object) -> float:
        measured.append(recipe.batch_size)
        return 0.4 * recipe.batch_size

    monkeypatch.setattr(rehearsal, "seconds_per_step", seconds_per_step)
    monkeypatch.setattr("engine.training.prepare.questions", lambda *_: {})
    settings = ("train.batch_size=auto", "train.gradient_accumulation=auto", "train.epochs=400")
    text = corpus(100)
    rows = plan(tiny_run, *settings, text=text).job["train"]["batch_size"]
    short = plan(tiny_run, *settings, "train.max_time=10m", text=text)
    assert short.job["train"]["batch_size"] < rows and short.job["train"]["batch_size"] == measured[-1]
    assert "at least 1,200 steps" in short.why["train.batch_size"]
    assert short.steps == pytest.approx(540 / (0.4 * measured[-1]), rel=0.1) and len(measured) <= 2


def test_max_time_leaves_the_shape_of_a_step_that_trials_found(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "seconds_per_step", lambda *_: 10.0)
    monkeypatch.setattr("engine.training.prepare._searched", lambda *args, **_: replace(args[4], batch_size=7))
    timed = plan(tiny_run, "train.max_time=10m", "train.epochs=400", text=corpus(100))
    assert timed.job["train"]["batch_size"] == 7


def test_max_time_decides_the_rest_as_for_a_job_of_that_length(tiny_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "seconds_per_step", lambda *_: 10.0)
    monkeypatch.setattr("engine.training.prepare.questions", lambda *_: {})  # only the rules are looked at here
    much = corpus(100)  # so much that the bounds of weight decay do not hide what it depends on
    timed = plan(tiny_run, "train.max_time=6h", "train.epochs=40", "train.learning_rate=auto", text=much)
    short = plan(tiny_run, f"train.epochs={timed.epochs}", "train.learning_rate=auto", text=much)
    assert 2 < timed.epochs < 40 and timed.job["train"]["optimizer"] == "muon"
    assert 0.1 < timed.job["train"]["weight_decay"] < 3.2
    for key in ("optimizer", "learning_rate", "weight_decay", "average", "save_every", "batch_size"):
        assert timed.job["train"][key] == short.job["train"][key], key
