"""What is written with a label: its own option's text, another's, or something that is no option at all.

B: Mars      as it should be
A: Mars      label and text name different options: which one is meant can't be known
A: Jupiter   short, and no option: no answer to this question
A: B: Mars   "A:" stands for "Answer:"
A: Mercury, B: Mars    the options themselves, repeated
"""

from __future__ import annotations

import re
from functools import lru_cache

from rsr.verifiers.math_numbers import exact
from rsr.verifiers.mcq_options import plain
from rsr.verifiers.mcq_reading import Labels, Scene, ends

_JOIN = re.compile(
    r"[ \t*_`\"'”’)\]}$]{0,6}"
    r"(?P<firm>\s{0,2}(?::|=|->|→|[-–—])\s|[:=]|,?\s{0,2}\b(?:which|that) (?:is|was|means|says|stands for|reads)\b"
    r"|,?\s(?:i\.e\.|namely|meaning)|\s?\()?"
    r"(?P<loose>[.,]?)[ \t*_`\"'“‘(\[]{0,6}"
)
_STOP = re.compile(r"\n|[.!;](?=\s|$)|[.!;][\"'”’)]|\s\(|\*\*")
_GOES_ON = re.compile(
    r"\s?(?:$|[.,;:!)\]✓✔✅]|(?:as|because|since|which|so|and|due|for)\b|is (?:the |indeed |clearly )?(?:correct|right"
    r"|answer|best|most)\b)"
)
_OTHER_LABEL = re.compile(
    r"(?:(?i:the )?(?i:option|choice|answer|letter)\s{1,2}[(*\"']{0,3}([A-Z])(?![A-Za-z0-9'’])"
    r"|[(*\"']{0,3}([A-Z])(?:[)*\"']{0,3}[:.)](?=\s|$)|[)*\"']{0,3}\s?(?:\n|$)))"
)
_NEXT = re.compile(
    r"[\"'*]{0,3}\s{0,2}[.,;/|]?\s{0,3}(?:(?:and|or)\s)?[(*]{0,3}([A-Z])[*]{0,2}[:.)]{1,2}[*]{0,2}\s{0,3}"
)
_LISTED = re.compile(r"\s{0,3}(?:$|[.,;/|!]|\(?[a-z][:.)])")
_BACK = re.compile(
    r"[\"'”’*_`.]{0,4}(?:\s?[(\[]|,?\s(?:which|that) is (?=option|choice|letter|answer)|,\s(?=option|choice))"
    r"(?:(?i:option|choice|letter|answer)\s)?([A-Z])(?:[)\].,*\s]|\Z)"
)
_EXPLAINS = re.compile(
    r"(?:because|since|as|for|due|this|it|its|that|these|they|answer|correct|right|final|yes|true|sure|definitely|best"
    r"|most|my|we|not|no|option|choice|letter|confiden\w*|reason\w*|explanation|explained|here|thanks?|hope|done|only|see|by|if|in|when|obvious\w*"
    r"|clearly|simple|easy|good|there|both|neither|none|all|source|rationale|justification|solution|from|according)\b"
)
_YES_OR_NO = ("yes", "no", "true", "false")
_GIVES = re.compile(r"(?:correct |right |final |best ){0,2}(?:answer|option|choice)\s(?:is|was|to)\b")
_TOKEN = re.compile(r"[^\W_]+")
_ABROAD = re.compile(r"[^\x00-\u024f\u2000-\u206f]")  # another script
_LETTERS = re.compile(r"[a-z]{3}")
_WIDE = 400


def disputed(scene: Scene, read: Labels, line: bool = False) -> bool:
    """Whether what stands beside the label that was read speaks against it (`line`: the label begins a line)."""
    if len(read.labels) != 1:
        return False
    if not line and not scene.text[read.end : read.end + 2].strip(" .*\n"):
        return _tail_disputes(scene, read)
    (label,) = read.labels
    back = _BACK.match(scene.text, read.end)
    if back and back[1] in scene.labels and back[1] != label:
        return True
    join = _JOIN.match(scene.text, read.end)
    if join is None:
        return False
    bracket = scene.text[read.end - 1] in ")]" or join[0].lstrip("*_ ")[:1] == ")"
    firm = line or bracket or bool(join["firm"])
    below = scene.text[join.end() : join.end() + _WIDE]
    rest = below.split("\n", 1)[0]
    own = scene.texts.get(label)
    if firm and not (own and plain(rest).startswith(own)):
        other = _OTHER_LABEL.match(rest)
        if other and (other[1] or other[2]) in scene.labels - {label}:
            return True
    return bool(own) and (_another_text(scene, label, rest, firm) or _lists_more(scene, label, below))


