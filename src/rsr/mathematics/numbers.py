r"""Exact values of numbers as people write them: a small calculator over rationals, and no floats anywhere.

    1,234.5   10 000   3/4   \frac34   2\frac{1}{2}   1.5 \times 10^{3}   2e-5   0.\overline{3}   2^{10}   10!

Whatever has letters, or is too large to be worth it, has no exact value here.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

_BITS = 20_000
_LONGEST = 400
_PLAIN = re.compile(r"[+-]?\d{1,18}")
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]{1,64}|0b[01]{1,200}")
_TOKEN = re.compile(
    r"\s*(?:(?P<repeat>\d*\.\d*?(?:\\overline\{(\d+)\}|\((\d+)\)|\\dot\{?(\d)\}?(?:\\dot\{?(\d)\}?)?))"
    r"|(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4}(?!\d))?)(?P<dots>\.\.\.|\\ldots|\\dots)?"
    r"|(?P<op>\\frac|\\binom|\\sqrt|\\cdot|\\times|\\div|\*\*|[-+*/^!(){}\[\]]))"
)
_THOUSANDS = re.compile(
    r"(?<![\d.])\d{1,2}(?:,\d{2})+,\d{3}(?!\d|,\d)|(?<![\d.])[1-9]\d{0,2}(?:,\d{3})+(?!\d|,\d)"
    r"|(?<![\d.])\d{1,3}(?:[ _'’]\d{3})+(?![\d])"
)
_SAFE = re.compile(r"[-\d\s.,+*/^!(){}\[\]eE_'’\\a-z]*")
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: value for value, word in enumerate(_UNITS.split())}
_WORDS |= {word: 10 * tens for tens, word in enumerate(_TENS.split(), start=2)}


class _NoValue(Exception):
    pass


def exact(text: str) -> Fraction | None:
    """The value of a number or of arithmetic with numbers; None where there is none, or not exactly."""
    if _PLAIN.fullmatch(text):
        return Fraction(int(text))
    if not text or len(text) > 5 * _LONGEST:
        return None
    if text.isdigit():
        return Fraction(int(text)) if len(text) < 4000 else None
    if _HEXADECIMAL.fullmatch(text):
        return Fraction(int(text, 0))
    if len(text) > _LONGEST or not _SAFE.fullmatch(text):
        return None
    text = _THOUSANDS.sub(lambda match: re.sub(r"[ ,_'’]", "", match[0]), text)
    if "," in text or "_" in text:
        return None
    if text.replace("-", " ").replace(" ", "").isalpha():
        return _spoken(text)
    try:
        calculator = _Calculator(text)
        value = calculator.sum()
        return value if calculator.done else None
    except (_NoValue, ZeroDivisionError, RecursionError, OverflowError):
        return None


_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
          "eighth": 8, "ninth": 9, "tenth": 10, "hundredth": 100}  # fmt: skip


def _spoken(text: str) -> Fraction | None:
    """`twelve`, `forty-two`, `three hundred and five`, `two thousand`, `three quarters`, `a dozen`."""
    words = [word for word in text.lower().replace("-", " ").split() if word != "and"]
    negative = words[:1] in (["minus"], ["negative"])
    words = words[negative:]
    if words and words[0] in ("a", "an"):
        words[0] = "one"
    if words in (["dozen"], ["one", "dozen"], ["half"]):
        return Fraction(1, 2) if words == ["half"] else Fraction(12)
    if words[-2:] in (["a", "half"], ["one", "half"]) and len(words) > 2:
        whole = _counted(words[:-2])
        return None if whole is None else whole + Fraction(1, 2)
    part = _PARTS.get(words[-1].removesuffix("s")) if len(words) > 1 else None
    value = _counted(words[:-1] if part else words)
    if value is None:
        return None
    value = value / part if part else value
    return -value if negative else value


def _counted(words: list[str]) -> Fraction | None:
    total, below, last = 0, 0, 0
    for word in words:
        if word in _WORDS:
            if last and not (last >= 20 and _WORDS[word] < 10) and last != 100:
                return None  # "two three" is a list
            below, last = below + _WORDS[word], _WORDS[word]
        elif word == "hundred" and below:
            below, last = below * 100, 100
        elif word in _SCALES and below:
            total, below, last = total + below * _SCALES[word], 0, 100
        else:
            return None
    return Fraction(total + below) if words else None


class _Calculator:
    """Recursive descent over `_TOKEN`; raises `_NoValue` at whatever it doesn't know."""

    def __init__(self, text: str) -> None:
        self._tokens: list[Fraction | str] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise _NoValue
            self._tokens.append(_value(match) if not match["op"] else match["op"])
            at = match.end()
        self._at = 0
        self._depth = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._tokens)

    def _peek(self) -> Fraction | str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self, *wanted: str) -> str | None:
        token = self._peek()
        if isinstance(token, str) and token in wanted:
            self._at += 1
            return token
        return None

    def sum(self) -> Fraction:
        self._depth += 1
        if self._depth > 30:
            raise _NoValue
        value = self._product()
        while operator := self._take("+", "-"):
            value = value + self._product() if operator == "+" else value - self._product()
        self._depth -= 1
        return _checked(value)

    def _product(self) -> Fraction:
        value = self._signed()
        while True:
            if self._take("*", "\\cdot", "\\times"):
                value *= self._signed()
            elif self._take("/", "\\div"):
                value /= self._signed()
            elif self._peek() in ("(", "\\sqrt", "\\binom"):
                value *= self._power()
            else:
                return _checked(value)

    def _signed(self) -> Fraction:
        if self._take("-"):
            return -self._signed()
        return self._signed() if self._take("+") else self._power()

    def _power(self) -> Fraction:
        base = self._factorial()
        if not self._take("^", "**"):
            return base
        exponent = self._braced() if self._peek() == "{" else self._signed()
        if exponent.denominator == 2 and base >= 0:
            base, exponent = _root(base), exponent * 2
        if exponent.denominator != 1 or abs(exponent) > _BITS or _size(base) * abs(exponent) > _BITS:
            raise _NoValue
        return base ** int(exponent)

    def _factorial(self) -> Fraction:
        value = self._atom()
        while self._take("!"):
            if value.denominator != 1 or not 0 <= value <= 1000:
                raise _NoValue
            value = Fraction(math.factorial(int(value)))
        return value

    def _atom(self) -> Fraction:
        token = self._peek()
        self._at += 1
        if isinstance(token, Fraction):
            return self._mixed(token)
        if token in ("(", "[", "{"):
            value = self.sum()
            if not self._take({"(": ")", "[": "]", "{": "}"}[token]):
                raise _NoValue
            return value
        if token == "\\frac":
            top = self._braced()
            return top / self._braced()
        if token == "\\binom":
            top, bottom = self._braced(), self._braced()
            if top.denominator != 1 or bottom.denominator != 1 or not 0 <= bottom <= top <= 1000:
                raise _NoValue
            return Fraction(math.comb(int(top), int(bottom)))
        if token == "\\sqrt" and self._peek() == "{":
            return _root(self._braced())
        raise _NoValue

    def _mixed(self, whole: Fraction) -> Fraction:
        r"""`2\frac{1}{2}` and `2 1/2`."""
        following = self._tokens[self._at : self._at + 3]
        if following[:1] == ["\\frac"] and whole.denominator == 1:
            self._at += 1
            top = self._braced()
            return whole + top / self._braced()
        if (
            len(following) == 3
            and isinstance(following[0], Fraction)
            and following[1] == "/"
            and whole.denominator == 1
        ):
            if not isinstance(following[2], Fraction) or not following[0] < following[2]:
                raise _NoValue
            self._at += 3
            return whole + following[0] / following[2]
        if following and isinstance(following[0], Fraction):
            raise _NoValue  # two numbers side by side
        return whole

    def _braced(self) -> Fraction:
        if not self._take("{"):
            raise _NoValue
        value = self.sum()
        if not self._take("}"):
            raise _NoValue
        return value


