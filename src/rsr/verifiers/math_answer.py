"""Where a response to a mathematics problem gives its answer.

In this order: the last box (with those joined to it); a field or `####`; the last answer phrase; else the last formula,
bold text or number of the last sentence that has one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rsr.verifiers.math_results import NUMBER, last_sum, result_at, result_in, speaks_of_sum, which_is
from rsr.verifiers.math_text import closing


class Answer(NamedTuple):
    """The answer of a response, as it is written there."""

    text: str
    firm: bool
    """Whether it stands in a box or a field: nothing else can be meant."""


_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s{0,3}(?=[{\d\w\\])|<\|begin_of_box\|>")
_JOINT = re.compile(
    r"[\s$.,;:&]*(?:\\text\{\s*(?:and|or)\s*\}|and|or|,|;|y|und|et|和)?[\s$.,;:&]*(?:[a-zA-Z](?:_\{?\w\}?)? ?= ?)?\$?"
)
_FIELD = re.compile(
    r"####[ \t]*([^\n]+)|<(?:final_?)?(?:answer|ans)>\s*(.{1,2000}?)\s*</(?:final_?)?(?:answer|ans)>"
    r"|[\"'](?:final_?)?(?:answer|result)[\"']\s{0,3}:\s{0,3}"
    r"(?:\"((?:[^\"\\\n]|\\.){1,2000})\"|([-+.\d][^,}\n]{0,200}))",
    re.I | re.S,
)
_PHRASE = re.compile(
    r"(?:\b(?:answers?|results?|solutions?|ans)\b"
    r"(?: (?:to|for|of) (?:the|this|our) (?:question|problem|equation))?[ *_]{0,4}"
    r"(?:\bis\b(?! not\b)|\bare\b|:|=|\bequals\b|\b(?:would|must|should) be\b|\bcomes? out to(?: be)?\b|\n)"
    r"|\b(?:antwort (?:ist|lautet)|respuesta(?: final| correcta)? (?:es|:)|respuesta:|réponse(?: finale)? (?:est|:)"
    r"|risposta (?:è|:)|resposta(?: final)? (?:é|:)|ответ:?)|答案(?:是|为|為)?|答え(?:は)?|정답은?|答[:：])"
    r"[ \t*_:：]{0,6}",
    re.I,
)
_UNREAL = re.compile(
    r"(?:\b(?:if|suppose|assume|assuming|whether|might think|may think|could think|would think|don['’]t think|not)\b"
    r"(?: that)?)[\s*_]{0,3}(?:the |our |my |final |correct ){0,3}\Z",
    re.I,
)
_ADVERB = re.compile(
    r"(?:\s|\*\*|__|:|=(?!=)|(?:therefore|thus|indeed|then|simply|just|clearly|hence|now|approximately|about|exactly"
    r"|equal to|given by|as follows|going to be|also|still|actually|probably|the)\b,?)*+",
    re.I,
)
_FORMULA = re.compile(
    r"\$\$([^$]{1,2000}?)\$\$|\\\[(.{1,2000}?)\\\]|\\\((.{1,2000}?)\\\)"
    r"|(?<![\\$\w])\$(?=[^\s$])([^$\n]{1,400}?)(?<![\s\\])\$(?!\w)",
    re.S,
)
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*|__([^_\n]{1,200})__")
_NUMBER = re.compile(r"(?<![\w.])" + NUMBER)
_SENTENCES = re.compile(r"(?<=[.!?。])(?=\s|[A-Z\u4e00-\u9fff])|\n")
_STOP = re.compile(
    r"(?:[,.;!?]?\s+|\b)(?:because|since|as (?:the|we|it|there)|which|where|when|so|for|given|based|after|by|from|if"
    r"|but|however|that|in this|in the|per the|making|meaning|rounded|considering|using|with)\b"
    r"|[.!?](?=\s|$)(?<!\d\.\d)|\n|。|；",
    re.I,
)
_CORRECTION = re.compile(
    r"\b(?:wait|actually|correction|no,|sorry|scratch that|mistake|oops|hmm|re-?check|i meant)\b|不对|更正", re.I
)
_COMPOSED = re.compile(r"\d ?(?:[-+*×−]|\\times|\\cdot) ?\d|\bof\b|(?<![\\a-zA-Z])[a-zA-Z]{3,}")
_WORKED_OUT = re.compile(rf"[a-z]\s(?:is|equals|makes|gives)\s(?:equal to\s)?({NUMBER})[\"'”.]{{0,2}}\Z", re.I)
_REMARK = re.compile(  # 7 (3 + 4 = 7), 7 (seven)
    r"\s\((?:[^()\n]{1,80}=[^()\n]{1,80}|(?!mod\b|or\b|and\b)[a-zA-Z][a-zA-Z -]{2,40})\)\Z"
)
_MORE_NUMBERS = re.compile(rf"(?:[\s,]{{1,3}}(?:and |or )?{NUMBER}){{1,20}}\Z")  # 2, 3 and 5
_SECOND_PART = re.compile(r"\s[a-zA-Z]{1,12},? and \d")  # 5 hours and 30 minutes
_PROSE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}")


def final_answer(text: str) -> Answer | None:
    """The answer, or None where the response gives none."""
    boxed, box_end = _boxed(text)
    if boxed:
        later = _phrase(text, box_end) if _CORRECTION.search(text, box_end) else None
        return Answer(_trimmed(later), False) if later else Answer(boxed, True)
    fields = list(_FIELD.finditer(text))
    if fields:
        content = next(group for group in fields[-1].groups() if group).strip()
        return Answer(_first_expression(content) or content, True)
    given = _phrase(text, 0) or _whole(text) or _last(text)
    return Answer(_trimmed(given), False) if given else None


_STRAY = re.compile(r"(?:\s|[,;:]|\b(?:and|or|so|but)\b){1,4}\Z")


def _trimmed(text: str) -> str:
    """Without a quote that opens or closes elsewhere, and without an "and" that leads on."""
    text = _STRAY.sub("", text) if text[-1].isalpha() or text[-1] in ",;: " else text
    for quote in "\"'”’“":
        if text.count(quote) % 2 and (text[0] == quote or (text[-1] == quote and text[-2:-1].isalnum())):
            text = text.strip(quote)
    return text


def _boxed(text: str) -> tuple[str | None, int]:
    """The last box's content joined with those next to it, and where it ends."""
    found: list[tuple[int, int, str]] = []
    matches = list(_BOX.finditer(text))[-12:]
    for match in matches:
        content, end = _box_content(text, match)
        if content.strip() and (not found or match.start() >= found[-1][1]):
            found.append((match.start(), end, content.strip()))
    if not found:
        return None, 0
    joined = [found[-1]]
    for box in reversed(found[:-1]):
        between = text[box[1] : joined[0][0]]
        if len(between) > 30 or not _JOINT.fullmatch(between):
            break
        joined.insert(0, box)
    contents = list(dict.fromkeys(content for _, _, content in joined))
    return ", ".join(contents), found[-1][1]


