"""Responses that begin or end with an answer in so many words are read at once: it costs a few microseconds.

What this reads, the rest would read the same, only slower; where there is any doubt, it says nothing.
"""

from __future__ import annotations

import re

from rsr.multiple_choice.mentions import Question
from rsr.multiple_choice.words import WORDS, Kind

_LAST, _SENTENCE = 160, 300
_NEAR = 42
_SO = r"(?P<so>(?:so|therefore|thus|hence|consequently),? )?+(?:(?:in conclusion|overall|finally),? )?+"
_LABEL = r"(?:\$?\\boxed\{(?:\\text\{)?|[*(\[$`]{0,4})(?-i:(?P<label>[A-Z]))"
_TEXT = r"(?P<text>[^A-Za-z0-9\n][^\n]{0,90}?)?"
_PHRASE = (
    r"(?:(?:(?:the|my) )?(?:(?:most )?(?:correct|final|best|right|appropriate|likely) ){0,2}(?:answer|option"
    r"|choice)(?: here)?"
    r"(?: to (?:this|the) question)?(?: is| would be| must be| should be)?(?:\*{0,2}:\*{0,2})?(?:\*\*)?[ \n]{0,3}"
    r"|i (?:would )?(?:choose|select|pick) )(?:(?:option|choice|letter) )?"
)
_ANSWER = rf"(?P<answer>[\s#*>]{{0,6}}+(?=[abcfhilmorst]){_SO}{_PHRASE}{_LABEL}{_TEXT}\Z)"
"""The letters are those that the rest may begin with: most places are left behind at once."""
_END = re.compile(_ANSWER, re.I)
_LATER_END = re.compile(rf"[.!\n,](?:(?<!,)|(?= (?:so|thus|therefore|hence)\b)){_ANSWER}", re.I)
"""The same behind a sentence; it begins with a plain set of characters, which makes the search fast."""
_ASIAN = re.compile(
    r"(?P<answer>(?P<so>(?:因此|所以|故|综上(?:所述)?|따라서|よって|したがって)[,,、]?\s?(?:最终)?(?:正确)?(?:的)?)?(?:答案|正解|答え|정답)(?:是|为|為|选|選"
    r"|应?该?选|は|은|:|：)\s{0,2}\**\s?:?\s?[*(]{0,3}(?P<label>[A-Z])[)*]{0,3}"
    r"(?:です|입니다|选项|項)?[。.*\s]{0,4}\Z)"
)
_ASIAN_NOUNS = ("答案", "正解", "答え", "정답")
_THUS = re.compile(
    r"(?:\A|[.,;\n])\s{0,2}(?P<so>so|thus|therefore|hence),? (?:it(?:'s| is) )?(?:option "
    r"|choice )?[*(]{0,3}(?-i:(?P<label>[A-Z]))"
    r"[)*]{0,3}\.?\Z",
    re.I,
)
_FIELD = re.compile(
    r"(?P<so>[\"'](?:final[_ ]?|correct[_ ]?)?(?:answer|choice"
    r"|option)[\"']\s?:\s?\"(?P<label>[A-Z])\"\s{0,4}\}\s?(?:```)?"
    r"|<answer>\s{0,2}(?P<tagged>[A-Z])\s{0,2}</answer>|\[\[(?P<judged>[A-Z])\]\])\Z"
)
_HEAD = re.compile(rf"[\s#*>]{{0,6}}(?P<phrase>{_PHRASE})?{_LABEL}(?![A-Za-z0-9])", re.I)
_HEAD_LINE = re.compile(rf"{_TEXT}(?=[*)\].]{{0,4}}(?: is (?:the )?correct(?: answer)?\.)?(?:\s*\Z|\n))", re.I)
_VERDICT = re.compile(
    rf"(?:\A|[.!\n])[\s#*>-]{{0,6}}{_SO}(?:(?:option|choice|answer) )?[*(]{{0,3}}(?-i:(?P<label>[A-Z]))[)*]{{0,3}}\Z",
    re.I,
)
_CORRECT = (" is correct", " is the correct", " is the best", " is right", " is the right")
_TURNS = re.compile(
    r"\b(?:if|unless|but|however|wait|actually|hmm|not|n't|no|neither|wrong|incorrect|false|mistake\w*|sorry|instead"
    r"|although|though|might|may|could|would|only|reconsider|revis\w+|correction|so|therefore|thus|hence"
    r"|answer)\b|[?\"“]"
)
_COMMITS = re.compile(
    r"\b(?:is|are|was|be|answer|choose|chose|so|therefore|thus|hence|it's|that's|correct|rather|but|actually"
    r"|wait|select"
    r"|pick|option|choice|right|best|true|yes|not|instead|leaves|left|final|must|should|go|going|think|only|equals)\b"
    r"|[:=→✅✓✔☑\"“]|->"
)
_TURNED = (
    *("wait", "actually", "reconsider", "correction", "hmm", "oops", "sorry", "scratch", "mistake", "revis", "final"),
    *("therefore", "thus", "hence", "conclu", "answer", "boxed", "<", "?", "[x]", "✅", "✓", "✔", "☑"),
)
_RULED_OUT = re.compile(r"[)*\].]{0,4} (?:is|are) (?:incorrect|wrong|false|not (?:correct|right|the))\b")
_ITEM = re.compile(r"\n[ \t>*•-]{0,5}(?:(?:Option|Choice|Answer) )?[(*]{0,3}\Z")
_GOOD = re.compile(r"\b(?:correct|right|true|best|yes|answers?)\b")
_NAMED = re.compile(r"[a-z][*]{0,2} \Z")
_STOPS = Kind.NO | Kind.IF | Kind.MAYBE | Kind.DOUBT | Kind.BAD | Kind.LIST | Kind.BUT | Kind.LOOK
_CLOSING = ".*)]}$` "


