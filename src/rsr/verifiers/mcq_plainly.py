"""A response that ends in an answer in so many words is read at once: it costs a few microseconds.

What this reads, the rest would read the same; where there is any doubt, it says nothing.
"""

from __future__ import annotations

import re

from rsr.verifiers.mcq_mentions import Question

_LAST = 160
_NEAR = 60
_PHRASE = re.compile(
    r"(?:\A|(?<=[.!\n]))[\s#*>]{0,6}(?:(?:so|therefore|thus|hence|in conclusion|overall|finally|consequently),? )?"
    r"(?:(?:the|my) )?(?:(?:correct|final|best|right) ){0,2}(?:answer|option|choice)(?: here)?(?: is| would be)?"
    r"(?:\*{0,2}:\*{0,2})?(?:\*\*)?[ \n]{0,3}(?:(?:option|choice|letter) )?"
    r"(?P<open>\$?\\boxed\{(?:\\text\{)?|[*(\[$`]{0,4})(?-i:(?P<label>[A-Z]))"
    r"(?P<text>[^A-Za-z0-9\n][^\n]{0,90})?\Z",
    re.I,
)
_CLOSING = ".*)]}$` "


def plainly(question: Question, text: str, lower: str) -> frozenset[str]:
    """The label of an answer phrase that ends a text; empty: there is none, or it needs a closer look."""
    found = _PHRASE.search(text, max(0, len(text) - _LAST))
    if not found:
        return frozenset()
    label, behind = found["label"], (found["text"] or "").strip(_CLOSING + ":-")
    if label not in question.labels or (behind and behind.lower() != question.options.get(label, "").lower().strip(" .")):
        return frozenset()
    if not behind and found["text"] and found["text"].strip(_CLOSING):
        return frozenset()  # "A:"
    if not _says(found[0]):
        return frozenset()
    start = found.start()
    near = max(0, start - _NEAR)
    if question.patterns.alone.search(text, near, start) or any(lower.find(one, near, start) >= 0 for one, _ in question.needles):
        return frozenset()
    return frozenset([label])


def _says(phrase: str) -> bool:
    """Whether a link stands between the phrase and the label: "answer is", "answer:"."""
    return " is" in phrase or ":" in phrase or "\n" in phrase.strip()
