"""Every finding by its code: how grave it is, what it says, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "hint"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What one code means."""

    severity: Severity
    """error: not usable as it is · warning: will hurt · hint: worth knowing."""
    message: str
    """What was found, in words; it follows a count."""
    fix: str
    """What to do."""
    loses: bool = False
    """Whether text is missing from the documents because of it."""


RULES: dict[str, Rule] = {
    # The file
    "unreadable": Rule("error", "the file cannot be read", "Name a readable text file.", loses=True),
    "not_utf8": Rule("error", "not UTF-8 text", "Repair a copy: forge-tui check FILE --fix DIR", loses=True),
    "no_documents": Rule("error", "no document in the file", "Name its format, or convert it.", loses=True),
    "mostly_outside": Rule(
        "error", "most of the file is in no document", "Name its real format with format = in forge.toml.", loses=True
    ),
    "changed": Rule("warning", "the file was written to while it was read", "Wait until nothing writes to it."),
    "guessed_format": Rule("hint", "the format is a guess", "Name it with format = in forge.toml."),
    "mixed_formats": Rule("warning", "places where another format begins", "Use one: forge-tui check --convert qa"),
    # Records and tables
    "bad_json": Rule("error", "records that are not valid JSON", "Correct them, or leave them out.", loses=True),
    "json_shape": Rule("error", "records of an unknown shape", "Map their columns, or leave them out.", loses=True),
    "bad_row": Rule("error", "table rows that do not fit the header", "Quote fields that hold delimiters.", loses=True),
    "row_too_long": Rule("error", "records longer than can be read", "Split them.", loses=True),
    "unused_fields": Rule(
        "hint", "sets of fields that are not read", "Map them with columns if they hold text.", loses=True
    ),
    "empty_record": Rule("warning", "records without text", "Leave them out.", loses=True),
    "unknown_role": Rule("warning", "messages of an unknown role", "Use user, assistant, system or tool.", loses=True),
    # Conversations
    "orphan_question": Rule("warning", "questions without an answer", "Answer them, or leave them out.", loses=True),
    "orphan_answer": Rule("warning", "answers without a question", "Put the question before them.", loses=True),
    "empty_answer": Rule("warning", "empty answers", "Write the answer, or leave the question out.", loses=True),
    "empty_question": Rule("warning", "empty questions", "Write the question.", loses=True),
    "empty_turn": Rule("hint", "empty messages", "Leave them out.", loses=True),
    "text_outside": Rule("warning", "text outside any conversation", "Put a marker before it.", loses=True),
    "short_answer": Rule("warning", "answers of fewer than five words", "Answer in a sentence or more."),
    "one_sided": Rule("hint", "lengths are one-sided", "Balance the lengths of questions and answers."),
    "prose_in_answer": Rule(
        "hint", "paragraphs after an answer, read as part of it", "Put text of its own into a file of its own."
    ),
    "contradiction": Rule(
        "warning", "questions whose answers contradict another one", "Keep the answer that is right."
    ),
    "answered_twice": Rule("hint", "questions that have another answer elsewhere", "Fine if both are right."),
    "sloppy_sentences": Rule(
        "hint", "answers without capital or full stop", "Write whole sentences: the model copies your style."
    ),
    # Tools
    "tool_json": Rule("error", "tool tags whose JSON does not parse", "Write one JSON object between the tags."),
    "tool_tags": Rule("error", "tool tags that are unbalanced or nested", "Close every tag before the next one."),
    "tool_order": Rule("warning", "tool results without a call before them", "Put the call before its result."),
    "tool_fields": Rule(
        "warning", "tool JSON with wrong fields", 'A call has "tool" and "params", a result has "success".'
    ),
    "tool_role": Rule("warning", "tool tags in a question", "Tags count in answers only; here they are plain text."),
    "old_tool_tags": Rule("hint", "old tool tags, read as JSON tool tags", "Rewrite them: forge-tui check --fix DIR"),
    # Characters
    "bom": Rule("hint", "byte order marks (left out)", "Repair a copy: forge-tui check --fix DIR"),
    "line_ends": Rule("hint", "line ends that are not plain newlines", "Repair a copy: forge-tui check --fix DIR"),
    "nul": Rule("warning", "lines with NUL characters", "Repair a copy: forge-tui check --fix DIR"),
    "control": Rule("warning", "lines with control characters", "Repair a copy: forge-tui check --fix DIR"),
    "bidi": Rule("warning", "lines with characters that reorder text", "Repair a copy: forge-tui check --fix DIR"),
    "invisible": Rule("hint", "lines with invisible characters", "Repair a copy: forge-tui check --fix DIR"),
    "replacement": Rule("warning", "lines with replacement characters", "Restore the text from its source."),
    "mojibake": Rule("warning", "lines read in the wrong encoding once", "Repair a copy: forge-tui check --fix DIR"),
    "long_line": Rule("hint", "lines too long to hold at once, cut in pieces", "Break them into paragraphs."),
    "special_token": Rule("hint", "lines with special tokens as text", "They are trained as plain text."),
    # Repetition
    "duplicate": Rule("warning", "documents that are there twice", "Repair a copy: forge-tui check --fix DIR"),
    "near_duplicate": Rule("hint", "documents that are nearly the same as another", "Keep the better one of each."),
    "sketch_full": Rule("hint", "documents too far back to compare with", "Check the files one by one as well."),
    "duplicate_file": Rule("warning", "the file is named twice", "Name it once; weights make it count more."),
    "low_diversity": Rule("warning", "little variety", "Add other topics and other ways to ask."),
    "narrow_topic": Rule(
        "hint", "most documents are about one thing", "Right for a specialised model; a general one needs other topics."
    ),
    # Quality
    "garbled": Rule("warning", "documents that look garbled", "Leave them out, or restore them."),
    "repetitive": Rule("warning", "documents that repeat themselves", "Leave the repetition out."),
    "language_mix": Rule("hint", "several languages", "Keep to one, or give each enough text."),
    "too_long": Rule("hint", "documents longer than the sequence length", "They are split, not cut; or raise it."),
    # Law and privacy
    "email": Rule("warning", "e-mail addresses", "Leave them out: a model repeats what it saw."),
    "phone": Rule("warning", "phone numbers", "Leave them out: a model repeats what it saw."),
    "card": Rule("warning", "payment card numbers", "Leave them out: a model repeats what it saw."),
    "iban": Rule("warning", "bank account numbers (IBAN)", "Leave them out: a model repeats what it saw."),
    "ip_address": Rule("hint", "public IP addresses", "Leave them out unless they are meant."),
    "secret": Rule("warning", "keys and passwords", "Leave them out, and revoke them: they have been seen."),
    "copyright": Rule("hint", "copyright notices", "Train on text that you may use."),
    # Amount
    "few_lines": Rule("warning", "less text than recommended", "Add lines, or choose a smaller size."),
    "one_document": Rule("warning", "nothing can be held out for validation", "Add documents: blank lines divide."),
    "memorises": Rule("warning", "too little text for this size", "Add text, choose a smaller size, or stop early."),
}
