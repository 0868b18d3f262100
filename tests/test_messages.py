"""Messages as they are sent: the system prompt before them, the suffix after the last user message."""

from typing import Any

import pytest

from rsr.messages import sampled_messages

USER = {"role": "user", "content": "Which?"}


def test_without_either_they_are_sent_as_they_are() -> None:
    messages = [{"role": "system", "content": "Be short."}, USER]
    assert sampled_messages(messages, None, None) == messages


def test_a_system_prompt_comes_first() -> None:
    assert sampled_messages([USER], "Be short.", None) == [{"role": "system", "content": "Be short."}, USER]


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize(
    ("own", "together"),
    [
        ("Rhyme.", "Be short.\n\nRhyme."),
        ("", "Be short."),
        (
            [{"type": "text", "text": "Rhyme."}],
            [{"type": "text", "text": "Be short.\n\n"}, {"type": "text", "text": "Rhyme."}],
        ),
    ],
)
def test_a_prompts_own_system_prompt_follows_in_the_same_message(role: str, own: Any, together: Any) -> None:
    sent = sampled_messages([{"role": role, "content": own}, USER], "Be short.", None)
    assert sent == [{"role": "system", "content": together}, USER]


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [("One word.", "Which?\n\nOne word."), (" One word.", "Which? One word."), ("\nOne word.", "Which?\nOne word.")],
)
def test_the_suffix_is_a_paragraph_unless_it_begins_with_white_space(suffix: str, expected: str) -> None:
    assert sampled_messages([USER], None, suffix) == [{"role": "user", "content": expected}]


def test_the_suffix_goes_to_the_last_user_message_only() -> None:
    chat = [USER, {"role": "assistant", "content": "B"}, USER, {"role": "tool", "content": "42"}]
    sent = sampled_messages(chat, None, "Sure?")
    assert [message["content"] for message in sent] == ["Which?", "B", "Which?\n\nSure?", "42"]


def test_the_suffix_is_a_part_of_its_own_where_there_are_parts() -> None:
    parts = [{"type": "text", "text": "Which?"}]
    (message,) = sampled_messages([{"role": "user", "content": parts}], None, "Sure?")
    assert message["content"] == [*parts, {"type": "text", "text": "\n\nSure?"}]


def test_the_prompts_own_messages_are_left_alone() -> None:
    messages = [{"role": "system", "content": "Rhyme."}, dict(USER)]
    sampled_messages(messages, "Be short.", "Sure?")
    assert messages == [{"role": "system", "content": "Rhyme."}, USER]
