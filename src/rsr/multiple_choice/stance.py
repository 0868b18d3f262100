"""Whether the text commits to what it names at a place, and how firmly."""

from __future__ import annotations

import re
from enum import IntEnum

from msgspec import Struct

from rsr.multiple_choice.before import Before, before
from rsr.multiple_choice.behind import After, after
from rsr.multiple_choice.mentions import Mention
from rsr.multiple_choice.words import Kind


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


class Read(Struct, frozen=True, gc=False):
    """A mention, what stands beside it, and what that means."""

    mention: Mention
    before: Before
    after: After
    stance: Stance


_END, _MORE, _OPEN, _BAD, _GOOD = After.END, After.MORE, After.OPEN, After.BAD, After.GOOD
_DENIED, _NONE, _LINE, _WEAK, _FIRM = Stance.DENIED, Stance.NONE, Stance.LINE, Stance.WEAK, Stance.FIRM
# Names of this file: a member of an enum costs ten times as much as one.
_NO, _NOUN, _LABEL, _LINK, _THING = Kind.NO, Kind.NOUN, Kind.LABEL, Kind.LINK, Kind.THING
_UNREAL = Kind.IF | Kind.DOUBT | Kind.LOOK | Kind.MAYBE
_OUTER = Kind.DOUBT | Kind.MAYBE | Kind.NO
_SAYS = Kind.NOUN | Kind.VERB
_JUDGED = Kind.GOOD | Kind.BAD
_COMMITS = Kind.VERB | Kind.MATCH | Kind.SO
_ENDS = (After.END, After.WHY, After.TEXT)


def read(mention: Mention, lower: str, floor: int) -> Read:
    """Reads both sides of a mention; `floor`: where the mention before it ends."""
    front, behind = before(lower, mention.start, floor), after(lower, mention.end)
    if behind is _MORE and not mention.text and (mention.end > mention.bare or lower[mention.end - 1] in ")]"):
        behind = After.TEXT
    stance = _stance(mention, front, behind, lower, floor)
    if stance is _NONE and mention.text and _affirms(mention, front, behind, lower):
        stance = _WEAK
    return Read(mention, front, behind, stance)


_ONLY = re.compile(
    r"(?:\A|[.:;,!\n] ?|\b(?:so|thus|therefore|hence|that|since) )only (?:option |choice |answer "
    r"|statement |row |line |candidate |number )?[(*]{0,3}\Z"
)


_ALL_BUT = re.compile(r"(?:\A|[.!\n] ?)all (?:of )?(?:these|them|the)\b[^.\n]{0,80}\bexcept(?: for)?[ *\"“]{1,4}\Z")
_SUBJECT = frozenset(("gives", "yields", "equals", "leads to", "means", "says", "would give", "would be"))
"""What stands between another label and the text: "D gives 24" says nothing of the answer."""


def _stance(mention: Mention, front: Before, behind: After, lower: str, floor: int) -> Stance:
    kinds, start = front.kinds, mention.start
    if behind is _OPEN:
        return _NONE
    ends = behind in _ENDS
    if ends and lower.find("except", max(floor, start - 16), start) >= 0:
        if _ALL_BUT.search(lower, max(0, start - 120), start):
            return _FIRM  # "All of these are metals except neon."
    elif behind is _BAD:
        return _DENIED if not kinds & _NO else _NONE
    if kinds & _DENIES:
        asked_wrong = kinds & _THING and kinds & _LINK and kinds & _JUDGED and front.begins
        if (kinds & _NO and not asked_wrong) or (kinds & Kind.BAD and not kinds & _THING):
            return _DENIED
    if mention.text and front.soft and lower[floor:start].strip(" *") in _SUBJECT:
        return _NONE
    if kinds & Kind.LOOK and mention.both and behind is _GOOD and not kinds & _NOT_LOOK:
        return _FIRM  # "Checking option B: 15 works."
    if kinds & Kind.MATCH and lower.find("would instead", max(floor, start - 60), start) >= 0:
        return _NONE  # "That would instead correspond to option D."
    if kinds & Kind.WOULD and not kinds & Kind.VERB and _IF.search(lower, max(0, start - 300), start):
        return _NONE  # "If the scope were open, ..., the choice would be B."
    if kinds & Kind.WOULD and kinds & Kind.VERB and _WOULD_BE.search(lower, max(0, start - 40), start):
        return _NONE  # "..., which would be picking C."
    if front.quoted or kinds & _UNREAL or front.outer & _OUTER:
        return _NONE
    says = kinds & _SAYS and not kinds & Kind.WOULD
    if front.outer & Kind.IF and not (front.soft and says):
        return _NONE
    stated = mention.both and kinds & _LINK and behind is _END  # "The best next step is **B. Start insulin**."
    if front.outer & Kind.LOOK and not says and behind is not _GOOD and not stated:
        return _NONE
    if mention.text and kinds & Kind.WOULD and not kinds & _SAYS:
        return _FIRM if behind is _END and _THAT.search(lower, 0, start) else _NONE
    if (
        behind is _MORE
        and lower.find("only ", max(0, start - 30), start) >= 0
        and _ONLY.search(lower, max(0, start - 30), start)
    ):
        return _FIRM  # "Only B is a bird."
    if behind is _GOOD:
        if mention.text and not _CALLED_GOOD.search(lower, mention.end, mention.end + 60):
            return _NONE  # "Screws work loose when ..."
        if _WOULD.match(lower, mention.end) and _UNREAL_IF.search(lower, max(0, start - 200), start):
            return _NONE  # "Had it been cold, C would be the better choice."
        if lower.find("none of the", max(0, start - 40), start) >= 0:
            return _NONE  # "None of the options A to D is right."
        placed = front.begins or front.soft or kinds
        return _FIRM if placed and (not kinds & Kind.WOULD or kinds & Kind.VERB) else _NONE
    return _by_phrase(mention, front, behind, ends)