def plainly(question: Question, text: str, lower: str) -> frozenset[str]:
    """The label of a plain answer at the end or the beginning of a text; empty: it needs a closer look."""
    found = _said_last(text)
    if found:
        return _at_end(question, text, lower, found)
    if (text[-6:].rstrip(").*")[-1:].isupper() and (found := _THUS.search(text, max(0, len(text) - 40)))) or (
        text[-1:] in ("}", ">", "`", "]") and (found := _FIELD.search(text, max(0, len(text) - 60)))
    ):
        named = found.groupdict()
        return question.own.get(named["label"] or named.get("tagged") or named.get("judged") or "", frozenset())
    if "\\boxed" in text[-_BOX:] and (label := _box_last(question, text, lower)):
        return label
    return _correct(question, text, lower) or _at_start(question, text, lower)


_BOX = 40
_BOXED = re.compile(
    r"\\boxed\{\s?(?:\\(?:text|textbf|mathrm|mathbf)\{)?\(?([A-Z])\)?\s?\}{1,2}(?:\$|\\\]|\\\)){0,2}[.\s$*]{0,4}\Z"
)


def _box_last(question: Question, text: str, lower: str) -> frozenset[str]:
    """The label in the only box of a text, at its end; close before it no other option may stand."""
    found = _BOXED.search(text, max(0, len(text) - _BOX))
    if not found or lower.find("box") < found.start() or found[1] not in question.labels:
        return frozenset()
    near = max(0, found.start() - _NEAR)
    if question.patterns.alone.search(text, near, found.start()):
        return frozenset()
    foreign = _foreign(question, lower, found[1], near, found.start())
    return frozenset() if foreign else question.own[found[1]]


def _said_last(text: str) -> re.Match[str] | None:
    """An answer phrase with a label, at the end of a text."""
    last = max(0, len(text) - _LAST)
    found = (_END.match(text) if last == 0 else None) or _LATER_END.search(text, max(0, last - 1))
    asian = not found and not text.isascii() and any(word in text for word in _ASIAN_NOUNS)
    return _ASIAN.search(text, last) if asian else found


def _at_end(question: Question, text: str, lower: str, found: re.Match[str]) -> frozenset[str]:
    """An answer phrase with its label, at the end; close before it no other option may stand."""
    label = found["label"]
    asian = found.re is _ASIAN
    if label not in question.labels or not (
        asian or (_links(found["answer"]) and _own(question, label, found["text"]))
    ):
        return frozenset()
    if found["so"]:
        return question.own[label]
    start, near = found.start("answer"), max(0, found.start("label") - _NEAR)
    others = any(one[0] != label for one in question.patterns.alone.finditer(text, near, start))
    if others or _foreign(question, lower, label, near, start):
        return frozenset()
    return question.own[label]


