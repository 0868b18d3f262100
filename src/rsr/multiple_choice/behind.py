"""What stands behind a label: the words of its clause, by their kinds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from rsr.multiple_choice.kinds import ENDS, QUOTES, TOKEN, depends, kind_of
from rsr.multiple_choice.words import EAST_BEHIND, NAMES, WORDS, Kind

_NO, _GOOD, _LINK = Kind.NO, Kind.GOOD, Kind.LINK
_PARTLY = frozenset(("at", "in", "under", "when", "for", "if", "only", "until"))


class After(Enum):
    """What follows a label."""

    END = "the clause ends"
    WHY = "an explanation, or a contrast"
    TEXT = "a colon, a bracket or a dash, and more"
    GOOD = "it is correct"
    BAD = "it is wrong"
    OPEN = "a question, a condition, a doubt"
    MORE = "the sentence goes on"


_CLOSE = re.compile(r"[*_`\"'”’\]}$~」』】》]{0,6}")
_YES, _CROSS = frozenset("✅✓✔☑"), frozenset("❌✗✘✖✕☐")
_WHEN = frozenset(("when", "if", "for", "in", "where", "under", "at", "partly", "partially"))
_FAULTS = frozenset(("not", "wrong", "incorrect", "false", "invalid", "except", "n't", "?"))
_OF_WHY = Kind.WHY | Kind.BUT | Kind.SO | Kind.LIST
_NOT_WHY = Kind.GOOD | Kind.LINK
_OVER = frozenset(("over", "than", "versus", "vs"))
_TURNS = frozenset(("first", "initially", "but", "though", "however"))
_OPENS_TEXT = frozenset(":=|–—-)>,")
_BREAKS = frozenset(",–—-")
_SIGNS_BEHIND = _OPENS_TEXT | QUOTES | {"→", "->"}
_CLAUSE_ENDS = ENDS | frozenset(":,–—=|")
_SEEMS = frozenset(("seems", "looks", "appears", "would"))
_GOES_ON, _STAYS = _OF_WHY | Kind.IF, Kind.GOOD | Kind.FILL
_JUDGED = Kind.GOOD | Kind.BAD
_DENIES_OR_DOUBTS = Kind.NO | Kind.BAD | Kind.MAYBE | Kind.DOUBT | Kind.LOOK
_WINDOW = 110


def after(lower: str, end: int) -> After:
    """Reads on from behind a label."""
    closed = _CLOSE.match(lower, end)
    end = closed.end() if closed else end
    if end < len(lower) and lower[end] > "⺀" and (east := EAST_BEHIND.match(lower, end)):
        return After[east.lastgroup.upper()] if east.lastgroup else After.MORE
    sign = lower[end : end + 1]
    if sign in "!;\n":  # or nothing
        return After.END
    if sign == ".":
        following = TOKEN.search(lower, end + 1, end + _WINDOW)
        return After.TEXT if following and following[0] not in ENDS else After.END  # "C. It is red"
    if sign == " " and (said := _first_word(lower, end)):
        return said
    tokens = TOKEN.findall(lower, end, end + _WINDOW)
    at, text, comma = 0, False, False
    while at < len(tokens):
        token = tokens[at]
        if token in _SIGNS_BEHIND:
            text, comma = text or token in _OPENS_TEXT, comma or token in _BREAKS
        elif token in ENDS:
            if token in _YES or token in _CROSS:
                return After.GOOD if token in _YES else After.BAD
            if token == "?":
                return After.OPEN
            return After.TEXT if text or _goes_on(tokens, at) else After.END
        elif token == "(":
            at, inside = _bracket(tokens, at)
            if inside:
                return inside
        else:
            if token == "no" and tokens[at + 1 : at + 2] == [","] and len("".join(tokens[at + 2 : at + 3])) > 1:
                return After.TEXT  # "(C) No, because ..."
            if comma and kind_of(tokens, at, False) & Kind.NO:
                return After.END
            return _words(tokens, at, text)
        at += 1
    return After.TEXT if text else After.END


def _first_word(lower: str, end: int) -> After | None:
    """What the first word behind a label says by itself: most often it begins an explanation, or isn't known."""
    found = TOKEN.search(lower, end, end + _WINDOW)
    word = found[0] if found else ""
    if not found or depends(word) or lower.find("what", found.end(), end + _WINDOW) >= 0:
        return None
    kind = WORDS.get(word, 0)
    if kind & Kind.IF:
        return After.OPEN
    if (kind & _OF_WHY and not kind & _NOT_WHY) or word in _OVER:
        return After.WHY
    return After.MORE if not kind and word.isalpha() and word.isascii() else None


def _goes_on(tokens: Sequence[str], at: int) -> bool:
    """Whether a dot belongs to the label, and a text follows in its line: "C. It is red"."""
    return tokens[at] == "." and at + 1 < len(tokens) and tokens[at + 1] not in ENDS


