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
from rsr.verifiers.mcq_beside import answers_nothing, disputed, names_another
from rsr.verifiers.mcq_options import plain
from rsr.verifiers.mcq_reading import Labels, Scene, read_labels, read_option_text


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


def collect(scene: Scene, strength: Strength) -> list[Candidate]:
    """The candidates of a strength, by position; what an "if", a "not" or a later "that's wrong" covers is left out."""
    if strength is Strength.STRONG:
        *places, corrected, box, back = phrases.STRONG_WORDS.places(scene.lower)
        found = [*_fields(scene), *_phrases(scene, *places), *_statements(scene), *_corrections(scene, corrected)]
        if box:
            found = [*_boxes(scene), *found]
    else:
        concluded, ticked, back = phrases.MEDIUM_WORDS.places(scene.lower)
        found = [*_lines(scene), *_ticks(scene, ticked), *_conclusions(scene, concluded)]
    last = phrases.taken_back(scene.text, scene.lower) if back and found else -1
    return sorted([candidate for candidate in found if candidate.start >= last])


_BOX = re.compile(  # as `_FIELD`
    r"[\\<\[【](?:(?<=\\)(?:boxed|fbox|framebox)\s{0,3}\{|(?<=<)\|begin_of_box\|>|(?<=\[)\[|(?<=【))"
)
_FIELD = re.compile(
    r"[\"'<#](?:(?<=[\"'])(?:final_?|correct_?)?"  # begins with a plain set of characters, which makes the search fast
    r"(?:answer|choice|option|label|letter|selection|selected|prediction|result)(?:_?(?:choice|letter|option))?"
    r"[\"']\s{0,3}:\s{0,3}\[?"
    r"|(?<=<)(?:final_?|correct_?)?(?:answer|ans|choice|option|result)>|(?<=#)###)",
    re.I,
)


def _boxes(scene: Scene) -> Iterator[Candidate]:
    for match in _BOX.finditer(scene.text):
        if phrases.unreal(scene.text, scene.lower, match.start()):
            continue
        skipped = phrases.SKIP.match(scene.text, match.end())
        at = skipped.end() if skipped else match.end()
        read = read_option_text(scene, match.end()) or read_labels(scene, at) or read_option_text(scene, at)
        read = read or _equal_option(scene, match)
        if read:
            yield Candidate(match.start(), read.end, read.labels, Strength.STRONG, read.hedged or disputed(scene, read))


def _equal_option(scene: Scene, box: re.Match[str]) -> Labels | None:
    """The only option that is mathematically what stands in a box."""
    end = closing(scene.text[: box.end() + 300], box.end() - 1) if box[0].endswith("{") else -1
    if end < 0 or not scene.options:
        return None
    given = clean(scene.text[box.end() : end])
    found = [label for label, text in scene.options.items() if text and equal(clean(text), given)]
    return Labels(end, frozenset(found), False) if len(found) == 1 else None


def _fields(scene: Scene) -> Iterator[Candidate]:
    quoted = ":" in scene.text and ('"' in scene.text or "'" in scene.text)
    if not (quoted or "<" in scene.text or "#" in scene.text):
        return
    for match in _FIELD.finditer(scene.text):
        if candidate := _read(scene, match):
            yield candidate


def _phrases(scene: Scene, answer: list[int], choose: list[int], denied: list[int]) -> Iterator[Candidate]:
    for match in phrases.ANSWER.matches(scene.text, answer):
        conditional = match["would"] is not None and _conditional(scene.text, match.start())
        if not conditional and (candidate := _read(scene, match)):
            yield candidate
    for match in phrases.CHOOSE.matches(scene.text, choose):
        if candidate := _read(scene, match):
            yield candidate
    if denied and ("not" in scene.text or "不是" in scene.text):
        for match in phrases.NOT_BUT.matches(scene.text, denied):
            if candidate := _read(scene, match, real=True):
                yield candidate


