"""Where a response to a mathematics problem gives its answer.

In this order: the last box (with those joined to it); a field or `####`; the last answer phrase; a response that is
nothing but an expression; else the last sentence that concludes (`prose`). What is denied or corrected later
doesn't count.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rsr.mathematics import cues, said
from rsr.mathematics.boxes import MATHEMATICAL, boxed, field, undecided
from rsr.mathematics.candidates import BOLD, FORMULA, SPELLED, bulleted, formula_of, spelled, with_unit
from rsr.mathematics.endings import cut_off, first_turn, without_trivia
from rsr.mathematics.parts import parts_by_letter
from rsr.mathematics.prose import first_value, last_value, value_before
from rsr.mathematics.results import NUMBER, result_at, which_is
from rsr.mathematics.text import levelled
from rsr.mathematics.units import unit as unit_of


class Answer(NamedTuple):
    """The answer of a response, as it is written there."""

    text: str
    firm: bool
    """Whether it stands in a box or a field: nothing else can be meant."""


_NUMBER = re.compile(r"(?<![\w.])" + NUMBER)
_STOP = re.compile(
    r"(?:[,.;!?]?\s+|\b)(?:because|since|(?<=, )as|as (?:the|we|it|there|above|before|[a-z]{3,12}ed|found|shown)\b"
    r"|which|i\.e"
    r"|where|when|so|for|given|based|after|by|from|if"
    r"|but|however|rather than|instead of|as opposed to|whereas|while|though|although|that|in this|in the"
    r"|per the|making|meaning|rounded|considering|using|with|not)\b"
    r"|(?<!\.\.)[.!?](?=\s|$)(?<!\d\.\d)(?<!\b[ap]\.m\.)|\n|。|；"
    r"|,?\s(?:而不是|而非|因为|其中|ではなく|y no|et non|und nicht|e non|e não|no)(?=\s)",
    re.I,
)
_SAYS = re.compile(r"\b(?:is|are|has|have|takes?|costs?|gets?|needs?|there)\b|[a-zA-Z]{3} ?=")
_PARAGRAPH = re.compile(r"\n\s*\n|\n[#*_ ]*(?:explanation|reasoning|justification|solution|check|note)\b", re.I)
_COMPOSED = re.compile(r"\d ?(?:[-+*×−]|\\times|\\cdot) ?\d|\bof\b|(?<![\\a-zA-Z])[a-zA-Z]{3,}")
_WORKED_OUT = re.compile(rf"[a-z]\s(?:is|equals|makes|gives)\s(?:equal to\s)?({NUMBER})[\"'”.]{{0,2}}\Z", re.I)
_REMARK = re.compile(  # 7 (3 + 4 = 7), 7 (seven)
    r"\s\((?:[^()\n]{1,80}=[^()\n]{1,80}|(?!mod\b|or\b|and\b)[a-zA-Z][a-zA-Z -]{2,40}|\d{1,12})\)\Z"
)
_ROUGHLY = re.compile(
    r"\s?\((?:about|approximately|approx\.?|roughly|around|≈|\\approx)\s?\$?[-\d][\d.,]*[^()\n\d]{0,20}\)\Z"
)
_ALSO = re.compile(rf"\s\((?:or|i\.e\.|=)\s?({NUMBER})\)\Z")  # 0.75 (or 3/4)
_REPEATED = re.compile(rf"[a-zA-Z-]{{3,}}(?:\s[a-zA-Z-]{{3,}}){{0,4}}\s\(({NUMBER})\)\Z")  # forty-two (42)
_CONVERTED = re.compile(
    rf"({NUMBER}) ?([a-zA-Z°/²³]{{1,12}}) \((?:or |i\.e\.,? |= ?)?({NUMBER}) ?([a-zA-Z°/²³]{{1,12}})\)\Z"
)  # 2 km (2000 m)
_MORE_NUMBERS = re.compile(rf"(?:[\s,]{{1,3}}(?:and |or )?{NUMBER}){{1,20}}\Z")  # 2, 3 and 5
_SECOND_PART = re.compile(r"\s[a-zA-Z]{1,12},?(?: and)? \d")  # 5 hours and 30 minutes
_PROSE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}")
_FOREIGN = re.compile(r"(?![\u0370-\u03ff])[^\W\d_\x00-\x7f]{2,}|[À-ÖØ-öø-ɏ]")
_SENTENCE = re.compile(r"(?<=[.!?])\s|\n")


def final_answer(text: str, kind: str = "") -> Answer | None:
    """The answer, or None where the response gives none.

    Args:
        text: the response.
        kind: `polar` (yes, true) or `word` (a name) where the reference is of that kind, else "".
    """
    text = first_turn(levelled(text))
    box, box_end = boxed(text)
    if box:
        later = _later(text, box_end)
        if later:
            return Answer(_trimmed(later), False)
        return None if undecided(text, box_end) else Answer(box, True)
    given = field(text)
    if given:
        return Answer(_first_expression(given) or given, True)
    text = without_trivia(text)
    given = _committed(text) or parts_by_letter(text) or _whole(text) or _headline(text) or _weak(text, kind)
    return Answer(_trimmed(given), False) if given and given.strip() else None


_LABELLED = re.compile(r"\*\*\(?([A-E])\)?[:.]?\*\*(?:[:.,]|\s?[—–-])?\s+(?=[-$\d\\])")
_LETTERED = re.compile(r"([A-E])[.:)]\s+(?=[-$\d\\][^\n]{0,30}(?:\n|\Z))")
_TAIL = re.compile(
    r"(?<=[a-zA-Z])!+\Z|(?<=\d)\s(?:each|apiece|in total|altogether|in all|total|left|overall|it is)[.!]?\Z"
)
_STRAY = re.compile(r"(?:\s|[,;:]|\b(?:and|or|so|but)\b){1,4}\Z")


def _trimmed(text: str) -> str:
    """Without a quote that opens or closes elsewhere, and without an "and" that leads on."""
    text = _STRAY.sub("", text) if text[-1].isalpha() or text[-1] in ",;: " else text
    text = _ROUGHLY.sub("", _TAIL.sub("", text))
    for quote in "\"'”’“":
        if text.count(quote) % 2 and (text[0] == quote or (text[-1] == quote and text[-2:-1].isalnum())):
            text = text.strip(quote)
    return text


# --- phrases


def _later(text: str, at: int) -> str | None:
    """What comes after a box and overrides it: a correction, or another "the answer is" with a value."""
    correction = cues.CORRECTION.search(text, at)
    found = _phrase(text, at, strong=True)
    if found and (correction or MATHEMATICAL.match(found[0])):
        return found[0]
    return _corrected(text, at) if correction else None


def _committed(text: str) -> str | None:
    """What the last answer phrase gives, or the correction of it."""
    found = _phrase(text, 0, strong=True)
    if found is None:
        return None
    return _corrected(text, found[1]) or (None if _retracted(text, found[1]) else found[0])


def _retracted(text: str, at: int) -> bool:
    """Whether the sentence after an answer takes it back, and other numbers follow."""
    following = [one for one in _SENTENCE.split(text[at : at + 600])[1:] if one.strip()]
    return (
        bool(following)
        and cues.RETRACTS.match(following[0]) is not None
        and bool(re.search(r"\d", text[at + 600 :] + "".join(following)))
    )


def _corrected(text: str, start: int) -> str | None:
    """The new value after second thoughts: `Actually, no: it's 7`; None where they confirm the old one."""
    correction = cues.CORRECTION.search(text, start)
    if correction is None:
        return None
    tail = text[correction.start() :]
    if cues.AFFIRMED.search(tail) and not cues.DENIED.search(tail):
        return None
    for match in reversed(list(cues.CORRECTED.finditer(tail))[-8:]):
        result = result_at(tail[match.end() : match.end() + 200])
        given = result or _first_expression(tail[match.end() : match.end() + 300].lstrip())
        if given and MATHEMATICAL.match(given):
            return given
    return None


def _phrase(text: str, start: int, strong: bool) -> tuple[str, int] | None:
    """What the last answer phrase gives that is neither hypothetical nor a question, and where that begins.

    "The result is" is weaker than "the answer is": results are also intermediate.
    """
    inverse = _inverse(text, start)
    for match in reversed(list(cues.PHRASE.finditer(text, start))[-30:]):
        if inverse and inverse[1] > match.start():
            return inverse
        if strong and match["word"] and match["word"].lower().startswith(("r", "s")) and not _heads(text, match):
            continue
        if cues.UNREAL.search(text, max(0, match.start() - 60), match.start()):
            continue
        at = match.end()
        if _supposed(text, match) or cues.NO_VALUE.match(text, at):
            continue
        if match["denied"]:
            instead = cues.LATER.search(text, at, min(len(text), at + 200))
            if instead is None:
                continue
            at = instead.end()
        adverbs = cues.ADVERBS.match(text, at)
        at = adverbs.end() if adverbs else at
        at += 2 if text.startswith("**", at) and not BOLD.match(text, at) else 0
        result = bulleted(text, at) or result_at(text[at : at + 200])
        if result:
            return result, at
        given = _first_expression(text[at : at + 600].lstrip())
        if given and not text[at + len(given) : at + len(given) + 2].lstrip("* ").startswith("?"):
            return given, at
    return inverse


def _inverse(text: str, start: int) -> tuple[str, int] | None:
    """What `... is the answer` says last."""
    for match in reversed(list(cues.INVERSE.finditer(text, start))[-5:]):
        before = re.split(r"[.!?]\s|\n", text[max(start, match.start() - 400) : match.start()])[-1].strip()
        bare = cues.CONCLUDES.sub("", before).strip(" ,*")
        short = (
            re.search(r"\w", bare)
            and len(bare) <= 60
            and not _VERBS.search(bare)
            and "$" not in bare
            and len(bare.split()) <= 8
        )
        given = bare if short else value_before(before)
        if given:
            return given, match.end()
    return None


def _supposed(text: str, match: re.Match[str]) -> bool:
    """Whether a phrase is about another case: it "would be", or another sentence with a value follows."""
    if not cues.SUPPOSED.search(text, max(0, match.start() - 220), match.start()):
        return False
    if "would" in match[0].lower():
        return True
    following = _SENTENCE.split(text[match.end() : match.end() + 600])[1:]
    return any(re.search(r"\d", sentence) and not cues.EXPLAINS.match(sentence) for sentence in following)


def _heads(text: str, match: re.Match[str]) -> bool:
    """Whether a phrase is a "final result"."""
    return text[max(0, match.start() - 6) : match.start()].lower() == "final "


_ONLY = re.compile(r"[^.!?\n]{0,200}\bbut only\b")


def _weak(text: str, kind: str) -> str | None:
    """The result that the last sentences give."""
    word = said.in_words(text, kind)
    if word or cut_off(text):
        return word
    found = _phrase(text, max(0, len(text) - 1500), strong=False)
    if found and not _retracted(text, found[1]):
        following = _SENTENCE.split(text[found[1] :])[1:]
        if not _ONLY.match(text, found[1]) and all(
            cues.EXPLAINS.match(sentence) or not re.search(r"\d", sentence) for sentence in following
        ):
            return found[0]
    return last_value(text)


def _first_expression(text: str) -> str | None:
    """The expression that a text begins with."""
    bold = BOLD.match(text)
    labelled = _LABELLED.match(text) or _LETTERED.match(text)
    if labelled:
        given = _first_expression(text[labelled.end() :])
        return f"({labelled[1]}) {given}" if given else labelled[1]
    if bold and not bold[0].endswith(":**"):
        inside = _first_expression((bold[1] or bold[2]).strip())
        end = with_unit(text, bold.end()) if inside and inside[-1:].isdigit() else bold.end()
        return f"{inside} {text[bold.end() : end].strip()}".strip() if inside else None
    formula = FORMULA.match(text)
    if formula:
        return _formulas(text, formula)
    stop = _STOP.search(text)
    head = re.sub(r"\s\(\Z", "", (text[: stop.start()] if stop else text).strip(" *_`\"'"))
    if not head or re.match(
        r"not |unknown|unclear|(?:a|an|to) (?!(?:dozen|hundred|thousand|million|half|third|quarter)\b)", head, re.I
    ):
        return None
    if _FOREIGN.search(head) and re.search(r"\d", head) and not _NUMBER.match(head):
        return last_value(head)
    repeated = _REPEATED.fullmatch(head)
    if repeated:
        return repeated[1]
    number = _NUMBER.match(head)
    if stop and (number is None or number.end() < len(head)) and _COMPOSED.search(head):
        result = which_is(text[stop.start() :])
        if result:
            return result
    worked_out = None if number else _WORKED_OUT.search(head)
    if worked_out:
        return worked_out[1]
    if number:
        return _number_with(head, number)
    words = SPELLED.match(head)
    if words and " " in head and len(_PROSE.findall(head)) <= 8:
        return f"{spelled(words)} {head[words.end() :].strip()}".strip()
    if re.match(r"(?:[A-Za-z]{2,} ){2,}\D{0,20}\d", head) and not re.search(r"[\\$]|\bof\b", head):
        return last_value(head) or head
    if len(_PROSE.findall(head)) <= 3 and len(head) <= 300 and not _SAYS.search(head):
        return head
    return last_value(_PARAGRAPH.split(text)[0])


def _number_with(head: str, number: re.Match[str]) -> str:
    """A number with what belongs to it: its unit, more numbers, the rest of its expression."""
    if _REMARK.match(head, number.end()) or re.match(r":\s+[^\d\s]", head[number.end() :]):
        return number[0]
    twice = _CONVERTED.fullmatch(head)
    if twice and unit_of(twice[2]) and unit_of(twice[4]):
        return f"{twice[1]} {twice[2]} or {twice[3]} {twice[4]}"
    other = _ALSO.match(head, number.end())
    if other:
        return f"{number[0]}, {other[1]}"
    if _SECOND_PART.match(head, number.end()) or _MORE_NUMBERS.match(head, number.end()):
        return head
    if re.match(r"\s(?:of|in|for|per|to|on|de|di)\b(?! base)(?! \d)", head[number.end() :]):
        return number[0]
    if _PROSE.search(head[number.end() :]):
        words = head[number.end() :].split()
        return head if len(words) <= 3 else first_value(head) or head[: with_unit(head, number.end())]
    return head


def _formulas(text: str, formula: re.Match[str]) -> str:
    """Formulas joined by "and", or one with its unit."""
    parts = [formula_of(formula)]
    at = formula.end()
    while joint := re.match(r"\s?(?:,|and|or|, and|, or|或|和|und|oder|et|ou|lub|или|и)\s?(?=\$|\\\()", text[at:]):
        following = FORMULA.match(text, at + joint.end())
        if following is None:
            break
        parts.append(formula_of(following))
        at = following.end()
    unit = re.match(r"\s?([a-zA-Z%°][a-zA-Z%°²³^/ ]{0,30}?)(?=[.,;!*\n]|$)", text[at:])
    if unit and len(parts) == 1 and not re.match(r"(?:and|or|for|when|where|if|is|in)\b", unit[1]):
        return f"{parts[0]} {unit[1]}"
    return ", ".join(parts)


# --- bare expressions

_HEADLINE = re.compile(r"\s*\*\*([^*\n]{1,60})\*\*\.?\s*\n\s*\n")
_OPENING = re.compile(
    rf"\s*((?!1\.\s)[$€£]?{NUMBER}(?: ?[a-z°%²³/]{{1,12}})?)\.\s(?=[A-Z])(?![^\n]*\n\s*\d{{1,2}}[.)]\s)"
)
_OPENING_WORD = re.compile(rf"\A(?:{SPELLED.pattern}|none)(?=\.\s[A-Z])", re.I)
_NUMBERED = re.compile(r"\d+[.):]\s")


def _headline(text: str) -> str | None:
    """The value in bold that a response begins with, where what follows only explains it."""
    match = _HEADLINE.match(text) or _OPENING.match(text)
    words = _OPENING_WORD.match(text)
    if words:
        return spelled(words) if words[0].lower() != "none" else "none"
    if match is None or _NUMBERED.match(match[1]) or not MATHEMATICAL.match(match[1]) or _VERBS.search(match[1]):
        return None
    rest = text[match.end() :]
    if any(re.search(r"\d", bold[0]) for bold in BOLD.finditer(rest)):
        return None
    given = _first_expression(match[1])
    concluding = [one.lstrip() for one in _SENTENCE.split(rest) if cues.CONCLUDES.match(one.lstrip())]
    return given if given and all(re.search(rf"(?<!\d){re.escape(given)}(?!\d)", one) for one in concluding) else None


_IS = re.compile(
    r"\d[\"'” ]{0,2} (?:is|are|equals?|makes?|gives?|es|son|est|font|fait|ist|sind|ergibt|macht|fa"
    r"|é|è)\b"
)
_WORD = re.compile(r"[^\W\d_]{2,}")
_FUNCTIONS = re.compile(r"\\[a-zA-Z]+|sqrt|sin|cos|tan|log|infinity")
_ASSIGNED = re.compile(
    r"[a-zA-Z]\w?\s?=\s?[^=\s][^=]{0,60}(?:(?:,|;|\bor\b|\band\b)\s?[a-zA-Z]\w?\s?=\s?[^=]{1,60}){1,9}"
)
_VERBS = re.compile(
    r"\b(?:is|are|was|were|be|have|has|had|gets?|gives?|equals?|makes?|so|we|it|there|they|he|she|the|that|this|if|let"
    r"|i|need|answer|then|thus|hence|therefore|of|not|can|could|for|from|each)\b",
    re.I,
)
_BARE = re.compile(
    r"[-−$€£(]?\d|(?:the )?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? \d|(?:mon|tues|wednes"
    r"|thurs|fri|satur|sun)day\b"
    r"|[^\d,;:]*\Z",
    re.I,
)


def _whole(text: str) -> str | None:
    """A response that is nothing but an expression, a quantity, a date or a name."""
    bare = text.strip(" \n*`")
    if len(bare) > 300 or "\n" in bare or bare.endswith("?") or "\\boxed" in bare or _IS.search(bare):
        return None
    formula = FORMULA.fullmatch(bare.rstrip("."))
    if formula:
        return formula_of(formula)
    assigned = re.sub(r"\A[^=]{0,40}?(?=\b[a-zA-Z]\w?\s?=)", "", bare.rstrip(".")) if "=" in bare else ""
    if assigned and not _PROSE.search(re.sub(r"\b(?:or|and)\b", "", assigned)) and _ASSIGNED.fullmatch(assigned):
        return assigned
    words = _WORD.findall(_FUNCTIONS.sub("", bare))
    if re.search(r"[\u0900-\u0eff]", bare) and re.search(r"\d", bare):
        return None  # a sentence in a script that writes vowels as marks
    if "=" not in bare and len(words) < 2 and not _VERBS.search(bare) and not any(len(word) > 2 for word in words):
        return bare if re.search(r"[\w∅]", bare) else None
    if len(words) <= 4 and len(bare) <= 60 and not _VERBS.search(bare) and "=" not in bare and _BARE.match(bare):
        return bare
    return bare if re.fullmatch(r"[^\W\d_]{1,20}\.?", bare) else None
