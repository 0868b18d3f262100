"""The values that a clause of prose names: formulas, numbers, quantities, tuples, expressions, dates and times."""

from __future__ import annotations

import re
from typing import NamedTuple

from rsr.mathematics.numbers import exact
from rsr.mathematics.results import NUMBER
from rsr.mathematics.units import DATE, compound
from rsr.mathematics.units import unit as unit_of

FORMULA = re.compile(
    r"\$\$([^$]{1,2000}?)\$\$|\\\[(.{1,2000}?)\\\]|\\\((.{1,2000}?)\\\)"
    r"|\\begin\{(?:align|equation|gather|multline)\*?\}(.{1,2000}?)\\end\{(?:align|equation|gather|multline)\*?\}"
    r"|(?<![\\$\w])\$(?=[^\s$])((?:\\\$|[^$\n]){1,400}?)(?<![\s\\])\$(?!\w)",
    re.S,
)
BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*|__([^_\n]{1,200})__")
_NUMBER = re.compile(r"(?<![\w.])" + NUMBER)
_ATOM = (
    r"(?:√?\d++(?:\.\d++)?|(?:sqrt|sin|cos|tan|cot|sec|csc|ln|log|exp|pi)(?![a-zA-Z])|[a-zA-Z](?![a-zA-Z'’])|[πθ√∞])"
)
_PIECE = rf"[(\[]{{0,3}}[-−+]?{_ATOM}[)\]]{{0,3}}(?:[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]{{1,6}}|\^\{{[^{{}}\n]{{1,20}}\}})?[!°]?"
_EXPRESSION = re.compile(
    rf"(?<![\w$\\.,{{}}'’])[-−]?{_PIECE}(?:(?:\s?(?:[-−+±*/^×·÷<>≤≥=]|\*\*|<=|>=)\s?"
    rf"|(?=[a-zA-Z(√π])){_PIECE}){{1,60}}(?![\w$\\])(?!\.\d)"
)
_BRACKETED = r"[(\[{]\s?[^()\[\]{}\s,]{1,20}(?:,\s?[^()\[\]{}\s,]{1,20}){1,5}\s?[)\]}]"
_TUPLE = re.compile(
    rf"\[\[[^\n]{{1,80}}?\]\]|(?<![\w)]){_BRACKETED}(?:\s?(?:∪|\\cup|U|∩)\s?(?:{_BRACKETED}"
    rf"|\{{[^{{}}\n]{{1,20}}\}})){{0,6}}(?!\w)"
)
_GROUP = r"\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]{0,60}\}){0,60}\}){0,120}\}"
_COMMAND = (
    r"\\(?:[dt]?frac|sqrt|pi|cdot|times|pm|infty|ln|log|sin|cos|tan|binom|left|right|theta|circ|text|mathbb)"
    r"(?![a-zA-Z])"
)
_LATEX = re.compile(  # without dollars
    rf"(?<![\w$\\{{}}])(?:[-−+(\[]{{0,2}}[\w.]{{1,8}}[ ^_*=+-]{{0,3}}){{0,3}}[-−+(\[]?{_COMMAND}"
    rf"(?:{_GROUP}|[\w^+*/=,|)\](\[-]|{_COMMAND}|\.\d|\s(?=[-+*=\\(\d]|[a-zA-Z]\b)){{0,200}}"
)
_FUNCTION_OF = re.compile(
    r"(?<![\w.$\\])[-−]?\d{0,4}\s?(?:ln|log|sin|cos|tan|arctan|arcsin|arccos|exp)\s?(?:\d+(?:\.\d+)?°?"
    r"|\([^()\n]{1,30}\))(?![\w^])"
)
_RAISED = re.compile(r"(?<![\w$\\^.)])(?<!\d )(?:[a-lo-zπ][⁰¹²³⁴-⁹⁻]{1,6}|π)(?![\w(])")
_ROOT = re.compile(r"(?<![\w.])[-−]?\d{0,6}√(?:\d+(?:\.\d+)?|\([^()\n]{1,40}\))(?!\w)")
_DURATION = re.compile(  # 2 h 20 min
    r"(?<![\w.,])\d{1,4}\s?(?:h|hrs?|std|d|min|ft|lbs?|km|m|kg)\.?,?\s(?:and |und |y |et |e )?\d{1,3}\s?(?:min|mins|m"
    r"|sec|s|in|oz|cm|g|h)"
    r"(?:\s\d{1,3}\s?(?:sec|s))?(?![\w/])"
)
_CLOCK = re.compile(r"(?<![\w:.])\d{1,2}(?::\d{2}){1,2}\s?[ap]\.?m\b\.?", re.I)
_MIXED = re.compile(r"(?<![\w./])[-−]?\d{1,9}\s\d{1,4}/\d{1,4}(?![\w/])")
_RATIO = re.compile(
    r"(?<![\w.:])\d+(?:\.\d+)?(?:\s?:\s?\d+(?:\.\d+)?){1,3}(?![\w:])"
    r"|(?:(?<=is )|(?<=are )|(?<=odds of )|(?<=ratio of ))\d+ to \d+(?!\w)"
)
_EXCEPT = re.compile(r"\bexcept (?:for |when |at )?\$?\Z")
_OUT_OF = re.compile(r"(?<![\w.])(\d{1,9}) out of (?:every )?(\d{1,9})(?=[.,;!]?(?:\s|\Z))(?! [a-z])")
_ONE_IN = re.compile(r"(?<![\w.])(\d{1,9}) in (?:every )?(\d{1,9})(?=[.,;!]?(?:\s|\Z))")
_CHANCE = re.compile(r"\b(?:probability|chances?|odds|likelihood|proportion)\b", re.I)
_REMAINDER = re.compile(r"(?<![\w.])\d+(?:,? (?:with |and )?(?:a )?remainder (?:of |is )?| [Rr]\.? ?)\d+(?![\w/])")
_COMMA = re.compile(r"(?<![\w.,])\d{1,9},\d{1,2}(?![\w,]|\.\d)")
_ATTACHED = re.compile(
    r"(?<![\w.,\\^])(\d[\d,]{0,15}(?:\.\d+)?)([a-zA-Zµ]{1,12}(?:/[a-z]{1,4})?(?:\^?[23]|[²³])?)(?![\w^(/])"
)
_FEW = {"one": "1", "a dozen": "12"}
FEW = re.compile(
    r"\b(?:(?:(?<=only )|(?<=exactly )|(?<=just )|(?<=there is ))(one)|(a dozen))\b"
    r"(?! (?:of|more|less|in|that|which|whose|who|can|could|way to see)\b)",
    re.I,
)
"""Numbers in words that are numbers only here: `only one`."""
_ORDINAL = re.compile(r"(?<![\w.])(\d{1,9})(?:st|nd|rd|th)\b", re.I)
_THE_ORDINAL = re.compile(
    r"(?:(?<=\bit['’]s the )|(?<=\bit is the )|(?<=\bwill be the )|(?<=\bmust be the ))(\d{1,9})(?:st|nd|rd|th)\b", re.I
)
_SCALED = re.compile(
    r"(?<![\w.,])[$€£]?\d[\d,]{0,15}(?:\.\d+)? (?:thousand|million|billion|trillion)\b(?: dollars| euros)?"
)
_GROUPED = re.compile(
    r"\bRp\.? ?\d{1,3}(?:\.\d{3})+(?!\d)|(?<![\w.,])\d{1,2}(?:,\d{2})+,\d{3}(?![\w,]\d)"
    r"|(?<![\w.,])\d{1,3}(?:[. ]\d{3})+,\d{2}(?!\d)"
)
_BASED = re.compile(r"(?<![\w.])[0-9A-F]{1,30}_\{?\d{1,2}\}?(?!\w)")
SPELLED = re.compile(
    r"\b(?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[- ](?:one|two|three|four|five|six|seven"
    r"|eight|nine))?"
    r"|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|zero"
    r"|(?:one|a)(?= (?:hundred|thousand|million)))(?:[- ](?:hundred|thousand|million|and|twenty|thirty|forty"
    r"|fifty|sixty"
    r"|seventy|eighty|ninety|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w{3,5}teen"
    r"|an? half|hal(?:f|ves)|(?:third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth)s?)){0,6}\b"
    r"|\bone[- ](?:half|third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth)\b",
    re.I,
)
_UNIT_AFTER = re.compile(
    r"[ ~-]?((?:(?:square|cubic|sq\.?) )?[a-zA-Z°£€%²³]{1,12}(?:\s?\^\s?[23]|[²³])?(?:\s?(?:/"
    r"|per )\s?[a-zA-Z]{1,10}(?:\^?[23²])?)?"
    r"|\\text\{[^{}]{1,20}\})"
)


