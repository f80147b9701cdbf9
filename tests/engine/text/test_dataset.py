"""What is trained on: all of it, in a new order every epoch, from any place in it, with the right weights."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.errors import DataError, UsageError
from engine.job import DataFile
from engine.text import dataset
from engine.text.conversation import Document, Turn
from engine.text.dataset import Batch, Corpus, EpochOrder, build, corpus_of
from engine.text.token_cache import TokenFile, open_tokens, write_tokens
from engine.text.tokenizer import Tokenizer
from tests.engine.text.token_samples import DOCUMENTS, pair, pairs, tokenizer, write_pairs


def tokens_of(documents: Iterable[Document], folder: Path, words: Tokenizer | None = None) -> TokenFile:
    folder.mkdir()
    write_tokens(folder, documents, words or tokenizer())
    found = open_tokens(folder)
    assert found is not None
    return found


def corpus(folder: Path, *groups: Iterable[Document], weights: list[float] | None = None, **options: object) -> Corpus:
    files = [tokens_of(documents, folder / str(number)) for number, documents in enumerate(groups)]
    settings = {"validation": 0.0, "seed": 0, **options}
    return corpus_of(files, weights or [1.0] * len(files), tokenizer(), **settings)  # type: ignore[arg-type]


def whole(order: EpochOrder) -> Batch:
    return order.batch(0, order.rows)


def ids_of(documents: Iterable[Document]) -> list[tuple[int, ...]]:
    return sorted(tuple(encoded.ids) for encoded in tokenizer().encode_documents(documents))


def documents_in(order: EpochOrder) -> list[tuple[int, ...]]:
    """The documents of the rows, put together again from the batches alone and from where the packing cut them."""
    packing, rows = order._packing, whole(order)
    tokens = np.concatenate([rows.ids, rows.targets[:, -1:]], axis=1)
    place = {int(row): position for position, row in enumerate(order._order)}
    parts: dict[int, list[tuple[int, NDArray[np.int64]]]] = {}
    for row in range(packing.rows):
        at = 0
        for piece in range(packing.row_start[row], packing.row_start[row + 1]):
            first, count = int(packing.first[piece]), int(packing.tokens[piece])
            at += first > 0
            parts.setdefault(int(packing.document[piece]), []).append((first, tokens[place[row], at : at + count]))
            at += count
    joined = (
        np.concatenate([part for _, part in sorted(pieces, key=lambda piece: piece[0])]) for pieces in parts.values()
    )
    return sorted(tuple(document.tolist()) for document in joined)


class TestNothingIsLost:
    @given(st.lists(DOCUMENTS, min_size=1, max_size=25), st.sampled_from([16, 32, 128]), st.integers(0, 3))
    @settings(deadline=None)
    def test_an_epoch_is_all_training_documents(self, documents: list[Document], length: int, epoch: int) -> None:
        documents.append(pair("never", "empty"))
        with tempfile.TemporaryDirectory() as folder:
            data = corpus(Path(folder), documents)
            order = data.epoch(epoch, sequence_length=length, seed=7)
            kept = [document for document in documents if any(turn.text.strip() for turn in document.turns)]
            assert documents_in(order) == ids_of(kept)
            assert order.tokens == data.train_tokens == sum(map(len, ids_of(kept)))
            assert data.skipped.get("empty", 0) == len(documents) - len(kept)

    def test_train_and_validation_together_are_everything(self, tmp_path: Path) -> None:
        documents = pairs(200)
        data = corpus(tmp_path, documents, validation=0.2)
        trained = documents_in(data.epoch(0, sequence_length=64, seed=1))
        held_out = documents_in(data.validation_rows(64))
        assert held_out
        assert sorted(trained + held_out) == ids_of(documents)
        assert not set(trained) & set(held_out)

    def test_much_held_out_text_is_scored_in_part_always_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = corpus(tmp_path, pairs(200), validation=0.4)
        everything = documents_in(data.validation_rows(64))
        assert len(data.scored) == data.validation_documents == len(everything)
        (tmp_path / "again").mkdir()
        monkeypatch.setattr(dataset, "SCORED_TOKENS", data.validation_tokens // 2 - 1)
        again = corpus(tmp_path / "again", pairs(200), validation=0.4)
        part = documents_in(again.validation_rows(64))
        assert again.scored.tolist() == data.validated[::3].tolist() and again.scored_tokens == sum(map(len, part))
        assert len(part) == len(again.scored) and set(part) < set(everything)
        assert again.validation_documents == data.validation_documents and np.array_equal(again.trained, data.trained)

    def test_every_token_but_those_that_begin_a_row_is_predicted_once(self, tmp_path: Path) -> None:
        documents = [Document((Turn("text", "a long story " * 300),)), *pairs(50)]
        order = corpus(tmp_path, documents).epoch(0, sequence_length=48, seed=3)
        rows = whole(order)
        predicted = Counter(rows.targets[rows.weights > 0].tolist())
        everything = Counter(token for ids in ids_of(documents) for token in ids)
        packing = order._packing
        begun = (packing.first[packing.row_start[:-1]] == 0).sum()
        assert not predicted - everything
        assert (everything - predicted).total() == begun

    def test_targets_are_the_next_tokens(self, tmp_path: Path) -> None:
        rows = whole(corpus(tmp_path, pairs(40)).epoch(0, sequence_length=32, seed=0))
        assert np.array_equal(rows.ids[:, 1:], rows.targets[:, :-1])
        assert (rows.ids.dtype, rows.targets.dtype, rows.weights.dtype) == (np.int64, np.int64, np.float32)
        assert rows.ids.flags.c_contiguous
        assert rows.targets.flags.c_contiguous

    def test_padding_is_below_two_percent(self, tmp_path: Path) -> None:
        rows = whole(corpus(tmp_path, pairs(3000)).epoch(0, sequence_length=256, seed=0))
        assert (rows.weights == 0).mean() < 0.02


class TestOrder:
    def test_it_is_a_function_of_seed_and_epoch(self, tmp_path: Path) -> None:
        data = corpus(tmp_path, pairs(300))
        again = corpus_of(data.documents.files, [1.0], tokenizer(), validation=0, seed=0)

        def order(source: Corpus, epoch: int, seed: int) -> bytes:
            return whole(source.epoch(epoch, sequence_length=64, seed=seed)).ids.tobytes()

        assert order(data, 2, 5) == order(again, 2, 5)
        assert len({order(data, epoch, seed) for epoch in range(4) for seed in range(3)}) == 12

    def test_documents_get_new_neighbours_every_epoch(self, tmp_path: Path) -> None:
        data = corpus(tmp_path, pairs(400))
        neighbours = []
        for epoch in range(2):
            order = data.epoch(epoch, sequence_length=128, seed=1)
            begins = order._documents.start[order._which[order._packing.document]].tolist()
            neighbours.append(set(itertools.pairwise(begins)))
        assert len(neighbours[0] & neighbours[1]) < 0.05 * len(neighbours[0])

    def test_a_long_document_is_cut_elsewhere_every_epoch(self, tmp_path: Path) -> None:
        data = corpus(tmp_path, [Document((Turn("text", "one long story " * 2000),))])
        orders = [data.epoch(epoch, sequence_length=64, seed=1) for epoch in range(4)]
        assert len({order._packing.first[1] for order in orders}) == 4
        assert len({order._order.tobytes() for order in orders}) == 4

    @given(st.integers(0, 60), st.integers(1, 70))
    def test_any_rows_can_be_read_alone(self, first: int, n: int) -> None:
        order = self.shared()
        if first >= order.rows:
            with pytest.raises(IndexError):
                order.batch(first, n)
            return
        some, everything = order.batch(first, n), whole(order)
        assert len(some.ids) == min(n, order.rows - first)
        for name in ("ids", "targets", "weights", "text"):
            assert np.array_equal(getattr(some, name), getattr(everything, name)[first : first + n])

    def test_bytes_of_batches_add_up(self) -> None:
        order = self.shared()
        assert sum(order.batch(row, 1).bytes for row in range(order.rows)) == whole(order).bytes

    @pytest.mark.parametrize(("first", "n"), [(-1, 1), (0, 0), (10**6, 1)])
    def test_rows_that_are_not_there(self, first: int, n: int) -> None:
        with pytest.raises(IndexError):
            self.shared().batch(first, n)

    _shared: EpochOrder | None = None

    def shared(self) -> EpochOrder:
        if TestOrder._shared is None:
            folder = Path(tempfile.mkdtemp())
            TestOrder._shared = corpus(folder, pairs(150)).epoch(1, sequence_length=64, seed=9, prompt_weight=0.5)
        return TestOrder._shared

    @pytest.mark.parametrize("weights", [[1.0, 1.0], [2.0, 0.3]])
    def test_the_number_of_rows_is_known_before_packing(self, tmp_path: Path, weights: list[float]) -> None:
        data = corpus(tmp_path, pairs(100), [Document((Turn("text", "on and on " * 500),))], weights=weights)
        for epoch in range(5):
            rows = data.rows(epoch, sequence_length=64, seed=4)
            assert data.epoch(epoch, sequence_length=64, seed=4).rows == rows
        if weights == [1.0, 1.0]:
            assert len({data.rows(epoch, sequence_length=64, seed=4) for epoch in range(9)}) == 1


class TestFileWeights:
    @pytest.mark.parametrize("weight", [0.25, 0.5, 1.0, 1.5, 3.0])
    def test_a_document_is_seen_as_often_as_its_file_weighs(self, tmp_path: Path, weight: float) -> None:
        heavy, plain = [pair(f"heavy {n}", "x") for n in range(40)], [pair(f"plain {n}", "y") for n in range(10)]
        data = corpus(tmp_path, heavy, plain, weights=[weight, 1.0])
        seen: Counter[tuple[int, ...]] = Counter()
        epochs = 4
        for epoch in range(epochs):
            seen.update(documents_in(data.epoch(epoch, sequence_length=64, seed=2)))
        assert {seen[ids] for ids in ids_of(heavy)} == {int(weight * epochs)}
        assert {seen[ids] for ids in ids_of(plain)} == {epochs}

    def test_a_fraction_is_spread_over_the_epochs(self, tmp_path: Path) -> None:
        data = corpus(tmp_path, pairs(400), weights=[0.5])
        assert 140 < len(documents_in(data.epoch(0, sequence_length=64, seed=2))) < 260


class TestLossWeights:
    TURNS = (
        Turn("system", "S"),
        Turn("user", "U"),
        Turn("assistant", "A<tool_call>C</tool_call>"),
        Turn("tool", "<tool_result>R</tool_result>"),
        Turn("assistant", "B"),
    )

    def weighted(self, folder: Path, prompt_weight: float) -> dict[float, str]:
        batch = (
            corpus(folder, [Document(self.TURNS)])
            .epoch(0, sequence_length=64, seed=0, prompt_weight=prompt_weight)
            .batch(0, 1)
        )
        found = {}
        for weight in np.unique(batch.weights):
            ids = batch.targets[batch.weights == weight]
            found[round(float(weight), 6)] = tokenizer().decode(ids.tolist(), skip_special=False)
        return found

    def test_building_trains_on_everything_but_padding(self, tmp_path: Path) -> None:
        found = self.weighted(tmp_path, 1.0)
        assert set(found) == {0.0, 1.0}
        assert set(found[0.0].replace("<|endoftext|>", "")) == set()
        assert "<tool_result>R</tool_result>" in found[1.0]

    def test_tuning_trains_on_what_the_assistant_says(self, tmp_path: Path) -> None:
        found = self.weighted(tmp_path, 0.25)
        assert found[1.0] == "A<tool_call>C</tool_call><|im_end|>B<|im_end|>"
        assert found[0.0].replace("<|endoftext|>", "") == "<tool_result>R</tool_result>"
        assert found[0.25].startswith("system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n")

    def test_no_prompt_at_all(self, tmp_path: Path) -> None:
        assert set(self.weighted(tmp_path, 0.0)) == {0.0, 1.0}


class TestBytes:
    @pytest.mark.parametrize("length", [16, 64, 1024])
    def test_validation_counts_each_byte_of_a_conversation_once(self, tmp_path: Path, length: int) -> None:
        documents = [
            pair(f"Wie gr\u00fc\u00dft man auf {n}? \U0001f600", "Gr\u00fc\u00df Gott <tool_call>{}</tool_call>")
            for n in range(40)
        ]
        data = corpus(tmp_path, documents, validation=0.3)
        held_out = sum(document.text_bytes for document in documents) - data.train_bytes
        assert whole(data.validation_rows(length)).bytes == data.validation_bytes == held_out

    def test_they_do_not_depend_on_the_tokenizer(self, tmp_path: Path) -> None:
        documents, other = pairs(60), Tokenizer.train(["other text altogether"] * 5, 320)
        counts = set()
        for name, words in (("a", tokenizer()), ("b", other)):
            data = corpus_of([tokens_of(documents, tmp_path / name, words)], [1.0], words, validation=0.3, seed=0)
            counts.add((whole(data.validation_rows(64)).bytes, data.validation_documents, data.train_bytes))
        assert len(counts) == 1

    def test_text_marks_what_the_bytes_are_of(self, tmp_path: Path) -> None:
        rows = whole(corpus(tmp_path, [pair("question", "answer")]).epoch(0, sequence_length=64, seed=0))
        assert tokenizer().decode(rows.targets[rows.text > 0].tolist()) == "questionanswer"
        assert rows.bytes == len("questionanswer")

    def test_masked_text_is_not_counted(self, tmp_path: Path) -> None:
        rows = whole(
            corpus(tmp_path, [pair("question", "answer")]).epoch(0, sequence_length=64, seed=0, prompt_weight=0)
        )
        assert rows.bytes == len("answer")


class TestFigures:
    def test_of_a_corpus(self, tmp_path: Path) -> None:
        data = corpus(tmp_path, pairs(100), validation=0.1)
        lengths = sorted(len(ids) for ids in documents_in(data.epoch(0, sequence_length=64, seed=0)))
        assert data.train_documents == len(lengths)
        assert data.train_documents + data.validation_documents == 100
        assert data.max_document == lengths[-1]
        assert data.median_document == int(np.median(lengths))

    def test_the_fingerprint_is_of_all_that_matters(self, tmp_path: Path) -> None:
        data = corpus(tmp_path, pairs(30))
        files = data.documents.files
        variants = [
            corpus_of(files, [1.0], tokenizer(), validation=0.0, seed=0),
            corpus_of(files, [2.0], tokenizer(), validation=0.0, seed=0),
            corpus_of(files, [1.0], tokenizer(), validation=0.1, seed=0),
            corpus_of(files, [1.0], tokenizer(), validation=0.0, seed=1),
            corpus_of(files, [1.0], tokenizer(), validation=0.0, seed=0, deduplicate=True),
        ]
        assert variants[0].fingerprint == data.fingerprint
        assert len({variant.fingerprint for variant in variants}) == 5


class TestBuild:
    def test_files_with_formats_and_weights(self, tmp_path: Path) -> None:
        one, two = write_pairs(tmp_path / "a.txt", 30), write_pairs(tmp_path / "b.txt", 10, start=100)
        files = [DataFile(str(one)), DataFile(str(two), format="qa", weight=2.0)]
        data = build(files, tokenizer(), tmp_path / "cache", validation=0.0, seed=0)
        assert data.train_documents == 40
        assert len(documents_in(data.epoch(0, sequence_length=64, seed=0))) == 50
        assert data.skipped == {}

    def test_duplicates_across_files(self, tmp_path: Path) -> None:
        one, two = write_pairs(tmp_path / "a.txt", 30), write_pairs(tmp_path / "b.txt", 20, start=20)
        two.write_text(two.read_text().replace("It is called", "IT  is Called"))
        files = [DataFile(str(one)), DataFile(str(two))]
        both = build(files, tokenizer(), tmp_path / "cache", validation=0.2, seed=0)
        once = build(files, tokenizer(), tmp_path / "cache", validation=0.2, seed=0, deduplicate=True)
        assert both.train_documents + both.validation_documents == 50
        assert once.train_documents + once.validation_documents == 40
        assert once.skipped == {"duplicate": 10}

    @pytest.mark.parametrize("validation", [-0.1, 1.0, float("nan")])
    def test_impossible_shares(self, tmp_path: Path, validation: float) -> None:
        file = DataFile(str(write_pairs(tmp_path / "a.txt", 30)))
        with pytest.raises(UsageError, match="validation"):
            build([file], tokenizer(), tmp_path / "cache", validation=validation, seed=0)

    @pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
    def test_impossible_weights(self, tmp_path: Path, weight: float) -> None:
        file = replace(DataFile(str(write_pairs(tmp_path / "a.txt", 30))), weight=weight)
        with pytest.raises(UsageError, match="weight"):
            build([file], tokenizer(), tmp_path / "cache", validation=0.0, seed=0)

    def test_no_files(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no data files"):
            build([], tokenizer(), tmp_path, validation=0.0, seed=0)

    def test_holding_everything_out(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="left to train on"):
            corpus(tmp_path, pairs(12), validation=0.9999999)
