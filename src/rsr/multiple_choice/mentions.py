"""Every place where a response names options: labels that stand alone, and the options' own texts."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from rsr.multiple_choice.labels import WORD, Patterns, Small, family, ordinals, patterns
from rsr.multiple_choice.options import Options, plain
from rsr.multiple_choice.words import WORDS

_MOST = 150
"""So many places are looked at from either end of a text."""


class Question(NamedTuple):
    """What is known of a question, prepared once."""

    reference: frozenset[str]
    options: Options
    labels: frozenset[str]
    several: bool
    """Whether the reference names several labels."""
    texts: dict[str, str]
    """The options in the form in which texts are compared; without those of a single letter."""
    needles: tuple[tuple[str, str], ...]
    """What to look for in a text in lower case, and its label; the longest first."""
    patterns: Patterns
    numbers: bool
    """Whether options hold numbers, which a text may compute."""
    order: tuple[str, ...]
    """The labels as a list has them."""
    own: dict[str, frozenset[str]]
    """Each label as a set of its own."""
    endings: frozenset[str]
    """The last letters of `texts`."""


class Mention(Struct, frozen=True, order=True, gc=False):
    """A place that names options."""

    start: int
    end: int
    """Behind the label and what belongs to it: its brackets, its own text."""
    labels: frozenset[str]
    text: bool = False
    """It is an option's text, without its label."""
    either: bool = False
    """Its labels are joined by "or"."""
    clash: bool = False
    """Beside the label stands the text of another option."""
    bare: int = 0
    """Where the label alone ends."""
    both: bool = False
    """It is a label with its own text."""


def prepare(reference: frozenset[str], options: Options, unknown: frozenset[str], small: bool) -> Question:
    """A question as the functions here want it.

    `unknown`: the labels where there are no options; `small`: the labels were given in lower case.
    """
    texts = {label: plain(text) for label, text in options.items() if len(text) > 1 or text.isdigit()}
    texts = {label: text for label, text in texts.items() if text}
    for label, text in texts.items():  # "A major" beside "D major" is no "major"
        if options[label][:2] in ("A ", "a ") and any(text in other for own, other in texts.items() if own != label):
            texts[label] = options[label].lower()
    labels = frozenset(options) or (family(min(reference)) or unknown) | reference
    needles = {(text, label) for label, text in texts.items()}
    needles |= {(raw, label) for label in texts if (raw := options[label].strip(" .").lower())}
    ordered = tuple(sorted(needles, key=lambda pair: (-len(pair[0]), pair)))
    several = len(reference) > 1
    looks = patterns(labels, several, small)
    numbers = any(any(map(str.isdigit, text)) for text in options.values())
    order, own = _arranged(labels)
    endings = frozenset([text[-1] for text in texts.values()])
    return Question(reference, options, labels, several, texts, ordered, looks, numbers, order, own, endings)


@lru_cache(maxsize=64)
def _arranged(labels: frozenset[str]) -> tuple[tuple[str, ...], dict[str, frozenset[str]]]:
    order = tuple(sorted(labels, key=lambda label: (len(label), label)))
    return order, {label: frozenset((label,)) for label in order}


_TO_TEXT = re.compile(
    r"[\s*_`\"'”’)\]}>$~]{0,8}(?:, i\.e\.,?|, which is|[.:,(\[–—=|/-]|=>|->|→|(?:which )?(?:is|says"
    r"|i\.e\.,?)\b(?! not)|\\text\{)?"
    r"[\s*_`\"'“‘(\[{$~:-]{0,8}"
    r"(?:\\text(?:bf)?\{)?"
)
_TO_LABEL = re.compile(
    r"[\s*_`\"'”’.)}$]{0,6}(?:=>|->|[(\[–—:→,|.=-]|is\b)[\s*_`\"'“(\[]{0,4}"
    r"(?:(?:which is |i\.e\.,? |that is |letter |option |choice |corresponding to ){0,3})"
    r"[*_(\[`\"']{0,4}"
)
_JOIN = re.compile(
    r"[\s*_`\"'”’)\]}$.]{0,6}(?:,?\s{0,2}\b(?P<either>or|oder|ou|o|или|veya|atau|hoặc|或|或者)\b|(?P<slash>/)"
    r"|,?\s{0,2}\b(?:and|und|et|e|y|и|va|dan|và|ve)\b|[,;&+、]|(?P<east>或者?|또는)|和|と|및|与)\s{0,3}"
    r"(?:(?:also|maybe|perhaps|possibly|even|option|choice|both) ){0,2}[\s*_`\"'“(\[{$]{0,6}(?:\\text\{)?\s?"
    r"(?:(?:option|choice) )?[(*]{0,2}"
)


