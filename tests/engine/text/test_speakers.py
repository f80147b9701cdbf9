"""Q/A, User/Assistant and INPUT/TASK: what is a turn, what is text, what is a comment, and what is told."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st

from engine.text.conversation import Document, Turn
from engine.text.problem import Problem
from engine.text.readers import speakers
from engine.text.readers.speakers import ROLES, read_speakers
from engine.text.source import text_source
from engine.text.writers import written

LINE = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n\0\ufeff"), max_size=30)
PIECES = st.sampled_from(
    [
        *("Q:", "A:", "User: ", "Assistant: ", "System: ", "Human:", "AI: ", "\\Q: ", "Camera: on\n", "USA: \n", "  "),
        *(
            "\n",
            "\n\n",
            "# x\n",
            "# ====\n",
            '"""\n',
            "<|endoftext|>\n",
            "text\n",
            "é",
            "<|tool_call|>f(1)<|tool_end|>",
        ),
        *("<tool_call>{}</tool_call>\n", "<tool_result>{}</tool_result>\n"),
    ]
)


def read(text: str, family: str = "qa") -> tuple[list[Document], list[Problem]]:
    problems: list[Problem] = []
    return list(read_speakers(text_source(text), problems.append, family)), problems


def turns(text: str, family: str = "qa") -> list[list[tuple[str, str]]]:
    documents, problems = read(text, family)
    assert [problem for problem in problems if problem.code != "comment"] == []
    return [[(turn.role, turn.text) for turn in document.turns] for document in documents]


def codes(text: str, family: str = "qa") -> list[tuple[str, int, int]]:
    return [(problem.code, problem.line, problem.lost) for problem in read(text, family)[1]]


def test_the_guides_examples() -> None:
    text = (
        "Q: What is Python?\nA: Python is a language.\n\nQ: How do I create a list?\nA: Like this: my_list = [1, 2]\n"
    )
    assert turns(text) == [
        [("user", "What is Python?"), ("assistant", "Python is a language.")],
        [("user", "How do I create a list?"), ("assistant", "Like this: my_list = [1, 2]")],
    ]
    text = "User: Tell me about it\nAssistant: It is...\n\nUser: More\nAssistant: Much more."
    assert turns(text, "chat") == [
        [("user", "Tell me about it"), ("assistant", "It is...")],
        [("user", "More"), ("assistant", "Much more.")],
    ]


def test_markers_only_at_line_starts() -> None:
    text = "Q: Is the Camera: on in the USA: yes?\nA: See Q: above. FAQ: A: b\n  and Idea: go\nQ : no marker"
    expected = "See Q: above. FAQ: A: b\n  and Idea: go\nQ : no marker"
    assert turns(text) == [[("user", "Is the Camera: on in the USA: yes?"), ("assistant", expected)]]


def test_spaces_before_a_marker() -> None:
    assert turns("  Q: a\n\tA: b") == [[("user", "a"), ("assistant", "b")]]


def test_answers_of_several_lines_keep_their_blank_lines() -> None:
    text = "Q: a\nA: first\n\n    indented\n\nlast\n\n\nQ: b\nA: c"
    assert turns(text)[0][1] == ("assistant", "first\n\n    indented\n\nlast")
    assert len(turns(text)) == 2


def test_an_answer_that_starts_on_the_next_line_keeps_its_indentation() -> None:
    assert turns("Q: a\nA:\n    x = 1\n    y = 2") == [[("user", "a"), ("assistant", "    x = 1\n    y = 2")]]


def test_a_question_right_after_an_answer_goes_on() -> None:
    text = "Q: a\nA: b\nQ: c\nA: d\n\nQ: e\nA: f"
    assert [len(document) for document in turns(text)] == [4, 2]


def test_blank_line_between_question_and_answer() -> None:
    assert turns("Q: a\n\nA: b\n\nQ: c\n\nA: d") == [
        [("user", "a"), ("assistant", "b")],
        [("user", "c"), ("assistant", "d")],
    ]


def test_comments_and_banners() -> None:
    text = (
        "# header\n# more\n\nQ: a\nA: b\n# ======\n# NEXT\n# ======\nQ: c\nA: d\n\n# note\n\nQ: code?\n"
        "A: Use this:\n# a comment in code\nx = 1\n\n# heading in an answer\n\nmore text\n# attached\n\n# trailing"
    )
    answer = "Use this:\n# a comment in code\nx = 1\n\n# heading in an answer\n\nmore text\n# attached"
    assert turns(text) == [
        [("user", "a"), ("assistant", "b")],
        [("user", "c"), ("assistant", "d")],
        [("user", "code?"), ("assistant", answer)],
    ]
    assert codes(text) == [("comment", 1, 7)]


