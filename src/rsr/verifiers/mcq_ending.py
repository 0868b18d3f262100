"""Responses without an answer phrase: what their last words affirm, and nothing else in them commits to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rsr.verifiers.mcq_beside import After
from rsr.verifiers.mcq_mentions import Mention, Question
from rsr.verifiers.mcq_stance import Read, Stance
from rsr.verifiers.mcq_words import Kind


def under_label(text: str, reads: Sequence[Read], mention: Mention) -> bool:
    """Whether the line of an option's text begins with the label of another: "D) it's copper"."""
    start = text.rfind("\n", 0, mention.start) + 1
    return any(
        start <= one.mention.start < mention.start and one.before.line and not one.mention.labels & mention.labels
        for one in reads
        if not one.mention.text
    )


_AFFIRMED_IN = 600
_LABELLED = re.compile(r"^\W{0,4}[A-Z][):.]|\([A-Z]\)", re.M)


def affirmed(question: Question, text: str, lower: str, reads: Sequence[Read]) -> frozenset[str]:
    """The only option that plain words end in: "The capital is Paris."; nothing else may be named or denied."""
    if len(text) > _AFFIRMED_IN or not question.texts or _LABELLED.search(text):
        return frozenset()
    open_ = [one for one in reads if one.stance is not Stance.DENIED]
    if any(one.mention.text and under_label(text, reads, one.mention) for one in open_):
        return frozenset()
    if any(not one.mention.text for one in open_):
        return frozenset()
    weak = [one.mention for one in open_ if one.stance is Stance.WEAK]
    if not weak or any(one.mention.labels != weak[-1].labels for one in open_ if one.mention.start >= weak[-1].start):
        return frozenset()
    labels = weak[-1].labels
    begin = max(text.rfind(mark, 0, weak[-1].start) for mark in (". ", "\n"))
    last = begin > 0 and not text[weak[-1].end :].strip(_CLOSERS) and len({one.labels for one in weak}) == 1
    others = [one.mention for one in open_ if one.mention.labels != labels]
    if len(labels) != 1 or (others and not (last and others[-1].end <= begin)):
        return frozenset()
    return frozenset() if _PERSONAL.search(lower) else labels


_ARROW = re.compile(r"[a-z0-9)%]\*{0,2} ?(?:→|->|=>|⇒) ?[*(]{0,3}([A-Z])[)*]{0,3}(?: ?\([^()\n]{3,80}\))?[.!]?\Z")


def pointed(question: Question, text: str) -> frozenset[str]:
    """The label that a last arrow points at: "turns red -> A (C would hold for a base)"."""
    found = _ARROW.search(text, max(0, len(text) - 110))
    return frozenset([found[1]]) if found and found[1] in question.labels else frozenset()


_PERSONAL = re.compile(r"\b(?:my|me|i|we|us|our|you|your)\b(?!'?(?: would|d)? (?:think|believe|say|conclude))")
_TO_LAST = re.compile(r"(?:[(\[–—:→>=-]|\b(?:option|choice|letter|i\.e\.,?)\s)[\s*_(\[\"'“]{0,4}\Z", re.I)
_SUPERLATIVE = re.compile(r"\b[Tt]he (?:only )?\w[\w ]{0,40} is [(*]{0,3}\Z")
_NEXT = re.compile(r"\b(?:next|now|then|first|second|third|finally|lastly|also),\s\w+\s[(*]{0,3}\Z", re.I)
_DOUBTS = Kind.NO | Kind.IF | Kind.DOUBT | Kind.LOOK | Kind.MAYBE | Kind.BAD


def last_label(question: Question, text: str, reads: Sequence[Read]) -> frozenset[str]:
    """The only label of the last sentence, at its end and marked as one: "so the organ is the skin (option C)"."""
    labelled = [one for one in reads if not one.mention.text]
    if not labelled or labelled[-1].mention.clash or len(labelled[-1].mention.labels) > 1:
        return frozenset()
    one = labelled[-1]
    start = max(text.rfind(mark, 0, one.mention.start) for mark in ("\n", ". ", "; "))
    alone = len(labelled) == 1 or labelled[-2].mention.end <= start
    if not alone or one.after is not After.END or one.stance < 0 or (one.before.kinds | one.before.outer) & _DOUBTS:
        return frozenset()
    other = any(
        two.mention.text and two.mention.start >= start and two.mention.labels != one.mention.labels for two in reads
    )
    ends = not text[one.mention.end :].strip(" .)*]_`\"'!")
    if other or not ends or one.before.quoted or one.before.kinds & Kind.PREP:
        return frozenset()
    if one.mention.both and "(" in text[one.mention.start : one.mention.end]:
        return one.mention.labels  # "This would cause a rise in prices (D)."
    texts = [two for two in reads if two.mention.text and two.mention.start >= start and two.stance >= 0]
    if texts and text[one.mention.start - 1] == "(" and all(two.mention.labels == one.mention.labels for two in texts):
        return one.mention.labels  # "It is central to the monetarist school (B)."
    only = text[max(0, start) :].lstrip(". \n;").startswith("The only ")
    if (only or len({two.mention.labels for two in labelled}) > 2) and _SUPERLATIVE.search(
        text, start, one.mention.start
    ):
        return one.mention.labels  # "The largest is B."
    if text[-1].isalnum() and start >= 0 and text[start] != "\n" and len(labelled) > 1:
        return frozenset()  # "A is out. B is out. C": cut off
    sentence = one.stance is Stance.LINE and not one.before.line and not one.before.kinds  # "... come from it. **B**"
    named = _TO_LAST.search(text, 0, one.mention.start)
    if named and question.texts and not one.before.kinds & Kind.LABEL and "(" in named[0]:
        named = None  # "carbon (C)"
    if named and _NEXT.search(text, 0, one.mention.start):
        named = None  # "Next, option C."
    return one.mention.labels if sentence or named else frozenset()


