"""The answer of a response that has no box and no answer phrase: in the last sentence that concludes.

All numbers, formulas and expressions of the sentence are candidates. What the sentence commits to ("is 7", "= 7") comes
before what it says ("she buys 7"), and that before what it mentions ("of the 7"); among equals the last one counts.
"""

from __future__ import annotations

import re
from fractions import Fraction

from rsr.mathematics import cues, said
from rsr.mathematics.candidates import BOLD, FEW, FORMULA, SPELLED, Candidate, candidates, with_unit
from rsr.mathematics.numbers import exact
from rsr.mathematics.results import NUMBER, last_sum, result_in, speaks_of_sum
from rsr.mathematics.sentences import explains, hypothetical, is_remark, sentences_of

_JOINT = re.compile(
    r"[\s$]*(?:,|;|,?\s?(?:and|or)(?: in)?|und|lub|oppure|ou|oder|nebo|eller|veya|atau|или|et|y|e|和|&)[\s$]*"
)
_ATTRIBUTE = re.compile(
    r",?\sand\s(?:an?\s)?(?:center|radius|diameter|length|width|height|slope|[xy]?-?intercept|mean|median|mode|variance"
    r"|area|perimeter|modulus|argument|vertex|focus|amplitude|period|remainder)\s(?:of\s)?\$?"
)
_BY = re.compile(r"\s(?:by|x|×)\s")
_LEADS = re.compile(r"\A.*(?:\b(?:is|are|be|get|have|gives?|equation|so|thus|hence|therefore)\s|:\s)", re.S | re.I)
_PROSE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}")
_WORDS_BEFORE = re.compile(r"\A.*(?<![a-zA-Z\\])(?!(?:sin|cos|tan|log|ln|exp|sqrt)\b)[a-zA-Z]{2,}:?\s", re.S)
_FUNCTION = re.compile(r"(?<![a-zA-Z])(?:arc)?(?:log|ln|sin|cos|tan|cot|exp|sqrt)(?![a-zA-Z])")
_ASSUMED = re.compile(
    r"\b(?:putting|with|for|when|if|at|let|setting|substituting|taking|using|and|where)[\s$]*\Z", re.I
)
_LEFT_OF = re.compile(r"(?:\A\s?|[^\w\s=)]\s?|[a-zA-Z]{2}\s)([-−+]?[\d(√][\d\s.,/()+*^√π−-]{0,60})\Z")


_COMMITTED = 3
_WHERE = re.compile(r"\b(?:at|when|where|for|if|let|with)[\s$]*\Z", re.I)
_INSIDE = re.compile(r"[a-zA-Z\d] \([^()]*\Z")
_OTHERS = re.compile(r"\s*(?:and\s)?(?:all|every|any)\s(?:further|others?)\b", re.I)
_COMPARISON = re.compile(
    rf"\s*{NUMBER}(?:{cues.COMPARES.pattern}|\s(?:of|out of) (?:them|these|those|which|whom)\s(?:is|are|was|were)\b)",
    re.I,
)


_AFTER_COLON = re.compile(rf"[a-z] [^\n]{{10,200}}(?<=\w):\s\$?({NUMBER})\$?[.!]?\s*\Z")
_BOLD_PAIR = re.compile(r"\*\*([^*\n]{1,40}\d[^*\n]{0,40}|\d+)\*\*,?\s(?:and|or|und|et|y|e)\s\*\*([^*\n]{1,60})\*\*")
_IN_ALL = re.compile(rf",\s({SPELLED.pattern}|\d{{1,6}})\s(?:in (?:total|all)|altogether|of them)[\s.!*]*\Z", re.I)


