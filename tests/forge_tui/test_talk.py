from __future__ import annotations

from forge_tui.talk import Answer, Exchange, Talk


def answer(text: str, reason: str = "end") -> Answer:
    made = Answer(text)
    made.end(reason, 3, 0.5, 0)
    return made


def told(talk: Talk, side: int) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in talk.turns(side)]


def test_a_model_is_told_the_system_prompt_and_what_it_said_itself() -> None:
    talk = Talk(" Be brief. ", [Exchange("a", {0: answer(" one\n"), 1: answer("ONE")}), Exchange("b")])
    assert told(talk, 0) == [("system", "Be brief."), ("user", "a"), ("assistant", "one"), ("user", "b")]
    assert told(talk, 1)[2] == ("assistant", "ONE")


def test_a_model_that_came_later_takes_the_others_words_for_its_own() -> None:
    talk = Talk(exchanges=[Exchange("a", {0: answer("one")}), Exchange("b")])
    assert told(talk, 1) == [("user", "a"), ("assistant", "one"), ("user", "b")]


def test_exchanges_without_an_answer_are_left_out() -> None:
    failed = Answer()
    failed.fail("no memory")
    silent, good = Exchange("b", {0: answer("  ")}), Exchange("c", {0: answer("x")})
    talk = Talk(exchanges=[Exchange("a", {0: failed}), silent, good])
    assert told(talk, 0) == [("user", "c")]
    turns, left_out = talk.finished_turns(0)
    assert [turn.text for turn in turns] == ["c", "x"] and left_out == 2


def test_a_stopped_answer_is_one_and_says_so() -> None:
    stopped = answer("half an", "cancelled")
    assert stopped.state == "stopped" and stopped.note == "stopped" and stopped.usable
    assert answer("", "end").note == "(it said nothing)"
    assert "limit of its length" in answer("x", "length").note
    cut = Answer("x")
    cut.end("end", 1, 0.1, 12)
    assert "12 tokens of the conversation no longer fit" in cut.note


def test_the_pace_is_said_only_when_it_means_something() -> None:
    assert answer("x").pace == "3 tokens, 6 a second"
    quick = Answer("x")
    quick.end("end", 3, 0.0, 0)
    assert quick.pace == "3 tokens" and Answer().pace == ""
