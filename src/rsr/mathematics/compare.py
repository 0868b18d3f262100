"""Equality of two pieces of mathematics as far as it goes without symbolic algebra: text, exact values, structure.

equal(gold, given)  ->  True, False, or None: it takes algebra
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from rsr.mathematics import parts as structure
from rsr.mathematics.numbers import exact
from rsr.mathematics.text import Expression, clean, parsed
from rsr.mathematics.units import compound_amounts, same_date, same_time, same_unit

Equal = Callable[[str, str], bool | None]

_TEXT = re.compile(r"\\text\s?\{([^{}]*)\}")
_SPACES = re.compile(r"(?<!\d)\s+|\s+(?!\d)|\\(?=\s)")
_TIMES = re.compile(r"\\cdot(?![a-zA-Z])|\\times(?![a-zA-Z])")
_LETTERS = re.compile(r"[^\W\d_]+(?:[\s'-]+[^\W\d_]+)*")


def equal(gold: str, given: str, algebra: Equal | None = None) -> bool | None:
    """Whether two cleaned texts are the same answer.

    Args:
        gold: the reference.
        given: the answer.
        algebra: decides what is left.

    Returns:
        None: only algebra can tell, and none was given.
    """
    if _bare(gold) == _bare(given):
        return True
    if "\\approx" in gold[1:] + given[1:]:
        return _approximate(gold, given, algebra)
    reading = _other_reading(gold, given)
    if reading is not None and equal(*reading, algebra):
        return True
    for same in (compound_amounts, same_time, same_date):
        verdict = same(gold, given)
        if verdict is not None:
            return verdict
    sides = [_DIMENSIONS.fullmatch(re.sub(r"\\text\s?\{([^{}]*)\}", r"\1", text)) for text in (gold, given)]
    if sides[0] and sides[1]:
        return _unordered(_BY.split(sides[0][0]), _BY.split(sides[1][0]), algebra)
    one, other = parsed(gold), parsed(given)
    if one.name and other.name and ("\\equiv" in gold) != ("\\equiv" in given):
        return False
    if one.name and other.name and one.name != other.name and "=" in gold and "=" in given:
        return _same_body(one, other, algebra) if _same_name(one.name, other.name) else False
    if bool(one.name) != bool(other.name) and "=" in one.body + other.body and "=" in gold and "=" in given:
        return None if algebra is None else algebra(gold, given)
    return _same_body(one, other, algebra)


def _same_name(one: str, other: str) -> bool:
    """`x` and `x_1` may be the same, as `y` and `y(t)`; `x_1` and `x_2` not."""
    first, second = _bare(one), _bare(other)
    return first == second or _STEM.split(first)[0] == second or _STEM.split(second)[0] == first


_STEM = re.compile(r"_|\([a-z]\)\Z")


_BY = re.compile(r"\s?\\times\s?|\sby\s|\sx\s")
_DIMENSIONS = re.compile(rf"\d[\d.]{{0,12}}\s?[a-z]{{1,8}}(?:(?:{_BY.pattern})\d[\d.]{{0,12}}\s?[a-z]{{1,8}}){{1,2}}")
_LABELLED = re.compile(
    r"\\text\s?\{\s?\(?([A-E])[).]*\s?\}\s*(?:[:.]\s*)?(\S.*)|(?:\(?([A-E])\)\s*|([A-E])[.:]\s+)(\S.*)", re.S
)
_COMMA_DECIMAL = re.compile(r"[-+]?(?:\d{1,3}(?:[ .]\d{3})+|\d+),(?:\d{1,2}|\d{4,})|[-+]?0,\d+")


def _approximate(gold: str, given: str, algebra: Equal | None) -> bool | None:
    r"""`2\sqrt{3} \approx 3.46`: either side is the answer."""
    verdicts = [
        equal(one.strip(), other.strip(), algebra)
        for one in gold.split("\\approx")[:3]
        for other in given.split("\\approx")[:3]
        if one.strip() and other.strip()
    ]
    return True if True in verdicts else None if None in verdicts else False


def _other_reading(gold: str, given: str) -> tuple[str, str] | None:
    """The pair with what is written as an option (`(C) 45`) or with a decimal comma (`3,75`) read as such."""
    changed = False
    texts = []
    for text, partner in ((gold, given), (given, gold)):
        new = structure.plainer(text, partner)
        label = _LABELLED.fullmatch(text)
        if label and not _LABELLED.fullmatch(partner):
            letter, rest = label[1] or label[3] or label[4], label[2] or label[5]
            new = letter if partner.strip("() .").removeprefix("\\text{(").rstrip(")}") == letter else rest
        elif "," in text and _COMMA_DECIMAL.fullmatch(body := parsed(text).body) and is_number(partner):
            new = text.replace(body, body.replace(".", "").replace(" ", "").replace(",", "."))
        changed = changed or new != text
        texts.append(new)
    return (texts[0], texts[1]) if changed else None


def is_number(text: str) -> bool:
    """Whether a cleaned text is a number, with or without a unit."""
    return exact(_untexted(parsed(text).body)) is not None


_WORDS_OF_MATHEMATICS = re.compile(
    r"\b(?:none|never|no|not?|yes|true|false|undefined|infinit\w*|impossible|unbounded|indeterminate|diverges?|dne|pi"
    r"|does|cannot|empty|all|every|any|real|reals|complex|prime|even|odd|solutions?|roots?|sqrt|sin|cos|tan|log"
    r"|exp)\b",
    re.I,
)
_WORD = re.compile(r"(?<![\\a-zA-Z])(?!and\b)[a-zA-Z]{3,}")


def no_number(text: str) -> bool:
    """Whether a cleaned text is words that give no value: `awesome`, `half of 20`; not `undefined`, `x + 1`."""
    if not _WORD.search(text) or _WORDS_OF_MATHEMATICS.search(text):
        return False
    return not any(is_number(part) for part in (text, *structure.parts_of(text)[1]))


def _same_body(one: Expression, other: Expression, algebra: Equal | None) -> bool | None:
    bodies = (one.body, other.body)
    values = exact(_untexted(bodies[0])), exact(_untexted(bodies[1]))
    if values[0] is not None and values[1] is not None:
        return _same_quantity(one, other, values[0], values[1])
    angles = [_angle(side, partner) for side, partner in ((one, other), (other, one))]
    if angles[0] != one.body or angles[1] != other.body:
        return algebra(angles[0], angles[1]) if algebra else None
    if one.unit and other.unit and one.unit != other.unit and same_unit(one.unit, other.unit) != 1:
        return False
    if not other.body or not one.body:
        return False
    if _bare(bodies[0]) == _bare(bodies[1]):
        return True
    if "=" not in one.body and (last := _last_side(other.body)):
        return equal(one.body, last, algebra)
    if "=" not in one.body and _is_equation(other.body):
        return False
    sets = [_NAMED_SETS.get(_bare(body).casefold()) for body in bodies]
    if sets[0] or sets[1]:
        return sets[0] == sets[1]
    for plain in (structure.remainders, _words, structure.residues, structure.bases, structure.ratios):
        verdict = plain(*bodies)
        if verdict is not None:
            return verdict
    for compare in (_intervals, _plus_minus, _matrices):
        verdict = compare(*bodies, algebra)
        if verdict is not None:
            return verdict
    wholes = [_whole(side, partner) for side, partner in ((one, other), (other, one))]
    verdict = _collections(wholes[0], wholes[1], algebra)
    if verdict is not None:
        return verdict
    return algebra(*bodies) if algebra else None


def _whole(side: Expression, partner: Expression) -> str:
    """A body with its percent sign, and against a list with its unit."""
    unit = f" {side.unit}" if side.unit and ("," in partner.body or " or " in partner.body) else ""
    return f"{side.body}%" if side.percent else side.body + unit


def _angle(side: Expression, partner: Expression) -> str:
    r"""Degrees in radians, where the other side is a multiple of pi: `120^\circ` and `\frac{2\pi}{3}`."""
    degrees = side.unit.startswith("degree") and "\\pi" in partner.body and "\\pi" not in side.body
    return f"\\frac{{\\pi}}{{180}}\\cdot ({side.body})" if degrees else side.body


def _same_quantity(one: Expression, other: Expression, gold: Fraction, given: Fraction) -> bool:
    if one.unit and other.unit and one.unit != other.unit:
        factor = same_unit(one.unit, other.unit)
        if factor is None:
            return False
        gold *= factor
    if gold == given:
        return one.percent == other.percent or abs(gold) >= 1  # 0.5% is not 0.5
    if one.percent != other.percent:
        return gold == given * (100 if one.percent else Fraction(1, 100))
    return _rounded(one.body, other.body, gold, given)


_DECIMAL = re.compile(r"-?\d*\.(\d+)")


def _rounded(gold_text: str, given_text: str, gold: Fraction, given: Fraction) -> bool:
    """`0.3333` for 1/3: a decimal that is an endless fraction, rounded to at least four figures."""
    for text, value, full, full_text in ((gold_text, gold, given, given_text), (given_text, given, gold, gold_text)):
        match = _DECIMAL.fullmatch(text.replace(",", ""))
        if match and "." not in full_text and len(match[1].lstrip("0")) >= 4 and _endless(full):
            return abs(value - full) <= Fraction(1, 2 * 10 ** len(match[1]))
    return False


def _endless(value: Fraction) -> bool:
    rest = value.denominator
    if rest.bit_length() > 4000:
        return True
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest != 1


_UNKNOWNS = re.compile(r"\d\s?[a-z](?![a-z(])[^=]*\Z|[a-z][^=]*\^[^=]*[a-z][^=]*\^[^=]*\Z")


def _is_equation(text: str) -> bool:
    """Whether a text is an equation in unknowns, which is no value: `x^2 + y^2 = 9`."""
    left, _, right = text.rpartition("=")
    unknowns = _UNKNOWNS.search(left.rpartition("=")[2])
    if not unknowns or left[-1:] in ("<", ">", "!") or re.search(r"\\(?:int|sum|prod|lim)(?![a-z])", left):
        return False
    return exact(right.strip()) is not None


def _last_side(text: str) -> str | None:
    """`7` of `3 + 4 = 7`; not of a list, and not for a sum's `k=1`."""
    at = text.rfind("=")
    if (
        at < 1
        or text[at - 1] in "<>!"
        or text.count("{", 0, at) != text.count("}", 0, at)
        or len(structure.parts_of(text)[1]) > 1
    ):
        return None
    if _is_equation(text):
        return None
    return text[at + 1 :].strip()