_BULLETS = re.compile(
    r"(?:[^\n:]{0,80}:[ \t*_]*\n)?((?:\s{0,8}(?:[-*•]|\d{1,2}[.)])[ \t]{1,8}[^\n]{1,80}(?:\n|\Z)){2,12})"
)
_STEP = re.compile(r"(?!\\?[a-zA-Z]\w{0,3}(?:_\{?\w{1,4}\}?)?(?:\(\w\))?\s?=)[^=]*=")  # 2x + 3 = 15
_BULLET = re.compile(r"(?m)^\s{0,8}(?:[-*•]|\d{1,2}[.)])[ \t]{1,8}")


class Candidate(NamedTuple):
    """A value that a sentence names."""

    text: str
    start: int
    end: int


def formula_of(match: re.Match[str]) -> str:
    """The content of a `FORMULA`; of several lines the last one."""
    content = next(group for group in match.groups() if group)
    if "\\\\" in content and not re.search(r"\\begin\s?\{(?:(?:[pbvBV]|small)?matrix|array|cases)", content):
        content = re.sub(r"\\(?:begin|end)\s?\{[a-z]+\*?\}", " ", content)
        rows = [row for row in re.split(r"\\\\(?:\[[^\]]{0,8}\])?", content) if re.search(r"\w", row)]
        content = rows[-1].replace("&", " ") if rows else content
    return content.strip()


