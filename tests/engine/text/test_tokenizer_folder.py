"""The tokenizer on disk: written, read back, opened by transformers, and distrusted when it comes from strangers."""

from __future__ import annotations

import copy
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import DiskFullError, ForgeError, ModelError
from engine.text.chat_template import CHAT_TEMPLATE, render
from engine.text.conversation import TOOL_TAGS, Turn
from engine.text.tokenizer import Tokenizer
from engine.text.tokenizer_file import LARGEST_FILE, rust_errors
from tests.engine.text.token_samples import NASTY, TURNS, tokenizer


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tokenizer().save(folder, context=512)
    return folder


@pytest.fixture(scope="module")
def theirs(saved: Path) -> Any:
    return pytest.importorskip("transformers").AutoTokenizer.from_pretrained(saved)


def definition(saved: Path) -> dict[str, Any]:
    return copy.deepcopy(json.loads((saved / "tokenizer.json").read_text()))


def load_from(folder: Path, content: object) -> Tokenizer:
    (folder / "tokenizer.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return Tokenizer.load(folder)


class TestRoundTrip:
    def test_the_same_tokenizer_comes_back(self, saved: Path) -> None:
        loaded = Tokenizer.load(saved)
        assert loaded.hash == tokenizer().hash
        assert loaded.vocabulary == tokenizer().vocabulary
        for text in NASTY:
            assert loaded.encode(text) == tokenizer().encode(text)

    @given(TURNS, st.booleans())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_conversations_too(self, saved: Path, turns: list[Turn], prompt: bool) -> None:
        loaded = Tokenizer.load(saved)
        assert loaded.encode_turns(turns, answer_prompt=prompt) == tokenizer().encode_turns(turns, answer_prompt=prompt)

    def test_saving_again_changes_no_byte(self, saved: Path, tmp_path: Path) -> None:
        Tokenizer.load(saved).save(tmp_path, context=512)
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            assert (tmp_path / name).read_bytes() == (saved / name).read_bytes()

    def test_the_hash_is_of_the_content_not_of_the_layout(self, saved: Path, tmp_path: Path) -> None:
        assert load_from(tmp_path, definition(saved)).hash == tokenizer().hash

    def test_another_text_gives_another_hash(self) -> None:
        assert Tokenizer.train(["one two three"] * 3, 300).hash != tokenizer().hash

    def test_no_room_on_the_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(DiskFullError):
            tokenizer().save(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ForgeError, match="no such file"):
            tokenizer().save(tmp_path / "missing")


class TestTransformers:
    def test_the_class_and_the_ends(self, theirs: Any) -> None:
        assert (theirs.eos_token, theirs.pad_token, theirs.bos_token) == ("<|im_end|>", "<|endoftext|>", None)
        assert len(theirs) == tokenizer().vocabulary
        assert theirs.model_max_length == 512

    @pytest.mark.parametrize("text", [text for text in NASTY if not any(tag in text for tag in TOOL_TAGS)])
    def test_equal_ids_on_nasty_strings(self, theirs: Any, text: str) -> None:
        ids = theirs.encode(text, add_special_tokens=False, split_special_tokens=True)
        assert ids == tokenizer().encode(text)
        assert theirs.decode(ids) == text
        assert theirs.decode(ids) == tokenizer().decode(ids)

    @given(st.text(max_size=60))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_equal_ids_on_any_string(self, theirs: Any, text: str) -> None:
        assert theirs.encode(text, add_special_tokens=False, split_special_tokens=True) == tokenizer().encode(text)

    @given(TURNS, st.booleans())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_the_template_renders_byte_for_byte(self, theirs: Any, turns: list[Turn], prompt: bool) -> None:
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        rendered = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        assert rendered == render(turns, answer_prompt=prompt)

    @given(TURNS)
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_a_rendered_conversation_has_equal_ids(self, theirs: Any, turns: list[Turn]) -> None:
        # A text that starts with a line break is tokenised together with the header's newline when it is given as one
        # string; forged markers are read as markers there. Both are beyond what a string can say.
        plain = [Turn(turn.role, "".join(turn.text.split("<")).lstrip() or "x") for turn in turns]
        messages = [{"role": turn.role, "content": turn.text} for turn in plain]
        ids = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        assert ids == tokenizer().encode_turns(plain, answer_prompt=True).ids

    def test_a_conversation_with_tools_has_equal_ids(self, theirs: Any) -> None:
        call, result = '<tool_call>{"tool": "x"}</tool_call>', '<tool_result>{"success": true}</tool_result>'
        turns = [
            Turn("user", "do it"),
            Turn("assistant", f"Now. {call}"),
            Turn("tool", result),
            Turn("assistant", "Done."),
        ]
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        ids = theirs.apply_chat_template(messages, return_dict=False)
        assert [*ids, tokenizer().end_of_text] == tokenizer().encode_turns(turns).ids

    def test_tags_survive_their_decoding_and_control_tokens_do_not(self, theirs: Any) -> None:
        turns = [Turn("user", "hi"), Turn("assistant", 'ok <tool_call>{"a": 1}</tool_call>')]
        ids = tokenizer().encode_turns(turns).ids
        assert theirs.decode(ids, skip_special_tokens=True) == tokenizer().decode(ids)
        assert "<tool_call>" in theirs.decode(ids, skip_special_tokens=True)

    def test_the_template_stands_in_both_places(self, saved: Path) -> None:
        assert (saved / "chat_template.jinja").read_text() == CHAT_TEMPLATE
        assert json.loads((saved / "tokenizer_config.json").read_text())["chat_template"] == CHAT_TEMPLATE


class TestStrangers:
    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="no tokenizer"):
            Tokenizer.load(tmp_path)

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "tokenizer.json")
        with pytest.raises(ModelError, match="no tokenizer"):
            Tokenizer.load(tmp_path)

    def test_too_large(self, tmp_path: Path) -> None:
        with (tmp_path / "tokenizer.json").open("wb") as stream:
            stream.truncate(LARGEST_FILE + 1)
        with pytest.raises(ModelError, match="64 MB"):
            Tokenizer.load(tmp_path)

    @pytest.mark.parametrize(
        "content", ["", "{", "[]", "null", "{}", "\x00", "[" * 100_000, '{"model": []}', "\ufeff{}", "1e999"]
    )
    def test_not_a_tokenizer(self, tmp_path: Path, content: str) -> None:
        with pytest.raises(ModelError, match=r"tokenizer\.json"):
            load_from(tmp_path, content)

    @pytest.mark.parametrize(
        "pattern",
        ["(a+)+$", "(", "(A|A|A)*!", "(?=a*)*b", "\\"],
        ids=["backtracking", "open", "twice", "empty", "slash"],
    )
    def test_a_hostile_split_pattern(self, saved: Path, tmp_path: Path, pattern: str) -> None:
        content = definition(saved)
        content["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": pattern}
        with pytest.raises(ModelError, match="cannot be used"):
            loaded = load_from(tmp_path, content)
            loaded.encode("A" * 5000)

    @pytest.mark.parametrize(
        ("path", "value", "reason"),
        [
            (["model", "type"], "WordPiece", "byte-level"),
            (["model", "byte_fallback"], True, "byte-level"),
            (["decoder"], None, "byte-level"),
            (["decoder"], {"type": "Metaspace"}, "decoder"),
            (["pre_tokenizer"], {"type": "Whitespace"}, "pre_tokenizer"),
            (["pre_tokenizer"], None, "byte-level"),
            (["normalizer"], {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}, "normalizer"),
            (["normalizer"], {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}, "normalizer"),
            (["normalizer"], {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": []}]}, "nested"),
            (["model", "vocab", "a"], -1, "ids"),
            (["model", "vocab", "a"], "7", "ids"),
            (["model", "vocab", "a"], 2**40, "ids"),
            (["model", "vocab", "a"], 9, "same id"),
            (["model", "vocab"], {}, "bytes"),
            (["model", "merges"], [["a", "nowhere"]], "cannot be used"),
            (["added_tokens"], [], "lacks"),
            (["added_tokens"], [3], "content"),
            (["added_tokens"], {"a": 1}, "missing"),
        ],
    )
    def test_what_we_cannot_run(self, saved: Path, tmp_path: Path, path: list[str], value: object, reason: str) -> None:
        content = definition(saved)
        place = content
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value
        with pytest.raises(ModelError, match=reason):
            load_from(tmp_path, content)

    def test_settings_that_would_lose_text_are_ignored(self, saved: Path, tmp_path: Path) -> None:
        content = definition(saved)
        content["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
        content["model"]["dropout"] = 0.9
        content["post_processor"] = {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        }
        loaded = load_from(tmp_path, content)
        for text in NASTY:
            assert loaded.encode(text) == tokenizer().encode(text)

    def test_the_largest_id_counts_where_ids_have_gaps(self, saved: Path, tmp_path: Path) -> None:
        content = definition(saved)
        content["added_tokens"].append({**content["added_tokens"][0], "id": 5000, "content": "<|extra|>"})
        loaded = load_from(tmp_path, content)
        assert loaded.vocabulary == 5001
        assert loaded.decode([4999]) == ""

    def test_damaged_bytes_load_or_are_refused(self, saved: Path, tmp_path: Path) -> None:
        original = (saved / "tokenizer.json").read_bytes()
        chance = random.Random(0)
        refused = 0
        for _ in range(150):
            content = bytearray(original)
            for _ in range(chance.randrange(1, 4)):
                content[chance.randrange(len(content))] = chance.randrange(256)
            (tmp_path / "tokenizer.json").write_bytes(content)
            try:
                Tokenizer.load(tmp_path).encode_turns([Turn("user", NASTY[5]), Turn("assistant", "<tool_call>")])
            except ModelError:
                refused += 1
        assert 0 < refused < 150

    def test_ctrl_c_is_not_an_error_of_the_tokenizer(self) -> None:
        with pytest.raises(KeyboardInterrupt), rust_errors(None):
            raise KeyboardInterrupt

    def test_errors_of_ours_pass(self) -> None:
        with pytest.raises(ValueError, match="ours"), rust_errors(None):
            raise ValueError("ours")