def _untexted(text: str) -> str:
    match = _TEXT.fullmatch(text)
    return match[1].strip() if match else text


def _bare(text: str) -> str:
    text = _TEXT.sub(r"\1", text)
    text = _TIMES.sub("*", text)
    text = _SPACES.sub("", text)
    if len(text) > 2 and text[0] == "{" and text[-1] == "}" and text.count("{") == 1:
        text = text[1:-1]
    return text.rstrip(".").casefold() if text.isalpha() or " " in text else text.rstrip(".")


def _words(gold: str, given: str) -> bool | None:
    """Answers in words: `yes`, `Monday`, `no solution`, `(C)`."""
    first, second = (_TEXT.sub(r" \1 ", text).strip(" ()[]*\"'.") for text in (gold, given))
    plain = [_LETTERS.fullmatch(text) is not None and "\\" not in text for text in (first, second)]
    if all(plain) and (len(first) > 1 or len(second) > 1 or "text" in gold + given):
        same = _folded(first) == _folded(second)
        may_be_products = "text" not in gold + given and max(len(first), len(second)) < 4
        may_be_products = may_be_products and not (first.isupper() and second.isupper())  # AB, XIV
        return None if may_be_products and not same else same
    if plain[0] and len(first) > 3 and not _is_product(first):
        return False if exact(given) is not None else None
    if len(re.findall(r"(?<![\\a-zA-Z])(?<!n\{)(?<!d\{)[a-zA-Z]{3,}", _TEXT.sub("", given))) >= 3:
        if all(map(is_number, structure.parts_of(given)[1])):
            return None
        return False  # a sentence
    return None