def _links(phrase: str) -> bool:
    """Whether a link stands between a phrase and its label: "answer is", "answer:", a new line."""
    return (
        " is" in phrase
        or " be" in phrase
        or phrase.lstrip().lower().startswith("i ")
        or ":" in phrase
        or "\n" in phrase.strip()
    )


def _own(question: Question, label: str, behind: str | None) -> bool:
    """Whether behind a label stands its own text, or nothing; without options, a short text."""
    if not behind or not (said := behind.strip(_CLOSING)):
        return True
    said = said.lstrip(":-. ").lower()
    if question.options:
        return bool(said) and said == question.options[label].lower().strip(" .")
    words = said.split()
    plain = not any(WORDS.get(word.strip(",;:"), 0) & _STOPS or word.endswith((".", "?")) for word in words)
    return behind[0] in ")." and 0 < len(words) < 6 and plain and said[0].isalnum()


def _foreign(question: Question, lower: str, label: str, start: int, end: int) -> bool:
    """Whether the text of another option stands there, right behind words that may commit to it."""
    for needle, other in question.needles:
        if other == label:
            continue
        at = lower.find(needle, max(0, start - len(needle)), end)
        while at >= 0:
            if at < 12 or _COMMITS.search(lower, max(at - 12, _clause(lower, 0, at)), at):
                return True
            at = lower.find(needle, at + 1, end)
    return False


def _correct(question: Question, text: str, lower: str) -> frozenset[str]:
    """The label of a last "B is correct because ...", where the rest names no other option and turns nowhere."""
    if not ("correct" in lower or "right" in lower or "best" in lower):  # most texts
        return frozenset()
    floor = max(0, len(text) - _SENTENCE)
    at, words = max((lower.rfind(words, floor), words) for words in _CORRECT)
    found = _VERDICT.search(text, max(0, at - 30), at) if at >= 0 else None
    if not found or found["label"] not in question.labels:
        return frozenset()
    rest = at + len(words)
    if question.patterns.alone.search(text, rest) or _TURNS.search(lower, rest):
        return frozenset()
    near = max(0, found.start() - _NEAR)
    if question.patterns.alone.search(text, near, found.start()) or _foreign(
        question, lower, found["label"], near, len(lower)
    ):
        return frozenset()
    return question.own[found["label"]]


def _at_start(question: Question, text: str, lower: str) -> frozenset[str]:
    """The label of an answer that begins a text, where all that follows only explains."""
    found = _HEAD.match(text)
    label = found["label"] if found else ""
    if not found or label not in question.labels or (label in "AI" and text.startswith(" ", found.end())):
        return frozenset()
    line = _HEAD_LINE.match(text, found.end())
    if not line or not _own(question, label, line["text"]) or (found["phrase"] and not _links(text[: line.end()])):
        return frozenset()
    end = line.end()
    if question.numbers or any(lower.find(word, end) >= 0 for word in _TURNED):
        return frozenset()
    for one in question.patterns.alone.finditer(text, end):
        if text[one.start()] == label and _ITEM.search(text, max(0, one.start() - 8), one.start()):
            return frozenset()
        if not _explains(text, lower, *one.span()):
            return frozenset()
    for needle, other in question.needles:
        at = lower.find(needle, end)
        while at >= 0:
            if other != label and (at < end + 12 or _COMMITS.search(lower, _clause(lower, end, at), at)):
                return frozenset()
            at = lower.find(needle, at + len(needle))
    return question.own[label]


def _clause(lower: str, floor: int, at: int) -> int:
    """Where the clause of a place begins, at most 30 characters before it."""
    floor = max(floor, at - 30)
    return max(floor, lower.rfind("\n", floor, at), lower.rfind(". ", floor, at))


def _explains(text: str, lower: str, start: int, end: int) -> bool:
    """Whether a later label is in brackets behind a name, or is ruled out."""
    if _RULED_OUT.match(lower, end):
        return True
    if (
        text.find("\n\n", 0, start) >= 0
        and _ITEM.search(text, max(0, start - 16), start)
        and text[end : end + 1] in (")", "*", ".", ":", "]")
    ):
        line = lower.find("\n", end)
        return not _GOOD.search(lower, end, line if line >= 0 else len(lower))
    inside = text[start - 1] == "(" and text[end : end + 1] == ")" and _NAMED.search(text, max(0, start - 6), start - 1)
    return bool(inside) and not _COMMITS.search(lower, _clause(lower, 0, start), start)
