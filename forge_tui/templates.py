"""Beginnings of training files: one for each format that somebody would write by hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Template:
    """A file to start from."""

    key: str
    """The format."""
    title: str
    about: str
    """When to use it."""
    suffix: str
    text: str


_TOOL_TEXT = """\
Q: What is the weather in Oslo?
A: <tool_call>{"tool": "web_search", "params": {"query": "weather in Oslo"}}</tool_call>
<tool_result>{"success": true, "result": "4 degrees, rain"}</tool_result>
It is 4 degrees in Oslo and it is raining. Take a coat with you.

Q: What is 17 times 23?
A: 17 times 23 is 391. I did not need a tool for that.
"""

TEMPLATES: tuple[Template, ...] = (
    Template(
        "qa", "Questions and answers", "Q: and A:, the simplest; a blank line begins a new dialogue", ".txt",
        "Q: What is Python?\nA: Python is a programming language that is known for being easy to read.\n\n"
        "Q: How do I make a list in Python?\nA: Write its items between square brackets: my_list = [1, 2, 3].\n\n"
        "Q: Who are you?\nA: I am a small language model that was trained on this computer.\n",
    ),
    Template(
        "chat", "Dialogues", "User: and Assistant:, for talks of several turns; System: sets the scene", ".txt",
        "System: You are a patient teacher.\n\n"
        "User: What is a neural network?\nAssistant: A function with many numbers that are learned from examples.\n"
        "User: And what does learning mean?\n"
        "Assistant: The numbers are changed a little at a time, so that the answers get better.\n\n"
        "User: Good morning!\nAssistant: Good morning! What would you like to learn today?\n",
    ),
    Template(
        "tools", "Dialogues with tools", "a tool call, its result, and the answer that uses it", ".txt", _TOOL_TEXT
    ),
    Template(
        "text", "Plain text", "stories, articles, notes; blank lines divide it into pieces", ".txt",
        "The lighthouse stood at the end of the road. Every evening its keeper climbed the ninety-one steps\n"
        "and lit the lamp.\n\nOne evening the lamp was lit already.\n",
    ),
    Template(
        "jsonl", "JSON Lines", "one dialogue a line, as other programs write it", ".jsonl",
        '{"messages": [{"role": "user", "content": "What is Python?"}, '
        '{"role": "assistant", "content": "A programming language that is easy to read."}]}\n'
        '{"prompt": "Name a primary color.", "completion": "Red is a primary color."}\n',
    ),
    Template(
        "csv", "A table", "a question and an answer in each row, as spreadsheets write it", ".csv",
        'question,answer\nWhat is Python?,"A programming language that is easy to read."\n'
        'Name a primary color.,"Red is a primary color."\n',
    ),
    Template(
        "instruction", "Instructions", "### Instruction and ### Response, as Alpaca writes it", ".txt",
        "### Instruction:\nName three primary colors.\n\n### Response:\nRed, yellow and blue are primary colors.\n\n"
        "### Instruction:\nTranslate to French.\n\n### Input:\nGood morning!\n\n### Response:\nBonjour !\n",
    ),
    Template(
        "chatml", "ChatML", "the form in which models see a dialogue", ".txt",
        "<|im_start|>system\nYou are a patient teacher.<|im_end|>\n<|im_start|>user\nWhat is Python?<|im_end|>\n"
        "<|im_start|>assistant\nA programming language that is easy to read.<|im_end|>\n\n"
        "<|im_start|>user\nName a primary color.<|im_end|>\n"
        "<|im_start|>assistant\nRed is a primary color.<|im_end|>\n",
    ),
    Template(
        "markdown", "Markdown", "headings divide it into pieces", ".md",
        "# The lighthouse\n\nThe lighthouse stood at the end of the road.\n\n"
        "# The keeper\n\nHer name was Anna, and she knew every ship by its lights.\n",
    ),
    Template(
        "router", "Router pairs", "INPUT: and TASK:, which task an input asks for", ".txt",
        "INPUT: What is the weather in Oslo?\nTASK: search\n\nINPUT: Write me a poem about rain.\nTASK: write\n",
    ),
)  # fmt: skip