def _conditional(text: str, at: int) -> bool:
    """Whether the sentence before a position has an "if"."""
    before = re.split(r"[.!?\n]", text[max(0, at - 160) : at])[-1]
    return phrases.CONDITION.search(before) is not None


def _read(scene: Scene, match: re.Match[str], real: bool = False) -> Candidate | None:
    """What stands behind a phrase (`real`: whatever stands before it)."""
    start, end = match.span()
    if not real and phrases.unreal(scene.text, scene.lower, start):
        return None
    skipped = phrases.SKIP.match(scene.text, end)
    at = skipped.end() if skipped else end
    read = read_option_text(scene, end) or read_labels(scene, at) or read_option_text(scene, at)
    if read is None and skipped:  # the option's text may begin with what was skipped: "is the right ventricle"
        read = next((text for start in _words(skipped) if (text := read_option_text(scene, start))), None)
    if read is None or phrases.DENIED.match(scene.text, read.end) or _begins_list(scene, read):
        return None
    hedged = read.hedged or bool(phrases.EITHER.search(scene.text, end, at)) or disputed(scene, read)
    return Candidate(start, read.end, read.labels, Strength.STRONG, hedged or _after_label_a(scene, end, read))


_CAPITAL_A = re.compile(r"[ *_(\"'“]{0,4}A[ \t][^\W_]")


def _after_label_a(scene: Scene, at: int, read: Labels) -> bool:
    """Whether the option's text that was read stands after a capital A that is no article: `the answer is A Mars`."""
    return (
        _CAPITAL_A.match(scene.text, at) is not None
        and "A" in scene.labels
        and not any(label == "A" or scene.options.get(label, "").startswith("A ") for label in read.labels)
    )


def _words(skipped: re.Match[str]) -> Iterator[int]:
    return (skipped.start() + word.start() for word in re.finditer(r"[\w(\[{$\\]+", skipped[0]))


def _begins_list(scene: Scene, read: Labels) -> bool:
    """Whether these are the options themselves, repeated: the next line begins with the next label."""
    following = scene.text.find("\n", read.end)
    if following < 0:
        return False
    label = max(read.labels)
    if len(read.labels) > 1 or len(label) > 1:
        return False
    return (
        re.match(rf"\s{{0,9}}[-*>(\[ ]{{0,4}}{chr(ord(label) + 1)}\b[).:\]*]", scene.text[following : following + 20])
        is not None
    )


_LABEL = re.compile(r"([A-Z0-9]\d?)(?![A-Za-z0-9À-ɏ'’])")
_WORDLIKE = re.compile(r"[A-Za-z0-9À-ɏ'’.\\-]")
_BEFORE = re.compile(r"([A-Z])[)*]{0,3},? (or|and) (?:option )?[(*]{0,3}\Z")


def _statements(scene: Scene) -> Iterator[Candidate]:
    """`B is correct`."""
    for match in _labels(scene):
        said = phrases.IS_CORRECT.match(scene.text, match.end())
        if said and not phrases.unreal(scene.text, scene.lower, match.start()):
            if scene.text[said.end() : said.end() + 1] == "?":
                continue
            other = _BEFORE.search(scene.text, max(0, match.start() - 14), match.start())
            labels = {match[1], other[1]} if other and other[1] in scene.labels else {match[1]}
            after = said.end() if scene.text.startswith(", which is", said.end()) else match.end()
            hedged = other[2] == "or" if other else disputed(scene, Labels(after, frozenset(labels), False))
            yield Candidate(match.start(), said.end(), frozenset(labels), Strength.STRONG, hedged)


def _labels(scene: Scene) -> Iterator[re.Match[str]]:
    """The labels that stand alone."""
    for label in scene.labels:
        at = scene.text.find(label)
        while at >= 0:
            match = _LABEL.match(scene.text, at)
            if match and match[1] == label and _stands_alone(scene.text, match):
                yield match
            at = scene.text.find(label, at + 1)


