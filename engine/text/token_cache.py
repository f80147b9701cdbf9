"""A data file as tokens on disk, made once: memory-mapped, keyed by its content and the tokenizer.

One folder a file: `tokens` (uint16, or uint32 for large vocabularies), `kinds` (uint8, `TokenKind`), `starts` (int64,
documents + 1), `hashes` (uint64, `split.text_hash`), `bytes` (int64, UTF-8 bytes of text) and `info.json`, written
last. The folder gets its name when it is complete; a second process that wants it waits for the first, and what a
killed one left is gone on with.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError, ForgeError
from engine.files import FileLock, fsync_folder, os_error, write_atomic
from engine.text.conversation import Document
from engine.text.problem import FATAL, Problem
from engine.text.sanitize import one_line
from engine.text.token_writer import MARK, TokenWriter
from engine.text.tokenizer import Tokenizer

VERSION = 1
"""Changes when the same file and tokenizer would give other tokens or another layout."""
BATCH_CHARACTERS = 1 << 20
BATCH_DOCUMENTS = 4096


class DataFile(Protocol):
    """What is needed of a data file; `engine.job.DataFile` is one. It may also have `columns`, as for the readers."""

    @property
    def path(self) -> str:
        """The file (globs are expanded before)."""

    @property
    def format(self) -> str:
        """A key of `formats.FORMATS`, or "auto"."""

    @property
    def weight(self) -> float:
        """How often its documents are seen in an epoch, on average."""


Progress = Callable[[Path, int, int], None]
"""Called with the file, the bytes of its text tokenised so far, and its size; may raise to give up."""


@dataclass(frozen=True, slots=True)
class TokenFile:
    """One data file as tokens."""

    key: str
    """Of content, format, tokenizer and version: equal keys are equal tokens."""
    tokens: NDArray[Any]
    """All documents one after the other, memory-mapped; uint16 or uint32."""
    kinds: NDArray[np.uint8]
    """`TokenKind` of each token, memory-mapped."""
    starts: NDArray[np.int64]
    """Where each document starts, and the end of the last."""
    hashes: NDArray[np.uint64]
    """`text_hash` of each document."""
    text_bytes: NDArray[np.int64]
    """UTF-8 bytes of text in each document; without control tokens and role headers."""
    skipped: dict[str, int]
    """Places in the file whose text is in no document, by reason."""

    def release(self) -> None:
        """Give the mapped pages back to the kernel; they are read again when they are needed."""
        for array in (self.tokens, self.kinds):
            mapped = getattr(array, "_mmap", None)
            if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)

    def without_index(self) -> TokenFile:
        """The tokens alone, for a corpus that has the documents' index of all its files in one."""
        nothing = np.zeros(0, dtype=np.int64)
        return replace(self, starts=nothing, hashes=nothing.astype(np.uint64), text_bytes=nothing)


def cache_tokens(
    file: DataFile, tokenizer: Tokenizer, cache: Path, *, strict: bool = True, progress: Progress | None = None
) -> TokenFile:
    """Tokenise a file, or find it tokenised.

    Args:
        file: What to read; its weight does not matter here.
        tokenizer: Its hash is part of the key.
        cache: Folder of all token files; made if missing.
        strict: Whether a broken record is an error; otherwise it is skipped and counted.
        progress: Told after every batch.

    Raises:
        DataError: the file cannot be read, has no documents, or changed while it was read.
        DiskFullError: no space; nothing is left behind.
    """
    path = Path(file.path)
    content = content_hash(path)
    columns: Mapping[str, str] | None = getattr(file, "columns", None)
    reading = [file.format, sorted((columns or {}).items()), "".join(path.suffixes).lower(), strict]
    key = hashlib.sha256(json.dumps([VERSION, content, reading, tokenizer.hash]).encode()).hexdigest()[:32]
    folder = cache / key
    found = open_tokens(folder)
    if found is not None:
        return found
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{key}.lock") as lock:
            lock.acquire(inf)
            found = open_tokens(folder)
            if found is not None:
                return found
            _sweep(cache, key)
            skipped: Counter[str] = Counter()
            documents = _read(path, file.format, columns, strict, skipped)
            size = path.stat().st_size
            with _unfinished(cache, key) as temporary:
                write_tokens(
                    temporary,
                    documents,
                    tokenizer,
                    skipped,
                    lambda done: progress(path, done, size) if progress else None,
                )
                if content_hash(path) != content:
                    raise DataError("The file changed while it was read.", file=path, fix="Run it again.")
                temporary.rename(folder)
            fsync_folder(cache)
    except OSError as error:
        raise os_error(error, cache) from error
    found = open_tokens(folder)
    if found is None:
        raise ForgeError("The tokens were damaged while they were written.", file=folder, fix="Check the disk.")
    return found


