"""What the linter looks for: one concern a file, each a `Check` that sees blocks of text and batches of documents."""
