"""Strings that attack a terminal, a markup parser, or the eye."""

from __future__ import annotations

HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "clipboard with string terminator": "\x1b]52;c;ZXZpbA==\x1b\\",
    "clear": "\x1b[2J\x1b[H",
    "main screen": "\x1b[?1049l",
    "C1 control sequence": "\x9b31m",
    "C1 operating system command": "\x9d0;owned\x9c",
    "device control": "\x1bP+q544e\x1b\\",
    "report": "\x1b[6n\x1b[c",
    "backspace": "abc\x08\x08\x08xyz",
    "carriage return": "harmless\rrm -rf",
    "null": "a\x00b",
    "delete": "a\x7fb",
    "right to left": "\u202egnp.exe",
    "isolate": "\u2067abc\u2069",
    "zero width": "a\u200bb\u200d\ufeffc",
    "tags": "a\U000e0041\U000e0042",
    "line separator": "a\u2028b",
    "lone surrogate": "a\ud800b",
    "closing markup": "[/nope] [/bold] [/]",
    "opening markup": "[bold red]x [@click=app.quit]click[/]",
    "unterminated markup": "[link=http://x",
    "brackets": "[INFO] step [1/10] [10%]",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈",
    "combining": "e\u0301" * 3 + "Z\u0335\u0321\u0322",
    "wide": "日本語テキスト",
    "long": "A" * 1_000_000,
    "newlines": "one\ntwo\r\nthree",
    "tab": "a\tb",
}
"""Name to string."""

FORBIDDEN = "".join(chr(code) for code in [*range(0x20), 0x7F, *range(0x80, 0xA0)] if chr(code) != "\n") + (
    "\u200b\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff\U000e0041"
)
"""Characters that no widget may draw."""