def _tail_disputes(scene: Scene, read: Labels) -> bool:
    """After a label and a full stop: `A. Venus`, where nothing else follows on the line."""
    rest = scene.text[read.end : read.end + _WIDE].split("\n", 1)[0]
    return len(rest) > 1 and names_another(scene, min(read.labels), rest)


def names_another(scene: Scene, label: str, text: str) -> bool:
    """Whether a text is nothing but the text of another option."""
    given = plain(text)
    return bool(given) and label in scene.texts and given != scene.texts[label] and given in scene.texts.values()


def _another_text(scene: Scene, label: str, rest: str, firm: bool) -> bool:
    given = plain(rest)
    if not given:
        return False
    found = max(
        ((len(text), name) for name, text in scene.texts.items() if given.startswith(text) and ends(given, len(text))),
        default=(0, ""),
    )
    own = scene.texts[label]
    if found[0] and scene.texts[found[1]] == own:
        return False
    stop = _STOP.search(rest)
    short = plain(rest[: stop.start()] if stop else rest)
    if found[0]:
        return bool(_GOES_ON.match(given, found[0])) if firm else short == scene.texts[found[1]]
    return firm and _no_option(scene, own, short)


def _lists_more(scene: Scene, label: str, rest: str) -> bool:
    """`A: Sunlight, B: Plastic`: the own option's text, and then the next option with its own."""
    at = rest.lower().find(scene.texts[label], 0, len(scene.texts[label]) + 8)
    following = _NEXT.match(rest, at + len(scene.texts[label])) if at >= 0 else None
    if following is None or following[1] == label or following[1] not in scene.texts:
        return False
    text, given = scene.texts[following[1]], plain(rest[following.end() :])
    return given.startswith(text) and bool(_LISTED.match(given, len(text)))


def _no_option(scene: Scene, own: str, given: str) -> bool:
    """Whether a text is of an option's length, but has nothing of the label's own."""
    values = exact(given.rpartition("=")[2].strip()), exact(own)
    if values[0] is not None and values[1] is not None:
        return values[0] != values[1]
    words = given.split()
    if given in _YES_OR_NO:
        return True
    lengths = [text.count(" ") + 1 for text in scene.texts.values()]
    if not 1 <= len(words) <= min(5, max(lengths)) or bool(_ABROAD.search(given)) != bool(_ABROAD.search(own)):
        return False
    if not (_LETTERS.search(given) and _LETTERS.search(own)) or "\\" in given:
        return False
    if _EXPLAINS.match(given) and words[0] != own.split()[0]:
        return False
    if len(words) < min(lengths):  # part of an option's text, or a remark
        others = [text for text in scene.texts.values() if text != own]
        return any(_speaks_of(scene, text, given) for text in others) and not _speaks_of(scene, own, given)
    return not (_speaks_of(scene, own, given) or (len(given) > 2 and (given in own or _initials(own) == given)))


def _initials(text: str) -> str:
    return "".join(word[0] for word in text.split() if word not in ("of", "the", "and"))


@lru_cache(maxsize=4096)
def tokens(text: str) -> str:
    """The words of a text, each between spaces."""
    return " " + " ".join(_TOKEN.findall(plain(text))) + " "


def _speaks_of(scene: Scene, own: str, given: str) -> bool:
    """Whether a text has a word, or the stem of one, that only this option has."""
    others = " ".join(tokens(text) for text in scene.texts.values() if text != own)
    stems = [
        word[:5] for word in tokens(own).split() if f" {word} " not in others and (len(word) > 2 or word.isdigit())
    ]
    return any(word.startswith(tuple(stems)) for word in tokens(given).split()) if stems else False


def answers_nothing(scene: Scene, label: str, rest: str, colon: bool) -> bool:
    """Whether a line `A: ...` gives no choice: a question, another option's text, or "A:" for "Answer:"."""
    rest = rest.strip(" \t*_`\"'")[:_WIDE]
    own = scene.texts.get(label)
    answer = label == "A" and colon
    if not own:
        return answer and bool(re.match(r"(?:the|which|what|i)\b", rest, re.I)) and not scene.texts
    given = plain(rest)
    if given.startswith(own) and ends(given, len(own)):
        return False
    if rest.endswith("?"):
        return True
    if answer and _GIVES.match(given):
        return True
    if given.count(" ") < 3 or _EXPLAINS.match(given):
        return False
    words = tokens(given)
    named = {name for name, text in scene.texts.items() if tokens(text) in words}
    if named - {label}:
        return label not in named or answer
    return answer and not _speaks_of(scene, own, given)