def _stands_alone(text: str, match: re.Match[str]) -> bool:
    """Whether no word, initial or hyphen runs into a label; a number must be in brackets or quotes."""
    before = text[match.start() - 1] if match.start() else ""
    if before == "'":
        return match.start() < 2 or not _WORDLIKE.match(text, match.start() - 2)
    return before in '(*"`[$' and before != "" if match[1][0].isdigit() else not _WORDLIKE.match(before)


def _corrections(scene: Scene, places: list[int]) -> Iterator[Candidate]:
    for match in phrases.CORRECTED.matches(scene.text, places):
        read = read_labels(scene, match.end())
        if (
            read
            and len(read.labels) == 1
            and _closes(scene.text, read.end)
            and not phrases.DENIED.match(scene.text, read.end)
        ):
            yield Candidate(match.start(), read.end, read.labels, Strength.STRONG, disputed(scene, read))


_CLOSING = re.compile(r"\s{0,3}(?:$|[.,;:!)\n—–]|because|since|is (?:the )?(?:correct|right|answer))")


def _closes(text: str, at: int) -> bool:
    """Whether the sentence ends here, or goes on to explain."""
    return _CLOSING.match(text[at : at + 24]) is not None


_LABEL_LINE = re.compile(
    r"^[ \t>#]{0,6}(?:[-•][ \t])?[*_`(\[$\\{\"']{0,6}(?:(?:boxed|text|textbf)\{)?"
    r"(?:(?:option|choice|answer|letter)[ \t:]{1,3}[*(\[]{0,3})?"
    r"([A-Za-z]|\d{1,2})(?P<close>[)\].:*_`}$\"'、]{0,6}(?:,(?=[ \t](?:because|since|as|for|due)\b))?)"
    r"(?P<rest>(?:[ \t][^\n]*|(?<=[)\].:*、])[^\s\w][^\n]*|(?<=[).:、])\w[^\n]*)?)$",
    re.M | re.I,
)


def _lines(scene: Scene) -> Iterator[Candidate]:
    """Lines that are a label, with or without its option; where several differ, only the last line of the text."""
    bare, labelled = [], []
    for start in _line_starts(scene.text):
        match = _LABEL_LINE.match(scene.text, start)
        if match is None:
            continue
        label = match[1].upper()
        if label not in scene.labels or (match[1].islower() and not match["close"] and match["rest"].strip()):
            continue
        rest = match["rest"].strip(" \t*_`.)]}$\"'")
        if not rest:
            bare.append(match)
        elif match["close"] and not phrases.CROSS.search(rest[:80]) and not phrases.DENIED.match(match["rest"]):
            labelled.append(match)
    yield from _settled(scene, bare)
    if not bare:
        yield from _settled(scene, labelled)


def _line_starts(text: str) -> Iterator[int]:
    start = 0
    while start >= 0:
        yield start
        start = text.find("\n", start) + 1 or -1


def _settled(scene: Scene, lines: list[re.Match[str]]) -> Iterator[Candidate]:
    if not lines:
        return
    match, label = lines[-1], lines[-1][1].upper()
    single = len({line[1].upper() for line in lines}) == 1
    if (not single and _continues_list(scene.text, lines[-2], match)) or _below_an_option(scene, match):
        return
    rest = match["rest"].strip(" *_.")
    is_last = not scene.text[match.end() :].strip()
    is_first = not scene.text[: match.start()].strip()
    repeats = is_last and label in {line[1].upper() for line in lines[:-1]}
    if (single and (is_first or is_last or not rest)) or repeats or (is_last and not rest):
        if rest and answers_nothing(scene, label, match["rest"], colon=":" in match["close"]):
            return
        read = Labels(match.end("close"), frozenset([label]), False)
        below = scene.text[match.end() : match.end() + 400]
        against = disputed(scene, read, line=True) if rest else names_another(scene, label, below)
        yield Candidate(match.start(), match.end(), read.labels, Strength.MEDIUM, against)


