"""The tokens of a clause, and the kind of each: what the table of words says, unless the words beside it change it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rsr.multiple_choice.words import EAST_BEFORE, PAIRS, WORDS, Kind

_PUNCTUATION = r"\s!-&(-/:-@\[-`{-~«»“”„‘‹›「」『』【】《》।。、…–—→⇒➡👉⟹➜➔∴✅✓✔☑❌✗✘✖✕☐"
TOKEN = re.compile(
    r"i\.\s?e\.?|e\.\s?g\.|ans\.(?<=\bans\.)|sol\.(?<=\bsol\.)|=>|->|\\[a-z]+|\[[ x✓✔]\]|<(?=[/|a-z])"
    rf"|[^{_PUNCTUATION}0-9'’]++(?:['’][^{_PUNCTUATION}0-9'’]++)?+|\d++"
    r"|[\n:=,、;.!?()।|>\"“”'’。…–—→⇒➡👉⟹➜➔∴✅✓✔☑❌✗✘✖✕☐-]"
)
ENDS = frozenset(".!?;\n。।<…✅✓✔☑❌✗✘✖✕☐")
"""Tokens that end a clause."""
QUOTES = frozenset("\"“”'’")
EAST = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]")
_LIKELY = {"most", "best", "more", "appropriate", "likely"}
_PLAUSIBLE = ("plausible", "possible", "attractive", "probability", "initial", "next")

_CHOOSE = ("choose", "chose", "pick", "picked", "select", "selected", "say", "think", "answered")
_TOWARD = {"to", "toward", "towards", "at"}

_Row = tuple[str, set[str] | None, set[str] | None, int]
_ROWS: list[_Row] = [
    # word, one of these right before it, one of these right behind it (None: any), its kind there; the first row counts
    ("doubt", {"no", "without"}, None, Kind.ADV | Kind.FILL),
    ("thought", {"second"}, None, Kind.BUT),
    ("thoughts", {"second"}, None, Kind.BUT),
    ("second", None, {"thought", "thoughts"}, Kind.BUT),
    *((word, None, {following}, Kind.FILL) for word, following in PAIRS),
    ("first", None, {",", "time"}, Kind.FILL),
    ("time", {"first"}, None, Kind.FILL),
    ("said", {"have"}, None, Kind.VERB),
    ("on", {"vastaus", "válasz"}, None, Kind.LINK),
    ("a", {"vastaus", "válasz"}, None, Kind.LINK),
    ("ni", {"sahihi", "jibu"}, None, Kind.LINK),
    ("here", None, {","}, Kind.SO),
    ("makes", None, {"sense"}, WORDS["makes"]),
    ("makes", None, None, Kind.SO),
    ("make", None, {"sense"}, WORDS.get("make", 0)),
    ("make", None, None, Kind.SO),
    ("you", None, {"answered", "chose", "picked", "selected", "said", "chosen", "wrote"}, Kind.DOUBT),
    ("other", {"the"}, {":"}, Kind.FILL),
    ("example", None, {"of"}, Kind.FILL),  # "this is an example of ..."
    ("alternative", None, {":"}, Kind.DOUBT),
    ("going", {"was"}, None, Kind.DOUBT),
    *((word, _LIKELY, None, Kind.GOOD) for word in _PLAUSIBLE),
    ("of", {"instead"}, None, Kind.NO),
    *((word, {"who"}, None, Kind.DOUBT) for word in _CHOOSE),  # "those who choose C"
    *((word, None, _TOWARD, WORDS[word]) for word in ("point", "points")),
    *((word, None, None, 0) for word in ("point", "points")),  # "the lowest point"
    ("one", {"by"}, None, 0),
    ("does", None, {"", ",", *ENDS}, WORDS["does"]),
    ("does", None, None, Kind.FILL),
    ("odd", None, {"one"}, Kind.NOUN),
    ("out", {"one"}, {"is", "was", ":", "must"}, Kind.FILL),  # "the odd one out is"
    ("say", {","}, {","}, Kind.FILL),
    ("says", {"this", "that", "it"}, None, Kind.FILL),
]
_IN_PLACE: dict[str, list[tuple[set[str] | None, set[str] | None, int]]] = {}
for _word, _before, _behind, _there in _ROWS:
    _IN_PLACE.setdefault(_word, []).append((_before, _behind, _there))
for _word in ("so", "then", "one", "options", "choices", "no", "to"):  # `_in_clause` says more of these
    _IN_PLACE.setdefault(_word, [])


def depends(token: str) -> bool:
    """Whether the words beside a word may change its kind."""
    return token in _IN_PLACE


def kind_of(clause: Sequence[str], at: int, comma: bool) -> int:
    """The kind of a word of a clause; 0: it is not known. `comma`: one stands behind it, farther on in its clause."""
    token = clause[at]
    kind = WORDS.get(token, 0)
    if token not in _IN_PLACE:  # most words
        return kind or (0 if token.isalpha() and token.isascii() else _unlisted(clause, at))
    last = clause[at - 1] if at else ""
    following = clause[at + 1] if at + 1 < len(clause) else ""
    for before, behind, there in _IN_PLACE[token]:
        if (before is None or last in before) and (behind is None or following in behind):
            return there
    return _in_clause(clause, at, comma, kind)


def _in_clause(clause: Sequence[str], at: int, comma: bool, kind: int) -> int:
    """The kind of a word for which more counts than the words right beside it."""
    token, last = clause[at], clause[at - 1] if at else ""
    if token == "no":
        return Kind.BUT if comma else Kind.NO
    if token == "then":
        return Kind.FILL if "next" in clause or "first" in clause else kind
    if token == "one":  # "the red one"
        return 0 if last and last not in WORDS else kind
    if token == "to":
        return Kind.LINK if last.startswith(("odpow", "odpov")) else kind
    following = clause[at + 1] if at + 1 < len(clause) else ""
    if token == "so" and following in ("is", "are", "does", "do", "was") and at + 2 == len(clause):
        return Kind.DOUBT  # "7 is prime and so is 11"
    if token in ("options", "choices") and following == ":" and not WORDS.get(last, 0) & Kind.GOOD:
        return 0
    return kind


def _unlisted(clause: Sequence[str], at: int) -> int:
    """The kind of a token that the table doesn't have: a number, a contraction, East Asian text."""
    token = clause[at]
    if "'" in token:
        first, _, second = token.rpartition("'")
        if second == "s" and WORDS.get(first, 0) & (Kind.NOUN | Kind.LABEL):
            return WORDS[first] | Kind.LINK  # "my answer's D"
        if kind := WORDS.get(second, 0):
            return kind
    if token.isdigit():
        following = clause[at + 1] if at + 1 < len(clause) else ""
        said = (at < 2 and following in (":", ")")) or following in ("sure", "certain", "confident")
        return Kind.FILL if said else 0
    kind = 0
    if not token.isascii() and EAST.search(token):
        for match in EAST_BEFORE.finditer(token):
            kind |= getattr(Kind, (match.lastgroup or "fill").upper())
        kind |= Kind.LINK if kind & Kind.NOUN else 0
    return kind