def mentions(question: Question, text: str, lower: str) -> list[Mention]:
    """What a text names, by position; labels that are joined ("A, B and C") are one mention."""
    found = _labels(question, text, lower)
    if question.needles:
        found = _with_texts(question, text, lower, found)
    return _joined(text, found) if len(found) > 1 else found


def _labels(question: Question, text: str, lower: str) -> list[Mention]:
    looks = question.patterns
    places = [match.span() for match in looks.alone.finditer(text)]
    if looks.small and (small := _small(looks.small, text, lower)):
        places = sorted({*places, *small})
    if len(places) > 2 * _MOST:
        places = places[:_MOST] + places[-_MOST:]
    found = []
    for start, end in places:
        word = text[start:end]
        labels = question.own.get(word.upper())
        if labels is None:  # several in a row, "ACD"
            if (
                end - start < 2
                or not word.isalpha()
                or len(set(word)) < len(word)
                or not question.labels.issuperset(word)
            ):
                continue
            labels = frozenset(word)
        if word in "AI" and _is_word(text, end) and text[max(0, start - 2) : start].strip() not in _TICKS:
            continue
        if start > 2 and text[start - 2] == "." and text.startswith(".", end) and _INITIALS.match(text, start - 3):
            continue
        if start and text[start - 1] in _OPENS and (close := _CLOSES.match(text, end)):
            end = close.end()
        found.append(Mention(start, end, labels, bare=end))
    if "A" in question.labels and (places_ := ordinals(lower, question.options)):
        found = sorted([*found, *(Mention(start, end, frozenset((label,)), bare=end) for start, end, label in places_)])
    return found


def _small(looks: Small, text: str, lower: str) -> list[tuple[int, int]]:
    """Where labels stand in lower case."""
    if not looks.may_be.search(text):
        return []
    found = [match.span(1) for match in looks.marked.finditer(text)]
    for word in ("option ", "choice ", "answer "):
        at = lower.find(word)
        while at >= 0:
            match = looks.named.match(text, at + len(word) - 1)
            found += [match.span(1)] if match else []
            at = lower.find(word, at + 1)
    tail = max(0, len(text) - 30)
    return found + [match.span(1) for match in looks.last.finditer(text, tail) if tail == 0 or match.start() > tail]


_TICKS = frozenset("✅✓✔☑❌✗✘✖✕☐")
_INITIALS = re.compile(r"[A-Z]\. [A-Z]\. [A-Z][a-z]")
_OPENS = "([*_`\"'“{【「"
_CLOSES = re.compile(r"[*_`\"']{0,3}[)\]】」”\"']")
_WORDLIKE = re.compile(
    r" (?!(?:is|was|because|since|as|for|which|and|or|but|with|due|given|seems|would|can|cannot|isn|not|only|instead"
    r"|over|rather|if|the|it|i|so|then|from|based|in|by|are|could|must|should|has|does|doesn|says|here|there"
    r"|also|fits|works"
    r"|states|best|correct|to|while|at|when|where|alone|too|remains|holds|stands|makes|matches|ist|est|es"
    r"|oder|ou|und|et"
    r"|nor|gives|yields|equals|leads|fails|means|misstates|contradicts|ignores|describes|refers|on|o|y|u|e|ou"
    r"|that|this|we|be|will|may|might|looks|appears|who|ya|doğru|değil|как|так|richtig)\b)[a-zà-ÿ]"
    r"|\s[A-Z][a-z]+ed\b"
)


def _is_word(text: str, end: int) -> bool:
    """Whether an "A" or an "I" is an article or a pronoun: a word that says nothing of answers follows."""
    return _WORDLIKE.match(text, end) is not None or (text[end - 1] == "I" and _PRONOUN.match(text, end) is not None)


_PRONOUN = re.compile(r" (?!(?:is|because|since|as|or|seems|fits|works|and)\b)[a-z]|['’]")
_EDGE_AFTER = re.compile(rf"[{WORD}]|[.,]\d|[/^+]\w|%|['’]\w|-\w|−")
_NUMBER_AFTER = re.compile(r"\s?[/^*+=−]\s?\w")


