"""Expressions that are tried only where one of their words stands.

The words of all of them are found in one pass over a text, by an automaton: its time doesn't depend on how many there
are, while searching for them one by one, or for the expressions, takes ten times as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ahocorasick_rs import AhoCorasick, Implementation


def listed(words: str) -> list[str]:
    """The words of a list of them; an underscore is a space."""
    return [word.replace("_", " ") for word in words.split()]


class Cue:
    """An expression with the words that it can begin with.

    Args:
        expression: matched from the first letter of a word on.
        words: in lower case, an underscore for a space; none begins with another.
    """

    def __init__(self, expression: str, words: str) -> None:
        self.expression = re.compile(expression, re.I)
        self.words = listed(words)

    def matches(self, text: str, places: Iterable[int]) -> list[re.Match[str]]:
        """The matches at the places of its words."""
        match = self.expression.match
        return [found for place in places if (found := match(text, place))]


class Words:
    """Lists of words, all of which are looked for in one pass.

    Args:
        lists: words in lower case; a word may be in several lists.
    """

    def __init__(self, *lists: Iterable[str]) -> None:
        wanted: dict[str, list[int]] = {}
        for number, words in enumerate(lists):
            for word in words:
                wanted.setdefault(word, []).append(number)
        self._count = len(lists)
        self._lists = list(wanted.values())
        self._automaton = AhoCorasick(list(wanted), implementation=Implementation.DFA)

    def places(self, lower: str) -> list[list[int]]:
        """For each list, where its words begin in a text in lower case, words within others too.

        Raises:
            UnicodeEncodeError: the text has lone surrogates.
        """
        places: list[list[int]] = [[] for _ in range(self._count)]
        for word, start, _ in self._automaton.find_matches_as_indexes(lower, overlapping=True):
            for number in self._lists[word]:
                places[number].append(start)
        return places

    def all_places(self, lower: str) -> list[int]:
        """The same for all lists together."""
        return [start for _, start, _ in self._automaton.find_matches_as_indexes(lower, overlapping=True)]