def last_value(text: str) -> str | None:
    """The value of the last sentence that concludes, or None."""
    sentences = sentences_of(text[-1500:])[-7:]
    dropped: list[str] = []
    for at in range(len(sentences) - 1, -1, -1):
        sentence = sentences[at]
        if cues.GAVE_UP.search(sentence) and " but " not in sentence:
            return None
        if hypothetical(sentence, sentences[:at]):
            return None
        rather = cues.RATHER.search(sentence)
        if rather:
            return _value(sentence[rather.end() :]) or None
        if is_remark(sentence, sentences[:at]):
            continue
        doubtful = cues.DOUBT.search(sentence) is not None and not cues.GUESS.search(sentence)
        if not re.search(r"[\d$\\⁰¹²³⁴-⁹π√]", sentence) and not (SPELLED.search(sentence) or FEW.search(sentence)):
            named = said.word_of(sentence, "word") if cues.CONCLUDES.match(sentence) else None
            word = said.polar(sentence) or said.predicate(_main(sentence)) or said.nothing(sentence) or named
            if word and not doubtful:
                return word
            continue
        if explains(sentence, sentences[:at], doubtful):
            continue
        out = _DISCARDS.search(sentence)
        if out and at and not cues.CONCLUDES.match(sentence):
            dropped.append(out[1])
            continue
        if doubtful:
            return None
        if at and cues.REJECTED.search(cues.CLAUSE.split(sentence)[-1] or "") and not cues.CONCLUDES.match(sentence):
            continue
        found = _value(sentence)
        if found is not None:
            return _with_base(sentence, _without(found, dropped)) or None
    return None


_DISCARDS = re.compile(
    rf"\b(?:discard|reject|exclude|rule out|drop|ignore|disregard|dismiss)(?:s|ed|ing)? (?:the (?:root|solution|value"
    rf"|case) )?"
    rf"[$(]*(?:[a-zA-Z]\s?=\s?)?({NUMBER})",
    re.I,
)


def _without(found: str, dropped: list[str]) -> str:
    """A list of values without those that were discarded: `5` of `5, -2`."""
    parts = re.split(r",\s|\sor\s|\sand\s", found) if dropped else []
    out = {_plain(value) for value in dropped}
    left = [one for one in parts if _plain(one.rpartition("=")[2]) is None or _plain(one.rpartition("=")[2]) not in out]
    return ", ".join(left) if left else found


def _plain(value: str) -> Fraction | None:
    return exact(value.replace("−", "-").strip())


_BASE = re.compile(
    r"\b(?:in|to|into|as) (?:base[- ](\d{1,2}|[a-z]{3,7})|(binary|octal|hexadecimal))\b[^.]{0,60}\Z", re.I
)
_BASES = {"binary": 2, "octal": 8, "hexadecimal": 16}


def _with_base(sentence: str, found: str) -> str:
    """`243_5` of `In base five it reads 243`."""
    match = _BASE.search(sentence[: max(0, sentence.rfind(found))]) if found.isalnum() else None
    base = _BASES.get((match[2] or "").lower()) or exact((match[1] or "").lower()) if match else None
    if base is None or not 2 <= base <= 36:
        return found
    try:
        int(found, int(base))
    except ValueError:
        return found
    return f"{found}_{base}"


def _main(sentence: str) -> str:
    """A sentence without what it presupposes."""
    premise = cues.PREMISE.match(sentence)
    return sentence[premise.end() :] if premise else sentence


def first_value(text: str) -> str | None:
    """The value that a text begins with, with those that are joined to it."""
    found = candidates(text)
    if not found or found[0].start:
        return None
    last = 0
    while last + 1 < len(found) and _JOINT.fullmatch(text, found[last].end, found[last + 1].start):
        last += 1
    return ", ".join(candidate.text for candidate in found[: last + 1])


def value_before(text: str) -> str | None:
    """The value that a text ends with, but for punctuation: `7` of `Therefore, **7**`."""
    tail = text[-400:]
    found = candidates(tail)
    return found[-1].text if found and not re.search(r"\w", tail[found[-1].end :]) else None