def _with_texts(question: Question, text: str, lower: str, labels: list[Mention]) -> list[Mention]:
    """The mentions of labels, with the texts of options: one that stands beside its label is part of its mention."""
    taken: list[tuple[int, int, frozenset[str]]] = []
    for needle, label in question.needles:
        at, count = lower.find(needle), 0
        while at >= 0 and count < _MOST:
            end, count = at + len(needle), count + 1
            free = not taken or not any(start < end and at < stop for start, stop, _ in taken)
            if free and _edges(text, at, end, needle):
                taken.append((at, end, question.own[label]))
            elif not free and any((start, stop) == (at, end) for start, stop, _ in taken):
                taken = [
                    (start, stop, own | {label}) if (start, stop) == (at, end) else (start, stop, own)
                    for start, stop, own in taken
                ]
            at = lower.find(needle, end)
    if not taken:
        return labels
    if len(taken) > 1:
        taken.sort()
    return _paired(question, text, [one for one in labels if not _within(one, taken)], taken)


def _within(one: Mention, taken: list[tuple[int, int, frozenset[str]]]) -> bool:
    return any(start <= one.start < end for start, end, _ in taken)


def _edges(text: str, start: int, end: int, needle: str) -> bool:
    """Whether an option's text is whole here: no word, number or formula runs into it."""
    if start and (needle[0].isalnum() or needle[0] in "-\\√$"):
        before = text[start - 1]
        if (before.isalnum() and before.isascii()) or before in "_^":
            return False
        if needle[0] in "0123456789\\√" and _sign_before(text, start):
            return False
        if before == "{" and needle[0].isdigit() and not _TEXT_BOX.search(text, max(0, start - 12), start):
            return False
    if needle[-1].isdigit() and _NUMBER_AFTER.match(text, end):
        return False
    if _TERM.search(needle) and (text[:start][-3:].rstrip(" $")[-1:] in _SUMS or _SUM_AFTER.match(text, end)):
        return False  # "2x" in "3 + 2x"
    ends = text.startswith((" ", "\n"), end) or needle[-1] in "-/" or end == len(text)
    return ends or _EDGE_AFTER.match(text, end) is None


_TERM = re.compile(r"\d[a-z]\b")
_SUMS = frozenset("+*^")
_SUM_AFTER = re.compile(r"\s?[+*^]\s?\w")
_TEXT_BOX = re.compile(r"\\(?:boxed|fbox|text|textbf|mathbf|mathrm)\s?\{\Z")


def _sign_before(text: str, start: int) -> bool:
    """Whether a number is a part of a longer one: `-7`, `2.5` for 5, `a/3`."""
    before = text[start - 1]
    if before in ".,/^√±" and start > 1 and not text[start - 2].isspace():
        return True
    return before in "-−+√±/^" and (start < 2 or not text[start - 2].isdigit())


def _begins_line(text: str, at: int) -> bool:
    return not text[text.rfind("\n", 0, at) + 1 : at].strip(" *_(>#-")


_ARTICLE = re.compile(r"(?:the|an?) ", re.I)
SAYS = re.compile(r" (?:is|are|was|has|have)\b(?! (?:the )?(?:correct|right|answer))")


def _after_label_a(question: Question, text: str, start: int, own: frozenset[str]) -> bool:
    """Whether an option's text stands after a capital A that is no article: "the answer is A cow"."""
    return (
        (text[max(0, start - 3) : start] == " A " or (start > 0 and text[start : start + 2] == "A "))
        and "A" in question.labels - own
        and not any(question.options[label].startswith("A ") for label in own)
    )


