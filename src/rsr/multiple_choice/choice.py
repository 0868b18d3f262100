"""Which labels a text commits to, from all that is read in it.

whole      a text that is nothing but labels, or one option's text
firm       the last place that an answer phrase, a box or a marked line commits to
the rest   values, sentences, what is left                                  (`values`, `ending`)
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from rsr.completions import encodable
from rsr.multiple_choice.behind import After
from rsr.multiple_choice.clauses import said_by_others
from rsr.multiple_choice.ending import (
    last_label,
    led,
    left_open,
    pointed,
    remaining,
    told,
    under_label,
    without_aside,
    yes_or_no,
)
from rsr.multiple_choice.fields import field, has_answer_field
from rsr.multiple_choice.lines import Line, begins_list, lines
from rsr.multiple_choice.mentions import Mention, Question, foreign, mentions
from rsr.multiple_choice.options import may_be, plain
from rsr.multiple_choice.plainly import plainly
from rsr.multiple_choice.stance import Read, Stance, read
from rsr.multiple_choice.values import boxes, matching, said
from rsr.multiple_choice.words import Kind

_NEAR = 40


def choose(question: Question, text: str) -> frozenset[str]:
    """The labels that a text commits to; empty: to none."""
    lower = text.lower() if text.isascii() else encodable(text.replace("İ", "I").lower())
    if "\n" in text and (at := _next_question(text, lower)) and (first := choose(question, text[:at].rstrip())):
        return first
    if not question.several and (label := plainly(question, text, lower)):
        return label
    if text[-1:] in _FIELD_ENDS and ((given := field(question, text)) or has_answer_field(text)):
        return given
    if len(text) <= _WHOLE and (whole := _whole(question, text, lower)) is not None:
        return whole
    if len(text) > _LAST + 100:  # most responses end in their answer
        begin = max(text.rfind("\n") - _BEFORE, len(text) - _LAST)
        ends = [found + 1 for mark in ("\n", ". ") if (found := text.find(mark, begin)) >= 0]
        if ends:
            cut = min(ends)
            chosen = _committed(question, text[cut:], lower[cut:], _FROM)[0]
            if chosen is not None:
                return chosen
    chosen, reads, rows = _committed(question, text, lower, 0)
    if chosen is not None:
        return chosen
    if reads and reads[-1].mention.either and reads[-1].before.kinds & Kind.NOUN:
        return frozenset()  # "So the answer could be A or B."
    last_line = text.rfind("\n") + 1
    labelled = any(one.before.line and one.mention.start >= last_line and not one.mention.text for one in reads)
    value = said(question, text) if question.options and not labelled else None
    if value and value[2]:
        return value[1]
    if rows:
        if later := _overruled(question, text, lower, rows[-1].end):
            return later
        goes_on = rows[-1].start > _HEADLINE and rows[-1].end < len(text) - _HEADLINE // 3
        if (rows[-1].hedged or goes_on) and (later := told(question, text, lower, reads)):
            return later
        return frozenset() if rows[-1].hedged else rows[-1].labels
    ending = (
        (value[1] if value else frozenset())
        or told(question, text, lower, reads)
        or last_label(question, text, reads)
        or pointed(question, text)
    )
    ending = ending or led(question, text) or yes_or_no(question, lower) or remaining(question, text, reads)
    shorter = text if ending else without_aside(text, lower)
    if len(shorter) < len(text) and (ending := choose(question, shorter)):
        return ending
    return ending


_HEADLINE = 60
_FIELD_ENDS = frozenset("}>`") | frozenset("ABCDEFGH")


_WHOLE = 300
_LAST, _BEFORE, _FROM = 250, 100, 45


def _committed(
    question: Question, text: str, lower: str, begin: int
) -> tuple[frozenset[str] | None, list[Read], list[Line]]:
    """What a text firmly commits to behind a position; None: nothing. Also what was read on the way."""
    named = mentions(question, text, lower)
    reads = _reads(question, text, named, lower)
    boxed = _boxed(question, text, named) if "box" in lower else []
    rows = lines(question, text, lower, reads) if any(one.before.line for one in reads) else []
    firm = _firm(question, text, lower, reads, boxed, rows)
    if not firm or firm[-1][0] < begin:
        return None, reads, rows
    chosen = _settled(question, lower, firm, reads)
    cut = len(text) > 60 and (text[-1].isalnum() or text[-1] in ",;")
    if cut and _WAVERS.search(lower, firm[-1][1]):
        chosen = frozenset()
    elif (
        cut
        and len(text) > 100
        and any(
            one.mention.text
            and one.mention.end == firm[-1][1]
            and not (one.before.kinds & Kind.NOUN or one.before.line)
            for one in reads
        )
    ):
        chosen = frozenset()  # a sentence that was cut off
    elif chosen and left_open(question, lower, firm[-1][1]):
        chosen = frozenset()
    elif chosen and (later := _overruled(question, text, lower, firm[-1][1])):
        chosen = later
    return chosen, reads, rows


_WAVERS = re.compile(r"\b(?:wait|hmm+|hold on|let me (?:re|check)|however|but)\b")
_SO_THEN = re.compile(
    r"(?:[.!?:\n][\s*]{1,3}|, and )(?:(?:hmm+,? |no,? )?wait|actually|no,|hmm|edit|sorry|oops|correction"
    r"|in other words|for (?:this|that|these|those) reasons?|so|thus|therefore|hence"
    r"|consequently|in conclusion|the corrected answer|por (?:lo )?tanto|also|donc|quindi)\b"
)


def _overruled(question: Question, text: str, lower: str, end: int) -> frozenset[str]:
    """What a later conclusion in plain words comes to; empty: there is none."""
    if not (last := [match.start() + 1 for match in _SO_THEN.finditer(lower, end)]):
        return frozenset()
    tail, low = text[last[-1] :].strip(), lower[last[-1] :].strip()
    return (
        told(question, tail, low, _reads(question, tail, mentions(question, tail, low), low))
        if len(tail) < 300
        else frozenset()
    )


_ASKS = re.compile(r"\n(?:(?:\*\*|### )?question|q:|user:|human:|problem|问题|题目)")
_ASKED = re.compile(
    r"[\n*# ]{1,8}(?:next )?(?:question|q|user|human|problem|问题|题目)(?: ?#?\d{1,4})?\*{0,2} ?[:：.\n]"
)


def _next_question(text: str, lower: str) -> int:
    """Where a response goes on with a question of its own, as base models do; 0: nowhere."""
    tried = set()  # of each mark the first place counts
    for found in _ASKS.finditer(lower) if "\n" in lower else ():
        if found[0] not in tried and _ASKED.match(lower, found.start()):
            return found.start()
        tried.add(found[0])
    return 0


_PAIR = re.compile(
    r"(?:(?:it(?:'s| is)|i(?:'d| would) (?:say|go with)|answer:) )?the (former|latter)(?: one| option)?[.!]?"
)
_NUMBERED = re.compile(r"(?:\s*(?:Q|Question )?\(?\d{1,2}[.):]\s*\(?[A-Z]\)?[ \t.,;]*){2,}")
_LABELS_ONLY = re.compile(r"[\s(\[\-*_`\"'{$]*([A-Za-z])(?:[\s,.;/&+()\[\]*_`\"'}${、-]+([A-Za-z]))*[\s.)\]*_`\"'}$]*")


def _whole(question: Question, text: str, lower: str) -> frozenset[str] | None:
    """Labels of a text that is nothing but labels or one option's text; empty: a hedge; None: it is more."""
    if len(question.labels) == 2 == len(question.options) and (pair := _PAIR.fullmatch(lower)):
        return frozenset([list(question.options)[pair[1] == "latter"]])
    if not question.several and text[:1] in "(1Q" and _NUMBERED.fullmatch(text):
        return frozenset()  # "1. B 2. D": answers to several questions
    if question.texts and may_be(text, question.endings):
        given = plain(text)
        own = [label for label, option in question.texts.items() if option == given]
        if len(own) == 1:
            return frozenset(own)
    if len(text) > 80 or not _LABELS_ONLY.fullmatch(text):
        return None
    letters = re.findall(r"[A-Za-z]", text)
    if len(letters) == 1:
        return None
    labels = frozenset(letter.upper() for letter in letters)
    if not labels <= question.labels:
        return None
    return labels if question.several and len(labels) == len(letters) else frozenset()