def _value(match: re.Match[str]) -> Fraction:
    if match["repeat"]:
        head = re.split(r"[\\(]", match["repeat"])[0]
        digits = next(group for group in match.group(2, 3, 4) if group)
        digits += match[5] or ""
        places = len(head.partition(".")[2])
        start = Fraction(head if head.strip(".") else "0")
        return start + Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)
    if match["dots"]:
        return _continued(match["number"])
    number = match["number"]
    return Fraction(number if number[-1] != "." else number[:-1])


def _continued(number: str) -> Fraction:
    """`0.333...`, `0.1666...`: the shortest period that stands there at least three times."""
    whole, _, places = number.partition(".")
    for period in range(1, len(places) // 3 + 1):
        tail = places[-period:]
        repeats = 1
        while places.endswith(tail * (repeats + 1)):
            repeats += 1
        if repeats >= 3:
            head = places[: len(places) - repeats * period]
            start = Fraction(f"{whole or 0}.{head or 0}")
            return start + Fraction(int(tail), (10**period - 1) * 10 ** len(head))
    raise _NoValue


def _root(value: Fraction) -> Fraction:
    if value < 0:
        raise _NoValue
    top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if top * top != value.numerator or bottom * bottom != value.denominator:
        raise _NoValue
    return Fraction(top, bottom)


def _size(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _checked(value: Fraction) -> Fraction:
    if _size(value) > _BITS:
        raise _NoValue
    return value
