"""Puts text that others wrote into a prompt for a judge, so that it stays a thing to look at.

    <<<RESPONSE 5f0c9d3e8a1b2c4d
    | every line of it begins like this
    RESPONSE 5f0c9d3e8a1b2c4d>>>

The mark in a response's fence is a hash of all that is fenced: a text can't hold its own, and where it does by chance
another is taken. Tokens that chat templates use to end a turn are broken up, and what can't be seen is taken out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from rsr.completions import encodable
from rsr.hashing import content_hash

_LINES = re.compile(r"\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_SPECIAL = re.compile(
    r"<(?=\s?[|｜])"  # <|im_end|>, <|eot_id|>, <｜Assistant｜>
    r"|(?<=[|｜])\s?>"
    r"|<(?=\s?/?\s?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|turn|think|thinking|extra_id_\d+|role|system|user"
    r"|assistant|human|tool_call|tool_response|im_start|im_end|endoftext|reserved_\d+)\b[^<>\n]{0,40}>)"
    r"|\[(?=/?\s?(?:INST|SYS|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK|IMG|PREFIX|SUFFIX"
    r"|MIDDLE|gMASK|sMASK|BOS|EOS|CLS|SEP)\])",
    re.IGNORECASE,
)
_RUNS = re.compile(r"<{3,}|>{3,}|<</?SYS>>", re.IGNORECASE)  # our own fences, and Llama's
_UNSEEN = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x9f]")
_JOINERS = "\u200c\u200d"  # needed to write some languages


def mark_of(seed: Any, texts: Iterable[str]) -> str:
    """16 hex digits that occur in none of the texts.

    Args:
        seed: a JSON value that holds everything that is fenced.
        texts: what is fenced.
    """
    together = "\n".join(texts).lower()
    salt = 0
    while (mark := content_hash([seed, salt]).hex()[:16]) in together:
        salt += 1
    return mark


def fenced(text: str, label: str, mark: str) -> str:
    """The text between its marks, each line quoted."""
    lines = "\n".join(f"| {line}" for line in harmless(text).split("\n"))
    return f"<<<{label} {mark}\n{lines}\n{label} {mark}>>>"


def harmless(text: str) -> str:
    """The text with tokens of chat templates broken up by spaces, and without what can't be seen."""
    text = _LINES.sub("\n", encodable(text))
    if not text.isascii():
        text = "".join(char for char in text if unicodedata.category(char) not in ("Cf", "Co") or char in _JOINERS)
    text = _RUNS.sub(lambda found: " ".join(found[0]), _UNSEEN.sub("", text))
    return _SPECIAL.sub(lambda found: f" {found[0]}" if found[0].endswith(">") else f"{found[0]} ", text)