_COLON_LABEL = re.compile(r"\s?:\s?[*(\"']{0,3}\Z")


_COMMITS = Kind.NOUN | Kind.VERB | Kind.SO | Kind.BUT
_FIRM, _LINE, _GOOD = Stance.FIRM, Stance.LINE, After.GOOD
_OTHERS = re.compile(
    r"\bwhy (?:each of )?(?:the )?others?\b[^.\n]{0,60}:|\b(?:the )?other (?:options|choices|answers)\b[^.\n]{0,30}"
    r"(?:\bwrong|\bincorrect|\bfalse|n't|\bnot\b|\bfail)[^.\n]{0,30}:"
)
"""Behind this a response explains why the other options are wrong."""


def _reads(question: Question, text: str, named: Sequence[Mention], lower: str) -> list[Read]:
    """The mentions, read from the last one back to one that the text firmly commits to, and what stands close to it."""
    found: list[Read] = []
    done = -1
    others = _OTHERS.search(lower) if "other" in lower else None
    for at in range(len(named) - 1, -1, -1):
        mention = named[at]
        if mention.end < done and not question.several:
            break
        one = read(mention, lower, _floor(named, at))
        if one.stance is _FIRM and others and others.end() <= mention.start and not one.before.kinds & _COMMITS:
            one = replace(one, stance=Stance.NONE)
        if one.stance is _FIRM or one.stance is _LINE:
            following = named[at + 1] if one.before.line and at + 1 < len(named) else None
            if following and _COLON_LABEL.match(lower, mention.end, following.start):
                one = replace(one, stance=Stance.NONE)  # "A: C": the A is for "Answer", perhaps
            elif one.after is not _GOOD and foreign(question, text, lower, mention, one.before.line):
                one = replace(one, mention=replace(mention, clash=True))
        found.insert(0, one)
        if one.stance is _FIRM and done < 0 and not begins_list(question, text, found, 0):
            done = max(0, mention.start - _NEAR)
    return found


