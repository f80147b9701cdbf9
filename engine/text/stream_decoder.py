"""Tokens to text as they arrive, without ever showing half a character."""

from __future__ import annotations

import codecs
from collections.abc import Callable


class StreamDecoder:
    """Decodes one id at a time; what is pushed and finished adds up to what `Tokenizer.decode` gives for all ids.

    Bytes that begin a UTF-8 character are held back until it is complete; bytes that cannot be UTF-8 become U+FFFD.
    """

    def __init__(self, token_bytes: Callable[[int], bytes]) -> None:
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """The text that became complete with this token; often empty inside a character."""
        return self._decoder.decode(self._token_bytes(token))

    def finish(self) -> str:
        """What is still held back: nothing, or U+FFFD for a character that was never completed."""
        return self._decoder.decode(b"", final=True)
