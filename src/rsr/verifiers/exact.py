"""`exact`: the final answer is the reference, or holds it as whole words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from rsr.types import Reason, Verdict

_OUTER = "\"'`*_“”‘’«»「」„$ \t\r\n"
_NEAR = 60
_NOT = (
    r"(?:\b(?:not|never|neither|nor|no longer|cannot|other than|rather than|instead of|except|unlike|nicht|kein\w{0,2}"
)
_NOT += r"|pas|nunca|jamais|anything but)\b|n['’]t\b)"
_DENIED_BEFORE = re.compile(
    rf"{_NOT}(?! (?:only|just|merely|simply|surprisingly)\b)"
    r"(?:[\s\"'“*]{1,3}(?!but\b)[\w'’-]{1,20}){0,3}[\s\"'“*(]{0,4}\Z",
    re.I,
)
_DENIED_AFTER = re.compile(
    r"[\"'”’*)]{0,3},?\s(?:(?:is|was|are|were|would be)(?: \w{1,12})?\s"
    r"(?:not(?! (?:only|just|merely))|incorrect|wrong|false)"
    r"|(?:isn|wasn|aren|weren)['’]t|cannot be|can['’]t be)\b",
    re.I,
)
_OVERRIDE = re.compile(
    r"(?:[.,;:!?—–]|\s-|\bbut)\s{0,3}(?:(?:but|no|oh|sorry|wait|hmm|well|and|or|however|yet),?\s{1,3}){0,3}"
    r"(?:(?:it|that|this|the [\w ]{1,30}?)(?:['’]s| is| was)\s"
    r"(?:actually|really|in fact|wrong|incorrect|not right|not correct)"
    r"|actually,?\s(?:it|that|the|no)\b|correction\b|scratch that\b|or rather\b|i meant\b|i was wrong\b"
    r"|(?:no|wait),\s|in fact,?\s(?:it|that)(?:['’]s| is| was)\b)"
    r"|\bbut (?:it|that)(?:['’]s| is) "
    r"(?!also|a\b|an\b|in\b|on\b|far\b|very|so\b|still|often|sometimes|known|called|now|only)",
    re.I,
)
"""A clause that takes back what stands before it: "but it's actually", "correction", "wait, ..."."""
_SPACE = re.compile(r"\s+")


class Exact:
    """Equal text after trimming white space, outer quotes and markup, and a trailing full stop.

    Args:
        match: `whole`: the final answer is the reference; `word`: the reference stands in it as whole words, and is
            not denied ("It is not Paris.") or taken back ("Paris, but it's actually Rome.").
        case_sensitive: whether `Paris` and `paris` differ.
    """

    version = "2"
    reads_metadata = False

    def __init__(self, *, match: Literal["whole", "word"] = "whole", case_sensitive: bool = False) -> None:
        self.match = match
        self.case_sensitive = case_sensitive

    def __call__(
        self, response: str, answer: Any, *, choices: Any = None, metadata: Mapping[str, Any] | None = None
    ) -> Verdict:
        """1.0 when the response matches the reference, or one of a list of them; else 0.0; no score when it denies it.

        Raises:
            ValueError: there is no reference.
        """
        references = [self._folded(str(one)) for one in (answer if isinstance(answer, list | tuple) else [answer])]
        if answer is None or not any(references):
            raise ValueError("metadata.answer is missing or empty")
        bare = _bare(response)
        if not bare:
            return Verdict(reason=Reason.NO_ANSWER)
        given = self._folded(response)
        found = next((one for one in references if one and self._matches(given, one)), None)
        if found is not None and self.match == "word" and not any(self._affirmed(given, one) for one in references):
            return Verdict(reason=Reason.NO_ANSWER)
        return Verdict(score=float(found is not None), extracted=bare if self.match == "whole" else found)

    def _matches(self, given: str, reference: str) -> bool:
        if self.match == "whole":
            return given == reference
        return _as_words(reference).search(given) is not None

    def _affirmed(self, given: str, reference: str) -> bool:
        """Whether the reference stands somewhere without a "not" at it, and nothing later takes it back."""
        last = max((match.end() for match in _OVERRIDE.finditer(given)), default=0)
        return reference != "" and any(
            match.end() > last
            and not _DENIED_BEFORE.search(given, max(0, match.start() - _NEAR), match.start())
            and not _DENIED_AFTER.match(given, match.end())
            for match in _as_words(reference).finditer(given)
        )

    def _folded(self, text: str) -> str:
        return _bare(text) if self.case_sensitive else _bare(text).casefold()


@lru_cache(maxsize=4096)
def _as_words(reference: str) -> re.Pattern[str]:
    before = r"(?<!\w)" if reference[0].isalnum() else ""
    after = r"(?!\w)" if reference[-1].isalnum() else ""
    return re.compile(before + re.escape(reference) + after)


def _bare(text: str) -> str:
    text = _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip(_OUTER)
    if text.endswith((".", "。")) and not text.endswith(".."):
        text = text[:-1].strip(_OUTER)
    return text
