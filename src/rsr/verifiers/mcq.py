"""`mcq-rlvr`: multiple choice by rule.

Every place that may give the choice is collected (`rsr.verifiers.mcq_candidates`); the last one that the text commits
to counts. A hedge ("A or B"), a shotgun ("ABCD") or an answer that is taken back has no score.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from rsr.completions import encodable
from rsr.types import Reason, Verdict
from rsr.verifiers import mcq_phrases as phrases
from rsr.verifiers.mcq_beside import disputed, tokens
from rsr.verifiers.mcq_candidates import Candidate, Strength, collect
from rsr.verifiers.mcq_options import Options, may_be, options_of, parse_options, plain, reference_labels
from rsr.verifiers.mcq_reading import Labels, Scene, read_labels, read_option_text

_UNKNOWN = frozenset("ABCDEFGHJ")
_HEAD, _TAIL = 2_000, 12_000
_NEAR = 40


class MCQ:
    """Multiple choice: reads the chosen letter or letters out of a response and compares them with the reference."""

    version = "3"
    reads_metadata = False

    def __call__(
        self, response: str, answer: Any, *, choices: Any = None, metadata: Mapping[str, Any] | None = None
    ) -> Verdict:
        """1.0 or 0.0, with the letters that were read; no score when the response commits to none.

        Raises:
            ValueError: the reference is missing or names no option.
        """
        reference, options, labels, texts, longest = _reference(_frozen(answer), _frozen(choices))
        text = _normalised(response)
        lower = text.lower() if text.isascii() else encodable(text.replace("İ", "I").lower())
        scene = Scene(text, options, labels, len(reference) > 1, texts, longest, lower)
        chosen = choose(scene, reference)
        if chosen is None:
            return Verdict(reason=Reason.NO_ANSWER)
        return Verdict(score=float(chosen == reference), extracted="".join(sorted(chosen)))

    def read_reference(self, answer: Any, choices: Any) -> None:
        """Read a reference, as judging would.

        Raises:
            ValueError: it is missing or names no option.
        """
        _reference(_frozen(answer), _frozen(choices))

    def choices_of(self, text: str) -> Options | None:
        """The options in a prompt's text, or None."""
        return parse_options(text) or None


def choose(scene: Scene, reference: frozenset[str] = frozenset()) -> frozenset[str] | None:
    """The labels that a response commits to, or None."""
    whole = _whole(scene)
    if whole is not None:
        return whole or None
    for strength in (Strength.STRONG, Strength.MEDIUM):
        group = _last_group(collect(scene, strength), scene.text)
        if group:
            return _agreed(group, scene, reference)
    return _mentioned(scene)


def _whole(scene: Scene) -> frozenset[str] | None:
    """Labels of a response that is nothing but labels or an option's text; empty: a hedge; None: it is more."""
    if len(scene.text) > 300:
        return None
    text = scene.text.strip(" \n.*_`")
    if len(text) > 1 and may_be(text, scene.texts.values()):
        given = plain(text)
        own = [label for label, option in scene.texts.items() if option == given]
        if len(own) == 1:
            return frozenset(own)
    if _BEGINS_WITH_WORD.match(text):
        return None
    dashed = _DASHED.fullmatch(text)
    if dashed and plain(dashed[2]) == scene.texts.get(dashed[1].upper()):
        return frozenset(dashed[1].upper())
    read = read_labels(scene._replace(text=text + "\n"), 0)
    if read is None or (text + "\n")[read.end :].strip(" .)*:\n"):
        return None
    several = len(read.labels) > 1
    return frozenset() if read.hedged or (several and not scene.several) else read.labels


def _last_group(candidates: Sequence[Candidate], text: str) -> list[Candidate]:
    """The last candidate with those just before it that it doesn't correct."""
    group: list[Candidate] = []
    for candidate in reversed(candidates):
        if group:
            between = text[candidate.end : group[-1].start]
            if len(between) > _NEAR or phrases.CORRECTION.search(text, candidate.end, group[-1].end):
                break
        group.append(candidate)
    return group


def _agreed(group: list[Candidate], scene: Scene, reference: frozenset[str]) -> frozenset[str] | None:
    if any(candidate.hedged for candidate in group):
        return None
    labels = frozenset().union(*[candidate.labels for candidate in group])
    if len(labels) > 1 and labels != reference:
        separate = all(len(candidate.labels) == 1 for candidate in group)
        if labels == scene.labels or (separate and not scene.several) or len(labels) > 3:
            return None
    return labels


_MENTION = re.compile(r"(?:\b(?:option|choice|answer)\s{1,3}[(*\"']{0,3}|\()([A-Z])(?![A-Za-z0-9'’])", re.I)
_SENTENCES = re.compile(  # begins with a plain set of characters, which makes the search fast
    r"\s(?:(?<=[.!?。]\s)(?<![A-Z]\.\s)(?<!i\.e\.\s)(?<!e\.g\.\s)\s*|(?<=\n)\n*)"
)
_TAGS = re.compile(r"</?(?:b|strong|em|i|u|span|p|br)\s?/?>", re.I)
_BEGINS_WITH_WORD = re.compile(r"(?!(?i:option|choice)\b)[A-Za-z][a-z]")
_DASHED = re.compile(r"(?:option |choice )?\(?([A-Z])\)?\s?[-–—:.=(\[]\s?([^\n]+)", re.I)


