"""The formats of training data, as they are named in words. Light: the app shows them before it reads anything."""

from __future__ import annotations

LABELS = {
    "qa": "Q/A",
    "chat": "User/Assistant",
    "router": "INPUT/TASK",
    "instruction": "### Instruction/Response",
    "chatml": "ChatML",
    "markdown": "Markdown",
    "jsonl": "JSON Lines",
    "json": "JSON",
    "csv": "CSV",
    "tsv": "TSV",
    "parquet": "Parquet",
    "text": "plain text (blank lines between documents)",
    "text-headings": "plain text (headings between documents)",
    "text-whole": "plain text (one document)",
}
"""Formats for people."""
