"""Where a response to a mathematics problem ends: before the questions that it goes on to ask itself, before trivia.

And whether it ends at all: a response that was cut off in the middle of a sentence has not concluded.
"""

from __future__ import annotations

import re
from itertools import islice

from rsr.mathematics import cues
from rsr.mathematics.boxes import BOX, FIELD

_PROVED = re.compile(r"(?:\$?\s?\\(?:blacksquare|square|Box|qed)\s?\$?|[∎■□▪◼]|\bQ\.? ?E\.? ?D\.?)\s*\Z")
_BLANK = re.compile(r"\n(?:[^\S\n]*\n){2,}")
_NEXT_TURN = re.compile(
    r"\n\s*(?:\*\*|#{1,4} )?(?:Question|Q|Human|User|Instruction|Input|Example \d+)\s?\d*\s?(?:\*\*)?:"
    r"|\n\s*(?:\*\*|#{1,4} )?(?:Problem|Exercise|Task|Prompt)(?: (?:[2-9]|1\d))?\s?(?:(?:\*\*)?:|(?:\*\*)?\n)"
    r"|<\|(?:im_start|eot_id|im_end)\|>"
)
_CONCLUDED = re.compile(r"(?:\A|\n|[.!]\s)(?:so|thus|therefore|hence)\b[^\n]{0,200}\d", re.I)
_TRIVIA = re.compile(
    r"\n[ \t]*(?:[*_#>-]{1,4} ?)?(?:(?:some |a bit of |more )?background\b|fun fact|did you know|trivia|side ?note"
    r"|just for fun|p\.? ?s\.?[:,])",
    re.I,
)
_BY_THE_WAY = re.compile(
    r"(?:\n[ \t]*(?:[*_#>-]{1,4} ?)?|(?<=[.!*])\s)(?:by the way|btw|incidentally|fun fact|as an aside"
    r"|for comparison)\b(?:(?!\n\s*\n)[\s\S])*",
    re.I,
)


def first_turn(text: str) -> str:
    """Without the questions that a model goes on to ask and answer itself, and without a sign that a proof is over."""
    text = _BLANK.sub("\n\n", text)
    text = _PROVED.sub("", text[-40:]).join((text[:-40], "")) if _PROVED.search(text, max(0, len(text) - 40)) else text
    for match in islice(_NEXT_TURN.finditer(text), 12):
        before = text[: match.start()]
        if re.search(r"\b(?:Problem|Exercise|Task) 1\b", before):
            continue
        if match[0].strip("\n *#").startswith(("Problem", "Exercise")) and _CONCLUDED.search(before):
            return before
        if BOX.search(before) or FIELD.search(before) or cues.PHRASE.search(before):
            return before
    return text


def cut_off(text: str) -> bool:
    """Whether a text stops in the middle of a sentence: `we multiply the number of pairs by`."""
    return _OPEN.search(text.rstrip()[-60:]) is not None


_OPEN = re.compile(
    r"(?<![\w'’\\])(?:by|and|of|the|an|is|are|was|were|to|with|from|for|than|that|which|or|but|so|because|since|as|if"
    r"|when"
    r"|where|then|thus|hence|therefore|has|have|had|(?:has|have|had|needs?|must|got) to [a-z]{2,9}|her|his|their|its"
    r"|into|per|equals|gives|get|must|can|will|be|we|i|they|subtract|minus|plus|times|roughly|about"
    r"|approximately|exactly|igual a|gleich|égal à"
    r"|multiply|divide|add|have to|und|der|die|das|den|dem|mit|von|ist|sind|wir|durch|auf|für|zu|ein|eine|et|les|des"
    r"|est"
    r"|avec|pour|par|dans|los|las|del|con|por|para|que|uma|um|são|com|na|il|di|che|una|un)\Z"
    r"|(?<=\d)(?: ?[-+×·*/=−–÷]|,)\Z|(?<=[a-z]),\Z|[\w)\]}] ?[+=×·(]\Z|\b(?:i\.e|e\.g)\.\Z|\\(?:[dt]?frac|cdot|times"
    r"|sqrt|left)?\Z"
    r"|(?<!\})\{\Z",
    re.I,
)


def without_trivia(text: str) -> str:
    """A text without its `Fun fact:` and what follows, and without paragraphs from a `By the way` on."""
    for match in islice(_TRIVIA.finditer(text), 4):
        if re.search(r"\d", text[: match.start()]) and not cues.PHRASE.search(text, match.end()):
            text = text[: match.start()]
            break
    return _BY_THE_WAY.sub(lambda match: "\n" if re.search(r"\d", text[: match.start()]) else match[0], text)
