"""What the words of a clause do with an option that they name: hold it, deny it, or only mention it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from rsr.multiple_choice.prose_words import ASIDE, AWAY, BEHIND_BAD, BUT, CUES, LINKS, MODAL, NO, SAYING, UNSURE
from rsr.multiple_choice.words import WORDS, Kind

NAME = "<>"
"""Stands for what names an option, among the words of its sentence."""


class Named(NamedTuple):
    """A place that names options."""

    start: int
    end: int
    labels: frozenset[str]
    label: bool = False
    """It is a letter, which may mean other things."""
    denied: bool = False
    """It is known to be denied."""
    doubtful: bool = False
    """It is known to be put into question."""
    plain: bool = False
    """Plain words about the subject end in it, or it is long enough to stand for itself."""


_CONCLUDING = Kind.SO | Kind.NOUN | Kind.VERB


_EAST_NOT = re.compile(r"(?:不是|不选|并非)\s?\Z")
_LONG = 25
"""Characters of an option's text that is no aside, whatever stands before it."""


def polarity_of(lower: str, words: Sequence[tuple[int, str]], one: Named) -> tuple[int, bool, bool]:
    """1: held, 0: only mentioned, -1: denied; whether words before it conclude; whether it follows from others."""
    if one.denied:
        return -1, False, False
    clause = _Clause(words[0][1] if words else "", one)
    for at, (place, word) in enumerate(words):
        if place >= one.start:
            break
        clause.read(words[at - 1][1] if at else "", word, words[at + 1][1] if at + 1 < len(words) else "", place)
    if clause.no or _EAST_NOT.search(lower, max(0, one.start - 6), one.start) or _denied_behind(words, one):
        return -1, clause.cue, clause.so
    aside = clause.aside and one.end - one.start < _LONG
    return (0 if clause.unsure or aside or clause.modal else 1), clause.cue, clause.so


class _Clause:
    """What the words before an option, read from the left, do to it.

    Args:
        first: the first word of the sentence.
        one: the option's place.
    """

    def __init__(self, first: str, one: Named) -> None:
        self.no = self.aside = self.modal = self.cue = self.so = False
        self.unsure = one.doubtful
        self._first, self._one = first, one
        self._since = (
            ""  # what was read since "not": nothing, a word of saying, another word, or that it holds for good
        )

    def read(self, last: str, word: str, following: str, place: int) -> None:
        """Take the next word, with its neighbours."""
        if word in _CLAUSE_MARKS:
            self._mark(word, following, place)
            return
        if word in BUT:
            self.no = self.aside = False
            self.unsure = self._one.doubtful
        elif word in NO:
            self.no, self._since = True, ""
        elif word in AWAY or (word.startswith("rul") and following == "out"):
            self.no, self._since = True, _AWAY
        else:
            self._doubt(last, word, following)
            self._link(word)
        if word == "so" and following in _TO_BE:
            self.unsure = True  # "and so is the other"
        elif word not in _NO_CUES:
            chosen = word in _TAKES and last in _FIRST_PERSON
            self.so = self.so or word in _SO
            self.cue = (
                self.cue or chosen or (word not in _SO and (word in CUES or bool(WORDS.get(word, 0) & _CONCLUDING)))
            )

    def _mark(self, mark: str, following: str, place: int) -> None:
        self.no = self.no and mark == "," and following in ("or", "nor", "and", NAME)
        if mark == ":":
            self.unsure = self._one.doubtful
        opened = mark == "(" and place < self._one.start - 1
        closed = mark in ";:)" or (mark == "," and self._first in ASIDE)
        self.aside = (self.aside or opened) and not closed

    def _doubt(self, last: str, word: str, following: str) -> None:
        if word in UNSURE:
            said = (word == "example" and following == "of") or (word == "question" and last == "in")
            self.unsure = self.unsure or not said
        elif word in MODAL:
            self.modal = True
        elif word in ASIDE:
            self.aside = word != "because" or following != "of"
            self.cue = self.cue or not self.aside
        self.unsure = (
            self.unsure
            or (self.modal and word in _SEEMS)
            or (word == "about" and last == "all")
            or (word == "to" and last == "need" and not WORDS.get(following, 0) & Kind.VERB)
            or (word == "my" and not _is_answer(following))
            or (word, following) in _UNSURE_PAIRS
        )

    def _link(self, word: str) -> None:
        """A link ends what a denied or possible clause before it says: "the one that is not a gas is ..."."""
        if word in LINKS:
            self.no = self.no and self._since != _OTHER
            self.modal = self.modal and word in ("be", "been")
        elif self.no and not self._since:
            self._since = _SAID if word in SAYING else _OTHER


_SO = frozenset(("so", "gives", "get", "we", "i.e", "giving", "obtain"))
_TAKES = frozenset(("take", "pick", "put"))
_FIRST_PERSON = frozenset(("i", "i'd", "i'll", "we", "we'd", "so"))
_CLAUSE_MARKS = frozenset((*",;:()—–→", "-", "->", "=>"))
_AWAY, _SAID, _OTHER = "away", "said", "other"
_TO_BE = frozenset(("is", "are", "was", "were", "does", "do"))
_NO_CUES = frozenset(("it", "it's", "went"))
_SEEMS = frozenset(("seem", "seems", "appear", "look", "think", "say"))
_UNSURE_PAIRS = frozenset(
    (
        *(("was", "going"), ("at", "first"), ("second", "best"), ("second", "most")),
        *(("other", "hand"), ("in", "contrast"), ("by", "contrast")),
    )
)


def _denied_behind(words: Sequence[tuple[int, str]], one: Named) -> bool:
    """Whether the words right behind deny it: "X is wrong"."""
    for place, word in words:
        if place < one.end or word == NAME:
            continue
        if word in ",;:()—–." or word in BUT or word in ASIDE:
            return False
        if word in BEHIND_BAD:
            return True
    return False


def _is_answer(word: str) -> bool:
    """Whether a word is one for what is asked for."""
    return bool(WORDS.get(word, 0) & (Kind.NOUN | Kind.LABEL | Kind.ADV | Kind.GOOD)) or word in (
        "recommendation",
        "money",
        "bet",
        "final",
        "vote",
    )


_OTHERS_SAY = re.compile(
    r"\b(?:he|she|they|you(?! (?:should|can|could|must|may|want|need|have)\b)|users?|students?|models?"
    r"|(?:your )?(?:teacher|friend|classmate|message)(?:s"
    r"|['’]s)?|people|readers|many"
    r"|some|someone|key|text|textbooks?|books?|sources?|passage)\b(?: \w+){0,3}"
    r" (?:chose|choose|picked|pick|says?|said|answer(?:ed|s)?|thinks?|thought|select(?:ed|s)?|mark(?:ed|s)|guess(?:ed)?"
    r"|predict(?:ed|s)|wr[oi]tes?|claim(?:s|ed)?|believes?|reasoning goes|goes|was|were going)\b"
    r"|\bi (?:know|like|love|met|visited)\b|\baccording to (?:the )?(?:answer )?key\b"
)


def said_by_others(lower: str, start: int, end: int) -> int:
    """Behind which place a stretch gives what somebody else says; -1: it does not."""
    found = _OTHERS_SAY.search(lower, start, end)
    return found.end() if found else -1