def _bracket(tokens: Sequence[str], at: int) -> tuple[int, After | None]:
    close = next((to for to in range(at, min(at + 16, len(tokens))) if tokens[to] == ")"), -1)
    if close < 0:
        return at, None
    kinds = [WORDS.get(token, 0) for token in tokens[at + 1 : close]]
    if 0 < len(kinds) < 4 and all(kinds):
        if any(kind & (Kind.BAD | Kind.NO) for kind in kinds):
            return close, After.BAD
        if any(kind & Kind.GOOD for kind in kinds):
            return close, After.GOOD
    return close, None


def _at_once(tokens: Sequence[str], at: int) -> After | None:
    """What a phrase says whole: "nor", "can go", "is what I'd pick", "is the only one that"."""
    if tokens[at] in ("is", "are", "was") and tokens[at + 1 : at + 3] == ["the", "only"]:
        return After.MORE if _FAULTS.intersection(tokens[at:]) else After.GOOD
    if tokens[at] == "nor":
        return After.END
    if tokens[at : at + 2] == ["can", "go"]:
        return After.BAD
    if tokens[at + 1 : at + 2] == ["what"] and not {"i", "i'd", "i'll"}.isdisjoint(tokens[at + 2 : at + 3]):
        return After.GOOD  # "C is what I'd pick"
    return None


def _words(tokens: Sequence[str], at: int, text: bool) -> After:
    """What the words behind a label say; `text`: a colon or dash stands before them."""
    if known := _at_once(tokens, at):
        return known
    first = kind_of(tokens, at, False)
    if first & Kind.IF:
        return After.OPEN
    if (first & _OF_WHY and not first & _NOT_WHY) or tokens[at] in _OVER:
        return After.WHY
    kinds, last, seems = 0, 0, False
    word = tokens[at]
    while at < len(tokens):
        token = tokens[at]
        if token == "?":
            return After.OPEN
        if token == "-" and kinds & _GOOD and at + 1 < len(tokens) and tokens[at - 1] in ("best", "well"):
            at += 1  # "the best-supported one"
            continue
        kind = 0 if token in _CLAUSE_ENDS else kind_of(tokens, at, False)
        if not kind:
            break
        if kinds:
            if kind & _GOES_ON and not kind & _STAYS:
                break
            if kinds & _GOOD and kind & Kind.DOUBT and not kinds & _LINK:
                break
            if kind & Kind.LIST and kinds & _JUDGED:
                break
        seems = seems or token in _SEEMS
        kinds |= kind
        last, word = kind, token
        at += 1
    stop = tokens[at] if at < len(tokens) else ""
    if text and first & _NO:  # "D: None of these"
        return After.TEXT
    if kinds & _DENIES_OR_DOUBTS:
        if kinds & _NO and stop in ("know", "sure"):
            return After.OPEN
        if kinds & (_NO | Kind.BAD):
            return After.BAD if not (kinds & _NO and kinds & Kind.BAD) else After.MORE
        if kinds & Kind.MAYBE:
            return After.OPEN
        return After.TEXT if text else After.MORE
    return (
        After.OPEN if _conditional(tokens, at, kinds, seems) else _verdict(tokens[:at], stop, kinds, (last, word), text)
    )


def _conditional(tokens: Sequence[str], at: int, kinds: int, seems: bool) -> bool:
    """Whether known words hold only in part, or would; `at`: where the first unknown word stands."""
    stop = tokens[at] if at < len(tokens) else ""
    if at > 1 and tokens[at - 1] in _PARTLY and tokens[at - 2] in ("holds", "works", "fits", "applies"):
        return True
    if "only" in tokens[:at] and _WHEN.intersection(tokens[tokens.index("only") + 1 : tokens.index("only") + 2]):
        return True
    if stop == "but" and kinds & _GOOD and len("".join(tokens[at + 1 : at + 2])) > 1:
        return True  # "D is true but beside the point"
    if kinds & Kind.WOULD and stop and stop not in ENDS and stop != ",":
        return True
    return stop in ("if", "unless") or (seems and not _TURNS.isdisjoint(tokens[at : at + 4]))


def _verdict(tokens: Sequence[str], stop: str, kinds: int, last: tuple[int, str], text: bool) -> After:
    """What known words say that deny and doubt nothing; `stop`: the token behind them, `last`: the last of them."""
    known = stop == "" or stop in _CLAUSE_ENDS or bool(WORDS.get(stop, 0)) or stop in NAMES
    if text:
        verdict = known and not kinds & Kind.LINK and kinds & (Kind.GOOD | Kind.NOUN) and not kinds & Kind.VERB
        return After.GOOD if verdict and (last[0] & Kind.GOOD or stop == "" or stop in ENDS) else After.TEXT
    if kinds & (Kind.GOOD | Kind.NOUN) and (
        known
        or not last[0] & Kind.GOOD
        or not kinds & Kind.LINK
        or last[1].endswith("s")
        or ("the" not in tokens and not last[1].endswith("ly"))
    ):
        return After.GOOD
    return After.END if known and kinds and (stop == "" or stop in ENDS or stop == ",") else After.MORE
