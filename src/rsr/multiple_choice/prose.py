"""Which option the sentences of a text come to, where no answer phrase names one.

    sentences   where each begins and ends, and whether it concludes, asks or doubts
    polarity    what a sentence does with each option that it names: holds it, denies it, or only mentions it

"The red cell carries oxygen; the white cell fights germs. So we want the red one." The last sentence that holds exactly
one option counts, if it concludes, or if no other sentence holds another option.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from rsr.multiple_choice.clauses import NAME, Named, polarity_of, said_by_others
from rsr.multiple_choice.prose_words import CUES
from rsr.multiple_choice.words import WORDS, Kind


class Sentence(NamedTuple):
    """A sentence, and the options that it holds and denies."""

    start: int
    end: int
    held: frozenset[str]
    denied: frozenset[str]
    concludes: bool
    marked: frozenset[str]
    """Held in bold."""
    plain: bool
    says: bool
    """It speaks of an answer or a choice."""
    ends: bool
    """It ends in what it holds, or has it in bold."""
    opens: bool
    """It begins with what it holds."""
    goes_on: bool
    """Behind what it holds, it names another option without holding or denying it."""


_STOP = re.compile(  # begins with a plain set of characters, which makes the search fast
    r"[.!?;\n。！？।](?:(?<=[\n。！？।])|(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bvs\.)(?<!\b[DM]r\.)(?<!\bM[rs]s\.)(?<!\bMs\.)"
    r"(?<!\bSt\.)(?<!\bProf\.)(?=[\s\"'”’)*_]|\Z))(?:(?<!\n)[\"'”’)*_]+)?"
)
_INITIAL = re.compile(r"(?<![\w'’-])[A-Z]\.\Z")
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+|[,;:()—–=≈→]|->|=>|\s-\s|\*\*")

_LEAD = 120
_SHORT = 200
"""A longer text that stops within a sentence was cut off."""
_SIGNED = re.compile(r",\n[A-Z]\w+(?: [A-Z]\w+)?\Z")
_HEAD, _TAIL = 20, 40
"""So many places are looked at from either end."""
_WIDE = 400
"""A sentence is looked at so far beyond what it names."""
_ITEM = re.compile(r"\s*(?:[-*•+]\s|\d{1,2}[.)]\s|[*_]{0,3}\(?[A-Z][).:][*_]{0,3}\s|\|)")


def concluding(labels: frozenset[str], text: str, lower: str, named: Sequence[Named], several: bool) -> frozenset[str]:
    """The options that the sentences come to; empty: none, or they don't tell which."""
    if len(named) > _HEAD + _TAIL:
        named = [*named[:_HEAD], *named[-_TAIL:]]
    found = sentences(text, lower, named, several)
    holding = [one for one in found if one.held]
    cut = text[-1:] in (",", ";", ":") or (text[-1:].isalnum() and not _SIGNED.search(text))
    if cut and len(text) < _SHORT and len(holding) > 1 and holding[-1].end == len(text) and not holding[-1].says:
        begun = holding[0]
        said = begun.concludes and len(begun.held) == 1 and text[begun.end - 1] in ".!"
        return begun.held if said else frozenset()
    if not holding or (cut and not (holding[-1].says and holding[-1].end == len(text) and text[-1].isalnum())):
        return frozenset()  # it names none, or was cut off
    last = holding[-1]
    concluded = frozenset().union(*(one.held for one in holding if one.concludes))
    if len(concluded) > 2 and concluded >= labels:
        return frozenset()  # each of them is called the answer
    first = next((one for one in holding if one.concludes and len(one.held) == 1 and one.start < _LEAD), None)
    if not last.marked and _turned_away(lower, last.end, found):
        return first.held if first and first is not last else frozenset()
    if not last.marked and (last.goes_on or (not last.concludes and found[-1].goes_on)):
        return frozenset()
    choice = last.marked if len(last.marked) == 1 and not several else last.held
    before = [one for one in holding[:-1] if one.concludes and (several or len(one.held) == 1)]
    if len(choice) != 1 and not several:
        return before[-1].held if before and not last.concludes else frozenset()
    others = frozenset().union(*(one.held for one in holding[:-1])) - choice
    denied = frozenset().union(*(one.denied for one in found))
    if several and before and not last.concludes:
        return before[-1].held
    stands = (not others or others <= denied) and (last.plain or denied - choice)
    if last.concludes or (stands and not _ASKED_NOT.search(text)):
        return choice
    final = text.find("\n", last.end) < 0 and not _ITEM.match(text, last.start)
    lead = before and before[-1].start < max(_LEAD, len(text) // 4)
    if before and (lead or not final or not (last.marked or last.ends)):
        return before[-1].held
    if choice & denied and not last.marked:
        return frozenset()
    stated = frozenset().union(*(one.held for one in holding if one.plain and not _ITEM.match(text, one.start)))
    if not last.plain and len(stated) == 1:
        return stated  # "The reddish metal is copper; aluminium is used overhead."
    final = final and len(text) - last.end < _SHORTEST and not last.opens
    return choice if final and last.ends and (others or denied - choice) else frozenset()


_ASKED_NOT = re.compile(
    r"\bNOT\b|\b(?:except one|all but one|odd one out|which (?:one |of (?:these"
    r"|them) )?is(?:n['’]t| not))\b",
    re.I,
)
_AWAY = re.compile(
    r"(?:\A|[.!?\n][\s*_)\"”]{0,4})(?:but|however|yet|now|still|then again)\b|\b(?:reconsider|wait|hang on"
    r"|start over|not quite)\b"
    r"|\b(?:that|this)(?:(?:['’]s| is) (?:\w+ ){0,3}(?:misconception|misunderstanding|mistake|tempting|trap"
    r"|wrong|not|only|what)"
    r"| isn['’]t)\b|\bisn['’]t how\b|\b(?:the )?question (?:asks|doesn|does not|wants)\b"
    r"|\bwe (?:now )?(?:still )?need\b"
    r"|\bdepends\b|\?\s*\Z"
)
_OFFERS = re.compile(
    r"(?:\A|[.!?\n])[^.!?\n]{0,30}\b(?:do you want|would you like|(?:is|was) there anything|can i|shall i"
    r"|should i|any (?:\w+ )?questions"
    r"|did that|does that|isn['’]t it|let me know)\b[^.!?\n]*[?.!]\s*\Z"
)


def _turned_away(lower: str, end: int, found: Sequence[Sentence]) -> bool:
    """Whether what follows the last option turns away from it without naming another."""
    tail = lower[end:]
    for one in found:
        if one.start >= end and one.denied:
            tail = tail.replace(lower[one.start : one.end], ".")
    tail = _OFFERS.sub(".", tail)
    return len(tail) > _SHORTEST and _AWAY.search(tail) is not None


_SHORTEST = 15


def sentences(text: str, lower: str, named: Sequence[Named], several: bool) -> list[Sentence]:
    """The sentences that name options, by position."""
    found, start, at = [], 0, 0
    labels = {one.end for one in named if text[one.end - 2 : one.end - 1] in " ("}
    ends = [match.end() for match in _STOP.finditer(text) if not _is_initial(text, match, labels)] + [len(text)]
    for end in ends:
        first = at
        while at < len(named) and named[at].start < end:
            at += 1
        if at > first and max(one.end for one in named[first:at]) > end and end < len(text):
            at = first  # a mention goes on behind the stop
            continue
        if at > first:
            found.append(_read(text, lower, start, end, named[first:at], several))
        start = end
    return found


def _is_initial(text: str, stop: re.Match[str], labels: set[int]) -> bool:
    """Whether a dot is that of "C. Darwin" or "A. text": no label stands before it that ends its sentence."""
    dot = stop.start() + 1
    return (
        stop[0] == "."
        and _INITIAL.search(text, max(0, dot - 4), dot) is not None
        and not (dot - 1 in labels and _BEFORE_LABEL.search(text, max(0, dot - 14), dot - 2) is not None)
    )


_BEFORE_LABEL = re.compile(r"[^\W_][,*_(\"'“]{0,3} [*_(\"'“]{0,3}\Z|[:=→–—] ?[*_(\"'“]{0,3}\Z")
_CLOSE = 12
_LINE = 80
_OPENS = re.compile(
    r"[\s*#>-]{0,8}(?:(?:that|it|this)(?:['’]s| is| was| would be| must be| has to be| would have to be)\b"
    r"|based on (?:this|the above|these)|(?:has|must|got|gotta)(?: to)? be\b"
    r"|(?:final |correct )?(?:result|answer|conclusion|verdict|decision|recommendation|choice)(?:\*\*)?:(?:\*\*)?)"
)
_HEADED = re.compile(
    r"[ \t]*(?:#{1,6} |\*\*|\d\. )?[^\n.]{0,30}\b(?:conclu\w+|answer|result|recommendation|verdict"
    r"|summary|final"
    r"|diagnosis|decision|takeaway|next step|fazit|conclusión|conclusão|réponse|antwort|ответ|вывод)\b[^\n.]{0,24}"
    r"(?:\*\*)?[:.]?(?:\*\*)?\s*\Z"
)


def _is_headed(lower: str, start: int) -> bool:
    """Whether a heading stands right before that asks for a conclusion."""
    stop = start
    while stop and lower[stop - 1].isspace():
        stop -= 1
    begin = lower.rfind("\n", 0, stop) + 1
    return 0 < stop - begin <= _LINE and _HEADED.match(lower, begin, stop) is not None


def _read(text: str, lower: str, start: int, end: int, named: Sequence[Named], several: bool) -> Sentence:
    words = _words(lower, max(start, named[0].start - _WIDE), min(end, named[-1].end + _WIDE), named)
    asks = text[start:end].rstrip(" *_\"'”)\n").endswith("?")
    held: set[str] = set()
    denied: set[str] = set()
    marked: set[str] = set()
    opening = _OPENS.match(lower, start)
    concludes = _is_headed(lower, start)
    plain = goes_on = says = named_by_text = False
    last = start
    asks = asks or (not lower.isascii() and _EAST_OPEN.search(lower, start, end) is not None)
    known = {word for _, word in words}
    others = said_by_others(lower, start, end)
    anaphor = None if _ONES.isdisjoint(known) else _THE_ONE.search(lower, start, end)
    called = [WORDS.get(word, 0) & _LABELS for _, word in words if word != NAME and word[0].isalpha()]
    bare = (start == 0 or end == len(lower)) and bool(called) and all(called)  # "Alternativa B"
    item = _ITEM.match(text, start) is not None
    turns = [place for place, word in words if word in _TURNS]
    for one in named:
        polarity, cue, so = polarity_of(lower, words, one)
        cue = cue or (so and len(lower) - end < _SHORTEST)  # in the middle of a text it is a step of the working
        if 0 <= others <= one.start + 1 and polarity > 0:
            polarity = 0
        if anaphor and len(named) == 1:
            polarity, cue = 1, True
        given = bare or (_is_given(lower, one, several) if one.label else not item and _is_last(lower, start, end, one))
        cue, says = cue or given, says or given
        if polarity > 0 and cue and held and any(last < turn < one.start - _TURN for turn in turns):
            held.clear()  # "It looks like X, but the bands make it Y."
        last = one.end
        goes_on = polarity == 0 and not one.label and not asks and lower.find("(", start, one.start) < 0
        if polarity < 0:
            denied |= one.labels
        elif polarity > 0 and not asks and (not one.label or ((cue or concludes) and _stands_alone(lower, one))):
            held |= one.labels
            named_by_text = not one.label
            concludes = concludes or cue or (opening is not None and one.start - opening.end() < _CLOSE)
            if text[one.start - 2 : one.start] == "**":
                marked |= one.labels
                concludes = concludes or (_IS_BOLD.search(lower, start, one.start) is not None and not item)
            plain = plain or one.plain or bool(marked)
    beside = any(one.label and not one.labels & held and not one.labels & denied for one in named)
    if held and beside and named_by_text and not several:
        held.clear()  # "Option C refers to Mars."
    ends = bool(marked) or lower[last:end].lstrip(" *_`\"'”’)]\n")[:1] in ("", *",.;!(–—")
    opens = not lower[start : named[0].start].strip(" *_\"'`")
    line = text[text.rfind("\n", 0, start) + 1 : end].strip()
    if held and all(_fills(word) for _, word in words) and not item:
        concludes = True  # "Mostly the moon!"
    if held and line.startswith("**") and line.rstrip(" .").endswith("**"):
        concludes = True
    kept = frozenset(held) - denied if len(held) > 1 else frozenset(held)
    says = says or any(WORDS.get(word, 0) & (Kind.NOUN | Kind.VERB) for _, word in words)
    return Sentence(
        start, end, kept, frozenset(denied), concludes, frozenset(marked) & kept, plain, says, ends, opens, goes_on
    )


def _words(lower: str, start: int, end: int, named: Sequence[Named]) -> list[tuple[int, str]]:
    """The words and marks of a sentence, with their places; one mark for each mention."""
    found: list[tuple[int, str]] = []
    at = 0
    for match in _TOKEN.finditer(lower, start, end):
        place = match.start()
        while at < len(named) and named[at].end <= place:
            at += 1
        if at < len(named) and named[at].start <= place:
            if not found or found[-1] != (named[at].start, NAME):
                found.append((named[at].start, NAME))
        else:
            found.append((place, match[0].strip()))
    return found


_TURNS = frozenset(["but", "so", "thus", "therefore", "hence"])
_TURN = 10
"""Characters between such a word and what it turns to: in "X, but Y is close" Y is a remark."""
_ONES = frozenset(("one", "exception", "answer", "choice", "option"))
_THE_ONE = re.compile(
    r"\b(?:it|that|this)(?:['’]s| is| must be) (?:the (?:one|odd one out|exception|(?:correct |right )?(?:answer"
    r"|choice|option))|our answer)\b"
)
_EAST_OPEN = re.compile(r"可能|无法|不确定|也许|或许|错误|不对|不正确|かもしれ|아닙|아니")
_GIVEN = re.compile(r"(?:\w\w[*_)\"'”]{0,3}\s?:|[→∴]|->|=>|\s[–—-]|\bmakes it|[はは是选選為为])\s?[*_(\[\"'“`]{0,4}\Z")
_ALONE = re.compile(r"[\s$*_(\"'“]{0,6}(?:\\[a-z]{4,8}\{)?[(*]{0,3}\w[)*\"'”}.!$\s]{0,8}")


def _sentence(lower: str, at: int) -> int:
    """Where the sentence of a place begins, roughly."""
    return max(lower.rfind(mark, 0, at) + len(mark) for mark in (". ", "? ", "! ", "; ", "\n", "。"))


_IS_BOLD = re.compile(r"\b(?:is|are|was|were|be)(?: (?:an?|the))? \*\*\Z")
_ARE = re.compile(r"(?:\b(?:is|are|get)|[=&+])\s?[*_(\[\"'“`]{0,4}\Z")
_IT_IS = re.compile(r"[*)\"']{0,3} it (?:is|must be|has to be)\b")
_WHAT = re.compile(r"\bwhat (?:(?:option|statement|choice|answer|letter) )?[*_(\"'“]{0,3}\Z")
_SAYS = re.compile(r"[*)\"']{0,3} (?:says|states|claims|describes|means|gives|shows)\b")


def _is_last(lower: str, start: int, end: int, one: Named) -> bool:
    """Whether an option's text is all that follows a colon or an arrow, or is what something "would be"."""
    if _WOULD_BE.search(lower, max(start, one.start - 24), one.start):
        return True
    if lower[one.end : end].strip(" .!*_`\"'”’)]\n"):
        return False
    pointed = _POINTED.search(lower, max(0, one.start - 8), one.start)
    if pointed is None or end == len(lower):
        return pointed is not None
    return (
        pointed[0][0] == ":" and lower.count(" ", start, pointed.start()) > _LEAST
    )  # "a = 5" is a step of the working


_LEAST = 3
"""Words before a colon that make what follows it a statement, not the item of a list."""
_WOULD_BE = re.compile(r"\b(?:would|must|has to) be (?:to )?(?:the |an? )?[*_\"'“]{0,3}\Z")


_POINTED = re.compile(r"(?:[:→∴⇒=≈]|->|=>)\s?[*_(\[\"'“`]{0,4}\Z")


def _is_given(lower: str, one: Named, several: bool) -> bool:
    """Whether a letter is given without further words: "Halving each time: `B`.", "B it is."."""
    front = max(0, one.start - 14)
    return (
        _GIVEN.search(lower, front, one.start) is not None
        or (
            _ALONE.fullmatch(lower, _sentence(lower, one.start)) is not None
            and (one.end < len(lower) or lower[one.start - 1 : one.start] in ("\n", "", "("))
        )
        or _IT_IS.match(lower, one.end) is not None
        or (
            _SAYS.match(lower, one.end) is not None
            and _WHAT.search(lower, max(0, one.start - 22), one.start) is not None
        )
        or (
            _IS_THE.match(lower, one.end) is not None
            and _BEGINS.search(lower, max(0, one.start - 6), one.start) is not None
        )
        or (several and len(one.labels) > 1 and _ARE.search(lower, front, one.start) is not None)
        or (lower[one.start - 1 : one.start] == "(" and _ARE.search(lower, front, one.start) is not None)
    )


_LAST_WORD = re.compile(r"([^\W_]+(?:['’][^\W_]+)?)[\s*_(\[\"'“`]*\Z|(?:[=→:;,.–—∴>-]|\A|\n)[\s*_(\[\"'“`]*\Z")
_CLAUSE_ENDS = re.compile(
    r"[*_)\]\"'”`]{0,4}(?:\s*\Z|[.,;:!)\n。、,]|\s[(–—-]"
    r"| (?:it is|it must|here|there|then|please|on (?:your|the)|and not|not|rather|instead|over|because|since|as"
    r"|while)\b)"
)
_IS_THE = re.compile(
    r"[*)\"']{0,3} (?:is|states|describes|matches|gives|captures) (?:exactly |thus |therefore )?(?:the (?!in"
    r"|wrong|false|worst"
    r"|least|only letter)|what\b)[^.\n]{3,60}\.\Z"
)
_NO_LABELS_BEHIND = frozenset(["of", "in", "at", "from", "by", "on", "than", "the", "a", "an"])


def _stands_alone(lower: str, one: Named) -> bool:
    """Whether a letter ends its clause, and no word before it makes a term of it: "vitamin C"."""
    if one.start > _FIRST and _IS_THE.match(lower, one.end) and _BEGINS.search(lower, max(0, one.start - 6), one.start):
        return True
    front = _LAST_WORD.search(lower, max(0, one.start - 30), one.start)
    if _WHAT.search(lower, max(0, one.start - 22), one.start) or _ALONE.fullmatch(lower, _sentence(lower, one.start)):
        return True
    if front is None or _CLAUSE_ENDS.match(lower, one.end) is None:
        return False
    word = front[1]
    if word is None or not word[-1].isascii():
        return True
    bracketed = lower[one.start - 1 : one.start] in ("(", "*", "[")
    if bracketed and not lower[one.end :].strip(" .*)"):
        return True  # "Consequently the process belongs to class (A)."
    known = word in WORDS or word in CUES or word in ("down", "take", "put", "pick")
    return known and (bracketed or word not in _NO_LABELS_BEHIND)


_FIRST = 20
_BEGINS = re.compile(r"(?:[,.!?:]|\band)\s[*_(]{0,4}\Z|\n[ >#*_(]{0,5}\Z")
_LABELS = Kind.LABEL | Kind.NOUN


def _fills(word: str) -> bool:
    """Whether a word says nothing of the options."""
    kind = WORDS.get(word, 0)
    return not word[0].isalpha() or word == "mostly" or bool(kind & Kind.FILL and not kind & Kind.LABEL)
