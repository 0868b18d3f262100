"""Lines that begin with a label: an answer, or the items of a list, of which one may be marked as the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from rsr.multiple_choice.behind import After
from rsr.multiple_choice.mentions import SAYS, Question
from rsr.multiple_choice.stance import Read, Stance
from rsr.multiple_choice.words import WORDS, Kind


class Line(NamedTuple):
    """A line that gives an answer."""

    start: int
    end: int
    labels: frozenset[str]
    hedged: bool
    firm: bool
    """It stands under a heading that asks for the answer."""


_MARK = r"(?:[-–—:|=(←).]|->|→|<-|<--|\*\*)\s{0,3}[*_]{0,3}"
_YES = re.compile(
    rf"[✅✓✔☑➡👉]|(?:←|<-{{1,2}})\s{{0,2}}(?:this(?: one)?|answer|here|my (?:choice|pick|answer))\b"
    rf"|\[[x✓✔]\]|{_MARK}(?:this is |the )?"
    r"(?:correct|true|right|yes|richtig|correcte?|correct[ao]|верно|正确|正解)"
    r"\b(?! (?:angle|side|hand|north))(?! only if)",
    re.I,
)
_NO = re.compile(
    rf"[❌✗✘✖✕×☐]|\[ \]|{_MARK}(?:this is )?(?:incorrect|false|wrong|no(?=\s*(?:$|[.;,|!*]))|not (?:correct|true|right)"
    r"|falsch|неверно|错误)\b",
    re.I,
)
_TICK, _CROSS = re.compile(r"[✅✓✔☑]"), re.compile(r"[❌✗✘✖✕☐]")
_ONLY_FALSE = re.compile(r"\W{0,6}(?:false|no|wrong)\W*", re.I)
_INLINE = re.compile(
    r"\b([A-Z])\b[)\]*]{0,3}\s?[-–—:)]\s?\**(?:(yes|true|correct|right)|no|false|wrong|incorrect)\b(?=[\s.,;*]|$)", re.I
)


def lines(question: Question, text: str, lower: str, reads: Sequence[Read]) -> list[Line]:
    """The lines that give an answer, by position; none where several are a list without a mark."""
    rows = [one for one in reads if one.before.line and (one.after is not After.MORE or _in_table(text, one))]
    if not rows:
        return []
    if question.several and len(rows) > 1 and len(rows) == len(text.splitlines()):
        labels = frozenset().union(*(row.mention.labels for row in rows if row.stance > Stance.NONE))
        marked = any(_YES.search(_around(text, row)) or _NO.search(_around(text, row)) for row in rows)
        if labels != question.labels and not marked:  # "A. Mercury", and below it "C. Mars"
            return [Line(0, len(text), labels, any(row.mention.clash for row in rows), False)]
    if question.several and (headed := _headed_list(text, lower, rows)):
        return [headed]
    places = [one.mention.start for one in reads if not one.mention.text]
    verdicts = [match for at in places if (match := _INLINE.match(text, at))]
    if len({match[1] for match in verdicts}) > 1:
        good = frozenset(match[1] for match in verdicts if match[2])
        alone = len(good) == 1 or (question.several and good)
        return [Line(verdicts[0].start(), verdicts[-1].end(), good, False, False)] if alone else []
    found: list[Line] = []
    for run in _runs(question, text, rows):
        if len(run) == 1:
            found.extend(_single(question, text, lower, run[0], rows, reads))
        else:
            found.extend(_marked(question, text, run))
    return found


def _headed_list(text: str, lower: str, rows: Sequence[Read]) -> Line | None:
    """The items of the last list below "The correct answers are:"."""
    items: list[Read] = []
    for one in rows:
        start = text.rfind("\n", 0, one.mention.start) + 1
        if items and text.count("\n", items[-1].mention.end, start) == 1:
            items.append(one)
        elif _heading(lower, start) and _SEVERAL.search(lower, max(0, start - 120), start):
            items = [one]
    if len(items) < 2:
        return None
    labels = frozenset().union(*(one.mention.labels for one in items))
    clash = any(one.mention.clash for one in items)
    return Line(items[0].mention.start, items[-1].mention.end, labels, clash, True)


_SEVERAL = re.compile(r"\b(?:answers|options|choices|statements)\b[^\n]*:\W*\Z")


def _in_table(text: str, one: Read) -> bool:
    return text[one.mention.start - 1 : one.mention.start + 3].count("|") > 0


def _runs(question: Question, text: str, rows: Sequence[Read]) -> list[list[Read]]:
    """Rows that follow one another in the order of the labels."""
    order = question.order
    runs: list[list[Read]] = []
    for one in rows:
        label = order.index(min(one.mention.labels)) if len(one.mention.labels) == 1 else -2
        last = order.index(min(runs[-1][-1].mention.labels)) if runs else -9
        near = bool(runs) and not (one.after is After.END and not _same_shape(text, runs[-1][-1], one))
        if near and label == last + 1 and len(runs[-1][-1].mention.labels) == 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs


def _same_shape(text: str, first: Read, second: Read) -> bool:
    """Whether two lines are written alike: both with a text behind the label, or neither."""
    return (first.after is After.END and first.mention.bare == first.mention.end) == (
        second.after is After.END and second.mention.bare == second.mention.end
    )


def begins_list(question: Question, text: str, reads: Sequence[Read], at: int) -> bool:
    """Whether a label with its text is the first of a list that goes on: "The answer is A) Rome", then "B) Oslo"."""
    one = reads[at].mention
    if at + 1 == len(reads) or len(one.labels) != 1 or (one.end == one.bare and reads[at].after is not After.TEXT):
        return False
    following = next((two for two in reads[at + 1 :] if not two.mention.text), None)
    if following is None:
        return False
    next_ = following.mention
    order = question.order
    place = order.index(min(one.labels)) + 1
    if place >= len(order) or next_.labels != {order[place]} or following.stance is Stance.DENIED:
        return False
    if following.before.kinds or (next_.end == next_.bare and following.after is not After.TEXT):
        return False
    if SAYS.match(text, one.end) or SAYS.match(text, next_.end):
        return False
    label_end = next_.bare if text[next_.bare - 1 : next_.bare] == ")" else next_.bare + 1
    if text[label_end - 1 : label_end] not in (")", ".", ":", "]", "*"):
        return False
    between = text[one.end : next_.start]
    return "\n\n" not in between and between.count("\n") < 2 and (following.before.line or "\n" not in between)


def _line(text: str, at: int) -> tuple[int, int]:
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    return start, end if end >= 0 else len(text)


def _marked(question: Question, text: str, run: Sequence[Read]) -> list[Line]:
    """The item of a list that is marked: with a tick, a word, or as the only one in bold."""
    spans = [_line(text, one.mention.start) for one in run]
    rows = [_around(text, one) for one in run]
    ticked = [at for at, row in enumerate(rows) if _TICK.search(row) and not _CROSS.search(row)]
    yes = ticked or [at for at, row in enumerate(rows) if _YES.search(row) and not _NO.search(row)]
    if not yes:
        whole = [text[start:end].strip(" >-") for start, end in spans]
        bold = [at for at, row in enumerate(whole) if row.startswith("**") and row.endswith("**")]
        yes = bold if len(bold) == 1 else []
    labels = frozenset().union(*(run[at].mention.labels for at in yes)) if yes else frozenset()
    if not labels or (len(labels) > 1 and not question.several) or len(labels) == len(question.labels):
        return []
    start = spans[yes[-1]][0]
    return [Line(start, spans[-1][1], labels, any(run[at].mention.clash for at in yes), False)]


def _single(
    question: Question, text: str, lower: str, one: Read, rows: Sequence[Read], reads: Sequence[Read]
) -> list[Line]:
    """A line that no other continues: the answer where it is the first or the last, or stands under a heading."""
    mention = one.mention
    start, end = _line(text, mention.start)
    row = _around(text, one)
    tick = _YES.search(row)
    cross = _NO.search(row) and not _ONLY_FALSE.fullmatch(row)
    if cross and not tick:
        return []
    above, below = text[:start].strip(), text[end:].strip()
    headed = _heading(lower, start)
    bare = one.after is After.END and mention.end == mention.bare
    if _starts_list(question, above, mention.labels) and not headed and not tick:
        return []
    if row.lstrip().startswith("#") and below and one.before.kinds & Kind.LABEL:
        return []
    others = {label for row_ in rows for label in row_.mention.labels} - mention.labels
    first_of_all = not above
    if not (headed or tick or first_of_all or not below or (bare and not others)):
        return []
    if begins_list(question, text, reads, next(at for at, two in enumerate(reads) if two is one)):
        return []
    if one.stance not in (Stance.LINE, Stance.FIRM) or one.after is After.OPEN or "?" in row:
        return []
    above_line = text[:start].removesuffix("\n").rpartition("\n")[2]
    if mention.text and not headed and any(row.mention.text and row.mention.labels != mention.labels for row in rows):
        return []
    if (mention.text and not headed and _ITEM.fullmatch(above_line)) or (
        not headed and _is_row(rows, above_line, text, start)
    ):
        return []  # the items of a list below one another
    hedged = mention.clash or mention.either or (len(mention.labels) > 1 and not question.several)
    return [Line(mention.start, end, mention.labels, hedged, headed or (bare and not below))]


_VERDICT_BELOW = re.compile(r"\n[ \t>*-]{0,6}[*_]{0,3}(correct|incorrect|true|false|wrong|right|yes|no)[*_.:!]", re.I)
_ITEM = re.compile(r"\W{0,6}\w+(?:[ -]\w+){0,2}[,;]?")


def _around(text: str, one: Read) -> str:
    """A line without the label that begins it, and the label's own text."""
    start, end = _line(text, one.mention.start)
    below = _VERDICT_BELOW.match(text, end)
    return text[start : one.mention.start] + text[one.mention.end : end] + (f" - {below[1]}" if below else "")


