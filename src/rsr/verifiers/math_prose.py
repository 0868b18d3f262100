"""The answer of a response that has no box and no answer phrase: in the last sentence that concludes.

All numbers, formulas and expressions of the sentence are candidates. What the sentence commits to ("is 7", "= 7") comes
before what it says ("she buys 7"), and that before what it mentions ("of the 7"); among equals the last one counts.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rsr.verifiers import math_cues as cues
from rsr.verifiers import math_said as said
from rsr.verifiers.math_numbers import exact
from rsr.verifiers.math_results import NUMBER, last_sum, result_in, speaks_of_sum
from rsr.verifiers.math_units import DATE
from rsr.verifiers.math_units import unit as unit_of

FORMULA = re.compile(
    r"\$\$([^$]{1,2000}?)\$\$|\\\[(.{1,2000}?)\\\]|\\\((.{1,2000}?)\\\)"
    r"|\\begin\{(?:align|equation|gather|multline)\*?\}(.{1,2000}?)\\end\{(?:align|equation|gather|multline)\*?\}"
    r"|(?<![\\$\w])\$(?=[^\s$])((?:\\\$|[^$\n]){1,400}?)(?<![\s\\])\$(?!\w)",
    re.S,
)
BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*|__([^_\n]{1,200})__")
_NUMBER = re.compile(r"(?<![\w.])" + NUMBER)
_SENTENCES = re.compile(
    r"(?<=[.!?。！？])(?=\s|[A-Z\u4e00-\u9fff])(?<!\b[A-Zv]\.)(?<!\bvs\.)(?<!\bapprox\.)(?<!\b[ap]\.m\.(?=\s[a-z]))|\n"
)
_ATOM = (
    r"(?:√?\d++(?:\.\d++)?|(?:sqrt|sin|cos|tan|cot|sec|csc|ln|log|exp|pi)(?![a-zA-Z])|[a-zA-Z](?![a-zA-Z'’])|[πθ√∞])"
)
_PIECE = rf"[(\[]{{0,3}}[-−+]?{_ATOM}[)\]]{{0,3}}(?:[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]{{1,6}}|\^\{{[^{{}}\n]{{1,20}}\}})?[!°]?"
_EXPRESSION = re.compile(
    rf"(?<![\w$\\.,{{}}])[-−]?{_PIECE}(?:(?:\s?(?:[-−+±*/^×·÷<>≤≥=]|\*\*|<=|>=)\s?"
    rf"|(?=[a-zA-Z(√π])){_PIECE}){{1,60}}(?![\w$\\])(?!\.\d)"
)
_BRACKETED = r"[(\[{]\s?[^()\[\]{}\s,]{1,20}(?:,\s?[^()\[\]{}\s,]{1,20}){1,5}\s?[)\]}]"
_TUPLE = re.compile(
    rf"\[\[[^\n]{{1,80}}?\]\]|(?<![\w)]){_BRACKETED}(?:\s?(?:∪|\\cup|U|∩)\s?(?:{_BRACKETED}|\{{[^{{}}\n]{{1,20}}\}})){{0,6}}(?!\w)"
)
_GROUP = r"\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]{0,60}\}){0,60}\}){0,120}\}"
_COMMAND = (
    r"\\(?:[dt]?frac|sqrt|pi|cdot|times|pm|infty|ln|log|sin|cos|tan|binom|left|right|theta|circ|text|mathbb)"
    r"(?![a-zA-Z])"
)
_LATEX = re.compile(  # without dollars
    rf"(?<![\w$\\{{}}])(?:[-−+(\[]{{0,2}}[\w.]{{1,8}}[ ^_*=+-]{{0,3}}){{0,3}}[-−+(\[]?{_COMMAND}"
    rf"(?:{_GROUP}|[\w^+*/=,|)\](\[-]|{_COMMAND}|\.\d|\s(?=[-+*=\\(\d]|[a-zA-Z]\b)){{0,200}}"
)
_CLOCK = re.compile(r"(?<![\w:.])\d{1,2}(?::\d{2}){1,2}\s?[ap]\.?m\b\.?", re.I)
_MIXED = re.compile(r"(?<![\w./])[-−]?\d{1,9}\s\d{1,4}/\d{1,4}(?![\w/])")
_RATIO = re.compile(r"(?<![\w.:])\d+(?:\.\d+)?(?:\s?:\s?\d+(?:\.\d+)?){1,3}(?![\w:])|(?<=is )\d+ to \d+(?!\w)")
_EXCEPT = re.compile(r"\bexcept (?:for |when |at )?\$?\Z")
_OUT_OF = re.compile(r"(?<![\w.])(\d{1,9}) out of (?:every )?(\d{1,9})(?=[.,;!]?(?:\s|\Z))(?! [a-z])")
_ONE_IN = re.compile(r"(?<![\w.])(\d{1,9}) in (?:every )?(\d{1,9})(?=[.,;!]?(?:\s|\Z))")
_CHANCE = re.compile(r"\b(?:probability|chances?|odds|likelihood|proportion)\b", re.I)
_REMAINDER = re.compile(r"(?<![\w.])\d+(?:,? (?:with |and )?(?:a )?remainder (?:of |is )?| [Rr]\.? ?)\d+(?![\w/])")
_COMMA = re.compile(r"(?<![\w.,])\d{1,9},\d{1,2}(?![\w,]|\.\d)")
_ATTACHED = re.compile(
    r"(?<![\w.,\\^])(\d[\d,]{0,15}(?:\.\d+)?)([a-zA-Zµ]{1,12}(?:/[a-z]{1,4})?(?:\^?[23]|[²³])?)(?![\w^(/])"
)
_ORDINAL = re.compile(r"(?<![\w.])(\d{1,9})(?:st|nd|rd|th)\b", re.I)
_SCALED = re.compile(
    r"(?<![\w.,])[$€£]?\d[\d,]{0,15}(?:\.\d+)? (?:thousand|million|billion|trillion)\b(?: dollars| euros)?"
)
_GROUPED = re.compile(
    r"\bRp\.? ?\d{1,3}(?:\.\d{3})+(?!\d)|(?<![\w.,])\d{1,2}(?:,\d{2})+,\d{3}(?![\w,]\d)|(?<![\w.,])\d{1,3}(?:\.\d{3})+,\d{2}(?!\d)"
)
_BASED = re.compile(r"(?<![\w.])[0-9A-F]{1,30}_\{?\d{1,2}\}?(?!\w)")
_JOINT = re.compile(r"[\s$]*(?:,|;|,?\s?and|,?\s?or|und|et|y|e|和|&)[\s$]*")
_ATTRIBUTE = re.compile(
    r",?\sand\s(?:an?\s)?(?:center|radius|diameter|length|width|height|slope|[xy]?-?intercept|mean|median|mode|variance"
    r"|area|perimeter|modulus|argument|vertex|focus|amplitude|period|remainder)\s(?:of\s)?\$?"
)
_BY = re.compile(r"\s(?:by|x|×)\s")
SPELLED = re.compile(
    r"\b(?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[- ](?:one|two|three|four|five|six|seven"
    r"|eight|nine))?"
    r"|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|zero"
    r"|(?:one|a)(?= (?:hundred|thousand|million)))(?:[- ](?:hundred|thousand|million|and|twenty|thirty|forty"
    r"|fifty|sixty"
    r"|seventy|eighty|ninety|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w{3,5}teen"
    r"|an? half|hal(?:f|ves)|(?:third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth)s?)){0,6}\b"
    r"|\bone[- ](?:half|third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth)\b",
    re.I,
)
_UNIT_AFTER = re.compile(
    r"[ ~-]?((?:(?:square|cubic|sq\.?) )?[a-zA-Z°£€%²³]{1,12}(?:\s?\^\s?[23]|[²³])?(?:\s?(?:/"
    r"|per )\s?[a-zA-Z]{1,10}(?:\^?[23²])?)?"
    r"|\\text\{[^{}]{1,20}\})"
)
_LEADS = re.compile(r"\A.*(?:\b(?:is|are|be|get|have|gives?|equation|so|thus|hence|therefore)\s|:\s)", re.S | re.I)
_PROSE = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{3,}")


_COMMITTED = 3
_INSIDE = re.compile(r"[a-zA-Z\d] \([^()]*\Z")
_COMPARISON = re.compile(rf"\s*{NUMBER}(?:{cues.COMPARES.pattern})", re.I)


class Candidate(NamedTuple):
    """A value that a sentence names."""

    text: str
    start: int
    end: int


def formula_of(match: re.Match[str]) -> str:
    """The content of a `FORMULA`; of several lines the last one."""
    content = next(group for group in match.groups() if group)
    if "\\\\" in content and not re.search(r"\\begin\s?\{(?:[pbvBV]?matrix|array|cases)", content):
        content = re.sub(r"\\(?:begin|end)\s?\{[a-z]+\*?\}", " ", content)
        rows = [row for row in re.split(r"\\\\(?:\[[^\]]{0,8}\])?", content) if re.search(r"\w", row)]
        content = rows[-1].replace("&", " ") if rows else content
    return content.strip()


def with_unit(text: str, end: int) -> int:
    """The position after the unit of measure that follows a number, else where the number ends."""
    match = _UNIT_AFTER.match(text, end)
    while match:
        name = match[1]
        plain = re.sub(r"\\text\{([^{}]*)\}", r"\1", name).replace("²", "^2").replace("³", "^3")
        if unit_of(plain) is not None and (len(plain) > 1 or not text[match.end() : match.end() + 1].isalnum()):
            return (
                match.end()
                if not ((plain == "in" and re.match(r"\s\w", text[match.end() :])) or plain in ("a", "A", "s", "h"))
                else end
            )
        shorter = name.rpartition(" per ")[0] or name.rpartition("/")[0]
        match = re.compile(rf"[ ~-]?({re.escape(shorter)})").match(text, end) if shorter else None
    return end


def last_value(text: str) -> str | None:
    """The value of the last sentence that concludes, or None."""
    sentences = _sentences(text[-1500:])[-7:]
    for at in range(len(sentences) - 1, -1, -1):
        sentence = sentences[at]
        doubtful = cues.DOUBT.search(sentence) is not None and not cues.GUESS.search(sentence)
        if not re.search(r"[\d$\\]", sentence) and not SPELLED.search(sentence):
            named = said.word_of(sentence, "word") if cues.CONCLUDES.match(sentence) else None
            word = (
                None
                if doubtful
                else said.polar(sentence) or said.predicate(sentence) or said.nothing(sentence) or named
            )
            if word:
                return word
            continue
        if cues.CHECKS.match(sentence) and any(re.search(r"\d", earlier) for earlier in sentences[:at]):
            continue
        explains = cues.EXPLAINS.match(sentence)
        if explains and any(cues.CONCLUDES.match(earlier) for earlier in sentences[max(0, at - 3) : at]):
            continue
        if doubtful:
            return None
        if at and cues.REJECTED.search(cues.CLAUSE.split(sentence)[-1] or "") and not cues.CONCLUDES.match(sentence):
            continue
        found = _value(sentence)
        if found is not None:
            return found or None
    return None


def _sentences(text: str) -> list[str]:
    """The sentences of a text; a formula is never split."""
    formulas = [match.span() for match in FORMULA.finditer(text)]
    found, start = [], 0
    for match in _SENTENCES.finditer(text):
        if not any(first < match.start() < last for first, last in formulas):
            found.append(text[start : match.start()])
            start = match.end()
    found.append(text[start:])
    return [sentence for sentence in found if sentence.strip()]


def first_value(text: str) -> str | None:
    """The value that a text begins with, with those that are joined to it."""
    found = _candidates(text)
    if not found or found[0].start:
        return None
    last = 0
    while last + 1 < len(found) and _JOINT.fullmatch(text, found[last].end, found[last + 1].start):
        last += 1
    return ", ".join(candidate.text for candidate in found[: last + 1])


def value_before(text: str) -> str | None:
    """The value that a text ends with, but for punctuation: `7` of `Therefore, **7**`."""
    tail = text[-400:]
    found = _candidates(tail)
    return found[-1].text if found and not re.search(r"\w", tail[found[-1].end :]) else None


def _value(sentence: str) -> str | None:
    """The value of a sentence; "" where it has numbers and gives none, None where it has no number."""
    bold = [match[1] or match[2] for match in BOLD.finditer(sentence)]
    if bold and re.search(r"\d", bold[-1]):
        inner = _value(bold[-1])
        if inner:
            after = sentence[sentence.rfind(bold[-1]) + len(bold[-1]) :]
            unit = with_unit(after.lstrip("*_"), 0) if inner[-1:].isdigit() else 0
            return inner + " " + after.lstrip("*_")[:unit].strip() if unit else inner
    premise = cues.PREMISE.match(sentence)
    clauses = [sentence[: premise.end()]] if premise else []
    clauses += [clause for clause in cues.CLAUSE.split(sentence[premise.end() if premise else 0 :]) if clause]
    amounts = said.several(clauses[-1]) if clauses else None
    if amounts:
        return amounts
    if not FORMULA.search(sentence) and not said.predicate(sentence):
        result = result_in(sentence)
        if result:
            at = sentence.rfind(result) + len(result)
            return sentence[at - len(result) : with_unit(sentence, at)]
        if speaks_of_sum(sentence):
            return ""
    for clause in reversed(clauses):
        reason = cues.REASON.search(clause)
        told = clause[: reason.start()] if reason else clause
        if len(clauses) > 1 and _COMPARISON.match(clause):
            continue
        word = said.predicate(clause) or (_polar(clause) if clause is clauses[0] else None)
        if word:
            return word
        for part in (told, clause):
            whole = _right_side(part) or last_sum(part)
            if whole:
                return whole
            chosen = _chosen(part, _candidates(part))
            if chosen:
                return chosen
    return None


def _polar(clause: str) -> str | None:
    """The yes or no of a clause that commits to no number: `Yes, 97 is a prime number`."""
    word = said.polar(clause)
    return word if word and all(_weight(clause, one) < _COMMITTED for one in _candidates(clause)) else None


def _right_side(clause: str) -> str | None:
    """What stands alone after the last `=`: `2√5` of `x = 2√5`."""
    if "=" not in clause or "except" in clause or FORMULA.search(clause):
        return None
    sides, _, right = clause.rpartition("=")
    right = right.strip(" .*_`!")
    if not re.search(r"\w", right) or _PROSE.search(right):
        return None
    again = re.search(
        r"(?:\A|[^\w])([^\W\d]\w?\s?=\s?[^=]{1,40}?(?:,|\bor\b|\band\b)\s?[^\W\d]\w?\s?=\s?)\Z", sides + "="
    )
    if again:
        return f"{again[1]}{right}"
    left = _LEADS.sub("", sides.rpartition("=")[2]).strip(" .*_`")
    if re.search(r"[a-zA-Z]", left) and not _PROSE.search(left) and re.fullmatch(r"[\w\s+*/^()²³.−-]{1,60}", left):
        return f"{left} = {right}"
    return right


def _candidates(clause: str) -> list[Candidate]:
    found = [Candidate(formula_of(match), match.start(), match.end()) for match in FORMULA.finditer(clause)]
    taken = [(candidate.start, candidate.end) for candidate in found]
    for pattern in (
        _LATEX,
        _TUPLE,
        DATE,
        _REMAINDER,
        _CLOCK,
        _SCALED,
        _GROUPED,
        _BASED,
        _RATIO,
        _MIXED,
        _COMMA,
        _EXPRESSION,
        _ATTACHED,
        _NUMBER,
    ):
        for match in pattern.finditer(clause):
            if any(start < match.end() and match.start() < end for start, end in taken):
                continue
            text = match[0].strip(" .")
            if pattern is _ATTACHED and unit_of(match[2]) is None:
                continue
            if pattern is _EXPRESSION and not re.search(r"\d|[a-zA-Z].*[a-zA-Z]", text):
                continue
            text = _evaluated(text)
            if _EXCEPT.search(clause, 0, match.start()):
                text = "\\ne".join(text.rsplit("=", 1)) if "=" in text else f"x \\ne {text}"
            found.append(Candidate(text, match.start(), match.end()))
            taken.append((match.start(), match.end()))
    for match in (*_OUT_OF.finditer(clause), *(_ONE_IN.finditer(clause) if _CHANCE.search(clause) else ())):
        inside = [one for one in found if match.start() <= one.start and one.end <= match.end()]
        found = [one for one in found if one not in inside]
        found.append(Candidate(f"{match[1]}/{match[2]}", match.start(), match.end()))
    if not found:
        found = [Candidate(spelled(match), match.start(), match.end()) for match in SPELLED.finditer(clause)]
    if not found:
        found = [Candidate(match[1], match.start(), match.end()) for match in _ORDINAL.finditer(clause)]
    return _compounds(clause, sorted(found, key=lambda candidate: candidate.start))


def spelled(match: re.Match[str]) -> str:
    """A number in words as a number: `5/2` of `two and a half`."""
    value = exact(match[0].lower())
    return match[0] if value is None else str(value)


def _evaluated(text: str) -> str:
    """`72` of `48 + 24 = 72`; `x = 72` stays."""
    if "=" not in text or re.search(r"[<>]", text):
        return text
    left, _, right = text.rpartition("=")
    return text if re.search(r"[a-zA-Z]", left) else right.strip()


def _compounds(clause: str, found: list[Candidate]) -> list[Candidate]:
    """Each with its unit of measure, and `3 hours 20 minutes` as one."""
    joined: list[Candidate] = []
    for candidate in found:
        end = with_unit(clause, candidate.end)
        text = f"{candidate.text} {clause[candidate.end : end].strip(' ~-')}" if end > candidate.end else candidate.text
        new = Candidate(text, candidate.start, end)
        if joined and end > candidate.end and joined[-1].text[-1:].isalpha():
            between = clause[joined[-1].end : candidate.start]
            first, second = (unit_of(one.text.rpartition(" ")[2]) for one in (joined[-1], new))
            if (
                first
                and second
                and first.dimension == second.dimension
                and between.strip() in ("", "and", ",", ", and")
            ):
                new = Candidate(clause[joined[-1].start : end], joined[-1].start, end)
                joined.pop()
        joined.append(new)
    return joined


def _chosen(clause: str, found: list[Candidate]) -> str | None:
    if not found:
        return None
    weights = [_weight(clause, candidate) for candidate in found]
    for number in range(1, len(found)):  # "of 4 and 6"
        if _JOINT.fullmatch(clause, found[number - 1].end, found[number].start):
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
    while last + 1 < len(found) and _JOINT.fullmatch(clause, found[last].end, found[last + 1].start):
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
    return (" or " if alternatives and all(map(_RELATION.search, texts)) else ", ").join(texts)


def _weight(clause: str, candidate: Candidate) -> int:
    if re.fullmatch(r"\\?[a-zA-Z]+(?:_\w)?|[a-zA-Z]\([a-zA-Z]\)", candidate.text):
        return -1  # `$n$` names what is asked for
    before = clause[max(0, candidate.start - 48) : candidate.start]
    if cues.COMMITS.search(before) or re.match(r"\\?\w{1,8}(?:\(\w\))?\s?=", candidate.text):
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