_SUMMED_UP = re.compile(
    r"[^\d:]{0,80}\d[\d.,]*[^\d:]{0,60}\b(?:in total|altogether|in all|overall|needed"
    r"|left)\b[^\d:]{0,30}(?=:\s[^:]{0,30}\d[^:]*\d)",
    re.I,
)


def _value(sentence: str) -> str | None:
    """The value of a sentence; "" where it has numbers and gives none, None where it has no number."""
    bold = [match[1] or match[2] for match in BOLD.finditer(sentence)]
    if bold and re.search(r"\d", bold[-1]):
        inner = _value(bold[-1])
        pair = _BOLD_PAIR.search(sentence)
        if inner and pair and pair[2] == bold[-1]:
            return f"{_value(pair[1])}, {inner}"
        if inner:
            after = sentence[sentence.rfind(bold[-1]) + len(bold[-1]) :]
            unit = with_unit(after.lstrip("*_"), 0) if inner[-1:].isdigit() else 0
            return inner + " " + after.lstrip("*_")[:unit].strip() if unit else inner
    named = _AFTER_COLON.search(sentence)
    if named:
        return named[1]
    counted = _IN_ALL.search(sentence)
    if counted:
        return counted[1]
    premise = cues.PREMISE.match(sentence)
    clauses = [sentence[: premise.end()]] if premise else []
    if not premise and (summed := _SUMMED_UP.match(sentence)):
        sentence = summed[0]
    clauses += [clause for clause in cues.CLAUSE.split(sentence[premise.end() if premise else 0 :]) if clause]
    amounts = said.several(clauses[-1]) if clauses else None
    if amounts:
        return amounts
    if not FORMULA.search(sentence) and not said.predicate(sentence):
        reason = cues.REASON.search(sentence)
        told = sentence[: reason.start()] if reason else sentence
        result = result_in(told if any(_weight(told, one) >= _COMMITTED for one in candidates(told)) else sentence)
        if result:
            at = sentence.rfind(result) + len(result)
            return sentence[at - len(result) : with_unit(sentence, at)]
        if speaks_of_sum(sentence):
            return ""
    for clause in reversed(clauses):
        reason = cues.REASON.search(clause)
        told = clause[: reason.start()] if reason else clause
        if len(clauses) > 1 and (_COMPARISON.match(clause) or _OTHERS.match(clause)):
            continue
        word = said.predicate(clause) or (_polar(clause) if clause is clauses[0] else None)
        if word:
            return word
        for part in (told, clause):
            whole = _right_side(part) or last_sum(part)
            if whole:
                return whole
            chosen = _chosen(part, candidates(part))
            if chosen:
                return chosen
    return None


def _polar(clause: str) -> str | None:
    """The yes or no of a clause that commits to no number: `Yes, 97 is a prime number`."""
    word = said.polar(clause)
    return word if word and all(_weight(clause, one) < _COMMITTED for one in candidates(clause)) else None


def _right_side(clause: str) -> str | None:
    """What stands alone after the last `=`: `2√5` of `x = 2√5`."""
    if "=" not in clause or "except" in clause or FORMULA.search(clause):
        return None
    sides, _, right = clause.rpartition("=")
    right = right.strip(" .*_`!")
    if re.fullmatch(r"[a-zA-Z]", right) and (turned := _LEFT_OF.search(sides)):
        return f"{right} = {turned[1].strip()}"
    if not re.search(r"\w", right) or _PROSE.search(_FUNCTION.sub("", right)) or re.search(r"\bat [a-z]\s?\Z", sides):
        return None
    again = re.search(
        r"(?:\A|[^\w])([^\W\d]\w?\s?=\s?[^=]{1,40}?(?:,|\b(?:or|and|oder|und|ou|et|lub|или|и|o|y"
        r"|e)\b)\s?[^\W\d]\w?\s?=\s?)\Z",
        sides + "=",
    )
    if again and not re.search(r"[a-z]{4}", again[1]) and not _ASSUMED.search(sides[: again.start(1)]):
        return f"{again[1]}{right}"
    left = _LEADS.sub("", sides.rpartition("=")[2]).strip(" .*_`")
    left = _WORDS_BEFORE.sub("", left) if _PROSE.search(left) else left
    if re.search(r"[a-zA-Z]", left) and not _PROSE.search(left) and re.fullmatch(r"[\w\s+*/^()²³.−-]{1,60}", left):
        return f"{left} = {right}"
    return right