def _is_row(rows: Sequence[Read], above: str, text: str, start: int) -> bool:
    """Whether the line right above is a label with a text, too."""
    return bool(above) and any(
        start - len(above) - 1 <= row.mention.start < start
        and (row.after is After.TEXT or row.mention.end > row.mention.bare)
        for row in rows
    )


def _starts_list(question: Question, above: str, labels: frozenset[str]) -> bool:
    """Whether a first label below a colon begins a list that was cut off."""
    return above.endswith((":", ":**", "?", "：")) and min(question.labels) in labels


_BETWEEN_WORDS = re.compile(r"[\s,#*_:<>()\[\]{}`|/\\-]+")


def _heading(lower: str, start: int) -> bool:
    """Whether the line above asks for the answer: "### Final answer", "Answer:"."""
    if not start:
        return False
    above = lower[max(0, start - 120) : start].rstrip().rpartition("\n")[2]
    words = [word for word in _BETWEEN_WORDS.split(above) if word]
    kinds = [WORDS.get(word, 0) for word in words]
    if not words or not all(kinds) or len(words) > 9:
        return False
    together = 0
    for kind in kinds:
        together |= kind
    if together & (Kind.NO | Kind.IF | Kind.DOUBT | Kind.MAYBE):
        return False
    return bool(together & Kind.NOUN) or bool(together & Kind.LABEL and together & Kind.GOOD)
