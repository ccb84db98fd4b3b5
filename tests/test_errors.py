"""The words that messages are made of."""

from minbert.errors import shown


def test_a_text_in_a_message_is_one_short_line() -> None:
    assert shown(" a\n b\u2028c ") == "a b c"
    assert shown("x" * 60) == "x" * 60
    assert shown("x" * 61) == "x" * 59 + "…"