def _box_content(text: str, match: re.Match[str]) -> tuple[str, int]:
    at = match.end()
    if match[0].startswith("<"):
        end = text.find("<|end_of_box|>", at)
        return (text[at:end], end) if end >= 0 else (text[at : at + 200].split("\n")[0], len(text))
    if text[at : at + 1] == "{":
        end = closing(text[: at + 20_000], at)
        if end >= 0:
            return text[at + 1 : end], end + 1
        return text[at + 1 : at + 300].split("\n")[0].rstrip("$ "), len(text)  # cut short
    word = re.match(r"[-\w.]+|\\\w+", text[at : at + 60])
    return (word[0], at + len(word[0])) if word else ("", at)


def _phrase(text: str, start: int) -> str | None:
    """What the last answer phrase gives that is neither hypothetical nor a question."""
    for match in reversed(list(_PHRASE.finditer(text, start))[-30:]):
        if _UNREAL.search(text, max(0, match.start() - 60), match.start()):
            continue
        adverbs = _ADVERB.match(text, match.end())
        at = adverbs.end() if adverbs else match.end()
        result = result_at(text[at : at + 200])
        if result:
            return result
        given = _first_expression(text[at : at + 600].lstrip())
        if given and not text[at + len(given) : at + len(given) + 2].lstrip("* ").startswith("?"):
            return given
    return None