def bulleted(text: str, at: int) -> str | None:
    """The values of a list at a position, of steps the last; None where an item is no plain value."""
    match = _BULLETS.match(text, at)
    if match is None:
        return None
    items = [item.strip(" .,;*\n") for item in _BULLET.split(match[1])[1:]]
    formulas = [FORMULA.fullmatch(item) for item in items]
    if not all(formula or _NUMBER.fullmatch(item) for formula, item in zip(formulas, items, strict=True)):
        return None
    values = [formula_of(formula) if formula else item for formula, item in zip(formulas, items, strict=True)]
    return values[-1] if any(map(_STEP.match, values)) else ", ".join(values)


def with_unit(text: str, end: int) -> int:
    """The position after the unit of measure that follows a number, else where the number ends."""
    match = _UNIT_AFTER.match(text, end)
    while match:
        name = match[1]
        plain = re.sub(r"\\text\{([^{}]*)\}", r"\1", name).replace("²", "^2").replace("³", "^3")
        if unit_of(plain) is not None and (len(plain) > 1 or not text[match.end() : match.end() + 1].isalnum()):
            return (
                match.end()
                if not ((plain == "in" and re.match(r"\s\w", text[match.end() :])) or plain in ("a", "A", "s", "h"))
                else end
            )
        shorter = name.rpartition(" per ")[0] or name.rpartition("/")[0]
        match = re.compile(rf"[ ~-]?({re.escape(shorter)})").match(text, end) if shorter else None
    return end


