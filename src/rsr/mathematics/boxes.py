r"""The boxes and fields of a response: `\boxed{7}`, `<answer>7</answer>`, `#### 7`."""

from __future__ import annotations

import re

from rsr.mathematics.text import closing

BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s{0,3}(?=[{\d\w\\])|<\|begin_of_box\|>")
_JOINT = re.compile(
    r"[\s$.,;:&]*(?:\\text\{\s*(?:and|or)\s*\}|and|or|,|;|y|und|et|和"
    r"|\(?[b-e]\))?[\s$.,;:&]*(?:[a-zA-Z](?:_\{?\w\}?)? ?= ?)?\$?"
)
_JOINED = re.compile(r"\b(?:and|or)\b|,")
_DEDUCED = re.compile(
    r"\b(?:so|then|thus|hence|therefore|which|giv(?:es?|ing)|implies|means?|because|since|using|from|but|not|actually"
    r"|instead|equals?)\b|=>|→|\\Rightarrow|\\implies|[.!?;]\s|\n",
    re.I,
)
_GIVEN = re.compile(r"(?:\A|[\n.!?])\s*(?:since|given|as|if|with|from|because|when|using)\b[^\n.!?]*\Z", re.I)
_NOT = re.compile(r"(?:\bnot|n['’]t|instead of|rather than|\bwrong(?:ly)?)\b[\s:,$\\(\[*]*(?:be\s)?[\s$\\(]*\Z", re.I)
_WRONG = re.compile(r"[\s$.\\)\]*]{0,6}(?:\bis|\bwas|\bwould be)\s(?:wrong|incorrect|not\b)", re.I)
FIELD = re.compile(
    r"####[ \t]*([^\n]+)|<(?:final_?)?(?:answer|ans)>\s*(.{1,2000}?)\s*</(?:final_?)?(?:answer|ans)>"
    r"|[\"'](?:final_?)?(?:answer|result)[\"']\s{0,3}:\s{0,3}"
    r"(?:\"((?:[^\"\\\n]|\\.){1,2000})\"|([-+.\d][^,}\n]{0,200}))",
    re.I | re.S,
)
MATHEMATICAL = re.compile(r"[-−+(\[{\\$√π*]*\d|[$\\([{√π]|[a-zA-Z] ?=")
"""What a value begins with."""


def boxed(text: str) -> tuple[str | None, int]:
    """The last box's content joined with those next to it, and where it ends."""
    found: list[tuple[int, int, str]] = []
    matches = list(BOX.finditer(text))[-12:]
    for match in matches:
        content, end = _box_content(text, match)
        denied = _NOT.search(text, max(0, match.start() - 30), match.start()) or _WRONG.match(text, end)
        if content.strip() and not denied and (not found or match.start() >= found[-1][1]):
            found.append((match.start(), end, content.strip()))
    if not found:
        return None, 0
    joined = [found[-1]]
    for box in reversed(found[:-1]):
        if not _side_by_side(text, box[0], box[1], joined[0][0]):
            break
        joined.insert(0, box)
    contents = list(dict.fromkeys(content for _, _, content in joined))
    return ", ".join(contents), found[-1][1]


_UNDECIDED = re.compile(
    r"\b(?:(?:can(?:not|['’]t)|could(?:n['’]t| not)|unable to|not able to) (?:decide|tell|say|determine|choose)"
    r"|(?:please|you (?:can|may|could|should)|feel free to|just) (?:choose|pick|select|take|use)"
    r"|(?:not sure|unsure|unclear|not clear) (?:which|whether)|whichever"
    r"|(?:any|either|one) of (?:these|them|the (?:two|three|four|above))[^.\n]{0,40}\b(?:could|may|might))\b",
    re.I,
)


def undecided(text: str, at: int) -> bool:
    """Whether a response with different boxes leaves it to the reader which one counts, after a position."""
    if not _UNDECIDED.search(text, at):
        return False
    return len({_box_content(text, match)[0].strip() for match in list(BOX.finditer(text))[-12:]}) > 1


def _side_by_side(text: str, start: int, end: int, following: int) -> bool:
    """Whether two boxes are one answer: nothing but "and" between them, or one sentence that draws no conclusion."""
    between = text[end:following]
    if len(between) <= 30 and _JOINT.fullmatch(between):
        return True
    if len(between) > 120 or _DEDUCED.search(between) or not _JOINED.search(between):
        return False
    return _GIVEN.search(text, max(0, start - 120), start) is None


def _box_content(text: str, match: re.Match[str]) -> tuple[str, int]:
    at = match.end()
    if match[0].startswith("<"):
        end = text.find("<|end_of_box|>", at)
        return (text[at:end], end) if end >= 0 else (text[at : at + 200].split("\n")[0], len(text))
    if text[at : at + 1] == "{":
        end = closing(text[: at + 20_000], at)
        if end >= 0:
            return text[at + 1 : end], end + 1
        return text[at + 1 : at + 300].split("\n")[0].rstrip("$ "), len(text)  # cut short
    word = re.match(r"[-\w.]+|\\\w+", text[at : at + 60])
    return (word[0], at + len(word[0])) if word else ("", at)


def field(text: str) -> str | None:
    """The last `<answer>`, JSON field or `####` line; `#### Step 2` is a heading."""
    for match in reversed(list(FIELD.finditer(text))[-20:]):
        content = next(group for group in match.groups() if group).strip()
        if match[1] is None or not text[match.end() :].strip():
            return content.replace("\\\\", "\\").replace('\\"', '"') if match[3] else content
        if MATHEMATICAL.match(content) and not re.match(r"\d+[.):]\s*\**[a-zA-Z]", content):
            return content
    return None
