"""Token splitting: the text stays, its tokens differ from epoch to epoch, and all of it follows from the key."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.text.chat_template import TokenKind
from engine.text.dataset import Corpus
from engine.text.epoch import Documents
from engine.text.merges import Merges
from engine.text.token_splitting import CHUNK, counted, most_splits, split_documents
from tests.engine.text.test_dataset import corpus, documents_in, whole
from tests.engine.text.token_samples import pairs, tokenizer


def split(source: Corpus, share: float, *key: int | str) -> Documents:
    return split_documents(source.documents, source.trained, source.tokenizer.merges, share, *key)


def texts(documents: Documents) -> list[str]:
    (file,) = documents.files
    decode = tokenizer().decode
    pieces = zip(documents.start.tolist(), documents.tokens.tolist(), strict=True)
    return [decode(file.tokens[start : start + count].tolist(), skip_special=False) for start, count in pieces]


def test_a_merge_is_known_by_its_parts() -> None:
    merges = tokenizer().merges
    (divisible,) = np.nonzero(merges.left >= 0)
    assert len(divisible) > 20
    for token in divisible.tolist():
        parts = tokenizer().token_bytes(int(merges.left[token])) + tokenizer().token_bytes(int(merges.right[token]))
        assert parts == tokenizer().token_bytes(token)
    assert not any(len(tokenizer().token_bytes(int(token))) == 1 for token in divisible), "a byte is of one piece"


def test_merges_are_read_in_both_ways_that_files_have_them() -> None:
    vocabulary = {"a": 0, "b": 1, "ab": 2, "aba": 3}
    for written in ([["a", "b"], ["ab", "a"]], ["a b", "ab a"]):
        merges = Merges.of({"vocab": vocabulary, "merges": written}, 5)
        assert merges.left.tolist() == [-1, -1, 0, 2, -1] and merges.right.tolist() == [-1, -1, 1, 0, -1]
    assert Merges.of({"vocab": vocabulary, "merges": ["a b", "ab a"]}, 5, [2]).left.tolist() == [-1, -1, -1, 2, -1]
    assert (Merges.of({"type": "Unigram", "vocab": []}, 3).left == -1).all(), "no merges: nothing is split"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpus(tmp_path_factory.mktemp("corpus"), pairs(60))


@given(st.floats(0.01, 1, exclude_max=True), st.integers(0, 10**6))
@settings(max_examples=20)
def test_the_text_and_the_kinds_stay(source: Corpus, share: float, key: int) -> None:
    found, plain = split(source, share, key), split(source, 0.0, key)
    assert texts(found) == texts(plain)
    sizes = np.array(tokenizer().byte_lengths)
    (after,), (before,) = found.files, plain.files
    for kind in TokenKind:
        assert sizes[after.tokens[after.kinds == kind]].sum() == sizes[before.tokens[before.kinds == kind]].sum()
    assert (after.kinds == TokenKind.TEMPLATE).sum() == (before.kinds == TokenKind.TEMPLATE).sum()
    assert found.tokens.sum() == len(after.tokens) == len(after.kinds)


def test_every_key_splits_differently_and_the_same_key_equally(source: Corpus) -> None:
    first, again, other = (split(source, 0.2, 7, epoch).files[0].tokens.tolist() for epoch in (1, 1, 2))
    assert first == again != other


def test_about_the_share_is_split(source: Corpus) -> None:
    merges = source.tokenizer.merges
    counts = counted(source.documents, source.trained, merges)
    assert 0.15 < counts.sum() / source.train_tokens < 1
    before = int(source.documents.tokens.sum())
    for share in (0.05, 0.3, 0.6):
        added = [int(split(source, share, key).tokens.sum()) - before for key in range(30)]
        most = most_splits(counts, merges, share)
        assert share * counts.sum() * 0.8 < np.mean(added) < max(added) < most < 2.2 * np.mean(added)


def test_all_that_can_be_split_falls_into_pieces(source: Corpus) -> None:
    merges = source.tokenizer.merges
    (file,) = split(source, 1.0, 0).files
    depth = merges.left[file.tokens]
    assert len(file.tokens) > 1.5 * source.train_tokens and (depth >= 0).mean() < 0.2


def test_a_document_that_comes_twice_is_split_twice(source: Corpus) -> None:
    twice = split_documents(source.documents, np.array([3, 3]), source.tokenizer.merges, 0.5, 0)
    (file,) = twice.files
    halves = np.split(file.tokens, [int(twice.tokens[0])])
    assert halves[0].tolist() != halves[1].tolist() and texts(twice)[0] == texts(twice)[1]


def test_chunks_make_no_difference_to_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = corpus(tmp_path, pairs(40))
    assert source.train_tokens < CHUNK
    expected = texts(split(source, 0.3, 1))
    monkeypatch.setattr("engine.text.token_splitting.CHUNK", 37)
    assert texts(split(source, 0.3, 1)) == expected


def test_epochs_read_other_tokens_of_the_same_documents(tmp_path: Path) -> None:
    source = corpus(tmp_path, pairs(80))
    plain = source.epoch(0, sequence_length=64, seed=1)
    read = [source.epoch(epoch, sequence_length=64, seed=1, split=0.1) for epoch in (0, 1, 0)]
    contents = [
        sorted(tokenizer().decode(list(ids), skip_special=False) for ids in documents_in(order))
        for order in (plain, *read)
    ]
    assert contents[0] == contents[1] == contents[2]
    first, second, again = (sorted(documents_in(order)) for order in read)
    assert first == again != second
    assert whole(plain).bytes == whole(read[0]).bytes == whole(read[1]).bytes, "bits per byte count the same text"


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_no_epoch_has_more_rows_than_were_planned(tmp_path: Path, share: float) -> None:
    source = corpus(tmp_path, pairs(150))
    planned = source.rows(0, sequence_length=64, seed=3, split=share)
    for epoch in range(12):
        rows = source.epoch(epoch, sequence_length=64, seed=3, split=share).rows
        assert 0.9 * planned <= rows <= planned
