"""`exact`: the final answer is the reference, or holds it as whole words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Literal

from rsr.types import Reason, Verdict

_OUTER = "\"'`*_“”‘’«»「」„$ \t\r\n"
_SPACE = re.compile(r"\s+")


class Exact:
    """Equal text after trimming white space, outer quotes and markup, and a trailing full stop.

    Args:
        match: `whole`: the final answer is the reference; `word`: the reference stands in it as whole words.
        case_sensitive: whether `Paris` and `paris` differ.
    """

    version = "1"
    reads_metadata = False

    def __init__(self, *, match: Literal["whole", "word"] = "whole", case_sensitive: bool = False) -> None:
        self.match = match
        self.case_sensitive = case_sensitive

    def __call__(
        self, response: str, answer: Any, *, choices: Any = None, metadata: Mapping[str, Any] | None = None
    ) -> Verdict:
        """1.0 when the response matches the reference, or one of a list of them; else 0.0.

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
        return Verdict(score=float(found is not None), extracted=bare if self.match == "whole" else found)

    def _matches(self, given: str, reference: str) -> bool:
        if self.match == "whole":
            return given == reference
        before = r"(?<!\w)" if reference[0].isalnum() else ""
        after = r"(?!\w)" if reference[-1].isalnum() else ""
        return re.search(before + re.escape(reference) + after, given) is not None

    def _folded(self, text: str) -> str:
        return _bare(text) if self.case_sensitive else _bare(text).casefold()


def _bare(text: str) -> str:
    text = _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip(_OUTER)
    if text.endswith((".", "。")) and not text.endswith(".."):
        text = text[:-1].strip(_OUTER)
    return text
