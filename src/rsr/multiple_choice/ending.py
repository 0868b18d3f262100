"""Responses without an answer phrase: what their last words affirm, and nothing else in them commits to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rsr.multiple_choice.behind import After
from rsr.multiple_choice.clauses import Named
from rsr.multiple_choice.mentions import Mention, Question
from rsr.multiple_choice.paraphrase import paraphrases
from rsr.multiple_choice.prose import concluding
from rsr.multiple_choice.stance import Read, Stance
from rsr.multiple_choice.values import values
from rsr.multiple_choice.words import Kind


def under_label(text: str, reads: Sequence[Read], mention: Mention) -> bool:
    """Whether the line of an option's text begins with the label of another: "D) it's copper"."""
    start = text.rfind("\n", 0, mention.start) + 1
    return any(
        start <= one.mention.start < mention.start and one.before.line and not one.mention.labels & mention.labels
        for one in reads
        if not one.mention.text
    )


_ARROW = re.compile(r"[a-z0-9)%]\*{0,2} ?(?:→|->|=>|⇒) ?[*(]{0,3}([A-Z])[)*]{0,3}(?: ?\([^()\n]{3,80}\))?[.!]?\Z")


def pointed(question: Question, text: str) -> frozenset[str]:
    """The label that a last arrow points at: "turns red -> A (C would hold for a base)"."""
    found = _ARROW.search(text, max(0, len(text) - 110))
    return frozenset([found[1]]) if found and found[1] in question.labels else frozenset()


_TO_LAST = re.compile(r"(?:[(\[–—:→>=-]|\b(?:option|choice|letter|i\.e\.,?)\s)[\s*_(\[\"'“]{0,4}\Z", re.I)
_SUPERLATIVE = re.compile(r"\b[Tt]he (?:only )?\w[\w /-]{0,40} is [(*]{0,3}\Z")
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


def without_aside(text: str, lower: str) -> str:
    """A text without the sentence in brackets that it ends in, where that explains: "= 4 N. (2 N would be wrong.)"."""
    found = _ASIDE.search(lower, max(0, len(text) - 200)) if text.endswith((")", ").")) else None
    if not found or not _DENIES.search(found["said"]) or _OPENS.search(found["said"]):
        return text
    return text[: found.start("said") - 1].rstrip()


def remaining(question: Question, text: str, reads: Sequence[Read]) -> frozenset[str]:
    """The only option that is left where all others are ruled out, one by one."""
    out = [one for one in reads if not one.mention.either and (one.stance is Stance.DENIED or _ruled_out(text, one))]
    denied = frozenset().union(*(one.mention.labels for one in out)) if out else frozenset()
    rest = frozenset(question.options) - denied
    if len(rest) != 1 or len(question.options) < 3 or not text.endswith(_STOPS):
        return frozenset()
    if any(text.startswith(" nor", one.mention.end) for one in reads if one.mention.labels & rest):
        return frozenset()
    return frozenset() if "?" in text[out[-1].mention.start :] else rest


_RULED_OUT = re.compile(
    r"\b(?:eliminat\w+|exclud\w+|rul\w+ out|reject\w*|dismiss\w*|discard\w*) (?:(?:options?|choices?"
    r"|both) ){0,2}[(*]{0,3}\Z",
    re.I,
)


def _ruled_out(text: str, one: Read) -> bool:
    return _RULED_OUT.search(text, max(0, one.mention.start - 40), one.mention.start) is not None


_STOPS = (".", "!", "。", ")", "*", '"')