def _first_expression(text: str) -> str | None:
    """The expression that a text begins with."""
    formula = _FORMULA.match(text)
    if formula:
        parts = [next(group for group in formula.groups() if group)]
        at = formula.end()
        while joint := re.match(r"\s?(?:,|and|or|, and)\s?(?=\$|\\\()", text[at:]):
            following = _FORMULA.match(text, at + joint.end())
            if following is None:
                break
            parts.append(next(group for group in following.groups() if group))
            at = following.end()
        unit = re.match(r"\s?([a-zA-Z%°][a-zA-Z%°²³^/ ]{0,30}?)(?=[.,;!*\n]|$)", text[at:])
        return ", ".join(parts) + (f" {unit[1]}" if unit and len(parts) == 1 else "")
    stop = _STOP.search(text)
    head = (text[: stop.start()] if stop else text).strip(" *_`\"'")
    if not head or head.lower().startswith(("not ", "unknown", "unclear", "a ", "an ", "to ")):
        return None
    number = _NUMBER.match(head)
    if stop and (number is None or number.end() < len(head)) and _COMPOSED.search(head):
        result = which_is(text[stop.start() :])
        if result:
            return result
    worked_out = None if number else _WORKED_OUT.search(head)
    if worked_out:
        return worked_out[1]
    if number and _REMARK.match(head, number.end()):
        return number[0]
    if number and (_SECOND_PART.match(head, number.end()) or _MORE_NUMBERS.match(head, number.end())):
        return head
    if number and _PROSE.search(head[number.end() :]):
        words = head[number.end() :].split()
        return head if len(words) <= 3 else number[0]
    if len(_PROSE.findall(head)) <= 3 and len(head) <= 300:
        return head
    numbers = _NUMBER.findall(head)
    formula = _FORMULA.search(head)
    if formula:
        return next(group for group in formula.groups() if group)
    return numbers[-1] if len(numbers) == 1 else None


_IS = re.compile(r"\d[\"'” ]{0,2} (?:is|are|equals?|makes?|gives?|es|son|est|font|fait|ist|sind|ergibt|macht|fa|é|è)\b")


def _whole(text: str) -> str | None:
    """A response that is nothing but an expression."""
    bare = text.strip(" \n*`")
    if len(bare) > 300 or "\n" in bare or bare.endswith("?") or "\\boxed" in bare or _IS.search(bare):
        return None
    formula = _FORMULA.fullmatch(bare.rstrip("."))
    if formula:
        return next(group for group in formula.groups() if group)
    words = _WORD.findall(_FUNCTIONS.sub("", bare))
    if "=" not in bare and len(words) < 2 and not any(len(word) > 2 for word in words):
        return bare if re.search(r"[\w∅]", bare) else None
    return bare if re.fullmatch(r"[A-Za-z]{1,20}\.?", bare) else None


_WORD = re.compile(r"(?<![a-zA-Z])[a-zA-Z]{2,}")
_FUNCTIONS = re.compile(r"\\[a-zA-Z]+|sqrt|sin|cos|tan|log|infinity")
_DOUBT = re.compile(
    r"\?\s*$|\b(?:not sure|unsure|cannot|can['’]t|could be|might be|is not|isn['’]t|don['’]t know|no idea|unable)\b",
    re.I,
)


def _last(text: str) -> str | None:
    """The last formula or number of the last sentence that has one."""
    tail = text[-1500:]
    for sentence in reversed(_SENTENCES.split(tail)[-6:]):
        if not sentence.strip() or not re.search(r"[\d$\\]", sentence):
            continue
        if _DOUBT.search(sentence):
            return None
        formulas = [next(group for group in match.groups() if group) for match in _FORMULA.finditer(sentence)]
        if formulas:
            return formulas[-1]
        bold = [match[1] or match[2] for match in _BOLD.finditer(sentence)]
        if bold and re.search(r"\d", bold[-1]):
            return _first_expression(bold[-1]) or bold[-1]
        result = result_in(sentence)
        if result or speaks_of_sum(sentence):
            return result
        side = sentence.rpartition("=")[2].strip(" .*") if "=" in sentence else ""
        if side and not _PROSE.search(side) and re.search(r"\w", side):
            return side
        numbers = list(_NUMBER.finditer(sentence))
        if numbers:
            return last_sum(sentence) or numbers[-1][0]
    return None