def test_a_docstring_is_a_header() -> None:
    text = '"""\nTraining data.\nQ: not one\n"""\n\nQ: a\nA: b'
    assert turns(text) == [[("user", "a"), ("assistant", "b")]]
    assert read(text)[0][0].first_line == 6


def test_end_of_text_lines_end_a_conversation() -> None:
    assert len(turns("Q: a\nA: b\n<|endoftext|>\nQ: c\nA: d\n<|endoftext|>\n")) == 2


def test_line_numbers() -> None:
    document = read("# h\n\nQ: a\nA: b\nc\n\n\nQ: d\nA: e")[0][0]
    assert (document.first_line, document.last_line) == (3, 5)
    assert [(turn.first_line, turn.last_line) for turn in document.turns] == [(3, 3), (4, 5)]


def test_tool_results_are_turns_of_the_tool() -> None:
    text = (
        'Q: a\nA: I look.\n<tool_call>{"tool": "x"}</tool_call>\n<tool_result>{"success": true}</tool_result>\n'
        'Done.\n<tool_call>{"tool": "y"}</tool_call><tool_result>{}</tool_result> End.'
    )
    document = read(text)[0][0]
    assert [(turn.role, turn.text) for turn in document.turns] == [
        ("user", "a"),
        ("assistant", 'I look.\n<tool_call>{"tool": "x"}</tool_call>'),
        ("tool", '<tool_result>{"success": true}</tool_result>'),
        ("assistant", 'Done.\n<tool_call>{"tool": "y"}</tool_call>'),
        ("tool", "<tool_result>{}</tool_result>"),
        ("assistant", "End."),
    ]
    assert [(turn.first_line, turn.last_line) for turn in document.turns] == [
        (1, 1),
        (2, 3),
        (4, 4),
        (5, 6),
        (6, 6),
        (6, 6),
    ]


def test_a_mention_of_the_tag_is_text() -> None:
    text = "Q: a\nA: The tag <tool_result>x</tool_result> marks a result."
    assert turns(text)[0][1] == ("assistant", "The tag <tool_result>x</tool_result> marks a result.")


def test_the_old_tool_dialect_becomes_the_new_one() -> None:
    text = (
        "User: Draw\nAssistant: Gladly. <|tool_call|>generate_image(\"a sunset\", width=512, 'x')<|tool_end|>\n"
        "<|tool_result|>saved to a.png<|tool_result_end|>\nHere it is."
    )
    documents, problems = read(text, "chat")
    assert [(turn.role, turn.text) for turn in documents[0].turns][1:] == [
        (
            "assistant",
            'Gladly. <tool_call>{"tool": "generate_image", "params": {"prompt": "a sunset", "width": 512, '
            '"argument3": "x"}}</tool_call>',
        ),
        ("tool", '<tool_result>{"tool": "generate_image", "success": true, "result": "saved to a.png"}</tool_result>'),
        ("assistant", "Here it is."),
    ]
    assert documents[0].note
    assert [problem.code for problem in problems] == ["old_tool_tags"]


def test_router_pairs() -> None:
    assert turns("INPUT: draw a dog\nTASK: tool_use\n\nINPUT: hi\nTASK: chat", "router") == [
        [("user", "draw a dog"), ("assistant", "tool_use")],
        [("user", "hi"), ("assistant", "chat")],
    ]


def test_orphans_are_told_with_the_lines_they_cost() -> None:
    assert codes("Q: a\n\nQ: b\nA: c") == [("orphan_question", 1, 1)]
    assert codes("Q: a\nQ: b\nA: c") == [("orphan_question", 1, 1)]
    assert codes("A: alone\n\nQ: b\nA: c") == [("orphan_answer", 1, 1)]
    assert codes("Q: a\nA: b\nA: c\nd") == [("orphan_answer", 3, 2)]
    assert codes("Q: a\nA: b\nQ: end") == [("orphan_question", 3, 1)]
    assert codes("Q: a\nA:\n\nQ: b\nA: c") == [("empty_answer", 2, 2)]
    assert codes("Q:\nA: b") == [("empty_question", 1, 1), ("orphan_answer", 2, 1)]
    assert codes("intro\nmore\n\nQ: b\nA: c") == [("text_outside", 1, 2)]
    assert codes("System: only") == [("text_outside", 1, 1)]