def _mentioned(scene: Scene) -> frozenset[str] | None:
    """The only label that the last sentence mentions, unless it does so doubtfully; or the option that it affirms."""
    above, sentence = _last_sentence(scene.text[-600:].strip())
    if "?" in sentence:
        return None
    tail = scene._replace(text=sentence)
    text = read_option_text(tail, 0, whole=True)
    if text:
        return None if _ITEM_ABOVE.search(above) else text.labels
    if phrases.UNSURE.search(sentence) or phrases.CROSS.search(sentence):
        return None
    found = [match for match in _MENTION.finditer(sentence) if match[1].upper() in scene.labels]
    labels = frozenset(match[1].upper() for match in found)
    if not labels:
        return _affirmed(scene, sentence)
    read = [Labels(match.end(), frozenset(match[1].upper()), False) for match in found]
    words = tokens(sentence)
    named = {label for label, text in scene.texts.items() if tokens(text) in words}
    if named and not named & labels:
        return None
    return labels if len(labels) == 1 and not any(disputed(tail, one) for one in read) else None


def _last_sentence(text: str) -> tuple[str, str]:
    """The line or sentence before the last one, and the last one."""
    parts = [part for part in _SENTENCES.split(text) if part]
    return (parts[-2] if len(parts) > 1 else "", parts[-1] if parts else "")


_ITEM_ABOVE = re.compile(r"\A(?![^\n]*:\Z)\W{0,6}\w+(?:[ -]\w+){0,2}[,;]?\Z|\A\W{0,4}(?:\w[).:] ?){1,2}\d?\.?\Z")
"""A word or three without a full stop: what stands below is the next item of a list; or only the number of an item."""

_STATES = re.compile(
    r"\b(?:is|are|was|were|equals?|means?|measures?|makes?|made|has|have|gives?|needs?|lives?|uses?|called|wrote"
    r"|contains?|produces?|causes?|becomes?|est|ist|es|è|é|sont|sind|son|sono"
    r"|(?:written|painted|composed|discovered|invented|created|made|produced|caused|founded|built|led) by)"
    r"(?: (?:the|an?|in|at|on|by|from|called|named|indeed|actually|simply|clearly|city|of"
    r"|la|le|el|il|die|der|das)){0,3} ?\Z"
)
_IS_THE = re.compile(r" (?:is|are|was|were) (?:indeed )?the ")
_ASIDE = re.compile(
    r"\b(?:if|unless|perhaps|maybe|possibly|guess|no|never|without|nothing|none|than|unlike|rather|instead|opposite|compared|besides|like|similar|near|before"
    r"|after|question|asks?|asking|options?|choices?|some|many|people|think|believe|would|should|wrong|false|nicht|kein\w*"
    r"|pas|nunca|non|but|although|though|while|whereas|hardly|contrary|different|example|also|both|more|less"
    r"|\w+n['’]t)\b"
)
_AFFIRMED_IN = 400
_LABELLED = re.compile(r"^\W{0,4}[A-Z][):.]|\([A-Z]\)", re.M)


def _affirmed(scene: Scene, sentence: str) -> frozenset[str] | None:
    """The only option that plain prose speaks of: "The capital is Paris.", "Paris is the capital."."""
    if len(scene.text) > _AFFIRMED_IN or _LABELLED.search(scene.text) or len(scene.texts) < max(2, len(scene.options)):
        return None
    words, all_words = tokens(sentence), tokens(scene.text)
    named = [label for label, text in scene.texts.items() if tokens(text) in all_words]
    if len(named) != 1 or _ASIDE.search(sentence.lower()):
        return None
    option = tokens(scene.texts[named[0]])
    if len(option) < 5:
        return None
    ends = words.endswith(option) and _STATES.search(words[: -len(option)])
    begins = words.startswith(option) and _IS_THE.match(words, len(option) - 1)
    return frozenset(named) if ends or begins else None


def _normalised(response: str) -> str:
    if len(response) > _HEAD + _TAIL:  # the choice is given at the beginning or at the end
        response = response[:_HEAD] + "\n\n" + response[-_TAIL:]
    text = response if response.isascii() else unicodedata.normalize("NFKC", response)
    return (_TAGS.sub("", text) if "<" in text else text).strip()


def _frozen(value: Any) -> bytes:
    return msgspec.msgpack.encode(value)


@lru_cache(maxsize=4096)
def _reference(answer: bytes, choices: bytes) -> tuple[frozenset[str], Options, frozenset[str], Options, int]:
    """The reference's labels, the options, all labels, the options' texts for comparing and the length of the longest.

    Once per prompt.
    """
    if answer == _frozen(None):
        raise ValueError("metadata.answer is missing")
    reference, options = reference_labels(msgspec.msgpack.decode(answer), options_of(msgspec.msgpack.decode(choices)))
    texts = {label: plain(text) for label, text in options.items() if len(text) > 1 or text.isdigit()}
    labels = frozenset(options) or (_UNKNOWN | reference)
    longest = max(map(len, options.values()), default=0)
    return reference, options, labels, {label: text for label, text in texts.items() if text}, longest