def told(question: Question, text: str, lower: str, reads: Sequence[Read]) -> frozenset[str]:
    """What the sentences of a text come to, options in other words among them."""
    end = max(0, len(lower) - 250)
    if left_open(question, lower, end) or _asks_back(lower, end):
        return frozenset()
    named = [_named(one, lower) for one in reads if not one.mention.clash]
    if all(one.mention.text for one in reads):
        named += _small(question, text)
    taken = [(one.mention.start, one.mention.end) for one in reads] + [(one.start, one.end) for one in named]
    for start, end, label in paraphrases(question.options, text, lower, taken):
        if _other_label(text, reads, start, label):
            continue
        named.append(Named(start, end, frozenset([label]), plain=text.count(" ", start, end) > 2))
        taken.append((start, end))
    for start, end, label in values(question.options, text, taken):
        gives = _GIVES.search(lower, max(0, start - 12), start) is not None
        named.append(Named(start, end, frozenset([label]), plain=gives))
    return concluding(question.labels, text, lower, sorted(named), question.several) if named else frozenset()


_LED = re.compile(r"[\s#]{0,3}(?:\*\*\(?([A-Z])[).:]{0,2}\*\*|\(([A-Z])\))[.:,]?\s")
_LABEL_LINE = re.compile(r"\n[\s>*•#-]{0,6}(?:\*\*)?\(?[A-Z][).:]")


def led(question: Question, text: str) -> frozenset[str]:
    """The label that begins a text which goes on to explain; no other line may begin with one."""
    found = _LED.match(text)
    if not found or _LABEL_LINE.search(text, found.end()) or not text.endswith(_STOPS):
        return frozenset()
    return question.own.get(found[1] or found[2], frozenset())


def _other_label(text: str, reads: Sequence[Read], start: int, label: str) -> bool:
    """Whether the line of a place begins with the label of another option: "B: Tolstoy" where B is Dickens."""
    begin = text.rfind("\n", 0, start) + 1
    lines = (one for one in reads if not one.mention.text and begin <= one.mention.start < start)
    return any(one.before.line and label not in one.mention.labels for one in lines)


_SMALL = re.compile(
    r"(?:\A|\b(?:answer|choice|option|letter)(?: is|:)? |\b(?:proposition|odpověď|respuesta|resposta|antwort"
    r"|réponse) (?:\w{1,3} )?"
    r"|(?<=[.!?] )|\b(?:je|est|is|es|é|ist) )([a-j])(?:\)[.,;:!]?(?=\s|\Z)|[.,;:!](?=\s|\Z)(?<!a[.,;:!]))"
)


_YES_NO = re.compile(r"[*_\"'“]{0,3}(yes|no|true|false)\b[*_\"'”]{0,3}[,.!:;—–-]")


def yes_or_no(question: Question, lower: str) -> frozenset[str]:
    """The option that is the word with which a text begins: "No, since 91 = 7 x 13."."""
    found = _YES_NO.match(lower)
    own = [label for label, text in question.texts.items() if found and text == found[1]]
    return frozenset(own) if len(own) == 1 else frozenset()


def _small(question: Question, text: str) -> list[Named]:
    """Labels in lower case with an answer's word before them, where there are no others: "the answer is b."."""
    found = [(match.span(1), match[1].upper()) for match in _SMALL.finditer(text)]
    return [Named(*place, frozenset([label]), label=True) for place, label in found if label in question.labels]


_CALLED = re.compile(r"\b(?:options?|choices?|answer|letter|alternative) [*_(\"']{0,3}\Z")


_GIVES = re.compile(r"(?:[=≈:]|\b(?:is|are|was|as|to|get|equals|gives|of|at|makes|needs))\s?[*_(\"'“$]{0,4}\Z")
_PERSONS = ("i ", "he ", "she ", "they ", "we ", "my ", "you ")


def _named(one: Read, lower: str) -> Named:
    """A mention as the reader of sentences wants it."""
    mention, front = one.mention, one.before
    denied = one.after is After.BAD or (one.stance is Stance.DENIED and bool(front.kinds & Kind.NO))
    doubtful = not mention.text and (front.quoted or one.after is After.OPEN)
    words = lower.count(" ", mention.start, mention.end)
    plain_ = (
        one.stance >= Stance.WEAK
        or words > 2
        or (words > 0 and one.after is After.END and not lower.startswith(_PERSONS))
    )
    label = not _as_answer(one, lower)
    return Named(mention.start, mention.end, mention.labels, label, denied, doubtful, plain_)