def test_chats_may_speak_twice_and_greet_first() -> None:
    assert turns("User: a\nUser: b\nAssistant: c\nAssistant: d", "chat") == [
        [("user", "a\nb"), ("assistant", "c\nd")],
    ]
    assert turns("Assistant: hello\nUser: a\nAssistant: b", "chat") == [
        [("assistant", "hello"), ("user", "a"), ("assistant", "b")],
    ]


def test_system_text_opens_a_conversation() -> None:
    assert turns("System: be kind\nUser: a\nAssistant: b\n\nSystem: be brief\n\nUser: c\nAssistant: d", "chat") == [
        [("system", "be kind"), ("user", "a"), ("assistant", "b")],
        [("system", "be brief"), ("user", "c"), ("assistant", "d")],
    ]


def test_two_families_in_one_file_lose_nothing() -> None:
    text = "Q: a\nA: b\n\nUser: c\nAssistant: d\n\nHuman: e\nAI: f\n\nQ: g\nA: User: is text here"
    documents, problems = read(text)
    assert [document.format for document in documents] == ["qa", "chat", "chat", "qa"]
    assert [(problem.code, problem.line) for problem in problems] == [("mixed_formats", 4), ("mixed_formats", 10)]
    assert "User: not a boundary" in read("Q: a\nA: b\nUser: not a boundary\nc")[0][0].turns[1].text


def test_a_backslash_makes_a_marker_text() -> None:
    assert turns("Q: a\nA: b\n\\Q: c\n\\\\A: d\n\n\\# e") == [[("user", "a"), ("assistant", "b\nQ: c\n\\A: d\n\n# e")]]


@given(st.lists(PIECES | LINE, max_size=40).map("".join), st.sampled_from(["qa", "chat", "router"]))
@example("Q: a\nA: b\n\n# c\n\ud800".encode("utf-8", "replace").decode(), "qa")
def test_every_line_is_somewhere(text: str, family: str) -> None:
    documents, problems = read(text, family)
    total = sum(bool(line.strip()) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    in_documents = sum(document.last_line - document.first_line + 1 for document in documents)
    assert in_documents + sum(problem.lost for problem in problems) >= total
    for document in documents:
        assert document.turns[-1].role in ("assistant", "tool")
        assert any(turn.role == "user" for turn in document.turns)
        assert all(turn.text.strip() for turn in document.turns)
        assert all(1 <= turn.first_line <= turn.last_line <= document.last_line for turn in document.turns)


BLOCKS = st.sampled_from(
    ("Q: a b\nA: c d \n", "Q: a\nA: c\n\n", "User: x\nAssistant: y\n", "Q: \\Q: a\nA: <b\n", "Q:\nA: \n")
)


@given(st.lists(BLOCKS | PIECES | LINE, max_size=30).map("".join), st.sampled_from(["qa", "chat"]))
def test_the_short_cut_for_simple_pairs_changes_nothing(text: str, family: str) -> None:
    quick = read(text, family)
    with patch.object(speakers, "_SIMPLE", {}):
        assert read(text, family) == quick


ANSWER = st.lists(PIECES | LINE, min_size=1, max_size=8).map("".join)


@given(st.lists(st.tuples(ANSWER, ANSWER), min_size=1, max_size=4), st.sampled_from(["qa", "chat"]))
def test_what_is_written_reads_back(pairs: list[tuple[str, str]], target: str) -> None:
    document = Document(tuple(turn for q, a in pairs for turn in (Turn("user", q), Turn("assistant", a))))
    text = written(document, target)
    if text is None:
        return
    again = turns(f"{text}{text}", target)
    assert again == [[(turn.role, turn.text) for turn in document.turns]] * 2


def test_the_awkward_can_be_written() -> None:
    answer = "See:\nQ: no\n  User: no\n\n# heading\n\ntext\n\n# end\n# ====\n\\A: x"
    document = Document((Turn("system", "s"), Turn("user", "    code\nA: b"), Turn("assistant", answer)))
    for target in ("qa", "chat"):
        text = written(document, target)
        assert text is not None
        assert turns(text, target) == [[(turn.role, turn.text) for turn in document.turns]]


def test_every_marker_word_is_read() -> None:
    for word, (family, role) in ROLES.items():
        if role == "assistant":
            opening = next(other for other, (kind, r) in ROLES.items() if kind == family and r == "user")
            assert turns(f"{opening}: a\n{word}: b", family) == [[("user", "a"), ("assistant", "b")]]
