"""The parts of collections, and the plain kinds of structure: what is told without knowing which parts are equal.

Tuples, intervals, sets, lists, unions, matrices; and, compared at once, residues, numbers in a base and ratios.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from rsr.mathematics.numbers import exact
from rsr.mathematics.text import closing, parsed
from rsr.mathematics.units import unit as unit_of

_MATRIX = re.compile(r"\\begin\s?\{((?:[pbvBV]|small)?matrix|array|cases)\}(?:\{[clr| ]+\})?(.*)\\end\s?\{\1\}", re.S)
_BASE = re.compile(r"\(?([0-9A-Fa-f]+)\)?\s?_\s?(?:\{\s?(?:\\text\s?\{)?\s?)?(\d{1,2}|two|eight|ten|sixteen)\b[\s}]*")
_BASES = {"two": 2, "eight": 8, "ten": 10, "sixteen": 16}
_RATIO = re.compile(r"\s?([^:,=]{1,60}?)\s?(?::|(?<=\d) to (?=\d))\s?([^:,=]{1,60})")
_RESIDUE = re.compile(
    r"(-?\d{1,30})\s?(?:\(\s?)?(?:\\[pb]?mod(?![a-z])|\(?\\text\s?\{\s?\(?mod\s?\}|\(?mod)\s?\{?\s?(\d{1,30})\s?\}?\)?"
)
_JOINER = re.compile(
    r"\\text\s?\{\s?(?:and|or)\s?\}|\\(?:lor|land|vee)(?![a-zA-Z])|\s(?:或|和|及|oder|und|ou|et|lub|oppure|nebo|eller"
    r"|veya|или|и)\s"
    r"|(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])|;"
)


def residues(gold: str, given: str) -> bool | None:
    r"""`3 \pmod 7`: a residue class, or the number alone on one side."""
    first, second = _RESIDUE.fullmatch(gold), _RESIDUE.fullmatch(given)
    if first and second:
        return first[2] == second[2] and int(second[2]) > 0 and (int(first[1]) - int(second[1])) % int(second[2]) == 0
    one = exact(first[1]) if first else exact(gold)
    other = exact(second[1]) if second else exact(given)
    return one == other if (first or second) and one is not None and other is not None else None


def bases(gold: str, given: str) -> bool | None:
    """`101_2`: by value when both have a base, by digits when one has."""
    first, second = _BASE.fullmatch(gold), _BASE.fullmatch(given)
    if first is None and second is None:
        return None
    try:
        if first and second:
            return int(first[1], _base(first)) == int(second[1], _base(second))
    except ValueError:
        return False
    digits, plain = (first[1], given) if first else (second[1] if second else "", gold)
    return digits.casefold() == plain.strip().casefold() if re.fullmatch(r"\s?[0-9A-Fa-f]+\s?", plain) else None


def _base(match: re.Match[str]) -> int:
    return _BASES.get(match[2]) or int(match[2])


def ratios(gold: str, given: str) -> bool | None:
    """`3:4` by its quotient, `1:2:3` up to a factor; None where neither is one."""
    if gold.count(":") > 1 and gold.count(":") == given.count(":"):
        return _proportional(
            [exact(part.strip()) for part in gold.split(":")], [exact(p.strip()) for p in given.split(":")]
        )
    first, second = _RATIO.fullmatch(gold), _RATIO.fullmatch(given)
    if first is None and second is None:
        return None
    one = _quotient(first) if first else exact(gold)
    other = _quotient(second) if second else exact(given)
    return one == other if one is not None and other is not None else None


def _proportional(gold: list[Fraction | None], given: list[Fraction | None]) -> bool | None:
    pairs = list(zip(gold, given, strict=True))
    if any(one is None or other is None or not one for one, other in pairs):
        return None
    factors = {other / one for one, other in pairs if one and other is not None}
    return len(factors) == 1


def _quotient(match: re.Match[str]) -> Fraction | None:
    top, bottom = exact(match[1].strip()), exact(match[2].strip())
    return top / bottom if top is not None and bottom else None


def nested(text: str) -> str:
    """`[[1, 2], [3, 4]]` as a matrix."""
    if not text.startswith("[[") or not text.endswith("]]") or len(text) > 2000:
        return text
    rows = [row.strip(" [],").replace(",", "&") for row in text.split("]")]
    return "\\begin{matrix}" + "\\\\".join(row for row in rows if row) + "\\end{matrix}"


def cells(text: str) -> list[list[str]] | None:
    """The rows of a matrix; None: it is none."""
    text = text.strip()
    if text[:1] + text[-1:] in ("()", "[]"):
        text = text[1:-1].strip()
    match = _MATRIX.fullmatch(text)
    if match is None or "\\begin" in match[2]:
        return None
    rows = [row for row in re.split(r"\\\\|\\cr", match[2]) if row.strip()]
    return [[cell.strip() for cell in row.split("&")] for row in rows] or None


def distinct(parts: list[str]) -> list[str]:
    """Parts without those of the same value: `1/4, 25%` is one."""
    values: dict[Any, str] = {}
    for part in parts:
        one = parsed(part)
        value, measure = exact(one.body), unit_of(one.unit) if one.unit else None
        key: Any = part if value is None else value / 100 if one.percent else value
        values.setdefault((key * measure.factor, measure.dimension) if value is not None and measure else key, part)
    return list(values.values())


def named_parts(gold: str, given: str) -> tuple[str, str]:
    """`x=3, y=4` against a tuple as `(3, 4)`, by the order of the names."""
    texts = []
    for text, partner in ((gold, given), (given, gold)):
        parts = [part.partition("=") for part in parts_of(text)[1]] if "=" in text and "=" not in partner else []
        names = [name.strip() for name, _, _ in parts]
        if len(set(names)) == len(names) > 1 and parts_of(partner)[0] == "()":
            ordered = sorted(parts, key=lambda part: part[0].strip())
            text = "(" + ", ".join(value.strip() for _, _, value in ordered) + ")"
        texts.append(text)
    return texts[0], texts[1]


def union(text: str) -> list[str]:
    r"""The parts of `A \cup B`, and of `x < 1 or x > 2`."""
    joint = r"\\cup(?![a-zA-Z])" if "\\cup" in text else r"\\text\s?\{\s?or\s?\}|\\lor(?![a-zA-Z])|\bor\b"
    parts = [part.strip() for part in re.split(joint, text)]
    return parts if "\\cup" in text or all(is_relation(part) for part in parts) else [text]


def is_relation(text: str) -> bool:
    """Whether a text is an inequality."""
    return re.search(r"[<>]|\\le|\\ge|\\ne(?![a-z])", text) is not None


def parts_of(text: str) -> tuple[str, list[str]]:
    """The brackets around a collection and its parts."""
    text = text.strip()
    kind, inner = "", text
    if text.startswith("\\{") and text.endswith("\\}"):
        kind, inner = "{}", text[2:-2]
    elif text.startswith("{") and text.endswith("}") and "," in text and closing(text, 0) == len(text) - 1:
        kind, inner = "{}", text[1:-1]
    elif len(text) > 1 and text[0] + text[-1] in ("()", "[]", "(]", "[)") and _outer(text):
        kind, inner = text[0] + text[-1], text[1:-1]
    parts, depth, start = [], 0, 0
    inner = _JOINER.sub(",", inner)
    for at, char in enumerate(inner):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "," and depth <= 0 and not _in_number(inner, at, kind):
            parts.append(inner[start:at].strip())
            start = at + 1
    parts.append(inner[start:].strip())
    return kind, [part for part in parts if part]


def _outer(text: str) -> bool:
    """Whether the first bracket closes only at the end."""
    depth = 0
    for at, char in enumerate(text):
        depth += (char in "([") - (char in ")]")
        if depth == 0:
            return at == len(text) - 1
    return False


def _in_number(text: str, at: int, kind: str) -> bool:
    """Whether a comma groups thousands: outside brackets, up to three digits on its left, three on its right."""
    return (
        not kind
        and re.match(r",\d{3}(?!\d)", text[at : at + 5]) is not None
        and text[at - 1 : at].isdigit()
        and not re.search(r"(?<!\d),\d{3}(?!\d)|\d{4},\d", text)
    )


_NUMERAL = r"\s?([-+]?[^<>=,xyzt\[\]()]{1,40}|[-+]?\([^<>=,()]{1,40}\))\s?"
_LESS = r"(<=?|\\le(?![a-z]))"
_ANY = r"(<=?|>=?|\\le(?![a-z])|\\ge(?![a-z]))"
_BETWEEN = re.compile(rf"{_NUMERAL}{_LESS}\s?([a-zA-Z])\s?{_LESS}{_NUMERAL}")
_RIGHT = re.compile(rf"([a-zA-Z])\s?{_ANY}{_NUMERAL}")
_LEFT = re.compile(rf"{_NUMERAL}{_ANY}\s?([a-zA-Z])")
_HOLE = re.compile(r"([a-zA-Z])\s?\\ne\s?(-?\d{1,9}(?:/\d{1,9})?)")
_TURNED = {"<": ">", "<=": ">=", "\\le": "\\ge", ">": "<", ">=": "<=", "\\ge": "\\le"}


def interval(text: str) -> tuple[str, str] | None:
    r"""The letter and the interval of an inequality: `x > 3` is `x` and `(3,\\infty)`; None for anything else."""
    if not is_relation(text) or len(text) > 120:
        return None
    between = _BETWEEN.fullmatch(text)
    if between:
        low, first, name, second, high = between.groups()
        return name, f"{'(' if first == '<' else '['}{low.strip()},{high.strip()}{')' if second == '<' else ']'}"
    hole = _HOLE.fullmatch(text)
    if hole:
        return hole[1], f"(-\\infty,{hole[2]})\\cup ({hole[2]},\\infty)"
    right, left = _RIGHT.fullmatch(text), _LEFT.fullmatch(text)
    if right:
        name, sign, bound = right.groups()
    elif left:
        bound, sign, name = left[1], _TURNED[left[2]], left[3]
    else:
        return None
    strict = sign in ("<", ">")
    if sign[0] == "<" or sign == "\\le":
        return name, f"(-\\infty,{bound.strip()}{')' if strict else ']'}"
    return name, f"{'(' if strict else '['}{bound.strip()},\\infty)"


_LETTER = re.compile(r"(?:\A|[\s,;]{1,4}|\s?\\text\s?\{\s?(?=\())\**\(?([a-e])\)\**[}:.]?\s?(?=\S)")


def parts_by_letter(text: str) -> str | None:
    """A text that is nothing but answers to the parts of a question: `(a) 14 (b) 3/5` is `(14, 3/5)`, else None."""
    text = text.strip()
    if len(text) > 300 or not re.match(r"\W{0,6}a\)", text):
        return None
    labels = list(_LETTER.finditer(text))
    if len(labels) < 2 or [label[1] for label in labels] != [*"abcde"[: len(labels)]]:
        return None
    ends = [label.start() for label in labels[1:]] + [len(text)]
    values = [text[label.end() : end].strip(" ,;.\n$*") for label, end in zip(labels, ends, strict=True)]
    return f"({', '.join(values)})" if all(0 < len(value) <= 60 and "\n" not in value for value in values) else None


_REMAINDER = re.compile(
    r"(\d{1,30})\s?(?:,?\s?(?:with |and )?(?:a )?(?:\\text\s?\{\s?)?(?:remainder(?: of| is)?"
    r"|[Rr]\.?)\s?\}?)\s?(\d{1,30})"
)


def remainders(gold: str, given: str) -> bool | None:
    """`7 R 3`, `7 remainder 3`, `7, 3`; None where neither has a remainder."""
    first, second = _REMAINDER.fullmatch(gold), _REMAINDER.fullmatch(given)
    if first is None and second is None:
        return None
    pairs = [match.groups() if match else tuple(parts_of(text)[1]) for match, text in ((first, gold), (second, given))]
    return pairs[0] == pairs[1]


_BUILDER = re.compile(
    r"\\?\{\s?([a-z])\s?(?:\\in\s?\\mathbb\s?\{?\s?[RZNQ]\s?\}?\s?)?(?:\\mid|\\vert|:|\|)\s?(.{1,120}?)\s?\\?\}"
)
_WHERE = (
    r"(?:\\text\s?\{\s?,?\s?(?:where|for|with)?\s?(?:all|any|every|some)?[a-z ]{0,30}\}|where|with"
    r"|for(?: all"
    r"| any"
    r"| every"
    r"| some)?)"
)
_DOMAIN = (
    r"(?:\\in\s?(?:\\mathbb\s?\{?\s?[NZRQC]|[NZRQC])\s?\}?[^,;]{0,8}|\\ne\s?-?\d{1,9}|(?:\\ge|>=?)\s?[01]"
    r"|\\text\s?\{\s?is (?:an?|any) [a-z -]{3,30}\}|is (?:an?|any) [a-z -]{3,30})"
)
_QUALIFIER = re.compile(
    rf"\s?(?:[,;]\s?|(?=\(|\\text|where|with|for)){_WHERE}?\s?\(?(?P<letter>[a-z])\s?{_DOMAIN}\)?\Z"
    rf"|\s?,?\s?(?:\\text\s?\{{\s?,?\s?for (?:all|any|every)\b[a-z ]{{0,30}}\}}|for (?:all|any|every)(?: real"
    rf"| positive| integers?| numbers?){{0,3}})\s?(?P<all>[a-z]?)\Z"
)


def plainer(text: str, partner: str) -> str:
    r"""A text without what its partner leaves unsaid: `\{x \mid x > 1\}`, `, k \in \mathbb{Z}`, `(a) 14 (b) 3/5`."""
    if len(text) > 400:
        return text
    if ("j" in text or "k" in text) and (vector := components(text)):
        return f"({', '.join(vector)})"
    if "{" in text and (built := _BUILDER.fullmatch(text)) and (is_relation(built[2]) or "=" in built[2]):
        return built[2]
    if text.startswith(("(a)", "a)", "\\text")) and (listed := parts_by_letter(text)):
        return listed
    found = _QUALIFIER.search(text)
    if found is None or _QUALIFIER.search(partner):
        return text
    main = text[: found.start()].strip()
    letter = found["letter"] or found["all"]
    unknown = letter and not re.search(rf"(?<![a-zA-Z\\]){letter}(?![a-zA-Z])", main)
    bounded = "\\ge" in found[0] or ">" in found[0]
    return text if not main or unknown or is_relation(main) or (bounded and "=" not in main) else main


_UNIT_VECTOR = re.compile(
    r"\\(?:hat|vec|text|widehat|overrightarrow|underline)\s?\{\s?\\?([ijk])(?:math)?\s?\}"
    r"|\\hat\s?\\?([ijk])(?:math)?(?![a-z])|\\([ij])math(?![a-z])"
)
_COMPONENT = re.compile(
    r"\s?([-+]?)\s?((?:[^-+ijk]|(?<=[({])[-+]){0,40}?)\s?(?:\*|\\cdot)?\s?(?<!\\)([ijk])(?![a-zA-Z])\s?"
)


def components(text: str) -> list[str] | None:
    r"""`2`, `-3` and `1` of `2\mathbf{i} - 3\mathbf{j} + \mathbf{k}`; None for anything else."""
    text = text.rpartition("=")[2].strip()
    for _ in range(2):
        text = _UNIT_VECTOR.sub(lambda match: f" {match[1] or match[2] or match[3]}", text)
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _COMPONENT.match(text, at)
        if match is None or match[3] in found or (found and not match[1]):
            return None
        found[match[3]] = f"{match[1].strip('+')}{match[2].strip() or 1}"
        at = match.end()
    if not found.keys() & {"j", "k"}:  # 3 + 4i is a complex number
        return None
    return [found.get(letter, "0") for letter in ("ijk" if "k" in found else "ij")]
