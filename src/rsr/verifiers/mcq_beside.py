"""What stands before and behind a label: the words of its clause, by their kinds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from msgspec import Struct

from rsr.verifiers.mcq_kinds import EAST, ENDS, QUOTES, TOKEN, depends, kind_of
from rsr.verifiers.mcq_words import CONNECTS, EAST_BEHIND, NAMES, WORDS, Kind

_FAR = 160
_SENTENCE_ENDS = (". ", "\n", "? ", "! ", "; ")
_LINE_BEGINS = frozenset("\n✅✓✔☑❌✗✘✖✕☐")
_COMMAS = frozenset(",、")
_SILENT = frozenset("()-") | _COMMAS
_MARKS = frozenset(":=|>–—")
_SIGNS = QUOTES | _SILENT | _MARKS
_SOFT = frozenset(",:–—")
_NOUN, _LABEL, _LINK, _BUT, _VERB = Kind.NOUN, Kind.LABEL, Kind.LINK, Kind.BUT, Kind.VERB
_NO, _GOOD = Kind.NO, Kind.GOOD
_STOPS = Kind.NO | Kind.IF | Kind.DOUBT | Kind.LOOK | Kind.MAYBE | Kind.BAD
_ASKED = Kind.NOUN | Kind.LABEL | Kind.THING | Kind.GOOD
_LINKED = Kind.NOUN | Kind.VERB | Kind.SO | Kind.LINK
_MEANS = ~(Kind.FILL | Kind.ADV)
_NO_LABEL = ~(Kind.LABEL | Kind.FILL)
_BEHIND_COMMA = Kind.IF | Kind.WHY
_FIRST_PERSON = frozenset(("i", "my", "we", "our", "me"))
_FORCED = re.compile(
    r"\bif (?:i(?:'m| am| had| have| must| were| was| absolutely| really)*)? ?(?:(?:forced|pressed|pushed"
    r"|made)(?= to|,) ?)?"
    r"(?:to )?(?:pick|choose|guess|answer|select|say|commit|decide|go|(?<=pressed)|(?<=forced)"
    r"|(?<=pushed))\b(?: (?:one|an answer|an option|a letter|just one|now)\b)?(?! another| a second)[,:]?"
)
"""What a guess begins with: it commits to what follows."""
_WHOSE = re.compile(
    r"(?:so |thus |therefore |hence |, )*(?:the )?(?:only )?[a-z]+ (?:here |listed )?(?:that|which|who"
    r"|whose)\b.*\b(?:is|was|would be)$"
)
"""A thing that is described, "the one that is not a gas is": what is denied is part of the question."""
_KEY = re.compile(r"[{,]\s*\"([\w -]+)\"\s*:\s*\[?\s*\"\Z")
"""The key of a field."""
_QUOTE_ENDS = re.compile(r"[^\"'”’\n]{0,12}[\"'”’]\s+[a-z]")
_PARTLY = frozenset(("at", "in", "under", "when", "for", "if", "only", "until"))
_NUMBERS = frozenset(("q", "qn", "question", "problem"))
_ELLIPSIS = re.compile(r"\.{3}[ *_(\[]{0,8}\Z")


class Before(Struct, frozen=True, gc=False):
    """What was read before a label, back to where its clause begins or to a word that isn't known."""

    kinds: int
    near: int
    """Kind of the nearest word."""
    begins: bool
    """The sentence or line begins where reading stopped."""
    soft: bool
    """A comma, a colon, a connective or another label stands there."""
    quoted: bool
    """The phrase is in quotes, as somebody's words."""
    outer: int
    """Kinds of the words farther back."""
    line: bool
    """The label is the first of its line, or only "option" stands before it."""