def _below_an_option(scene: Scene, line: re.Match[str]) -> bool:
    """Whether the line just above ends in another option with its label: `So it is A: Mars`, then `B: Venus`."""
    above = scene.text[max(0, line.start() - 200) : line.start()].removesuffix("\n").rpartition("\n")[2]
    given = plain(above)
    return bool(given) and any(
        label != line[1].upper() and given.endswith(text) and re.search(rf"\b{re.escape(label)}[).:]", above)
        for label, text in scene.texts.items()
    )


def _continues_list(text: str, above: re.Match[str], line: re.Match[str]) -> bool:
    """Whether two lines with labels belong to one list: nothing between, or an empty line and the next label."""
    between = text[above.end() : line.start()]
    if between.strip():
        return False
    return between.count("\n") < 2 or ord(line[1].upper()[0]) == ord(above[1].upper()[0]) + 1


_TICK_LINE = re.compile(r"^(?=[^\n]{0,300}?(?:[✓✔✅☑]|\[[xX]\]|orrect|ight|rue))[^\n]{0,400}$", re.M)
_LINE_LABEL = re.compile(
    r"(?:^|[\s|*(\[✓✔✅☑\]>-])(?:option |choice )?[*(\[]{0,3}([A-Z])(?:[*)\].:|]{1,4}|\s{0,2}[|✓✔✅☑]|$)", re.I
)


_CHECKBOX = re.compile(r"\[[xX ]\]")


def _ticks(scene: Scene, places: list[int]) -> Iterator[Candidate]:
    """The only option that is ticked, or called correct in a list of them."""
    found: list[Candidate] = []
    for start in sorted({scene.text.rfind("\n", 0, place) + 1 for place in places}):
        match = _TICK_LINE.match(scene.text, start)
        if match is None:
            continue
        line = match[0]
        label = _LINE_LABEL.search(_CHECKBOX.sub("   ", line[:60]))
        tick = phrases.TICK.search(line)
        if label and tick and not phrases.CROSS.search(line) and label[1].upper() in scene.labels:
            read = Labels(match.start() + label.end(), frozenset(label[1].upper()), False)
            hedged = disputed(scene, read, line=True)
            found.append(Candidate(match.start(), match.end(), read.labels, Strength.MEDIUM, hedged))
    labels = frozenset().union(*(candidate.labels for candidate in found)) if found else frozenset()
    if len(labels) == 1 or (scene.several and labels):
        yield found[-1]._replace(labels=labels, hedged=any(candidate.hedged for candidate in found))


def _conclusions(scene: Scene, places: list[int]) -> Iterator[Candidate]:
    for match in phrases.CONCLUDE.matches(scene.text, places):
        if phrases.unreal(scene.text, scene.lower, match.start()):
            continue
        skipped = phrases.SKIP.match(scene.text, match.end())
        at = skipped.end() if skipped else match.end()
        between = scene.text[match.end() : at]
        read = read_labels(scene, at)
        if read is None:
            text = read_option_text(scene, match.end(), whole=True)
            alone = text and not scene.text[text.end :].strip(" .*\n\"')!")
            if text and alone and not _conditional(scene.text, match.start()):
                yield Candidate(match.start(), text.end, text.labels, Strength.MEDIUM)
            continue
        named = re.search(r"option|choice|letter|选项", scene.text[match.end() : read.end], re.I)
        after = scene.text[read.end : read.end + 400]
        ends = not after.strip(" .*\n\"')!") or plain(after) == scene.texts.get(min(read.labels))
        if (named or ends) and "?" not in between and not phrases.DENIED.match(scene.text, read.end):
            hedged = read.hedged or disputed(scene, read)
            yield Candidate(match.start(), read.end, read.labels, Strength.MEDIUM, hedged)
