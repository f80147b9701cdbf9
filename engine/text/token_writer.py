"""Documents on their way into a folder of tokens; a process that is killed leaves what the next one goes on from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from engine.files import write_atomic
from engine.text.chat_template import TokenKind
from engine.text.conversation import Document
from engine.text.split import text_hash
from engine.text.tokenizer import Tokenizer

NAMES = ("tokens", "kinds", "starts", "hashes", "bytes")
"""The files of a folder."""
MARK = "written.json"
"""How far a folder is, while it is written."""
MARK_BYTES = 16 << 20
"""Bytes of text after which it is noted how far the folder is."""


class TokenWriter:
    """Appends documents to the files of a folder, going on behind the last mark of an earlier writer.

    Args:
        folder: Empty, or left by a writer with the same documents and tokenizer.
        tokenizer: Encodes the documents.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self._folder = folder
        self._tokenizer = tokenizer
        self._byte_lengths = np.array(tokenizer.byte_lengths, dtype=np.int64)
        self.dtype: np.dtype[np.unsignedinteger] = np.dtype("<u2" if tokenizer.vocabulary <= 1 << 16 else "<u4")
        mark = _read_mark(folder)
        self.documents: int = mark.get("documents", 0)
        """Documents written, by this and by earlier writers."""
        self.tokens: int = mark.get("tokens", 0)
        self.text_bytes: int = mark.get("text_bytes", 0)
        self._marked = self.text_bytes
        sizes = mark.get("files", {})
        self._stack = ExitStack()
        try:
            self._files = {
                name: self._stack.enter_context((folder / name).open("r+b" if mark else "wb")) for name in NAMES
            }
            for name, stream in self._files.items():
                stream.truncate(sizes.get(name, 0))
                stream.seek(0, os.SEEK_END)
            if not mark:
                self._append("starts", [0], np.int64)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> TokenWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def write(self, batch: Sequence[Document]) -> None:
        """Append some documents, each with text."""
        encoded = self._tokenizer.encode_documents(batch)
        lengths = np.array([len(document.ids) for document in encoded], dtype=np.int64)
        ids = np.fromiter(chain.from_iterable(document.ids for document in encoded), self.dtype, int(lengths.sum()))
        kinds = np.frombuffer(b"".join(document.kinds for document in encoded), dtype=np.uint8)
        ends = np.cumsum(lengths)
        in_text = self._byte_lengths[ids] * (kinds != TokenKind.TEMPLATE)
        document_bytes = np.add.reduceat(in_text, ends - lengths)
        self._append("tokens", ids, self.dtype)
        self._append("kinds", kinds, np.uint8)
        self._append("starts", ends + self.tokens, np.int64)
        self._append("hashes", [text_hash(document) for document in batch], np.uint64)
        self._append("bytes", document_bytes, np.int64)
        self.documents += len(batch)
        self.tokens += int(ends[-1])
        self.text_bytes += int(document_bytes.sum())
        if self.text_bytes - self._marked >= MARK_BYTES:
            self._mark()

    def finish(self) -> dict[str, int]:
        """Write everything out; returns the size of each file."""
        for stream in self._files.values():
            stream.flush()
        (self._folder / MARK).unlink(missing_ok=True)
        return {name: (self._folder / name).stat().st_size for name in NAMES}

    def _mark(self) -> None:
        """Note how far the files are, once they are on the disk as far as that."""
        sizes = {}
        for name, stream in self._files.items():
            stream.flush()
            os.fsync(stream.fileno())
            sizes[name] = stream.tell()
        about = {"documents": self.documents, "tokens": self.tokens, "text_bytes": self.text_bytes}
        write_atomic(self._folder / MARK, json.dumps(about | {"files": sizes}).encode())
        self._marked = self.text_bytes

    def _append(self, name: str, values: Iterable[object], dtype: DTypeLike) -> None:
        self._files[name].write(np.ascontiguousarray(values, dtype=dtype).data)


def _read_mark(folder: Path) -> dict[str, Any]:
    """What an earlier writer noted; empty when it did not, or when its files are shorter than that."""
    try:
        mark = json.loads((folder / MARK).read_bytes())
        whole = all((folder / name).stat().st_size >= mark["files"][name] for name in NAMES)
        known = all(isinstance(mark[name], int) and mark[name] >= 0 for name in ("documents", "tokens", "text_bytes"))
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return mark if whole and known else {}