def before(lower: str, start: int, floor: int) -> Before:
    """Reads backwards from a label; `floor`: where the label before it ends."""
    begin = max(floor, start - _FAR)
    ahead = lower[begin:start]
    near = len(ahead) - 2
    if "..." in ahead and (dots := _ELLIPSIS.search(ahead)):
        near = dots.start()
    begin += _last_sentence(ahead, near) if near > 0 else 0
    forced = _FORCED.search(lower, begin, start) if "if " in ahead else None
    begin = forced.end() if forced else begin
    if start and lower[start - 1] == '"' and (key := _KEY.search(lower, begin, start)):
        begin, forced = key.start(1), key
    tokens = TOKEN.findall(lower, begin, start)
    while tokens and (tokens[-1] == "…" or (tokens[-1] == "." and tokens[-2:-1] == ["."])):  # "the answer is... C"
        tokens = tokens[: -1 if tokens[-1] == "…" else -2]
        tokens = tokens[:-1] if tokens[-1:] == ["."] else tokens
    cut = _last_end(tokens)
    clause = tokens[cut + 1 :]
    edge = cut >= 0 or begin == 0 or forced is not None
    at_line = not forced and (cut < 0 or tokens[cut] in _LINE_BEGINS)
    if not clause:
        numbered = cut > 0 and tokens[cut] == "." and tokens[cut - 1].isdigit()
        numbered = numbered and (cut == 1 or tokens[cut - 2] == "\n")
        return Before(0, 0, edge, not edge and begin == floor, False, 0, numbered or (edge and at_line))
    walk = _walk(clause)
    at, kinds, quoted = walk.at, walk.kinds, False
    whole = at < 0
    outer = 0 if whole or walk.connected else _outer(clause[: at + 1], walk)
    if outer and kinds & _VERB and clause[at + 1] == ":" and "i" in clause[at + 1 :]:
        outer = 0  # "No joke: I pick option B."
    if outer & _STOPS and walk.near & _LINK and _WHOSE.match(" ".join(clause)):
        outer, kinds = outer & ~(Kind.NO | Kind.BAD), kinds | _NOUN
    soft = walk.comma or walk.connected or (whole and not edge and begin == floor)
    soft = soft or (not whole and at + 1 < len(clause) and clause[at + 1] in _SOFT)
    if walk.comma:
        outer |= Kind.IF if clause[0] in ("had", "were") else 0
        outer |= Kind.DOUBT if "glance" in clause else 0
    if walk.quotes % 2 == 1:
        quoted = clause[0] not in QUOTES and _FIRST_PERSON.isdisjoint(clause)
        quoted = quoted or (whole and (not edge or _QUOTE_ENDS.match(lower, start) is not None))
    return Before(kinds, walk.near, whole and edge, soft, quoted, outer, whole and edge and at_line and walk.plain)


def _last_sentence(text: str, stop: int) -> int:
    """Where the last mark stands that ends a sentence before a place, or 0: most of the far words are of others."""
    last = 0
    for mark in _SENTENCE_ENDS:
        at = text.rfind(mark, last, stop)
        if at > last:
            last = at
    return last


def _last_end(tokens: Sequence[str]) -> int:
    """The place of the last token that ends a clause, or -1."""
    if not ENDS.isdisjoint(tokens):
        for at in range(len(tokens) - 1, -1, -1):
            if tokens[at] in ENDS:
                return at
    return -1


class _Walk(Struct, frozen=True, gc=False):
    at: int
    """Where reading stopped; -1: at the beginning."""
    kinds: int
    near: int
    comma: bool
    connected: bool
    quotes: int
    plain: bool
    """No word but "option" was read."""


def _walk(clause: Sequence[str]) -> _Walk:
    kinds, near, quotes, pending = 0, 0, 0, 0
    comma = connected = False
    plain = True
    at = len(clause) - 1
    while at >= 0:
        token = clause[at]
        if token in _SIGNS:
            if token == ":" and kinds & _NOUN and kinds & _LINK:
                connected = True  # what stands before it is another clause
                break
            if token in _MARKS:
                pending = _LINK
            elif token in _COMMAS:
                comma = True
            elif token in QUOTES:
                quotes += near > 0
        elif token[0] not in "\\[":
            kind = kind_of(clause, at, comma)
            if not kind or (comma and kind & _STOPS):
                break
            near = near or kind
            if kind & _ASKED and (kinds | pending) & _LINK:
                kind |= _NOUN
            if pending and kind & _LINKED:
                kind |= _LINK
            if kind & _MEANS:
                pending = 0
            kinds |= kind
            if plain and (not kind & _LABEL or kind & _NO_LABEL) and token[0].isalpha() and token not in _NUMBERS:
                plain = False
            if token in CONNECTS or kind & _BUT or not (token.isascii() or EAST.search(token) is None):
                connected = at > 0
                at -= 1
                break
        at -= 1
    if 0 <= at < len(clause) - 1 and clause[at + 1] in QUOTES and sum(one in QUOTES for one in clause[: at + 1]) % 2:
        quotes -= 1  # it closes what stands before
    return _Walk(at, kinds, near, comma, connected, quotes, plain)


def _outer(rest: Sequence[str], walk: _Walk) -> int:
    """Kinds of words farther back in the clause; behind a comma only "if" and "since".

    A noun only where no other verb is between; a link and a noun where unknown words stand behind both.
    """
    kinds, comma, linked = 0, walk.comma, bool(walk.kinds & _LINK)
    for at in range(len(rest) - 1, -1, -1):
        token = rest[at]
        if (
            (token in CONNECTS and not comma)
            or token in ("but", "however")
            or (token == "and" and linked and not comma)
        ):
            break
        comma = comma or token == ","
        kind = kind_of(rest, at, False)
        if not kind or (
            token == "if" and "i" in rest and "another" not in rest and not {"had", "forced"}.isdisjoint(rest)
        ):
            continue  # "if I had to guess, ..."
        if comma:
            kinds |= kind & _BEHIND_COMMA
            continue
        if kind & _LINK and token.isalpha():
            kinds |= _LINK if not linked and not kinds & _NOUN else 0
            linked = not walk.kinds & _LINK
        kinds |= kind & (_STOPS | _NOUN if linked else _STOPS)
        if linked and kind & _LABEL and token != "one":
            kinds |= _NOUN
    return kinds


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