def candidates(clause: str) -> list[Candidate]:
    """All values of a clause, in their order, each with its unit."""
    found = [Candidate(formula_of(match), match.start(), match.end()) for match in FORMULA.finditer(clause)]
    taken = [(candidate.start, candidate.end) for candidate in found]
    for pattern in (
        _LATEX,
        _TUPLE,
        DATE,
        _DURATION,
        _REMAINDER,
        _CLOCK,
        _SCALED,
        _GROUPED,
        _BASED,
        _RATIO,
        _MIXED,
        _COMMA,
        _EXPRESSION,
        _ROOT,
        _FUNCTION_OF,
        _RAISED,
        _ATTACHED,
        _NUMBER,
    ):
        for match in pattern.finditer(clause):
            if any(start < match.end() and match.start() < end for start, end in taken):
                continue
            text = match[0].strip(" .")
            if pattern is _ATTACHED and unit_of(match[2]) is None:
                continue
            if pattern is _EXPRESSION and clause[: match.start()].rstrip()[-1:].isdigit() and unit_of(text):  # 8 m/s
                continue
            if pattern is _DURATION and compound(text) is None:
                continue
            if pattern is _EXPRESSION and not re.search(r"[\d⁰¹²³⁴-⁹]|[a-zA-Z].*[a-zA-Z]", text):
                continue
            text = _evaluated(text)
            if _EXCEPT.search(clause, 0, match.start()):
                text = "\\ne".join(text.rsplit("=", 1)) if "=" in text else f"x \\ne {text}"
            found.append(Candidate(text, match.start(), match.end()))
            taken.append((match.start(), match.end()))
    for match in (*_OUT_OF.finditer(clause), *(_ONE_IN.finditer(clause) if _CHANCE.search(clause) else ())):
        inside = [one for one in found if match.start() <= one.start and one.end <= match.end()]
        found = [one for one in found if one not in inside]
        found.append(Candidate(f"{match[1]}/{match[2]}", match.start(), match.end()))
    if not found:
        found = [Candidate(spelled(match), match.start(), match.end()) for match in SPELLED.finditer(clause)]
    if not found:
        found = [Candidate(_FEW[(match[1] or match[2]).lower()], *match.span()) for match in FEW.finditer(clause)]
    found += [Candidate(match[1], match.start(), match.end()) for match in _THE_ORDINAL.finditer(clause)]
    if not found:
        found = [Candidate(match[1], match.start(), match.end()) for match in _ORDINAL.finditer(clause)]
    return _compounds(clause, sorted(found, key=lambda candidate: candidate.start))


def spelled(match: re.Match[str]) -> str:
    """A number in words as a number: `5/2` of `two and a half`."""
    value = exact(match[0].lower())
    return match[0] if value is None else str(value)


def _evaluated(text: str) -> str:
    """`72` of `48 + 24 = 72`; `x = 72` stays."""
    if "=" not in text or re.search(r"[<>]", text):
        return text
    left, _, right = text.rpartition("=")
    if re.fullmatch(r"\s?[a-zA-Z]", right) and not re.search(r"[a-zA-Z]", left):  # 5 = x
        return f"{right.strip()} = {left.strip()}"
    return text if re.search(r"[a-zA-Z]", left) else right.strip()


def _compounds(clause: str, found: list[Candidate]) -> list[Candidate]:
    """Each with its unit of measure, and `3 hours 20 minutes` as one."""
    joined: list[Candidate] = []
    for candidate in found:
        end = with_unit(clause, candidate.end)
        text = f"{candidate.text} {clause[candidate.end : end].strip(' ~-')}" if end > candidate.end else candidate.text
        new = Candidate(text, candidate.start, end)
        if joined and end > candidate.end and joined[-1].text[-1:].isalpha():
            between = clause[joined[-1].end : candidate.start]
            first, second = (unit_of(one.text.rpartition(" ")[2]) for one in (joined[-1], new))
            if (
                first
                and second
                and first.dimension == second.dimension
                and between.strip() in ("", "and", ",", ", and")
            ):
                new = Candidate(clause[joined[-1].start : end], joined[-1].start, end)
                joined.pop()
        joined.append(new)
    return joined
