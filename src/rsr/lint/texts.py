"""What a trained text gives away about itself: thinking blocks, what is opened and not closed, control tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rsr.lint.report import Reason

_CONTROL = re.compile(
    r"<\|(?:im_start|im_end|im_sep|endoftext|eot_id|eom_id|begin_of_text|end_of_text|start_header_id|end_header_id|"
    r"system|user|assistant|observation|end|start|channel|message|return|call|endofprompt|eot|header_start|header_end)\|>"
    r"|<(?:start|end)_of_turn>|<[｜|](?:User|Assistant|begin▁of▁sentence|end▁of▁sentence)[｜|]>|\[/INST\]|</s>\s*$"
)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)
_CUT = re.compile(r"[\[(<](?:\w+ ){0,3}(?:truncated|cut off|cut short|continued|incomplete)[\])>]\s*$", re.IGNORECASE)
_BOXED = re.compile(r"\\f?boxed\s*\{")


def has_thinking(text: str) -> bool:
    """Whether there is a thinking block."""
    return "<think>" in text


def problems(text: str) -> Iterator[tuple[Reason, str]]:
    """What is wrong with a text that is trained on."""
    if "<" in text:
        yield from _unpaired_thinking(text)
        yield from control_tokens(text)
    elif "[/INST]" in text:
        yield from control_tokens(text)
    if "```" in text or "~~~" in text:
        yield from _open_fence(text)
    if "boxed" in text:
        yield from _open_box(text)
    if text[-1] in "])> \n" and _CUT.search(text, max(0, len(text) - 80)):
        yield Reason.MISSING_END, f"it ends with {text.rstrip()[-30:]!r}"


def control_tokens(text: str) -> Iterator[tuple[Reason, str]]:
    """Control tokens of the known chat templates, spelt out in a text."""
    found = _CONTROL.search(text)
    if found:
        yield Reason.CONTROL_TOKENS, f"it has {found[0].strip()}"


def _unpaired_thinking(text: str) -> Iterator[tuple[Reason, str]]:
    opened, closed = text.count("<think>"), text.count("</think>")
    if opened > closed:
        yield Reason.MISSING_END, "a <think> is never closed"
    elif closed > opened:
        yield Reason.MISSING_END, "</think> without a <think>: its beginning is missing"


def _open_fence(text: str) -> Iterator[tuple[Reason, str]]:
    """As CommonMark has it: a fence is closed by one of the same kind, at least as long, with nothing after it."""
    open_fence = ""
    for found in _FENCE.finditer(text):
        fence, rest = found[1], found[2]
        if not open_fence:
            if fence[0] == "~" or "`" not in rest:
                open_fence = fence
        elif fence[0] == open_fence[0] and len(fence) >= len(open_fence) and not rest.strip():
            open_fence = ""
    if open_fence:
        yield Reason.MISSING_END, f"a code block ({open_fence}) is never closed"


def _open_box(text: str) -> Iterator[tuple[Reason, str]]:
    for found in _BOXED.finditer(text):
        depth, position = 1, found.end()
        while depth and position < len(text):
            char = text[position]
            if char == "\\":
                position += 1
            elif char in "{}":
                depth += 1 if char == "{" else -1
            position += 1
        if depth:
            yield Reason.MISSING_END, f"{found[0]} is never closed"
            return