def write_tokens(
    folder: Path,
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    skipped: Counter[str] | None = None,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Tokenise documents, streamed, into an existing folder.

    Args:
        folder: Empty, or left by a process that was killed while it did the same; becomes what `open_tokens` opens.
        documents: At least one with text; those without are counted as skipped.
        tokenizer: Encodes them.
        skipped: What the reader skips meanwhile, read when all documents are through.
        progress: Called with the bytes of text so far.
    """
    skipped = Counter() if skipped is None else skipped
    with TokenWriter(folder, tokenizer) as writer:
        for batch in _batches(documents, skipped, writer.documents):
            writer.write(batch)
            if progress is not None:
                progress(writer.text_bytes)
        files = writer.finish()
    info = {"version": VERSION, "dtype": writer.dtype.str, "tokens": writer.tokens, "skipped": dict(skipped)}
    write_atomic(folder / "info.json", json.dumps({**info, "files": files}).encode())


def open_tokens(folder: Path) -> TokenFile | None:
    """Map the tokens of a folder; None when it is missing, incomplete, damaged or of another version."""
    try:
        info = json.loads((folder / "info.json").read_bytes())
        whole = all((folder / name).stat().st_size == size for name, size in info["files"].items())
        if info["version"] != VERSION or not whole:
            return None
        dtype = np.dtype(info["dtype"])
        return TokenFile(
            key=folder.name,
            tokens=np.memmap(folder / "tokens", dtype=dtype, mode="r"),
            kinds=np.memmap(folder / "kinds", dtype=np.uint8, mode="r"),
            starts=np.fromfile(folder / "starts", dtype=np.int64),
            hashes=np.fromfile(folder / "hashes", dtype=np.uint64),
            text_bytes=np.fromfile(folder / "bytes", dtype=np.int64),
            skipped=dict(info["skipped"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _read(
    path: Path, format_name: str, columns: Mapping[str, str] | None, strict: bool, skipped: Counter[str]
) -> Iterator[Document]:
    """The documents of a file; what the reader could not place is counted, a broken record raises if we are strict."""
    from engine.text.formats import read_documents

    def listen(problem: Problem) -> None:
        if strict and problem.code in FATAL:
            raise DataError(
                f"This cannot be read: {one_line(problem.text, 120)}",
                fix=f"See all of it: forge-tui check {one_line(str(path))}",
                file=path,
                line=problem.line,
            )
        if problem.lost:
            skipped[problem.code] += 1

    found = False
    for document in read_documents(path, format_name, columns=columns, report=listen):
        found = found or not _is_empty(document)
        yield document
    if not found:
        raise DataError("There is no document in this file.", file=path, fix="See what it is: forge-tui check.")


def _is_empty(document: Document) -> bool:
    return not any(turn.text.strip() for turn in document.turns)


def _batches(documents: Iterable[Document], skipped: Counter[str], done: int) -> Iterator[list[Document]]:
    """Without the first `done`: enough documents at a time to keep all cores busy, few enough to stay small."""
    batch: list[Document] = []
    characters = 0
    for document in islice(_filled(documents, skipped), done, None):
        batch.append(document)
        characters += sum(len(turn.text) for turn in document.turns)
        if characters >= BATCH_CHARACTERS or len(batch) >= BATCH_DOCUMENTS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _filled(documents: Iterable[Document], skipped: Counter[str]) -> Iterator[Document]:
    for document in documents:
        if _is_empty(document):
            skipped["empty"] += 1
        else:
            yield document


def content_hash(path: Path) -> str:
    """Of a file's bytes.

    Raises:
        DataError: it cannot be opened, or is no regular file.
    """
    from engine.text.source import open_regular

    handle, _, _ = open_regular(path)
    digest = hashlib.blake2b(digest_size=32)
    with handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _unfinished(cache: Path, key: str) -> Iterator[Path]:
    """The folder that the tokens are written in; it stays for the next attempt when this one is interrupted."""
    folder = cache / f".{key}.part"
    folder.mkdir(exist_ok=True)
    try:
        yield folder
    except (OSError, ForgeError):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        if not (folder / MARK).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(cache: Path, key: str) -> None:
    """Remove what a damaged disk left; the caller holds the lock."""
    shutil.rmtree(cache / key, ignore_errors=True)
