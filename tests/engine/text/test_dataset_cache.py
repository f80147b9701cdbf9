"""Tokens on disk: made once, by one process, whole or not at all."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine.text.token_cache as token_cache
import engine.text.token_writer as token_writer
from engine.errors import DataError, DiskFullError, ForgeError
from engine.job import DataFile
from engine.text.conversation import Document
from engine.text.token_cache import TokenFile, cache_tokens, open_tokens, write_tokens
from engine.text.tokenizer import Tokenizer
from tests.engine.text.token_samples import DOCUMENTS, pairs, tokenizer, write_pairs


@pytest.fixture
def file(tmp_path: Path) -> DataFile:
    return DataFile(str(write_pairs(tmp_path / "data.txt", 50)))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the batches that are tokenised."""
    batches: list[int] = []
    encode = Tokenizer.encode_documents

    def counted(self: Tokenizer, documents: list[Document]) -> object:
        batches.append(len(documents))
        return encode(self, documents)

    monkeypatch.setattr(Tokenizer, "encode_documents", counted)
    return batches


def same(one: TokenFile, two: TokenFile) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(two, name))
        for name in ("tokens", "kinds", "starts", "hashes", "text_bytes")
    )


def nothing_but_locks(cache: Path) -> bool:
    return [path for path in cache.iterdir() if path.suffix != ".lock"] == []


