"""Answers that a sentence gives in words, and several amounts that it gives at once.

`The limit does not exist.`, `Yes, they are similar.`, `The winner is Ana.`; `Jane is 8 and her brother is 14.`
"""

from __future__ import annotations

import re

from rsr.mathematics.results import NUMBER
from rsr.mathematics.units import unit as unit_of

_PREMISE = re.compile(r"\A[\s*_#>-]*(?:since|if|when|as|because|suppose|assume|let|note|given|where|while)\b", re.I)
_END = r"(?=[\s*_$]*(?:[.!:;]|,?\s(?:since|because|as|for|so it)\b|,\s(?:i\.e|that is|meaning|with)|\Z))"
_BE = (
    r"(?:['’]s\b|\b(?:is|are|be|was|were|equals|becomes|falls on|lands on|is on|be on)\b)[\s*_]*(?:(?:also"
    r"|therefore|thus"
    r"|indeed"
    r"|always"
    r"|actually)\s)?"
)
_MONTH = "january|february|march|april|may|june|july|august|september|october|november|december"
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_PREDICATE = re.compile(
    rf"{_BE}(?:(?:an?|the)\s)?(undefined|indeterminate|infinity|infinite|unbounded|empty set|empty|true|false"
    rf"|odd|even|divergent|convergent"
    rf"|impossible|irrational|rational|linearly independent|linearly dependent|{_DAY}|{_MONTH})\b{_END}"
    rf"|\b(does not exist|doesn['’]t exist|diverges|converges)\b{_END}"
    rf"|\b(no such [a-z]+(?: [a-z]+)?|no (?:real |integer |such |positive )?(?:solutions?|roots?)"
    rf"|infinitely many(?: [a-z]+)?)\b{_END}"
    rf"|\bis ([0-9A-F]*[A-F][0-9A-F]*|[IVXLCDM]{{2,}}){_END}",
    re.I,
)
_ON_DAY = re.compile(rf"\bon (?:an? )?({_DAY})[\s.!]*\Z", re.I)
_CAPITALS = re.compile(r"[0-9A-Z]{2,}")
_POLAR = re.compile(
    r"\A[\s*_#>]*(?:(?:so|thus|therefore|hence),?\s[*_]*)?(yes|no)\b[*_]*(?=[,.!;:]|\s?[-—–]|\s*\Z)", re.I
)
_CLAIM = re.compile(r"\b(?:is|are|was)\s(?:indeed |actually |therefore )?\**(true|false)\b", re.I)
_NAMED = re.compile(
    r"\b(?:is|are|was|were|be|in|on|by|goes to)\s+(?:(?:the|a|an)\s)?"
    r"(?:\*\*([A-Za-z][^*\n]{0,40}?)\.?\*\*|([A-Z][a-z]+(?:\s[A-Z][a-z]*)?))(?:[\s.!]*\Z|,\s(?:with|which|who|because"
    r"|since|as)\b)"
)
_ADJECTIVE = re.compile(
    r"\b(?:is|are|was|were|be|called)\s+(?:(?:an?|the|also|therefore|indeed)\s)?\*{0,2}(?![a-z]+est\b|(?:winner|first"
    r"|last|second|third|only|one)\b)([a-z][a-z-]{2,20})\*{0,2}"
    r"(?:\s(?:triangle|angle|number|function|polygon))?(?:[\s.!]*\Z|,\s(?:with|which|because|since|as)\b|\s(?:because"
    r"|since)\b)"
)
_ALL_CAPITALS = re.compile(r"\b(?:is|are|be|as|in)\s\*{0,2}([A-Z]{2,12})\*{0,2}[\s.!]*\Z")
_OPENING = re.compile(r"\A[\s*_#>]*(true|false)\b[*_]*(?=[.,!;:])", re.I)
_TOLD = re.compile(r"\b(?:question|answer|short)\s?[:—–-]\s\**(yes|no)\b", re.I)
_JUDGED = re.compile(
    r"\b(?:statement|claim|assertion|proposition|conjecture|inequality)\b[^.,;]{0,30}? is (?:therefore |thus "
    r"|indeed )?\**(correct|right|incorrect|wrong)\b",
    re.I,
)
_NEITHER = re.compile(r"\bneither\b[^.;]{1,30}\bnor\b", re.I)
_LETTER = re.compile(r"\(([A-E])\)|\b(?:option|choice|answer) \**([A-E])\b")
_BEFORE_IT = re.compile(r"\d[^,]*\b(?:before|until|when|once|whether)\b[^,]*\Z", re.I)
_NOT_POSSIBLE = re.compile(r"\b(?:is not|isn['’]t|it['’]s not|never) possible\b|\b(?:is|it['’]s) impossible\b", re.I)
_MOST = re.compile(
    r"\b([A-Z][a-z]+) (?:has|had|gets|got|ran|is|was|scored|comes|came|finished|finishes|won|wins|arrives|arrived"
    r"|earns|earned"
    r"|collected|read|spent) (?:the )?(?:most|fewest|least|first|[a-z]+est)\b"
)
_PICKED = re.compile(
    r"\b(?:buy|choose|pick|select|take|use)\s(?:the\s)?\**([a-z]+(?:\s[a-z]+)?)\**(?:[\s.!]*\Z|,|\s(?:because|since"
    r"|as)\b)"
)
_NAME = re.compile(r"(?<![a-zA-Z])[A-Z][a-z]+\b(?: [A-Z](?![\w.]))?")
_NO_NAME = re.compile(
    r"(?:[A-Z][a-z]+ing|So|Thus|Therefore|Hence|The|This|That|It|He|She|They|We|In|On|At|If|Since|Then|And|But"
    r"|Finally|Answer|After|Because|As|For)\Z"
)
_LANDS = re.compile(rf"\b(?:is|be|was|on|at|reach(?:es)?|becomes|get to|a)\s(?:an? )?\*{{0,2}}({_DAY})[\s.!*]*\Z", re.I)
_DAYS = re.compile(rf"\b{_DAY}\b", re.I)