def _floor(named: Sequence[Mention], at: int) -> int:
    """Where the last label before a mention ends, or 0."""
    for to in range(at - 1, -1, -1):
        if not named[to].text:
            return named[to].end
    return 0


_INSTEAD = Kind.BUT | Kind.SO
_OR = re.compile(r"[\s*)\"'.,]{0,5}\bor (?!rather|better|more)[^.\n]{1,40}")


class _Firm(tuple[int, int, frozenset[str], bool, bool]):
    """start, end, labels, hedged, corrects what stands before."""


def _firm(
    question: Question, text: str, lower: str, reads: Sequence[Read], boxed: Sequence[_Firm], rows: Sequence[Line]
) -> list[_Firm]:
    found = list(boxed)
    for at, one in enumerate(reads):
        mention = one.mention
        if one.stance is not _FIRM or (boxed and any(box[0] <= mention.start < box[1] for box in boxed)):
            continue
        if _others_words(lower, mention.start) or _all_but_one(question, one):
            continue
        if one.after is After.GOOD and _mixed(text, mention.start):
            continue
        hedged = mention.either or mention.clash or (len(mention.labels) > 1 and not question.several)
        hedged = hedged or (mention.text and under_label(text, reads, mention))
        if one.after is not _GOOD and begins_list(question, text, reads, at):
            hedged = True
        earlier = reads[at - 1] if at else None
        if earlier and earlier.stance >= 0 and _OR.fullmatch(text, earlier.mention.end, mention.start):
            hedged = hedged or earlier.mention.labels != mention.labels
        corrects = bool(one.before.kinds & _INSTEAD)
        if earlier and one.before.begins and one.before.kinds & Kind.NOUN and earlier.after is not _GOOD:
            corrects = corrects or not earlier.before.kinds & (Kind.NOUN | Kind.VERB)  # "3.5 (option C). Answer: A."
        found.append(_Firm((mention.start, mention.end, mention.labels, hedged, corrects)))
    found += [_Firm((row.start, row.end, row.labels, row.hedged, True)) for row in rows if row.firm]
    return sorted(found) if len(found) > 1 else found


def _others_words(lower: str, at: int) -> bool:
    """Whether a sentence says before a place that it is somebody else's answer."""
    begin = max(lower.rfind(mark, 0, at) for mark in (". ", "\n", "? ", "! ", "; ", " but ", ", the ")) + 1
    return said_by_others(lower, begin, at) >= 0


def _all_but_one(question: Question, one: Read) -> bool:
    """Whether it speaks of the others: "A, C and D are all true"."""
    others = len(one.mention.labels) == len(question.labels) - 1 > 1 and not question.several
    return others and not one.mention.either and not one.before.kinds & (Kind.NOUN | Kind.VERB)


