"""forge.toml: every key with its default, type and range; errors with lines; reading and writing back."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UsageError
from engine.job import DataFile, DataSection, EvalSection, ExportSection, Job, ModelSection, Stage, TrainSection
from engine.job_file import dump_job, edit_job_text, load_job, parse_job, to_table
from engine.job_schema import ALIASES, known_keys
from engine.sizes import SIZES, Dimensions

TINY = {"layers": 1, "dim": 32, "heads": 1, "kv_heads": 1, "ffn": 64}


# ---- the schema, key by key

KEYS: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("model.name", "sacrifice", ["a", "my-model.v2_x", "0"], ["", "A", "a/b", "..", "a" * 65, 3]),
    ("model.size", "small", [*SIZES, TINY], ["smal", 3, [], {"layers": 1}, TINY | {"dim": 33}, TINY | {"x": 1}]),
    ("model.vocabulary", "auto", [300, 200_000], [299, 200_001, 300.5, "many", True]),
    ("data.files", ["data/combined_action_training.txt"], [["a"], ["a*", {"path": "b"}]], [[], "a", [3], [""], [{}]]),
    ("data.format", "auto", ["qa", "jsonl"], ["qaa", 1]),
    ("data.validation", 0.05, [0, 0.0, 0.5], [-0.1, 0.51, "auto"]),
    ("data.deduplicate", True, [False], [1, "yes"]),
    ("train.method", "train", ["build", "grow"], ["auto", "Build", 1]),
    ("train.epochs", 30, [1, 1_000_000, "auto"], [0, 1_000_001, 1.5, "some", True]),
    ("train.learning_rate", "auto", [1e-9, 10, 10.0, "find"], [0, 10.1, -1e-3, "0.1", True]),
    ("train.batch_size", "auto", [1, 65_536, "find"], [0, 65_537, 2.0, False]),
    ("train.gradient_accumulation", "auto", [1, 65_536], [0, 65_537]),
    ("train.sequence_length", 512, ["auto", 16, 131_072], [15, 131_073]),
    ("train.mixed_precision", "auto", [True, False, "fp32", "bf16", "fp16"], ["fp8", 16]),
    ("train.save_every", "auto", [1, 1_000_000], [0, 1_000_001]),
    ("train.save_minutes", 10.0, [0.1, 100_000], [0, 100_001, "auto"]),
    ("train.keep_checkpoints", 2, [1, 1000], [0, 1001]),
    ("train.checkpoint_budget", "auto", [0.5, 1_000_000], [0, 1_000_001]),
    ("train.seed", 1337, [0, 2**63 - 1], [-1, 2**63, 1.0]),
    ("train.preset", "auto", ["classic"], ["clasic"]),
    ("train.optimizer", "auto", ["muon", "adamw"], ["sgd", 1]),
    ("train.weight_decay", "auto", [0, 0.1, 100], [-0.1, 100.1]),
    ("train.average", "auto", [0, 0.5, 1000], [-0.1, 1000.1]),
    ("train.max_time", "", ["30m", "1h30m", ""], ["30", "soon", 30]),
    ("train.warmup", "auto", [0, 1, 0.5], [-0.1, 1.1]),
    ("train.length_warmup", "auto", [0, 1, 0.5], [-0.1, 1.1]),
    ("train.bpe_dropout", "auto", [0, 0.1, 0.5], [-0.1, 0.6]),
    ("train.gradient_clip", 1.0, [0, 1_000_000], [-1, 1_000_001, "auto"]),
    ("train.prompt_weight", "auto", [0, 1], [-0.1, 1.1]),
    ("train.early_stop", 0, [0, 1_000_000], [-1, 1_000_001, "auto"]),
    ("train.compile", "auto", [True, False], ["yes", 1]),
    ("train.device", "auto", ["cpu", "cuda", "mps"], ["gpu", 0]),
    ("train.threads", "auto", [1, 1024], [0, 1025]),
    ("stage.name", None, ["tools"], ["", "  ", 3]),
    ("stage.files", None, [["a"]], [[], "a", [" "]]),
    ("stage.epochs", 30, [1], [0]),
    ("stage.learning_rate", "auto", [0.1], [0]),
    ("eval.prompts", ["What is Python?"], [[], ["a", "b"]], ["a", [1]]),
    ("eval.every", 10, [1, 1_000_000], [0, 1_000_001]),
    ("eval.max_tokens", 64, [1, 4096], [0, 4097]),
    ("export.gguf", [], [["f32", "f16", "bf16", "q8_0"]], [["q4_k"], "f16"]),
]


def text_of(key: str, value: Any) -> str:
    """A forge.toml with one key set, on line 2 (line 4 of a stage)."""
    import tomli_w

    section, _, name = key.partition(".")
    line = tomli_w.dumps({name: value}).rstrip("\n") if not isinstance(value, dict) else f"{name} = {inline(value)}"
    line = line.replace("\n", "")
    if section == "stage":
        given = {"name": 'name = "first"', "files": 'files = ["x"]'}
        given.pop(name, None)
        return "[[stage]]\n" + "\n".join([*given.values(), line]) + "\n"
    return f"[{section}]\n{line}\n"


def inline(table: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"


def value_of(job: Job, key: str) -> Any:
    section, _, name = key.partition(".")
    table = getattr(job, section)
    return getattr(table[0] if section == "stage" else table, name)


def test_the_table_of_keys_is_complete() -> None:
    assert sorted(key for key, *_ in KEYS) == sorted(known_keys())


@pytest.mark.parametrize(("key", "default", "good", "bad"), KEYS, ids=[key for key, *_ in KEYS])
def test_key(key: str, default: Any, good: list[Any], bad: list[Any]) -> None:
    if default is not None:
        job = parse_job("" if not key.startswith("stage") else '[[stage]]\nname = "x"\nfiles = ["y"]')
        assert msgspec.to_builtins(value_of(job, key)) == default
    for value in good:
        found = msgspec.to_builtins(value_of(parse_job(text_of(key, value)), key))
        plain = (
            [entry if isinstance(entry, str) else entry["path"] for entry in found] if key == "data.files" else found
        )
        wanted = [e if isinstance(e, str) else e["path"] for e in value] if key == "data.files" else value
        assert plain == wanted
    for value in bad:
        text = text_of(key, value)
        with pytest.raises(UsageError) as caught:
            parse_job(text, "forge.toml")
        line = 1 + text.split("\n").index(next(row for row in text.split("\n") if row.startswith(key.split(".")[1])))
        assert caught.value.line == line, str(caught.value)
        assert caught.value.exit_code == 2
        message = str(caught.value)
        assert "Traceback" not in message and "msgspec" not in message and "\n" not in message
        assert "`" not in message and "Expected" not in message, message


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "9" * 30])
@pytest.mark.parametrize(
    "key",
    [
        "data.validation", "train.learning_rate", "train.save_minutes", "train.checkpoint_budget", "train.weight_decay",
        "train.warmup", "train.length_warmup", "train.bpe_dropout", "train.gradient_clip", "train.prompt_weight",
        "train.epochs", "train.save_every", "eval.every",
    ],
)  # fmt: skip
def test_numbers_that_are_none_are_refused(key: str, number: str) -> None:
    section, _, name = key.partition(".")
    with pytest.raises(UsageError, match=f"{key} must be "):
        parse_job(f"[{section}]\n{name} = {number}\n")


# ---- messages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trian]\nepochs = 3", 'f:1: Unknown key "trian". Did you mean "train"?'),
        ("[train]\n\nepoch = 3", 'f:3: Unknown key "train.epoch". Did you mean "epochs"?'),
        ("[train]\nlr = 3", 'f:2: Unknown key "train.lr". Did you mean "train.learning_rate"?'),
        ("epochs = 3", 'f:1: Unknown key "epochs". Did you mean "train.epochs"?'),
        ("[model]\nseed = 3", 'f:2: Unknown key "model.seed". Did you mean "train.seed"?'),
        ("[eval]\nzzz = 3", 'f:2: Unknown key "eval.zzz". Known here: prompts, every, max_tokens.'),
        ("[model]\nsize = {layers = 1, width = 3}", 'f:2: Unknown key "model.size.width". Known here: layers,'),
        ('[train]\nmethod = "bild"', 'must be "build", "train" or "grow", not "bild". Did you mean "build"?'),
        ('[train]\ndevice = "gpu"', 'must be "auto", "cpu", "cuda" or "mps", not "gpu". Did you mean "cuda"?'),
        ('[train]\nepochs = "3"', '1 to 1,000,000 or "auto", not "3". Write it without quotes.'),
        ("[train]\nlearning_rate = true", 'a number above 0 and at most 10, "auto" or "find", not true.'),
        ("[train]\nmixed_precision = 3", 'must be true or false, "auto", "fp32", "bf16" or "fp16", not 3.'),
        ("[model]\nsize = 3", "must be a text in quotes or a table, not 3."),
        ("[model]\nsize = {layers = 1}", 'f:2: model.size has no "dim".'),
        ("[data]\nfiles = []", "must be a list with at least one entry, not an empty list."),
        ('[data]\nfiles = "a.txt"', 'not "a.txt". Write a list: ["..."].'),
        ('[stage]\nname = "x"', "stage must be a list, not a table. Write [[stage]] in double brackets."),
        ('[[stage]]\nname = "x"', 'f:1: stage[0] has no "files".'),
        ('[[stage]]\nname="a"\nfiles=["x"]\n\n[[stage]]\nname="a"\nfiles=["y"]', 'f:6: stage[1].name "a" is empty or'),
        ("model = 3", "f:1: model must be a table, not 3."),
        ("[train]\nepochs = 1979-05-27", "not a date."),
        ("[train]\nepochs = 1\nepochs = 2\nseed = 1", "f:3: This is not TOML: a key is set twice."),
        ("[train]\nepochs = [1", "f:2: This is not TOML: unclosed array."),
        ("a = " + "[" * 100_000, "This is not TOML: it is nested too deeply."),
        ("a = " + "9" * 5000, "This is not TOML: a number is too long."),
        ("a = \x00", "f:1: This is not TOML"),
    ],
)
def test_messages(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_job(text, "f")
    assert message in str(caught.value)


def test_every_alias_leads_to_a_key() -> None:
    assert set(ALIASES.values()) <= set(known_keys())


def test_line_numbers_count_newlines_only() -> None:
    with pytest.raises(UsageError) as caught:
        parse_job("# one\u2028still one\x85and on\r\n[train]\r\nepoch = 3\r\n", "f")
    assert caught.value.line == 3


def test_the_first_problem_in_file_order_is_named() -> None:
    with pytest.raises(UsageError, match=r'Unknown key "data\.x"'):
        parse_job("[data]\nx = 1\n[model]\ny = 1\n")


# ---- --set


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("train.epochs=50", "train.epochs", 50),
        (" train.epochs = 50 ", "train.epochs", 50),
        ("train.learning_rate=1e-3", "train.learning_rate", 1e-3),
        ("train.mixed_precision=false", "train.mixed_precision", False),
        ("train.preset=classic", "train.preset", "classic"),
        ('train.preset="classic"', "train.preset", "classic"),
        ("model.size={layers=1, dim=32, heads=1, kv_heads=1, ffn=64}", "model.size", Dimensions(**TINY)),
        ("data.files=a.txt", "data.files", ["a.txt"]),
        ('data.files=["a", "b"]', "data.files", ["a", "b"]),
        ("eval.prompts=What is 1 = 1?", "eval.prompts", ["What is 1 = 1?"]),
        ("export.gguf=f16", "export.gguf", ["f16"]),
    ],
)
def test_overrides(override: str, key: str, value: Any) -> None:
    assert value_of(parse_job("[train]\nepochs = 2\n", overrides=[override]), key) == value


def test_the_last_override_wins() -> None:
    assert parse_job("", overrides=["train.epochs=1", "train.epochs=2"]).train.epochs == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs", "--set takes table.key=value"),
        ("epochs=3", "--set takes table.key=value"),
        ("train.=3", "--set takes table.key=value"),
        ("", "--set takes table.key=value"),
        ("train.epochs=many", '--set: train.epochs must be a whole number from 1 to 1,000,000 or "auto", not "many".'),
        ("train.epochs=5\nseed=1", "--set: train.epochs must be a whole number"),
        ("train.epoch=5", '--set: Unknown key "train.epoch". Did you mean "epochs"?'),
        ("model.size.dim=64", '--set: model.size has no "layers".'),
        ("model.name=../x", '--set: "../x" cannot be the name'),
        ("train.epochs.x=1", '--set train.epochs.x: "epochs" is not a table.'),
    ],
)
def test_wrong_overrides(override: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_job("[train]\nepochs = 2\n", "forge.toml", [override])
    assert str(caught.value).startswith(message)


# ---- files that are no job


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    def message(path: Path) -> str:
        with pytest.raises(UsageError) as caught:
            load_job(path)
        return str(caught.value)

    assert "There is no such file. `forge-tui init`" in message(tmp_path / "none.toml")
    assert "This is a folder" in message(tmp_path)
    (tmp_path / "latin").write_bytes(b"# ok\n# caf\xe9\n")
    assert "latin:2: This file is not UTF-8 text." in message(tmp_path / "latin")
    (tmp_path / "large").write_bytes(b"#" * 1_000_001)
    assert "larger than 1,000,000 bytes" in message(tmp_path / "large")
    os.mkfifo(tmp_path / "pipe")
    assert "pipe or a device" in message(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be opened: too many levels" in message(tmp_path / "loop")
    assert "cannot be opened: file name too long" in message(tmp_path / ("x" * 300))
    assert "cannot be opened: not a directory" in message(tmp_path / "latin" / "x")
    assert "cannot be opened: embedded null byte" in message(Path("a\0b"))


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "forge.toml"
    path.write_bytes(b"\xef\xbb\xbf[train]\r\nepochs = 3\r\n")
    assert load_job(path).train.epochs == 3


@given(st.text(max_size=60))
@settings(deadline=None)
def test_any_text_is_a_job_or_a_usage_error(text: str) -> None:
    try:
        parse_job(text)
    except UsageError as error:
        assert error.text


# ---- writing

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=15).filter(str.strip)
NAME = st.from_regex(r"m[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)


def auto_or(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just("auto") | strategy


DIMENSIONS = st.builds(
    lambda layers, dim, kv, group, ffn: Dimensions(layers, 32 * dim, kv * group, kv, 32 * ffn),
    st.integers(1, 256), st.integers(1, 64), st.integers(1, 8), st.integers(1, 4), st.integers(1, 64),
)  # fmt: skip
FILES = st.lists(TEXT | st.builds(DataFile, TEXT, st.sampled_from(["auto", "qa"]), st.floats(0.01, 1000)), min_size=1)
RATE = auto_or(st.floats(1e-9, 10))
JOBS = st.builds(
    Job,
    model=st.builds(ModelSection, NAME,
                    st.sampled_from(list(SIZES)) | DIMENSIONS, auto_or(st.integers(300, 200_000))),
    data=st.builds(DataSection, FILES, st.sampled_from(["auto", "qa", "jsonl"]), st.floats(0, 0.5), st.booleans()),
    train=st.builds(
        TrainSection, st.sampled_from(["build", "train", "grow"]), auto_or(st.integers(1, 1000)),
        st.sampled_from(["", "30m", "1h30m"]), RATE, auto_or(st.integers(1, 64)), auto_or(st.integers(1, 64)),
        auto_or(st.integers(16, 4096)),
        auto_or(st.booleans() | st.sampled_from(["fp32", "bf16"])), seed=st.integers(0, 2**63 - 1),
        checkpoint_budget=auto_or(st.floats(0.1, 100)),
    ),
    stage=st.lists(st.builds(Stage, TEXT, FILES, st.integers(1, 9), RATE), max_size=3, unique_by=lambda s: s.name),
    eval=st.builds(EvalSection, st.lists(TEXT, max_size=3), st.integers(1, 9)),
    export=st.builds(ExportSection, st.lists(st.sampled_from(["f16", "q8_0"]), max_size=2)),
)  # fmt: skip


@given(JOBS)
@settings(deadline=None, max_examples=60)
def test_a_job_survives_being_written(job: Job) -> None:
    text = dump_job(job, why={"train.learning_rate": "because\nof [x]"}, resolved={"steps": 12})
    assert parse_job(text) == job
    assert tomllib.loads(text)["why"] == {"train.learning_rate": "because\nof [x]"}


def test_stages_are_left_out_when_there_are_none() -> None:
    assert "stage" not in to_table(Job())
    assert parse_job(dump_job(Job())) == Job()


COMMENTED = """# My job
[model]
name = "a"   # the name

