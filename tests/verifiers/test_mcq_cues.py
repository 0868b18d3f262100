"""Cues: looking only where their words stand finds what a search of the whole text would."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsr.verifiers import mcq_phrases as phrases
from rsr.verifiers.mcq_cues import Cue, Words

CUES = {name: cue for name, cue in vars(phrases).items() if isinstance(cue, Cue)}
PIECES = ["not ", "B", " but", "no, ", "wait ", "that's wrong", "İ", "ı", "f ", "if ", "don’t ", "say ", "it ", "不是"]
PIECES += [
    "i take that back",
    "错了。",
    "hold on ",
    "\n",
    ".",
    "the answer ",
    "can't ",
    "suppose that ",
    "ımagine ",
    "Some ",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def lowered(text: str) -> str:
    return text.replace("İ", "I").lower()


@given(st.lists(st.text("abß选", min_size=1, max_size=3), min_size=1, max_size=9), st.text("abcß选 ", max_size=40))
def test_all_words_are_found_also_those_within_others(words, text):
    half = len(words) // 2
    lists = [sorted(set(words[:half])), sorted(set(words[half:]))]
    expected = [sorted(at for word in each for at in range(len(text)) if text.startswith(word, at)) for each in lists]
    found = Words(*lists)
    assert [sorted(places) for places in found.places(text)] == expected
    if not set(lists[0]) & set(lists[1]):
        assert sorted(found.all_places(text)) == sorted(expected[0] + expected[1])


@pytest.mark.parametrize("name", CUES)
def test_no_word_of_a_cue_begins_with_another(name):
    words = CUES[name].words
    assert [(a, b) for a in words for b in words if a is not b and b.startswith(a)] == []


@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_the_words_of_a_cue_leave_out_no_denial(text):
    places = Words(phrases.NOT_BUT.words).all_places(lowered(text))
    found = {match.span() for match in phrases.NOT_BUT.matches(text, places)}
    assert found == {match.span() for match in phrases.NOT_BUT.expression.finditer(text)}


@settings(max_examples=500, deadline=None)
@given(TEXTS)
def test_an_answer_is_taken_back_where_a_search_finds_it(text):
    searched = [match.start() for match in phrases._TAKEN_BACK.expression.finditer(text)]
    assert phrases.taken_back(text, lowered(text)) == max(searched, default=-1)


@settings(max_examples=500, deadline=None)
@given(TEXTS.filter(lambda text: "ı" not in text))
def test_what_is_unreal_is_found_where_a_search_finds_it(text):
    at = len(text)
    assert phrases.unreal(text, lowered(text), at) == (phrases._UNREAL.search(text, max(0, at - 80)) is not None)