_CALLED_GOOD = re.compile(
    r"\b(?:correct\w*|right|answers?|choice|option|best|true|valid|fits?|matches|match|remains|works|stands"
    r"|holds|only|is what|winner|closest)\b|[✅✓✔☑]"
)
_IF = re.compile(
    r"(?:\A|[.!?\n])[\s*(>-]{0,6}(?:if|were|had|unless|suppose|in case)\b[^.!?\n]{0,280}\Z"
    r"|\bfor [\w ,-]{3,40} the (?:correct )?(?:answer|choice|option) would be [(*]{0,3}\Z"
)
_WOULD_BE = re.compile(r"\b(?:which|that) would (?:be|mean) \w+ing (?:option |choice )?[(*]{0,3}\Z")
_WOULD = re.compile(r"[)*\"'”]{0,3} would\b")
_UNREAL_IF = re.compile(
    r"(?:[.:;\n] ?|, )(?:had|were|if|under|with) [^.\n]{1,160}\Z|\([^()\n]{1,160}\Z"
    r"|\b(?:otherwise|in that case)\b[^.\n]{1,160}\Z"
)
_DENIES = Kind.NO | Kind.BAD
_NOT_LOOK = ~(Kind.LOOK | Kind.FILL | Kind.LABEL)


def _by_phrase(mention: Mention, front: Before, behind: After, ends: bool) -> Stance:
    """The stance that the words before a label give it; `ends`: its clause ends with it."""
    kinds, near = front.kinds, front.near
    noun = (kinds | front.outer) & _NOUN
    loose = near & Kind.PREP and not kinds & _COMMITS
    if kinds & _LINK and (noun or mention.both) and not loose:
        return _FIRM  # "the longest river is the Nile (A)"
    if loose or not ends:
        return _NONE
    placed = front.begins or front.soft
    if placed and kinds:
        concluded = kinds & _PLACED and (not mention.text or kinds & _GIVES)  # of a text, "as is X" says nothing
        if concluded or (kinds & _NOUN and near & _NAMED) or (near & _LABEL and kinds & Kind.GOOD):
            return _FIRM
        if kinds & Kind.BUT and (not mention.text or near & Kind.BUT):
            return _FIRM
    if mention.text and behind is _END and noun and front.outer & _LINK:
        return _FIRM
    if kinds & Kind.MATCH or (kinds & _LABEL and kinds & _CONCLUDES):
        return _FIRM
    why = (front.begins and kinds & Kind.WHY) or (not kinds and front.outer & Kind.WHY)
    if why and behind is _END and front.soft and not mention.text:
        return _FIRM  # "Based on the above, C."
    if front.line:
        return _LINE
    likely = near & _LIKELY or (mention.text and kinds & Kind.ADV and behind is _END)
    if likely and placed and kinds and not kinds & _NOT_LIKELY:
        return _LINE if kinds & _LABEL and not kinds & Kind.ADV else _FIRM
    return _LINE if front.begins and not kinds and behind is _END else _NONE


_PLACED = Kind.VERB | Kind.SO | Kind.LINK
_GIVES = _SAYS | Kind.SO | Kind.GOOD | Kind.BUT | Kind.ADV
_NAMED = Kind.NOUN | Kind.GOOD | Kind.LABEL
_CONCLUDES = Kind.LINK | Kind.MATCH | Kind.SO
_LIKELY = Kind.ADV | Kind.LABEL
_NOT_LIKELY = ~(Kind.ADV | Kind.FILL | Kind.LABEL)
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