def _is_product(text: str) -> bool:
    return len(set(text)) == len(text) and len(text) < 5


_MANY = re.compile(r"(?:there are )?(?:infinitely many|an infinite number of)(?: [a-z]+)?\Z")
_SAME_WORDS = {"true": "yes", "false": "no", "does not exist": "dne", "doesn't exist": "dne"}
_REALS = (
    "allrealnumbers allreals realnumbers therealnumbers allx x\\in\\mathbb{r} \\mathbb{r} \\r \\reals"
    " (-\\infty,\\infty) (-\\infty,+\\infty) -\\infty<x<\\infty"
)
_NOTHING = (
    "nosolution nosolutions \\emptyset emptyset theemptyset norealsolution norealsolutions nosolutionexists"
    " therearenosolutions"
)
_NAMED_SETS = dict.fromkeys(_REALS.split(), "reals") | dict.fromkeys(_NOTHING.split(), "nothing")


def _folded(text: str) -> str:
    text = _MANY.sub("infinitely many", " ".join(text.casefold().split()))
    return _SAME_WORDS.get(text, text.removeprefix("the "))


def _intervals(gold: str, given: str, algebra: Equal | None) -> bool | None:
    """Inequalities in one letter, as intervals: against each other, or against an interval."""
    first, second = structure.interval(gold), structure.interval(given)
    if first and second:
        return first[0] == second[0] and equal(first[1], second[1], algebra)
    one, other = first[1] if first else gold, second[1] if second else given
    kinds = [structure.parts_of(text)[0] for text in (one, other)]
    if (first or second) and all(
        kind in ("()", "[]", "(]", "[)") or "\\cup" in text for kind, text in zip(kinds, (one, other), strict=True)
    ):
        return equal(one, other, algebra)
    return None