def _paired(
    question: Question, text: str, labels: list[Mention], taken: list[tuple[int, int, frozenset[str]]]
) -> list[Mention]:
    starts = {start: (end, own) for start, end, own in taken}
    ends = {end for _, end, _ in taken}
    used: set[int] = set()
    found: list[Mention] = []
    waiting: list[Mention] = []
    for one in labels:  # "C: Mars"
        link = _TO_TEXT.match(text, one.end)
        place = link.end() if link else 0
        if place not in starts and (article := _ARTICLE.match(text, place)):
            place = article.end()
        beside = starts.get(place) if link else None
        if link and "\n" in link[0] and "-" in link[0]:
            beside = None  # a list begins below
        if link is None or beside is None or (text[one.start - 1] == "(" and one.start - 2 in ends and "." in link[0]):
            waiting.append(one)  # of "Mars (B). Venus ..." the label belongs to what is before it
            continue
        end, own = beside
        bare_comma = "," in link[0] or not link[0].strip() or SAYS.match(text, end) is not None
        bare_comma = bare_comma or ("." in link[0] and not _begins_line(text, one.start))  # "It is D. Mars is ..."
        bare_comma = bare_comma or ("(" in link[0] and text[end : end + 1] == " ")  # "It is D (Mars would be ...)"
        if one.labels & own or len(one.labels) > 1:
            used.add(place)
            found.append(replace(one, end=end, both=True))
        elif bare_comma and text[end : end + 1] not in ("", ".", "\n", ")", "*"):
            waiting.append(one)
        else:
            used.add(place)
            found.append(replace(one, end=end, clash=True))
    by_start = {one.start: one for one in waiting}
    for start, end, own in taken:
        if start in used:
            continue
        link = _TO_LABEL.match(text, end) if by_start else None  # "Mars (C)"
        beside_it = by_start.get(link.end()) if link else None
        if link and beside_it and "\n\n" not in link[0] and (beside_it.labels <= own or "(" in link[0]):
            del by_start[beside_it.start]
            found.append(
                Mention(
                    start,
                    beside_it.end,
                    beside_it.labels,
                    clash=not beside_it.labels & own,
                    bare=beside_it.end,
                    both=True,
                )
            )
        elif len(own) == 1:
            clash = _after_label_a(question, text, start, own)
            found.append(Mention(start, end, own, text=True, clash=clash, bare=end))
    return sorted([*found, *by_start.values()])


_ALONE = re.compile(r" (?:is|isn['’]t|was|has|can|can['’]t|cannot|does|would|seems|looks)\b")


def _joined(text: str, found: list[Mention]) -> list[Mention]:
    """Mentions that are joined by a comma, "and" or "or" become one."""
    groups = [found[0]]
    for one in found[1:]:
        last = groups[-1]
        alike = last.text == one.text and one.start - last.end < 40 and one.labels.isdisjoint(last.labels)
        link = _JOIN.match(text, last.end, one.start) if alike else None
        if link and _ALONE.match(text, one.end) and not (link["either"] or "and" in link[0]):
            link = None  # "C; A is too small"
        if link and ";" in link[0] and " and " in text[last.start : last.end]:
            link = None  # "A and C; B and D are ..."
        if link and link.end() == one.start:
            either = last.either or one.either or bool(link["either"] or link["slash"] or link["east"])
            clash = last.clash or one.clash
            groups[-1] = replace(last, end=one.end, labels=last.labels | one.labels, either=either, clash=clash)
        else:
            groups.append(one)
    return groups


_MARK = re.compile(r"[*_`\"'”’}]{0,4}(?:(?P<mark>[:.)\]–—-])|,? i\.e\.)?[ \t*_`\"'“]{0,4}")
_RUN = re.compile(r"[^\W_]+")
_CLAUSE_END = re.compile(r"[.,;] ")
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|because|since|as|it['’]?s|this|that|i)\b")


def foreign(question: Question, text: str, lower: str, mention: Mention, begins: bool) -> bool:
    """Whether beside a label stands a short text that is not its option's: "B: Jupiter" where B is Mars.

    `begins`: the label is the first of its line; then "A: ..." may stand for "Answer: ...".
    """
    if mention.text or mention.end > mention.bare or len(mention.labels) > 1:
        return False
    own = question.texts.get(min(mention.labels))
    link = _MARK.match(lower, mention.end) if own else None
    if not own or link is None:
        return False
    if not (link["mark"] or "i.e." in link[0] or lower[mention.end - 1] == ")") or (link["mark"] == "." and not begins):
        return False
    line = lower[link.end() : link.end() + 160].split("\n")[0]
    words = _RUN.findall(line)
    if own.isdigit() and "=" in line:
        return True
    stems = {word[:5] for word in _RUN.findall(own) if word.isdigit() or (len(word) > 2 and word not in WORDS)}
    if not words or not line[0].isascii() or not stems.isdisjoint(word[:5] for word in words):
        return False
    if begins and link["mark"] == ":" and mention.labels == {"A"} and not line.startswith(("because", "since")):
        return True
    if link["mark"] == "." and words[0] not in WORDS and text[link.end()].islower():
        return True  # "C. elegans"
    if line.startswith(("the ", "this ")) and len(words) > 2:
        return False
    said = _CLAUSE_END.split(line, 1)[0]
    words = _RUN.findall(said)
    return len(words) <= 4 and not all(word in WORDS for word in words) and not _VERB.search(said)