def predicate(clause: str) -> str | None:
    """The word that a clause says its subject is: `undefined`, `false`, `Thursday`, `FF`, `no solution`."""
    if _PREMISE.match(clause):
        return None
    day = None if re.search(r"\d", clause) else _ON_DAY.search(clause)
    found = day[1] if day else None
    for match in _PREDICATE.finditer(clause):
        if _BEFORE_IT.search(clause, 0, match.start()):  # before the tank is empty
            continue
        if match[0].startswith("are") and re.search(r"\d", clause):  # how many are even?
            continue
        if match[4] is None or (_CAPITALS.fullmatch(match[4]) and not match[4].isdigit()):
            found = next(group for group in match.groups() if group)
        if found and clause.startswith(":", match.end()):  # the rest only explains it
            return found
    return found


def polar(sentence: str) -> str | None:
    """The yes or no that a sentence begins with."""
    match = _POLAR.match(sentence)
    return match[1] if match else None


def word_of(sentence: str, kind: str) -> str | None:
    """The answer in words of the kind that is asked for: `polar` (yes, true), or any `word`, such as a name."""
    if kind == "polar":
        claim = None if _PREMISE.match(sentence) else _CLAIM.search(sentence)
        said = polar(sentence) or _OPENING.match(sentence)
        if said or claim:
            return said if isinstance(said, str) else (said or claim or [""])[1]
        told = _TOLD.search(sentence)
        if told:
            return told[1]
        judged = _JUDGED.search(sentence)
        if judged:
            return "true" if judged[1].lower() in ("correct", "right") else "false"
        return "no" if _NOT_POSSIBLE.search(sentence) else None
    if kind == "letter":
        letters = [match[1] or match[2] for match in _LETTER.finditer(sentence)]
        return letters[-1] if letters else None
    if kind == "day":
        days = {day.casefold() for day in _DAYS.findall(sentence)}
        final = _LANDS.search(sentence)
        return predicate(sentence) or (days.pop() if len(days) == 1 else final[1] if final else None)
    if _PREMISE.match(sentence) and "," not in sentence:
        return None
    if _NEITHER.search(sentence):
        return "neither"
    capitals = _ALL_CAPITALS.search(sentence)
    if capitals:
        return capitals[1]
    match = _MOST.search(sentence) or _NAMED.search(sentence) or _ADJECTIVE.search(sentence) or _PICKED.search(sentence)
    if match:
        return next(group for group in match.groups() if group)
    names = {name for name in _NAME.findall(sentence) if not _NO_NAME.match(name)}
    return names.pop() if len(names) == 1 and kind == "word" else None


def nothing(sentence: str) -> str | None:
    """The zero of `No apples are left`."""
    return "0" if _NOTHING.search(sentence) else None


_NOTHING = re.compile(
    r"\b(?:no|none|nothing)\b[^.,;]{0,40}\b(?:left|remain|remains|remaining|over)\b|\b(?:left with"
    r"|has) (?:nothing|none)\b",
    re.I,
)


def in_words(text: str, kind: str) -> str | None:
    """What the last sentence of a kind says, or the first of a response that begins with yes or no."""
    if not kind:
        return None
    if kind.startswith("place:"):
        return _place(text[-600:], kind.removeprefix("place:"))
    sentences = [one for one in _SENTENCE.split(text[-3000:]) if one.strip()]
    for sentence in reversed(sentences[-12:] if kind == "polar" else sentences[-1:]):
        word = word_of(sentence, kind)
        if word:
            return word
    return polar(text) if kind == "polar" else None


def _place(text: str, form: str) -> str | None:
    """What a text says last in the form of `Row 3, seat 4`, its numbers put into that form."""
    words = re.findall(r"[A-Za-z]{3,}", form.replace(" and ", ", "))
    number = r"(?:\s(?:number|no\.|#))?\s#?(\d{1,4})\b"
    matches = list(re.finditer(r",?\s(?:and\s)?(?:in\s)?(?:the\s)?".join(word + number for word in words), text, re.I))
    if not matches:
        return None
    numbers = iter(matches[-1].groups())
    return re.sub(r"\d+", lambda _: next(numbers), form)