class TestContent:
    @given(st.lists(DOCUMENTS, min_size=1, max_size=12))
    @settings(deadline=None)
    def test_it_is_what_the_tokenizer_gives(
        self, tmp_path_factory: pytest.TempPathFactory, documents: list[Document]
    ) -> None:
        documents = [document for document in documents if any(turn.text.strip() for turn in document.turns)] or pairs(
            1
        )
        folder = tmp_path_factory.mktemp("tokens")
        write_tokens(folder, documents, tokenizer())
        found = open_tokens(folder)
        assert found is not None
        for number, encoded in enumerate(tokenizer().encode_documents(documents)):
            here = slice(found.starts[number], found.starts[number + 1])
            assert found.tokens[here].tolist() == encoded.ids
            assert found.kinds[here].tobytes() == encoded.kinds
        assert found.tokens.dtype == np.uint16
        text = [sum(len(turn.text.encode("utf-8", "replace")) for turn in document.turns) for document in documents]
        assert found.text_bytes.tolist() == text

    def test_batches_do_not_show(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found = []
        for name, size in (("one", 10**6), ("many", 50)):
            monkeypatch.setattr(token_cache, "BATCH_CHARACTERS", size)
            (tmp_path / name).mkdir()
            write_tokens(tmp_path / name, pairs(100), tokenizer())
            found.append(open_tokens(tmp_path / name))
        assert found[0] is not None
        assert found[1] is not None
        assert same(found[0], found[1])

    def test_large_vocabularies_take_four_bytes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tokenizer().byte_lengths  # computed with the true vocabulary
        monkeypatch.setattr(Tokenizer, "vocabulary", property(lambda self: 65_537))
        write_tokens(tmp_path, pairs(5), tokenizer())
        found = open_tokens(tmp_path)
        assert found is not None
        assert found.tokens.dtype == np.uint32


class TestKey:
    def test_the_second_time_nothing_is_tokenised(self, file: DataFile, cache: Path, once: list[int]) -> None:
        first = cache_tokens(file, tokenizer(), cache)
        assert once == [50]
        assert same(cache_tokens(file, tokenizer(), cache), first)
        assert once == [50]

    def test_another_name_for_the_same_content_is_the_same(self, file: DataFile, cache: Path, once: list[int]) -> None:
        cache_tokens(file, tokenizer(), cache)
        copy = Path(file.path).with_name("copy.txt")
        copy.write_bytes(Path(file.path).read_bytes())
        cache_tokens(DataFile(str(copy), weight=3.0), tokenizer(), cache)
        assert once == [50]

    def test_content_format_and_tokenizer_count(self, file: DataFile, cache: Path) -> None:
        keys = {
            cache_tokens(file, tokenizer(), cache).key,
            cache_tokens(DataFile(file.path, format="text"), tokenizer(), cache).key,
            cache_tokens(file, Tokenizer.train(["another"] * 3, 300), cache).key,
        }
        with Path(file.path).open("a") as stream:
            stream.write("Q: One more?\nA: Yes, one more.\n")
        more = cache_tokens(file, tokenizer(), cache)
        assert len(keys | {more.key}) == 4
        assert len(more.hashes) == 51


class TestDamage:
    @pytest.mark.parametrize("name", ["tokens", "kinds", "starts", "hashes", "bytes", "info.json"])
    @pytest.mark.parametrize("damage", ["missing", "shorter", "empty"])
    def test_a_damaged_cache_is_made_again(self, file: DataFile, cache: Path, name: str, damage: str) -> None:
        first = cache_tokens(file, tokenizer(), cache)
        path = cache / first.key / name
        content = path.read_bytes()
        path.unlink()
        if damage != "missing":
            path.write_bytes(content[: len(content) // 2] if damage == "shorter" else b"")
        again = cache_tokens(file, tokenizer(), cache)
        assert (len(again.tokens), again.key) == (int(again.starts[-1]), first.key)
        assert len(again.hashes) == 50

    @pytest.mark.parametrize(
        "info", ["[]", '{"version": 99, "files": {}}', '{"version": 1, "files": {"../x": 3}}', "{}"]
    )
    def test_an_info_of_another_kind(self, file: DataFile, cache: Path, info: str) -> None:
        first = cache_tokens(file, tokenizer(), cache)
        (cache / first.key / "info.json").write_text(info)
        assert len(cache_tokens(file, tokenizer(), cache).hashes) == 50


class TestInterruption:
    """A process that is killed while it tokenises leaves what the next one goes on from."""

    @pytest.fixture
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(token_writer, "MARK_BYTES", 1)
        monkeypatch.setattr(token_cache, "BATCH_DOCUMENTS", 8)

    @staticmethod
    def interrupted(file: DataFile, cache: Path, after: int) -> Path:
        """The folder that is left when tokenising stops after so many batches."""
        batches = 0

        def stop(path: Path, done: int, total: int) -> None:
            nonlocal batches
            batches += 1
            if batches == after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            cache_tokens(file, tokenizer(), cache, progress=stop)
        (left,) = cache.glob(".*.part")
        return left

    @pytest.mark.parametrize("rest", ["as it was", "more than was noted", "less than was noted", "a broken note"])
    def test_the_next_process_goes_on(
        self, file: DataFile, cache: Path, tmp_path: Path, small: None, once: list[int], rest: str
    ) -> None:
        whole = cache_tokens(file, tokenizer(), tmp_path / "other")
        once.clear()
        left = self.interrupted(file, cache, after=3)
        if rest == "more than was noted":
            with (left / "kinds").open("ab") as stream:
                stream.write(b"half a batch")
        elif rest == "less than was noted":
            os.truncate(left / "tokens", 10)
        elif rest == "a broken note":
            (left / token_writer.MARK).write_text('{"documents": 3}')
        again = cache_tokens(file, tokenizer(), cache)
        assert same(again, whole)
        encoded = {"as it was": 50, "more than was noted": 50}.get(rest, 24 + 50)
        assert sum(once) == encoded
        assert sorted(path.name for path in cache.iterdir()) == [again.key, f"{again.key}.lock"]

    def test_what_is_skipped_is_counted_once(self, file: DataFile, cache: Path, small: None) -> None:
        with Path(file.path).open("a") as stream:
            stream.write("\nQ: A question that nobody answers?\n")
        self.interrupted(file, cache, after=3)
        assert cache_tokens(file, tokenizer(), cache).skipped == {"orphan_question": 1}


class TestTrouble:
    def test_no_room(self, file: DataFile, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(token_writer.TokenWriter, "_append", full)
        with pytest.raises(DiskFullError):
            cache_tokens(file, tokenizer(), cache)
        assert nothing_but_locks(cache)

    def test_a_real_limit_on_the_size_of_files(self, file: DataFile, cache: Path) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
        try:
            with pytest.raises(DiskFullError):
                cache_tokens(file, tokenizer(), cache)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert nothing_but_locks(cache)

    def test_a_cache_that_cannot_be_made(self, file: DataFile, tmp_path: Path) -> None:
        (tmp_path / "occupied").write_text("a file")
        with pytest.raises(ForgeError, match="Cannot write"):
            cache_tokens(file, tokenizer(), tmp_path / "occupied")

    def test_giving_up(self, file: DataFile, cache: Path) -> None:
        def stop(path: Path, done: int, total: int) -> None:
            assert (path, total) == (Path(file.path), os.path.getsize(file.path))  # noqa: PTH202
            assert 0 < done <= total
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            cache_tokens(file, tokenizer(), cache, progress=stop)
        assert nothing_but_locks(cache)
        assert len(cache_tokens(file, tokenizer(), cache).hashes) == 50

    def test_a_file_that_changes_while_it_is_read(self, file: DataFile, cache: Path) -> None:
        def meddle(path: Path, done: int, total: int) -> None:
            path.write_text(path.read_text().replace("called", "named"))

        with pytest.raises(DataError, match="changed"):
            cache_tokens(file, tokenizer(), cache, progress=meddle)
        assert nothing_but_locks(cache)

    @pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "empty", "binary", "latin-1"])
    def test_what_is_not_a_text_file(self, tmp_path: Path, cache: Path, kind: str) -> None:
        path = tmp_path / "data.txt"
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind != "missing":
            path.write_bytes(
                {"empty": b"", "binary": b"\x7fELF\x00\x01" * 99, "latin-1": b"Q: caf\xe9?\nA: ja\n"}[kind]
            )
        with pytest.raises(DataError, match=r"data\.txt"):
            cache_tokens(DataFile(str(path)), tokenizer(), cache)

    def test_a_file_without_documents(self, tmp_path: Path, cache: Path) -> None:
        path = tmp_path / "data.txt"
        path.write_text("Q: A question that nobody answers?\n")
        with pytest.raises(DataError, match="no document"):
            cache_tokens(DataFile(str(path), format="qa"), tokenizer(), cache)

    def test_what_is_skipped_is_counted_and_kept(self, tmp_path: Path, cache: Path) -> None:
        path = write_pairs(tmp_path / "data.txt", 20)
        path.write_text(path.read_text() + "\nQ: A question that nobody answers?\n")
        first = cache_tokens(DataFile(str(path), format="qa"), tokenizer(), cache).skipped
        assert sum(first.values()) == 1
        assert cache_tokens(DataFile(str(path), format="qa"), tokenizer(), cache).skipped == first


def _tokenise(path: str, cache: str, barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    found = cache_tokens(DataFile(path), tokenizer(), Path(cache))
    assert len(found.hashes) == 3000


def test_processes_that_want_the_same_tokens_at_once(tmp_path: Path, cache: Path) -> None:
    path = write_pairs(tmp_path / "data.txt", 3000)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [context.Process(target=_tokenise, args=(str(path), str(cache), barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    folders = [entry.name for entry in cache.iterdir() if entry.suffix != ".lock"]
    assert len(folders) == 1
    assert json.loads((cache / folders[0] / "info.json").read_text())["version"] == token_cache.VERSION


def _killed(path: str, cache: str) -> None:
    token_writer.MARK_BYTES, token_cache.BATCH_DOCUMENTS = 1, 200

    def die(path: Path, done: int, total: int) -> None:
        if done > total // 2:
            os.kill(os.getpid(), signal.SIGKILL)

    cache_tokens(DataFile(path), tokenizer(), Path(cache), progress=die)


def test_what_a_killed_process_wrote_is_not_written_again(tmp_path: Path, cache: Path, once: list[int]) -> None:
    path = write_pairs(tmp_path / "data.txt", 3000)
    process = multiprocessing.get_context("spawn").Process(target=_killed, args=(str(path), str(cache)))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    found = cache_tokens(DataFile(str(path)), tokenizer(), cache)
    assert len(found.hashes) == 3000
    assert 0 < sum(once) < 2000
    assert same(found, cache_tokens(DataFile(str(path)), tokenizer(), tmp_path / "other"))
