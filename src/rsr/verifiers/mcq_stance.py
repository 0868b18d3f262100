"""Whether the text commits to what it names at a place, and how firmly."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

from rsr.verifiers.mcq_beside import After, Before, after, before
from rsr.verifiers.mcq_mentions import Mention
from rsr.verifiers.mcq_words import Kind


class Stance(IntEnum):
    """What a text does with a label that it names."""

    DENIED = -1
    NONE = 0
    LINE = 1
    """A line begins with it: an answer, or an item of a list."""
    WEAK = 2
    """Plain words about the subject end in it: "the red planet is Mars"."""
    FIRM = 3
    """An answer phrase, "B is correct", "I choose B"."""


class Read(NamedTuple):
    """A mention, what stands beside it, and what that means."""

    mention: Mention
    before: Before
    after: After
    stance: Stance


_UNREAL = Kind.IF | Kind.DOUBT | Kind.LOOK | Kind.MAYBE
_OUTER = Kind.DOUBT | Kind.MAYBE | Kind.NO
_SAYS = Kind.NOUN | Kind.VERB
_GIVES = _SAYS | Kind.GOOD | Kind.BUT | Kind.ADV
_ENDS = (After.END, After.WHY, After.TEXT)


def read(mention: Mention, lower: str, floor: int) -> Read:
    """Reads both sides of a mention; `floor`: where the mention before it ends."""
    front, behind = before(lower, mention.start, floor), after(lower, mention.end)
    if behind is After.MORE and not mention.text and (mention.end > mention.bare or lower[mention.end - 1] in ")]"):
        behind = After.TEXT
    stance = _stance(mention, front, behind, lower, floor)
    if mention.text and stance is Stance.NONE and _affirms(mention, front, behind, lower):
        stance = Stance.WEAK
    return Read(mention, front, behind, stance)


_ONLY = re.compile(
    r"(?:\A|[.:;,!\n] ?|\b(?:so|thus|therefore|hence|that|since) )only (?:option |choice |answer "
    r"|statement |row |line |candidate |number )?[(*]{0,3}\Z"
)


_ALL_BUT = re.compile(r"(?:\A|[.!\n] ?)all (?:of )?(?:these|them|the)\b[^.\n]{0,80}\bexcept(?: for)?[ *\"“]{1,4}\Z")
_SUBJECT = frozenset(("gives", "yields", "equals", "leads to", "means", "says", "would give", "would be"))
"""What stands between another label and the text: "D gives 24" says nothing of the answer."""


def _stance(mention: Mention, front: Before, behind: After, lower: str, floor: int) -> Stance:
    kinds = front.kinds
    if behind is After.OPEN:
        return Stance.NONE
    if (
        lower.find("except", max(floor, mention.start - 16), mention.start) >= 0
        and behind in _ENDS
        and _ALL_BUT.search(lower, max(0, mention.start - 120), mention.start)
    ):
        return Stance.FIRM  # "All of these are metals except neon."
    if behind is After.BAD:
        return Stance.DENIED if not kinds & Kind.NO else Stance.NONE
    asked_wrong = kinds & Kind.THING and kinds & Kind.LINK and kinds & (Kind.GOOD | Kind.BAD) and front.begins
    if (kinds & Kind.NO and not asked_wrong) or (kinds & Kind.BAD and not kinds & Kind.THING):
        return Stance.DENIED
    if mention.text and front.soft and lower[floor : mention.start].strip(" *") in _SUBJECT:
        return Stance.NONE
    if (
        kinds & Kind.LOOK
        and mention.both
        and behind is After.GOOD
        and not kinds & ~(Kind.LOOK | Kind.FILL | Kind.LABEL)
    ):
        return Stance.FIRM  # "Checking option B: 15 works."
    if kinds & Kind.MATCH and lower.find("would instead", max(floor, mention.start - 60), mention.start) >= 0:
        return Stance.NONE  # "That would instead correspond to option D."
    if kinds & Kind.WOULD and kinds & Kind.VERB and _WOULD_BE.search(lower, max(0, mention.start - 40), mention.start):
        return Stance.NONE  # "..., which would be picking C."
    if front.quoted or kinds & _UNREAL or front.outer & _OUTER:
        return Stance.NONE
    says = kinds & (Kind.NOUN | Kind.VERB) and not kinds & Kind.WOULD
    if front.outer & Kind.IF and not (front.soft and says):
        return Stance.NONE
    stated = mention.both and kinds & Kind.LINK and behind is After.END  # "The best next step is **B. Start insulin**."
    if front.outer & Kind.LOOK and not says and behind is not After.GOOD and not stated:
        return Stance.NONE
    if mention.text and kinds & Kind.WOULD and not kinds & _SAYS:
        return Stance.FIRM if _THAT.search(lower, 0, mention.start) and behind is After.END else Stance.NONE
    if behind is After.MORE and _ONLY.search(lower, max(0, mention.start - 30), mention.start):
        return Stance.FIRM  # "Only B is a bird."
    if behind is After.GOOD and mention.text and not _CALLED_GOOD.search(lower, mention.end, mention.end + 60):
        return Stance.NONE  # "Screws work loose when ..."
    if (
        behind is After.GOOD
        and _WOULD.match(lower, mention.end)
        and _UNREAL_IF.search(lower, max(0, mention.start - 200), mention.start)
    ):
        return Stance.NONE  # "Had it been cold, C would be the better choice."
    if behind is After.GOOD and lower.find("none of the", max(0, mention.start - 40), mention.start) >= 0:
        return Stance.NONE  # "None of the options A to D is right."
    if behind is After.GOOD:
        placed = front.begins or front.soft or kinds
        return Stance.FIRM if placed and (not kinds & Kind.WOULD or kinds & Kind.VERB) else Stance.NONE
    return _by_phrase(mention, front, behind)


def _by_phrase(mention: Mention, front: Before, behind: After) -> Stance:
    """The stance that the words before a label give it."""
    kinds, near = front.kinds, front.near
    placed = front.begins or front.soft
    noun = bool(kinds & Kind.NOUN or front.outer & Kind.NOUN)
    loose = bool(near & Kind.PREP) and not kinds & (Kind.VERB | Kind.MATCH | Kind.SO)
    if noun and kinds & Kind.LINK and not loose:
        return Stance.FIRM
    if mention.both and kinds & Kind.LINK and not loose:
        return Stance.FIRM  # "the longest river is the Nile (A)"
    if behind not in _ENDS:
        return Stance.NONE
    if loose:
        return Stance.NONE
    if kinds & Kind.NOUN and placed and near & (Kind.NOUN | Kind.GOOD | Kind.LABEL):
        return Stance.FIRM
    if mention.text and behind is After.END and noun and front.outer & Kind.LINK:
        return Stance.FIRM
    if kinds & Kind.VERB and placed:
        return Stance.FIRM
    if near & Kind.LABEL and kinds & Kind.GOOD and placed:
        return Stance.FIRM
    if kinds & Kind.LABEL and kinds & (Kind.LINK | Kind.MATCH | Kind.SO):
        return Stance.FIRM
    if kinds & Kind.BUT and placed and (not mention.text or near & Kind.BUT):
        return Stance.FIRM
    said = Kind.SO if mention.text and not kinds & _GIVES else Kind.SO | Kind.LINK  # "as is X" says nothing
    if (placed and kinds & said) or kinds & Kind.MATCH:
        return Stance.FIRM
    if front.begins and front.soft and kinds & Kind.WHY and behind is After.END and not mention.text:
        return Stance.FIRM  # "Based on the above, C."
    if front.soft and not kinds and front.outer & Kind.WHY and behind is After.END and not mention.text:
        return Stance.FIRM
    if front.line:
        return Stance.LINE
    if (
        placed
        and kinds
        and not kinds & ~(Kind.ADV | Kind.FILL | Kind.LABEL)
        and (near & (Kind.ADV | Kind.LABEL) or (mention.text and kinds & Kind.ADV and behind is After.END))
    ):
        return Stance.LINE if kinds & Kind.LABEL and not kinds & Kind.ADV else Stance.FIRM
    if front.begins and not kinds and behind is After.END:
        return Stance.LINE
    return Stance.NONE


_CALLED_GOOD = re.compile(
    r"\b(?:correct\w*|right|answers?|choice|option|best|true|valid|fits?|matches|match|remains|works|stands"
    r"|holds|only|is what|winner|closest)\b|[✅✓✔☑]"
)
_WOULD_BE = re.compile(r"\b(?:which|that) would (?:be|mean) \w+ing (?:option |choice )?[(*]{0,3}\Z")
_WOULD = re.compile(r"[)*\"'”]{0,3} would\b")
_UNREAL_IF = re.compile(r"(?:[.:;\n] ?|, )(?:had|were|if|under|with) [^.\n]{1,160}\Z")
_THAT = re.compile(
    r"(?:\A|[.:!\n]\s{1,2})(?:that|it|this)(?:['’]d| would) (?:have to |clearly |then )?be (?:the |an? )?[*\"“]{0,3}\Z"
)
"""What an answer that is an option's text begins with: "That would be the mitochondrion."."""
_STATES = re.compile(
    r"(?:\b(?:is|are|was|were|equals?|means?|measures?|makes?|has|gives?|needs?|uses?|called|contains?|will"
    r"|(?:described|characterized|classified|known|defined) as"
    r"|produces?|causes?"
    r"|becomes?|made|produced|found|located|stored|ist|est|es|è|é|sont|sind|son|sono|=|(?:written|painted"
    r"|composed|discovered|invented|created|made"
    r"|produced|caused|founded|built|led|found|located|happened|began|started|occurred|ended|place|used|measured)"
    r" (?:by|in|at|with|to measure))"
    r"(?: (?:indeed|actually|simply|clearly|also known as|that|the definition of))?"
    r"(?: (?:\w+ )?(?:in|at|on|from|by)| due to)?"
    r"(?: (?:the|an?|la|le|el|il|die|der|das))?"
    r"(?: (?:lack|deficiency|loss|presence|absence|use|process|type|kind|form|sort|example) of(?: the| an?)?)?"
    r"|是|は)[\s*_`\"'“]{0,4}\Z"
)
_WHY = (", since", ", because", ", as ", " because", " since", ", which is")
_LONG = 25
_IS_THE = re.compile(
    r"[*_`\"'”]{0,3} (?:(?:is|are|was|were|has been|have been|became|remains) (?:indeed )?(?:the|what|an?)"
    r"|(?:wrote|invented|discovered|painted|composed"
    r"|founded|proposed|developed) (?:the|an?|it|this)?)\b"
)


def _affirms(mention: Mention, front: Before, behind: After, lower: str) -> bool:
    """Whether plain words say it of the subject: "The red planet is Mars.", "Mars is the red planet."."""
    if (
        behind in (After.BAD, After.OPEN)
        or front.kinds & (_UNREAL | Kind.NO)
        or front.outer & (_OUTER | Kind.IF | Kind.LOOK)
    ):
        return False
    if front.begins and not front.kinds & ~(Kind.FILL | Kind.SO):
        alone = behind is After.WHY and mention.start < 5 and lower.startswith(_WHY, mention.end)
        return alone or _IS_THE.match(lower, mention.end) is not None
    if behind not in (After.END, After.WHY) or front.quoted or lower.startswith(" or ", mention.end):
        return False
    if front.soft and front.kinds & Kind.WHY and behind is After.END and mention.end - mention.start > _LONG:
        return True
    return _STATES.search(lower, max(0, mention.start - 60), mention.start) is not None
