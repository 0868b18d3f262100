"""Every place where a response may give its choice: where it stands, which labels, how firmly.

    STRONG   a box, a field, an answer phrase, "B is correct", "I choose B", a correction
    MEDIUM   a line that is only a label (or a label with its option), a tick, "so it is option B"
    WEAK     the only option that the last sentence mentions

`rsr.verifiers.mcq` decides among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from rsr.verifiers import mcq_phrases as phrases
from rsr.verifiers.math_compare import equal
from rsr.verifiers.math_text import clean, closing
from rsr.verifiers.mcq_options import Options, plain


class Strength(IntEnum):
    """How firmly a text commits to an answer."""

    WEAK = 1
    MEDIUM = 2
    STRONG = 3


class Candidate(NamedTuple):
    """A place that may give the choice."""

    start: int
    end: int
    labels: frozenset[str]
    strength: Strength
    hedged: bool = False


class Scene(NamedTuple):
    """A response with what is known of its question."""

    text: str
    options: Options
    labels: frozenset[str]
    several: bool
    """Whether the reference names several labels."""
    lower: str = ""
    """The text in lower case, position by position; needed by the functions that collect."""


class Labels(NamedTuple):
    """Labels that stand together: `B`, `A, C`, `ACD`, `A or B`."""

    end: int
    labels: frozenset[str]
    hedged: bool


_OPEN = (
    r"(?:[*_`\"'“‘’(\[{<$~ ]|\\(?:text|textbf|mathrm|mathbf|textit|boxed|fbox)\b|\\[(\[]){0,8}+"
    r"(?:(?:option|choice|选项)[ *]{1,3})?[(*]{0,3}"
)
_CLOSE = r"(?:[*_`\"”’)\]}>$~]|'(?![A-Za-z])|\\[)\]]){0,8}+"
_ITEM = re.compile(
    rf"({_OPEN})([A-Z]{{1,10}}|[a-z]|\d{{1,2}})({_CLOSE})(?![A-Za-z0-9À-ɏЀ-ӿ_+#^%]|['’][A-Za-z]|-[A-Za-z0-9]|\.\d)",
    re.I,
)
_SEPARATOR = re.compile(
    r"[.)]?\s{0,3}(?:,?\s{0,3}(?:\b(?P<either>or|oder|ou|o)\b|\b(?:and|und|et|e|y)\b)|,|、|;|&|\+|(?P<slash>/)|或者?|和|と|및|또는)\s{0,3}"
)
_FOLLOWERS = re.compile(
    r"[\s*_]{0,3}(?:$|[^\w\s]|\n|(?:because|since|as|for|which|and|or|but|with|in|due|given|that|is|was|based|from|by|so"
    r"|where|here|according|on|when|not|correct|we|this|it|if|unless|rather|instead|i|only|the)\b|[^\x00-\x7f])",
    re.I,
)
_HYPOTHESIS = re.compile(r"[\s*_)\],]{0,4}(?:only )?(?:if|unless)\b|[\s*_)\]]{0,4}\?", re.I)
_OR = re.compile(
    r"\b(?:or|oder|ou|或者?|maybe|perhaps|possibly)\s{1,3}(?:also |option |choice |possibly |maybe |perhaps )?"
    r"[(*]{0,3}([A-Z])(?![A-Za-z0-9'’])"
)


def read_labels(scene: Scene, at: int) -> Labels | None:
    """The labels at a position, or None where something else stands."""
    item = _ITEM.match(scene.text, at)
    first = _one(scene, item) if item else None
    if item is None or first is None:
        return None
    labels, hedged, end = set(first), False, item.end()
    while separator := _SEPARATOR.match(scene.text, end):
        item = _ITEM.match(scene.text, separator.end())
        more = _one(scene, item, listed=True) if item else None
        if item is None or more is None:
            break
        hedged = (
            hedged or bool(separator["either"] or separator["slash"]) or separator[0].strip() in ("或", "或者", "또는")
        )
        labels |= more
        end = item.end()
    rest = scene.text[end : end + 60].split("\n")[0].split(". ")[0]
    other = _OR.search(rest)
    if other and other[1] in scene.labels and other[1] not in labels:
        hedged = True
    return Labels(end, frozenset(labels), hedged)


def _one(scene: Scene, item: re.Match[str], listed: bool = False) -> frozenset[str] | None:
    """The labels of one item (several when written together), or None when it is a word."""
    opened, word, closed = item.groups()
    after = scene.text[item.end() : item.end() + 24]
    delimited = bool(closed) or bool(re.search(r"[(\[{*_`\"'“$]|option|choice", opened, re.I))
    if len(word) > 1 and not word.isdigit():
        known = word.isupper() and set(word) <= scene.labels and list(word) == sorted(set(word))
        return (
            frozenset(word) if known and (scene.several or len(word) == 2 or len(word) == len(scene.labels)) else None
        )
    label = word.upper()
    if label not in scene.labels:
        return None
    if _HYPOTHESIS.match(after):
        return None
    if re.match(r"\. ?[A-Z]\.", after) and not listed:  # the initials of a person
        return None
    if word.islower() and not delimited and not re.match(r"\s*(?:$|[.,;:)\n])", after):
        return None
    if label in "AI" and not delimited and not _FOLLOWERS.match(after) and not _own_text(scene, label, after):
        return None  # an article, a pronoun
    return frozenset(label) if len(label) == 1 else frozenset([label])


def _own_text(scene: Scene, label: str, after: str) -> bool:
    text = plain(scene.options.get(label, ""))
    return bool(text) and plain(after).startswith(text[: len(plain(after))][:12])


def read_option_text(scene: Scene, at: int, whole: bool = False) -> Labels | None:
    """The option whose text stands at a position (`whole`: up to the end of the line)."""
    options = {label: plain(text) for label, text in scene.options.items() if len(text) > 1 or text.isdigit()}
    if not options:
        return None
    longest = max(len(text) for text in scene.options.values())
    line = scene.text[at : at + longest + 60].lstrip()
    given = plain(re.split(r"\n|[.!] |\.$", line)[0]) if whole else plain(line.split("\n")[0])
    found = [
        (len(text), label)
        for label, text in options.items()
        if text and (given == text or (not whole and given.startswith(text) and _ends(given, len(text))))
    ]
    if not found:
        return None
    best = max(found)[0]
    labels = frozenset(label for length, label in found if length == best)
    return Labels(min(at + best, len(scene.text)), labels, False) if len(labels) == 1 else None


def _ends(text: str, at: int) -> bool:
    return not re.match(r"\w|[.,]\d|\s?[/^*+=%]\s?\w", text[at : at + 4])


def collect(scene: Scene, strength: Strength) -> list[Candidate]:
    """The candidates of a strength, by position; what an "if", a "not" or a later "that's wrong" covers is left out."""
    if strength is Strength.STRONG:
        found = [*_boxes(scene), *_fields(scene), *_phrases(scene), *_statements(scene), *_corrections(scene)]
    else:
        found = [*_lines(scene), *_ticks(scene), *_conclusions(scene)]
    last = phrases.taken_back(scene.text, scene.lower) if found else -1
    return sorted(candidate for candidate in found if candidate.start >= last)


_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s{0,3}\{|<\|begin_of_box\|>|\[\[|【")
_FIELD = re.compile(
    r"[\"'](?:final_?|correct_?)?(?:answer|choice|option|label|letter|selection|selected|prediction|result)(?:_?(?:choice|letter|option))?[\"']\s{0,3}:\s{0,3}\[?"
    r"|<(?:final_?|correct_?)?(?:answer|ans|choice|option|result)>|####",
    re.I,
)


def _boxes(scene: Scene) -> Iterator[Candidate]:
    for match in _BOX.finditer(scene.text):
        if phrases.UNREAL.search(scene.text, max(0, match.start() - 80), match.start()):
            continue
        skipped = phrases.SKIP.match(scene.text, match.end())
        at = skipped.end() if skipped else match.end()
        read = read_option_text(scene, match.end()) or read_labels(scene, at) or read_option_text(scene, at)
        read = read or _equal_option(scene, match)
        if read:
            yield Candidate(match.start(), read.end, read.labels, Strength.STRONG, read.hedged)


def _equal_option(scene: Scene, box: re.Match[str]) -> Labels | None:
    """The only option that is mathematically what stands in a box."""
    end = closing(scene.text[: box.end() + 300], box.end() - 1) if box[0].endswith("{") else -1
    if end < 0 or not scene.options:
        return None
    given = clean(scene.text[box.end() : end])
    found = [label for label, text in scene.options.items() if text and equal(clean(text), given)]
    return Labels(end, frozenset(found), False) if len(found) == 1 else None


def _fields(scene: Scene) -> Iterator[Candidate]:
    if not any(mark in scene.text for mark in ('"', "'", "<", "####")):
        return
    for match in _FIELD.finditer(scene.text):
        yield from _read(scene, match, Strength.STRONG)


def _phrases(scene: Scene) -> Iterator[Candidate]:
    for expression in (phrases.ANSWER, phrases.CHOOSE):
        for match in expression.matches(scene.text, scene.lower):
            if match.groupdict().get("would") is None or not _conditional(scene.text, match.start()):
                yield from _read(scene, match, Strength.STRONG)
    if "not" in scene.text or "不是" in scene.text:
        for match in phrases.NOT_BUT.finditer(scene.text):
            yield from _read(scene, match, Strength.STRONG, real=True)


def _conditional(text: str, at: int) -> bool:
    """Whether the sentence before a position has an "if"."""
    before = re.split(r"[.!?\n]", text[max(0, at - 160) : at])[-1]
    return phrases.CONDITION.search(before) is not None


def _read(scene: Scene, match: re.Match[str], strength: Strength, real: bool = False) -> Iterator[Candidate]:
    if not real and phrases.UNREAL.search(scene.text, max(0, match.start() - 80), match.start()):
        return
    skipped = phrases.SKIP.match(scene.text, match.end())
    at = skipped.end() if skipped else match.end()
    read = read_option_text(scene, match.end()) or read_labels(scene, at) or read_option_text(scene, at)
    if read is None and skipped:  # the option's text may begin with what was skipped: "is the right ventricle"
        read = next((text for start in _words(skipped) if (text := read_option_text(scene, start))), None)
    if read and not phrases.DENIED.match(scene.text, read.end) and not _begins_list(scene, read):
        hedged = read.hedged or bool(phrases.EITHER.search(scene.text, match.end(), at))
        yield Candidate(match.start(), read.end, read.labels, strength, hedged)


def _words(skipped: re.Match[str]) -> Iterator[int]:
    return (skipped.start() + word.start() for word in re.finditer(r"[\w(\[{$\\]+", skipped[0]))


def _begins_list(scene: Scene, read: Labels) -> bool:
    """Whether these are the options themselves, repeated: the next line begins with the next label."""
    label = max(read.labels)
    following = scene.text.find("\n", read.end)
    if following < 0 or len(read.labels) > 1 or len(label) > 1:
        return False
    return (
        re.match(rf"\s{{0,9}}[-*>(\[ ]{{0,4}}{chr(ord(label) + 1)}\b[).:\]*]", scene.text[following : following + 20])
        is not None
    )


_MENTION = re.compile(
    r"(?<![A-Za-z0-9À-ɏ'’.\\-])(?=[A-Z]|[(*\"'`\[$][^\s])[(*\"'`\[$]{0,4}([A-Z]|\d{1,2})(?![A-Za-z0-9À-ɏ'’])"
)


def _statements(scene: Scene) -> Iterator[Candidate]:
    """`B is correct`."""
    for match in _MENTION.finditer(scene.text):
        if match[1] not in scene.labels:
            continue
        said = phrases.IS_CORRECT.match(scene.text, match.end())
        if said and not phrases.UNREAL.search(scene.text, max(0, match.start() - 80), match.start()):
            if scene.text[said.end() : said.end() + 1] == "?":
                continue
            before = scene.text[max(0, match.start() - 14) : match.start()]
            other = re.search(r"([A-Z])[)*]{0,3},? (or|and) (?:option )?[(*]{0,3}\Z", before)
            labels = {match[1], other[1]} if other and other[1] in scene.labels else {match[1]}
            hedged = bool(other) and other is not None and other[2] == "or"
            yield Candidate(match.start(), said.end(), frozenset(labels), Strength.STRONG, hedged)


def _corrections(scene: Scene) -> Iterator[Candidate]:
    for match in phrases.CORRECTED.matches(scene.text, scene.lower):
        read = read_labels(scene, match.end())
        if (
            read
            and len(read.labels) == 1
            and _closes(scene.text, read.end)
            and not phrases.DENIED.match(scene.text, read.end)
        ):
            yield Candidate(match.start(), read.end, read.labels, Strength.STRONG, read.hedged)


def _closes(text: str, at: int) -> bool:
    """Whether the sentence ends here, or goes on to explain."""
    return (
        re.match(r"\s{0,3}(?:$|[.,;:!)\n—–]|because|since|is (?:the )?(?:correct|right|answer))", text[at : at + 24])
        is not None
    )


_LABEL_LINE = re.compile(
    r"^[ \t>#]{0,6}(?:[-•][ \t])?[*_`(\[$\\{\"']{0,6}(?:(?:boxed|text|textbf)\{)?"
    r"(?:(?:option|choice|answer|letter)[ \t:]{1,3}[*(\[]{0,3})?"
    r"([A-Za-z]|\d{1,2})(?P<close>[)\].:*_`}$\"'、]{0,6})"
    r"(?P<rest>(?:[ \t][^\n]*|(?<=[)\].:*、])[^\s\w][^\n]*|(?<=[).:、])\w[^\n]*)?)$",
    re.M | re.I,
)


def _lines(scene: Scene) -> Iterator[Candidate]:
    """Lines that are a label, with or without its option; where several differ, only the last line of the text."""
    bare, labelled = [], []
    for match in _LABEL_LINE.finditer(scene.text):
        label = match[1].upper()
        if label not in scene.labels or (match[1].islower() and not match["close"] and match["rest"].strip()):
            continue
        rest = match["rest"].strip(" \t*_`.)]}$\"'")
        if not rest:
            bare.append((match, label))
        elif match["close"] and not phrases.CROSS.search(rest[:80]) and not phrases.DENIED.match(match["rest"]):
            labelled.append((match, label))
    yield from _settled(scene, bare)
    yield from _settled(scene, labelled, len({label for _, label in bare}) == 0)


def _settled(scene: Scene, lines: list[tuple[re.Match[str], str]], allowed: bool = True) -> Iterator[Candidate]:
    if not lines or not allowed:
        return
    match, label = lines[-1]
    single = len({label for _, label in lines}) == 1
    is_last = not scene.text[match.end() :].strip()
    is_first = not scene.text[: match.start()].strip()
    repeats = is_last and label in {earlier for _, earlier in lines[:-1]}
    if (
        (single and (is_first or is_last or not match["rest"].strip(" *_.")))
        or repeats
        or (is_last and not match["rest"].strip())
    ):
        yield Candidate(match.start(), match.end(), frozenset([label]), Strength.MEDIUM)


_TICK_LINE = re.compile(r"^(?=[^\n]{0,300}?(?:[✓✔✅☑]|\[[xX]\]|orrect|ight|rue))[^\n]{0,400}$", re.M)
_LINE_LABEL = re.compile(
    r"(?:^|[\s|*(\[✓✔✅☑\]>-])(?:option |choice )?[*(\[]{0,3}([A-Z])(?:[*)\].:|]{1,4}|\s{0,2}[|✓✔✅☑]|$)", re.I
)


_CHECKBOX = re.compile(r"\[[xX ]\]")


def _ticks(scene: Scene) -> Iterator[Candidate]:
    """The only option that is ticked, or called correct in a list of them."""
    found: list[Candidate] = []
    for match in _TICK_LINE.finditer(scene.text):
        line = match[0]
        label = _LINE_LABEL.search(_CHECKBOX.sub(" ", line[:60]))
        tick = phrases.TICK.search(line)
        if label and tick and not phrases.CROSS.search(line) and label[1].upper() in scene.labels:
            found.append(Candidate(match.start(), match.end(), frozenset(label[1].upper()), Strength.MEDIUM))
    labels = frozenset().union(*(candidate.labels for candidate in found)) if found else frozenset()
    if len(labels) == 1 or (scene.several and labels):
        yield found[-1]._replace(labels=labels)


def _conclusions(scene: Scene) -> Iterator[Candidate]:
    for match in phrases.CONCLUDE.matches(scene.text, scene.lower):
        if phrases.UNREAL.search(scene.text, max(0, match.start() - 80), match.start()):
            continue
        skipped = phrases.SKIP.match(scene.text, match.end())
        at = skipped.end() if skipped else match.end()
        between = scene.text[match.end() : at]
        read = read_labels(scene, at)
        if read is None:
            text = read_option_text(scene, match.end(), whole=True)
            if text and not scene.text[text.end :].strip(" .*\n\"')!"):
                yield Candidate(match.start(), text.end, text.labels, Strength.MEDIUM)
            continue
        named = re.search(r"option|choice|letter|选项", scene.text[match.end() : read.end], re.I)
        ends = not scene.text[read.end :].strip(" .*\n\"')!")
        if (named or ends) and "?" not in between and not phrases.DENIED.match(scene.text, read.end):
            yield Candidate(match.start(), read.end, read.labels, Strength.MEDIUM, read.hedged)