[train]
# how often
epochs = 3
"""


def test_edits_keep_comments_and_order() -> None:
    changed = edit_job_text(COMMENTED, {"train.epochs": 5, "model.size": Dimensions(**TINY), "eval.every": 2})
    assert changed.startswith('# My job\n[model]\nname = "a"   # the name\n')
    assert "# how often\nepochs = 5\n" in changed
    job = parse_job(changed)
    assert (job.train.epochs, job.model.size, job.eval.every) == (5, Dimensions(**TINY), 2)
    assert parse_job(edit_job_text(changed, {"train.epochs": None})).train.epochs == 30


def test_edits_of_lists_and_stages() -> None:
    stages = [{"name": "tools", "files": ["t.txt"], "epochs": 2}]
    changed = edit_job_text(COMMENTED, {"data.files": ["a", DataFile("b", weight=2.0)], "stage": stages})
    job = parse_job(changed)
    assert job.data.files == ["a", DataFile("b", weight=2.0)] and job.stage == [Stage("tools", ["t.txt"], 2)]
    assert parse_job(edit_job_text(changed, {"stage": []})).stage == []


def test_column_names_of_a_data_file() -> None:
    text = '[data]\nformat = "csv"\nfiles = [{path = "b.csv", columns = {prompt = "frage"}}]\n'
    job = parse_job(text)
    assert job.all_files == [DataFile("b.csv", "csv", columns={"prompt": "frage"})]
    file = job.data.files[0]
    assert edit_job_text(text, {"data.files": [file]}).replace(" ", "") == text.replace(" ", "")
    with pytest.raises(UsageError, match='There is no field "promt"') as failure:
        parse_job(text.replace("prompt", "promt"), "forge.toml")
    assert failure.value.line == 3
    with pytest.raises(UsageError, match="a table of texts"):
        parse_job(text.replace('{prompt = "frage"}', '"frage"'))


@pytest.mark.parametrize(
    "changes", [{"train.epochs": 0}, {"train.epoch": 1}, {"model.name": "A"}, {"stage": [{"name": "x"}]}]
)
def test_an_edit_that_makes_no_job_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        edit_job_text(COMMENTED, changes)


def test_a_broken_text_is_not_edited() -> None:
    with pytest.raises(UsageError, match="not TOML"):
        edit_job_text("[train\n", {"train.epochs": 1})


# ---- data files


def test_files_of_all_stages_carry_their_format() -> None:
    job = parse_job(
        '[data]\nformat = "qa"\nfiles = ["a", {path = "b", weight = 2}, {path = "c", format = "text"}]\n'
        '[[stage]]\nname = "s"\nfiles = ["d"]\n'
    )
    assert job.all_files == [
        DataFile("a", "qa"), DataFile("b", "qa", 2.0), DataFile("c", "text"), DataFile("d", "qa"),
    ]  # fmt: skip