_SENTENCE = re.compile(r"(?<=[.!?])\s|\n")
_VALUE = rf"\$?(?P<value>{NUMBER}°?)\\?%?\$?"
_SPLIT = re.compile(r",\sand\s|\sand\s|,\s|;\s(?:and\s)?|,?\swhile\s")
_LEAD = re.compile(
    r"\A[\s*_#>-]*(?:(?:so|thus|therefore|hence|finally|altogether|in total|in conclusion"
    r"|this means(?: that)?)\b,?\s?)?",
    re.I,
)
_VERB = (
    r"(is|are|was|were|(?:will|would|should|must) be|has|have|had|gets?|got|costs?|weighs?|needs?|earns?|earned"
    r"|receives?|received|pays?|paid"
    r"|makes?|made|sold|scored)"
)
_SAYS = re.compile(
    rf"(?P<subject>[A-Za-z$\\][^.;=:]{{0,60}}?)\s?(?:{_VERB}|:|(?<=['’]s))\s(?:(?:now|only|about"
    rf"|exactly)\s)?(?:(?P<left>[^=.;,]{{1,30}})=\s?)?"
    rf"{_VALUE}(?P<noun>(?:\s[a-zA-Z°/²³^-]{{1,14}}\d?){{0,4}})[\s*.!]*"
)
_COUNTS = re.compile(
    rf"(?P<subject>[^\d]{{0,60}}?)\b[a-z]+:?\s{_VALUE}(?P<noun>(?:\s[a-zA-Z-]{{2,14}}){{1,2}})(?:\sleft)?[\s*.!]*"
)
_COUNT = re.compile(
    rf"{_VALUE}(?P<noun>(?:\s[a-zA-Z-]{{2,14}}){{1,2}}?)(?:\s(?:on|in|at|left)\b[a-zA-Z ]{{0,30}})?[\s*.!]*"
)
_SHARED = re.compile(
    rf"(?:[^\d]{{0,60}}?\b[a-z]+\s)?{_VALUE}(?P<noun>(?:\s(?!of|at)[a-zA-Z-]{{1,14}}){{0,2}})\s(?P<preposition>of|at"
    rf"|for|to)"
    r"\s(?P<tail>(?:the\s)?[$\w%]+(?:\s[a-z]+)?)[\s*.!]*"
)
_FRAME = re.compile(r"(?:to|out of|after|before|for|in|with|at|by|every|each|per)\b", re.I)
_ANAPHORA = re.compile(r"\b(?:it|this|that|which|there|these|those|so|then|total|sum|answer)\b", re.I)
_NO_NOUN = re.compile(
    r"\A\s(?:more|less|fewer|times|of|per|and|or|is|are|out|divided|than|each)\b|\b(?:than|of)\Z", re.I
)


def several(clause: str) -> str | None:
    """`17 chickens, 13 cows`: the amounts of a clause that gives two or more of different things, else None."""
    if len(re.findall(r"\d+", clause)) < 2 or len(clause) > 300 or _PREMISE.match(clause):
        return None
    lead = _LEAD.match(clause)
    body = clause[lead.end() if lead else 0 :].strip()
    pieces = _SPLIT.split(body)
    if len(pieces) < 2 or _FRAME.match(body):
        return None
    said = [_SAYS.fullmatch(piece) for piece in pieces]
    if all(said):
        subjects = [match["subject"].strip() for match in said if match]
        if len(set(subjects)) == len(subjects) and not any(map(_ANAPHORA.search, subjects)):
            return _listed([match for match in said if match])
        return None
    shared = [_SHARED.fullmatch(piece) for piece in pieces]
    if all(shared):
        tails = [match["tail"] for match in shared if match]
        kinds = {match["preposition"] for match in shared if match}
        return (
            _listed([match for match in shared if match]) if len(set(tails)) == len(tails) and len(kinds) == 1 else None
        )
    first = _COUNTS.fullmatch(pieces[0])
    counts = [_COUNT.fullmatch(piece) for piece in pieces[1:]]
    if first is None or not all(counts):
        return None
    amounts = [first, *(match for match in counts if match)]
    nouns = [match["noun"].split()[-1] for match in amounts]
    measured = any(unit_of(noun) is not None for noun in nouns)
    return _listed(amounts) if len(set(nouns)) == len(nouns) and not measured else None


def _listed(amounts: list[re.Match[str]]) -> str | None:
    if any(_NO_NOUN.search(match["noun"]) for match in amounts):
        return None
    lefts = [(match.groupdict().get("left") or "").strip(" $") for match in amounts]
    if all(len(left) == 1 for left in lefts) and len(set(lefts)) == len(lefts):
        return ", ".join(f"{left} = {match['value']}" for left, match in zip(lefts, amounts, strict=True))
    return ", ".join(f"{match['value']} {_noun(match)}".strip() for match in amounts)


_LAST_WORDS = re.compile(r"\s(?:on|in|at|to|for|from|left|with|after|old|long|wide|tall)\b.*")


def _noun(match: re.Match[str]) -> str:
    return _LAST_WORDS.sub("", match["noun"]).strip()