def _chosen(clause: str, found: list[Candidate]) -> str | None:
    if not found:
        return None
    weights = [_weight(clause, candidate) for candidate in found]
    for number in range(1, len(found)):  # "of 4 and 6"
        end = found[number].end
        if (cues.PLACES.match(clause, end) or cues.COMPARES.match(clause, end)) and clause[
            : found[number].start
        ].rstrip("$*").endswith(", "):
            weights[number] = -1
        elif _JOINT.fullmatch(clause, found[number - 1].end, found[number].start):
            weights[number] = weights[number - 1]
        elif _ATTRIBUTE.fullmatch(clause, found[number - 1].end, found[number].start):
            return f"{_chosen(clause, found[:number])}, {found[number].text}"
    best = max(weights)
    at = len(weights) - 1 - weights[::-1].index(best)
    if at > 0 and found[at - 1].text[-1:].isalpha() and _BY.fullmatch(clause, found[at - 1].end, found[at].start):
        return clause[found[at - 1].start : found[at].end]
    if (
        at + 1 < len(found)
        and found[at].text[-1:].isalpha()
        and _BY.fullmatch(clause, found[at].end, found[at + 1].start)
    ):
        return clause[found[at].start : found[at + 1].end]
    first, last = at, at
    while first > 0 and _JOINT.fullmatch(clause, found[first - 1].end, found[first].start):
        first -= 1
    while (
        last + 1 < len(found)
        and weights[last + 1] >= 0
        and _JOINT.fullmatch(clause, found[last].end, found[last + 1].start)
    ):
        last += 1
    return _listed(clause, found[first : last + 1])


_RELATION = re.compile(r"[<>≤≥]|\\[lg]eq?(?![a-z])")
_DERIVED = re.compile(r"[^=]*[-+*/|][^=]*=")


def _listed(clause: str, found: list[Candidate]) -> str:
    """Values side by side as one text; of derived equations (`m+n = 32`) the last one, alternatives keep their `or`."""
    texts = [one.text for one in found]
    if len(texts) > 1 and _DERIVED.match(texts[-1]) and all("=" in text for text in texts):
        return texts[-1]
    alternatives = len(texts) > 1 and " or " in clause[found[0].end : found[-1].start]
    if alternatives and all(text[0] in "([" for text in texts) and " or in " in clause:
        return " \\cup ".join(texts)
    return (" or " if alternatives and all(map(_RELATION.search, texts)) else ", ").join(texts)


def _weight(clause: str, candidate: Candidate) -> int:
    if re.fullmatch(r"\\?[a-zA-Z]+(?:_\w)?|[a-zA-Z]\([a-zA-Z]\)", candidate.text):
        return -1  # `$n$` names what is asked for
    before = clause[max(0, candidate.start - 48) : candidate.start]
    named = re.match(r"\\?\w{1,8}(?:\(\w\))?\s?=", candidate.text) and not _WHERE.search(before)
    if named or cues.COMMITS.search(before):
        return 1 if cues.COMPARES.match(clause, candidate.end) else _COMMITTED
    if re.search(r"(?<![\d ]), or \$?\Z", before) and not re.search(r"\d,", before):
        return _COMMITTED
    if cues.ASIDE.search(before):
        return 0
    if "(" in before and _INSIDE.search(before) and not clause.startswith("$", candidate.start):
        return 1
    if cues.COMPARES.match(clause, candidate.end):
        return 1
    return 1 if cues.BESIDE.search(before) else 2