def _mixed(text: str, at: int) -> bool:
    """Whether a row of a table has ticks and crosses: then none of them is the verdict."""
    end = text.find("\n", at)
    row = text[text.rfind("\n", 0, at) + 1 : end if end >= 0 else len(text)]
    return "|" in row and any(tick in row for tick in "✅✓✔☑") and any(cross in row for cross in "❌✗✘✖✕")


_CONCLUDES = re.compile(r"(?:[Ss]o|[Tt]hus|[Tt]herefore|[Hh]ence|故|所以|因此|答案)[^.\n]{0,8}\\(?:boxed|fbox)\{\Z")
_FORMULA = re.compile(r"\d|\\(?!text)")


def _boxed(question: Question, text: str, named: Sequence[Mention]) -> list[_Firm]:
    found = []
    for start, end in boxes(text):
        inside = [one for one in named if start <= one.start < end]
        if _FORMULA.search(text, start, end):
            inside = [one for one in inside if not one.text]
        lettered = any(not one.text for one in inside)
        value = matching(question, text[start:end]) if question.options and not lettered else frozenset()
        labels = value or frozenset().union(*(one.labels for one in inside))
        if not labels:
            continue
        hedged = not value and any(one.either or (one.clash and one.end <= end) for one in inside)
        hedged = hedged or (len(labels) > 1 and not question.several)
        corrects = _CONCLUDES.search(text, max(0, start - 24), start) is not None
        found.append(_Firm((start, end, labels, hedged, corrects)))
    return found


_CORRECTED = re.compile(
    r"\b(?:wait|actually|no|correction|reconsider|hmm+|sorry|but|mistake|instead|however|recheck|re-check|oops|wrong"
    r"|scratch|rather|revis\w+|recompute|final(?:ly)?)\b|不对|等等|更正|纠正|错了|修正|いや|아니"
)
_BACK = re.compile(
    r"\b(?:wait|no|hold on|hmm+|actually|oops|sorry)\b[^.\n]{0,40}\b(?:wrong|incorrect|mistaken?|not right|not correct"
    r"|not it|error)\b"
    r"|\bi (?:really |still )?(?:can't|cannot) (?:really |quite )?(?:tell|decide|determine|say)\b[^.\n]{0,50}\bwhich\b"
    r"|\bi (?:take (?:that|it) back|made an? (?:mistake|error))\b|(?:不对|错了)[,。!]"
    r"|\b(?:let me start over|i need to rethink|or so i thought|on reflection|please ignore|disregard (?:this"
    r"|that|the above)"
    r"|that can['’]?t be right|the opposite direction|i['’]d better not|one must think further|does the same apply"
    r"|i misread|i was wrong)\b"
)


def _settled(question: Question, lower: str, firm: Sequence[_Firm], reads: Sequence[Read]) -> frozenset[str]:
    """The last answer, unless it is a hedge, is contradicted right before or is taken back behind."""
    begin, end, labels, hedged, corrects = firm[-1]
    last = next((at for at, one in enumerate(reads) if one.mention.start == begin), 0)
    points = last and reads[last].mention.text and reads[last].before.kinds & Kind.MATCH
    if points and reads[last - 1].mention.either and begin - reads[last - 1].mention.end < _NEAR:
        return frozenset()  # "It could be B or C; the style points to X, ..."
    if question.several:  # a list in which several are called correct
        listed = [one for one in reads if one.stance is _FIRM and one.before.line and one.after is _GOOD]
        if any(one.mention.end == end for one in listed):
            labels = frozenset().union(*(one.mention.labels for one in listed))
    if hedged or not labels or (question.several and labels == question.labels and labels != question.reference):
        return frozenset()
    for _, stop, others, doubtful, _ in reversed(firm[:-1]):
        if firm[-1][0] - stop > _NEAR or corrects or _CORRECTED.search(lower, stop, firm[-1][0]):
            break
        if question.several and not doubtful:
            labels |= others
        elif others != labels and not doubtful:
            return frozenset()
    for one in reads:
        if one.mention.start < end:
            continue
        if one.stance is Stance.DENIED and one.mention.labels == labels:
            return frozenset()
        if one.mention.either and one.after is After.OPEN and one.before.kinds & Kind.NOUN:
            return frozenset()  # "My answer is B, or rather: the answer is B or A?"
    return frozenset() if _BACK.search(lower, end) else labels
