"""Parquet tables, with pyarrow where it is installed; one record a row, a batch of rows in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import DataError
from engine.text.conversation import Document
from engine.text.problem import Listener, Problem
from engine.text.readers.json_lines import mended, record_document
from engine.text.readers.record import KNOWN_COLUMNS, Columns, RecordReader
from engine.text.source import TextSource

BATCH_ROWS = 512
"""Rows in memory at a time."""


def read_parquet(source: TextSource, report: Listener, columns: Columns | None) -> Iterator[Document]:
    """The rows of a Parquet file; a "line" is a row, counted from 1.

    Raises:
        DataError: pyarrow is not installed, the file is damaged, or no column has a known name.
    """
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError as problem:
        raise DataError(
            "Reading Parquet needs pyarrow.", fix="Install it: pip install 'forge-tui[parquet]'", file=source.name
        ) from problem
    reader = RecordReader(source.name, "parquet", report, columns)
    wanted = {value.lower() for value in (columns or {}).values()} | KNOWN_COLUMNS
    row = 0
    try:
        table = parquet.ParquetFile(source.path)
        names = [name for name in table.schema_arrow.names if name.lower() in wanted]
        if not names:
            shown = ", ".join(table.schema_arrow.names)[:100]
            raise DataError(
                f"No column has a known name; the table has: {shown}.",
                fix='Say what they are: columns = { prompt = "NAME" } in forge.toml, or check --columns prompt=NAME.',
                file=source.name,
            )
        schema = table.schema_arrow
        unused = [
            field.name for field in schema if field.name not in names and not arrow.types.is_primitive(field.type)
        ]
        if unused:
            report(Problem("unused_fields", 1, ", ".join(unused)))
        for batch in table.iter_batches(batch_size=BATCH_ROWS, columns=names):
            for record in batch.to_pylist():
                row += 1
                document = record_document(reader, mended(record), row, row, report)
                if document is not None:
                    yield document
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as problem:
        reason = str(problem).split("\n")[0][:120]
        raise DataError(
            f"This Parquet file cannot be read: {reason}.", fix="Write it again.", file=source.name
        ) from problem
