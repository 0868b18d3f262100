"""What stands before a label: the words of its clause, by their kinds."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from rsr.multiple_choice.kinds import EAST, ENDS, QUOTES, TOKEN, kind_of
from rsr.multiple_choice.words import CONNECTS, Kind

_FAR = 160
_SENTENCE_ENDS = (". ", "\n", "? ", "! ", "; ")
_LINE_BEGINS = frozenset("\n✅✓✔☑❌✗✘✖✕☐")
_COMMAS = frozenset(",、")
_SILENT = frozenset("()-") | _COMMAS
_MARKS = frozenset(":=|>–—")
_SIGNS = QUOTES | _SILENT | _MARKS
_SOFT = frozenset(",:–—")
_NOUN, _LABEL, _LINK, _BUT, _VERB = Kind.NOUN, Kind.LABEL, Kind.LINK, Kind.BUT, Kind.VERB
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