def _as_answer(one: Read, lower: str) -> bool:
    """Whether a mention names an option as such: by its text, or by a label that can be nothing else."""
    mention = one.mention
    ordinal = mention.end - mention.bare == 0 and mention.bare - mention.start > 6
    return (
        mention.text
        or mention.both
        or ordinal
        or _CALLED.search(lower, max(0, mention.start - 20), mention.start) is not None
    )


_ASKS_BACK = re.compile(
    r"\bstuck between\b|\bopen question\b|\bdepending on (?:which|how|what|who|whether)\b"
    r"|\b(?:could|can) you (?:please )?(?:paste|share|provide|send|clarify)\b|\bplease (?:paste|share|provide|send)\b"
)
_SHORTEST = 12
_OPEN_WORDS = (
    *(
        "can't",
        "can’t",
        "cant",
        "cannot",
        "can not",
        "couldn",
        "unable",
        "possible to",
        "no way",
        "hard to",
        "difficult",
    ),
    *("defensible", "acceptable", "possible", "justifiable", "definite", "either ", "n't think", "n’t think", "enough"),
    *("won't", "won’t", "will not", "rather not", "none of", "could ", "can you"),
)
_UNDECIDED = re.compile(
    r"\b(?:can['’]?t|cannot|can not|couldn['’]t|unable to|impossible to|(?:isn['’]t|not) possible to|no way to"
    r"|hard to|difficult"
    r" to) (?:\w+ ){0,2}?(?:decide|tell|say|single out|choose|determine|pick)\b(?! more| much| exactly)"
    r"|\b(?:all|both|either|each|any)(?: of (?:them|these|the two))? (?:are|is|could be|can be"
    r"|would be) (?:\w+ )?(?:defensible|acceptable|possible|justifiable)\b"
    r"|\bi (?:can give|could give) (?:you )?a definite answer\b|\beither (?:key|one) (?:is|could|would)\b"
    r"|n['’]t think (?:that )?(?:a|any) (?:\w+ )?(?:answer|option|choice) can be\b"
    r"|\b(?:don['’]t|do not|doesn['’]t|does not) have enough (?:information|context|data)\b"
    r"|\bnot enough (?:information|context)\b"
    r"|\b(?:won['’]t|will not|can['’]?t|cannot|unable to|rather not) (?:select|choose|pick|answer)\b"
    r"|\b(?:can['’]?t|cannot) give (?:you )?(?:a|any|one) (?:\w+ )?(?:letter|answer|option|choice)\b"
    r"|\bnone of the (?:\w+ )?(?:options|choices|answers)(?: \w+)? (?:is|are|satisf\w+|match\w*|fits?|seems?"
    r"|works?|equals?)\b"
    r"|\b(?:could|can) you (?:please )?(?:paste|share|provide|send|clarify|upload)\b"
    r"|\bcould (?:just as (?:well|easily)|equally(?: well)?|also) be\b"
)


def _asks_back(lower: str, end: int) -> bool:
    """Whether the end of a text leaves the answer to the reader."""
    some = any(lower.find(word, end) >= 0 for word in ("between", "question", "depending", " you ", "please"))
    return some and _ASKS_BACK.search(lower, end) is not None


def left_open(question: Question, lower: str, end: int) -> bool:
    """Whether what follows an answer says that there is none; not where an option says so."""
    tail = lower[end:]
    if len(tail) < _SHORTEST or not any(word in tail for word in _OPEN_WORDS):  # cheaper than to search
        return False
    found = _UNDECIDED.search(lower, end)
    options = [option.lower() for option in question.options.values()] if found else []
    return found is not None and not any(_UNDECIDED.search(one) or one.startswith("none") for one in options)