_ASIDE = re.compile(r"[.!。][\"'”]?\s*\((?P<said>[^()\n]{3,160})\)\.?\s*\Z")
_DENIES = re.compile(r"\b(?:wrong|incorrect|not|means|would|is|are)\b")
_OPENS = re.compile(r"\b(?:or|maybe|might|perhaps|could|also|sure|guess|possibly|answer)\b|\?")
_CONTRAST = re.compile(
    r",? (?:rather than|instead of|as opposed to|unlike|and not|not)\b"
    r"|, (?:since|because|as|which)\b"
)
_CLOSERS = " .*!)\"'”_`。"
_CONCLUDES = re.compile(
    r"[\s*#>]{0,6}(?:so(?! (?:is|are|was|does|do|far)\b)|thus|therefore|hence|consequently|overall"
    r"|in (?:conclusion|summary|short)|finally|to conclude"
    r"|this means|we (?:can )?conclude|it follows)\b|.*(?:,|;) (?:so|thus|therefore|hence)\b",
    re.S,
)
_CLAUSE = re.compile(r"[,;] (?:but |(?P<word>(?:so|thus|therefore|hence) ))")
_BOLD = re.compile(r"\*\*[^*\n]{1,200}\*\*")
_ITEM = re.compile(r"[\s>]{0,4}(?:[-*•+]\s|\d{1,2}[.)]\s|#)")
_UNSURE = re.compile(
    r"\b(?:if|unless|might|may|could|perhaps|maybe|possibly|some|students?|people|many|tempting|tempted|would|wrong"
    r"|incorrect|not|neither|nor|never|cannot|no|first|next|now|let's|let|consider|wait|hmm|says?|claims?|thinks?|thought"
    r"|either|or|whether|depends?|about|question|rule|rules|ruled|eliminate\w*|exclude\w*|discard\w*|compare|check|look|example|unlike"
    r"|except|like|as|than|but|however|although|though|while|whereas|i|my)\b|n't\b|[\"“:]"
)


def concluded(question: Question, text: str, lower: str, reads: Sequence[Read]) -> frozenset[str]:
    """The only option that the last sentence ends in, where it is a conclusion or has it in bold.

    "Thus the meeting is on Wednesday.", "It should be attributed to Weber, rather than to Marx."
    """
    if not question.texts or lower.endswith("?"):
        return frozenset()
    end, stop = len(text), len(text.rstrip(_CLOSERS))
    ends = [(text.rfind(mark, 0, stop), len(mark)) for mark in ("\n", ". ", "! ", "? ", ".** ")]
    start = max((at + size for at, size in ends if at >= 0), default=0)
    clauses = list(_CLAUSE.finditer(lower, start, stop))
    start = clauses[-1].end() - len(clauses[-1]["word"] or "") if clauses else start
    contrast = _CONTRAST.search(lower, start, end)
    while contrast and any(one.mention.start <= contrast.start() < one.mention.end for one in reads):
        contrast = _CONTRAST.search(lower, contrast.end(), end)
    limit = contrast.start() if contrast else end
    inside = [one.mention for one in reads if start <= one.mention.start < limit]
    if not inside or any(one.clash or one.either or not one.text for one in inside):
        return frozenset()
    labels = frozenset().union(*(one.labels for one in inside))
    if (len(labels) > 1 and not question.several) or _UNSURE.search(lower, start, inside[0].start):
        return frozenset()
    bold = _BOLD.findall(text, start, limit)
    marked = len(bold) == 1 and text.startswith("**", inside[0].start - 2)
    behind = lower[inside[-1].end : limit].strip(_CLOSERS)
    if (behind and (not marked or _UNSURE.search(behind))) or _ITEM.match(text, start):
        return frozenset()
    weak = any(one.stance is Stance.WEAK and one.mention is inside[-1] for one in reads)
    if text[-1].isalnum() and not marked and not weak:
        return frozenset()  # perhaps cut off
    return labels if marked or _CONCLUDES.match(lower, start, inside[0].start) else frozenset()


def without_aside(text: str, lower: str) -> str:
    """A text without the sentence in brackets that it ends in, where that explains: "= 4 N. (2 N would be wrong.)"."""
    found = _ASIDE.search(lower, max(0, len(text) - 200)) if text.endswith((")", ").")) else None
    if not found or not _DENIES.search(found["said"]) or _OPENS.search(found["said"]):
        return text
    return text[: found.start("said") - 1].rstrip()