def _plus_minus(gold: str, given: str, algebra: Equal | None) -> bool | None:
    if ("\\pm" in gold) == ("\\pm" in given) or gold.count("\\pm") + given.count("\\pm") != 1:
        return None
    return _unordered(_signs(gold), _signs(given), algebra)


def _signs(text: str) -> list[str]:
    if "\\pm" in text:
        return [clean(text.replace("\\pm", sign)) for sign in ("+", "-")]
    return structure.parts_of(text)[1]


def _matrices(gold: str, given: str, algebra: Equal | None) -> bool | None:
    first, second = structure.cells(structure.nested(gold)), structure.cells(structure.nested(given))
    if first is None and second is None:
        return None
    if first is None or second is None:  # a vector may be written as a tuple
        cells, (kind, parts) = (first, structure.parts_of(given)) if first else (second, structure.parts_of(gold))
        if not kind or cells is None or 1 not in (len(cells), len(cells[0])):
            return None
        return _ordered([cell for row in cells for cell in row], parts, algebra)
    if [len(row) for row in first] != [len(row) for row in second]:
        return False
    return _ordered([cell for row in first for cell in row], [cell for row in second for cell in row], algebra)


def _collections(gold: str, given: str, algebra: Equal | None) -> bool | None:
    """Tuples, intervals, sets and plain lists, part by part; unions in any order."""
    unions = [structure.union(text) for text in (gold, given)]
    if "\\cup" in gold + given and all(len(union) > 1 for union in unions):
        return _unordered(unions[0], unions[1], algebra)
    gold, given = structure.named_parts(gold, given)
    (kind, first), (other, second) = structure.parts_of(gold), structure.parts_of(given)
    distinct = [
        structure.distinct(parts) if not brackets else parts for brackets, parts in ((kind, first), (other, second))
    ]
    twice = [len(parts) for parts in distinct] == [1, 1] and len(first) + len(second) > 2
    if twice and (_COMMA_DECIMAL.fullmatch(gold) or _COMMA_DECIMAL.fullmatch(given)):
        return False  # 3,3 is no 3
    if twice:
        verdicts = [equal(distinct[0][0], part, algebra) for part in second]
        return True if True in verdicts else verdicts[0]
    first, second = distinct
    if len(first) < 2 and len(second) < 2 and not (kind == other == "{}"):
        if kind and kind == other:
            return equal(first[0], second[0], algebra) if first and second else None
        if {kind, other} == {"{}", ""} and len(first) == len(second) == 1:  # {5} and 5
            return equal(first[0], second[0], algebra)
        return None
    if len(first) != len(second):
        if (
            "\\pm" in gold + given
            or "\\cup" in gold + given
            or "\\in" in gold + given
            or structure.is_relation(gold)
            or structure.is_relation(given)
        ):
            return None
        return False
    if kind == other and kind not in ("", "{}"):
        return _ordered(first, second, algebra)
    if "" in (kind, other) or kind == other:
        tuples = "()" in (kind, other) and "=" not in gold + given
        return _ordered(first, second, algebra) if tuples else _unordered(first, second, algebra)
    return False


def _ordered(first: Sequence[str], second: Sequence[str], algebra: Equal | None) -> bool | None:
    if len(first) != len(second):
        return False
    unknown = False
    for gold, given in zip(first, second, strict=True):
        verdict = equal(gold, given, algebra)
        if verdict is False:
            return False
        unknown = unknown or verdict is None
    return None if unknown else True


def _unordered(first: Sequence[str], second: Sequence[str], algebra: Equal | None) -> bool | None:
    """Each part has a partner of its own. Greedy: equality is an equivalence."""
    first, second = list(dict.fromkeys(first)), list(dict.fromkeys(second))
    if len(first) != len(second) or len(first) > 60:
        return False
    left, unknown = list(second), False
    for gold in first:
        verdicts = [equal(gold, given, algebra) for given in left]
        if True in verdicts:
            left.pop(verdicts.index(True))
        elif None in verdicts:
            unknown = True
        else:
            return False
    return None if unknown else True
