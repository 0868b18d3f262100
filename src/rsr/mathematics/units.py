"""Units of measure, clock times and dates: what `km/h`, `5 hours and 30 minutes`, `7:30 PM` and `14 March` amount to.

A unit is a factor and a dimension: `km/h` is 5/18 of `m s^-1`. Nouns that nothing measures in (`apples`) are no unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple


class Unit(NamedTuple):
    """A factor, and the powers of base units that it goes with."""

    factor: Fraction
    dimension: tuple[tuple[str, int], ...]


_TABLE = """
m: m meter metre meters metres м 米 | mm 1/1000: mm millimeter millimetre мм 毫米
cm 1/100: cm centimeter centimetre см 厘米
dm 1/10: dm decimeter decimetre | km 1000: km kilometer kilometre км 公里 千米 | in 127/5000: in inch inches
ft 381/1250: ft foot feet | yd 1143/1250: yd yard | mi 201168/125: mi mile
g: g gram gramme г 克 | mg 1/1000: mg milligram | kg 1000: kg kgs kilogram kilo кг 公斤 千克 | t 1000000: ton tonne
lb 45359237/100000: lb lbs pound | oz 45359237/1600000: oz ounce
s: s sec second с 秒 | min 60: min minute мин 分钟 | h 3600: h hr hour giờ ч 小时 时间 時間 | day 86400: day 天
week 604800: week
month: month | year 12: yr year
l: l liter litre л 升 | ml 1/1000: ml milliliter millilitre
gal: gal gallon | qt 1/4: quart | pint 1/8: pint | cup 1/16: cup
$: dollar usd buck | $ 1/100: cent ¢ | eur: euro eur € | gbp: gbp £ | yuan: yuan rmb 元
yen: yen jpy 円 | inr: rupee inr ₹ Rs
idr: rupiah idr | vnd: đồng dong vnd | peso: peso | brl: real reais | rub: ruble rouble рублей рубля руб | krw: won 원
deg: degree deg ° | rad: radian rad | C: celsius C | F: fahrenheit F | K: kelvin
J: j joule | J 1000: kj kilojoule | N: n newton | W: w watt | W 1000: kw kilowatt | Pa: pa pascal | Pa 1000: kpa
V: v volt | A: amp ampere | ohm: ohm | Hz: hz hertz | mol: mol mole
"""
_KINDS = {
    "mm": "m", "cm": "m", "dm": "m", "km": "m", "in": "m", "ft": "m", "yd": "m", "mi": "m", "mg": "g", "kg": "g",
    "t": "g", "lb": "g", "oz": "g", "min": "s", "h": "s", "day": "s", "week": "s", "ml": "l", "qt": "gal",
    "pint": "gal", "cup": "gal", "year": "month",
}  # fmt: skip


def _table() -> dict[str, tuple[Fraction, str]]:
    units = {}
    for entry in re.split(r"[|\n]", _TABLE.strip()):
        head, _, names = entry.partition(":")
        base, _, factor = head.strip().partition(" ")
        for name in names.split():
            units[name] = (Fraction(factor or 1), _KINDS.get(base, base))
    return units


UNITS: Mapping[str, tuple[Fraction, str]] = _table()
_WHOLE = {"mph": "mi/h", "kph": "km/h", "kmh": "km/h", "fps": "ft/s", "mps": "m/s", "$": "dollar"}
_WHOLE |= {f"degree{s} {name}": full for s in ("", "s") for name, full in (("c", "C"), ("f", "F"), ("k", "K"))}
_WHOLE |= {f"degree{s} {name}": name for s in ("", "s") for name in ("celsius", "fahrenheit")}
_CIRC = re.compile(r"\^?\s?\\circ(?![a-zA-Z])|°")
_PER = re.compile(r"\s?/\s?|\s?\bper\b\s?(?:an? )?|\s\ban?\b\s")
_PART = re.compile(
    r"(?:(square|sq|cubic|cu)\.?\s)?([^\W\d_]+|[$€£₹¢°])\.?(?:\s?(?:\^\s?\{?\s?(-?[1-4])\s?\}?|(squared|cubed)))?"
)


@lru_cache(maxsize=4096)
def unit(text: str) -> Unit | None:
    """The unit that a text names, or None: it names none that we know."""
    text = _CIRC.sub(" degree ", text).strip(" .")
    text = " ".join(text.split())
    text = _WHOLE.get(text.lower(), text).replace("·", " ")
    factor = Fraction(1)
    powers: dict[str, int] = {}
    for number, side in enumerate(_PER.split(text)):
        at = 0
        while at < len(side):
            match = _PART.match(side, at)
            if match is None:
                return None
            found = _named(match[2])
            if found is None:
                return None
            power = 2 if match[1] in ("square", "sq") or match[4] == "squared" else 3 if match[1] or match[4] else 1
            power = int(match[3] or power) * (-1 if number else 1)
            factor *= found[0] ** power
            powers[found[1]] = powers.get(found[1], 0) + power
            at = match.end() + len(side[match.end() :]) - len(side[match.end() :].lstrip(" *-"))
    return Unit(factor, tuple(sorted((base, power) for base, power in powers.items() if power))) if powers else None


def _named(word: str) -> tuple[Fraction, str] | None:
    for name in (word, word.lower(), word.lower().removesuffix("s"), word.lower().removesuffix("es")):
        if name in UNITS:
            return UNITS[name]
    return None


def same_unit(one: str, other: str) -> Fraction | None:
    """What a quantity in the first unit must be multiplied with for the second; None: they measure different things.

    Nouns (`clips`, `red clips`) are the same where they share a word.
    """
    if one.startswith("per ") or other.startswith("per "):  # $2 per pound, where the currency was left out
        return Fraction(1)
    first, second = unit(one), unit(other)
    if first and second:
        return first.factor / second.factor if first.dimension == second.dimension else None
    words = [{_singular(word) for word in re.findall(r"[^\W\d_]{2,}", text.lower())} for text in (one, other)]
    foreign = any(not text.isascii() and unit(text) is None for text in (one, other))  # a noun of another language
    return Fraction(1) if foreign or not all(words) or words[0] & words[1] else None


def _singular(word: str) -> str:
    return word.removesuffix("s") if len(word) > 3 else word


# --- 5 hours and 30 minutes

_AMOUNT = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s?([^\W\d_]+)\.?")
_STARTS = frozenset("0123456789\\")
_AND = re.compile(r"\s?(?:,|and|,\s?and)?\s?")


def compound(text: str) -> tuple[Fraction, str] | None:
    """The amount of `5 hours and 30 minutes`, in its base unit, and that unit; None for anything else."""
    if text[:1] not in _STARTS or text.isdigit() or len(text) > 100:
        return None
    total, kind, at, count, last = Fraction(0), "", 0, 0, Fraction(0)
    text = re.sub(r"\\text\s?\{([^{}]*)\}", r" \1 ", text)
    text = " ".join(text.split())
    while at < len(text):
        match = _AMOUNT.match(text, at)
        found = _named("min" if kind == "s" and match[2] == "m" else match[2]) if match else None  # 2 h 20 m
        if match is None or found is None or (kind and (found[1] != kind or found[0] >= last)):
            return None
        last = found[0]
        total += Fraction(match[1]) * found[0]
        kind, count = found[1], count + 1
        joint = _AND.match(text, match.end())
        at = joint.end() if joint else match.end()
    return (total, kind) if count > 1 else None


def compound_amounts(one: str, other: str) -> bool | None:
    """Whether two amounts are the same where one is made of several units (`1 hour 30 minutes`); else None."""
    amounts = compound(one), compound(other)
    if amounts == (None, None):
        return None
    if None in amounts and (amounts[0] or amounts[1] or ("", ""))[1] == "$":  # 100 dollars and 50 cents, 100.50
        total = (amounts[0] or amounts[1] or (None, ""))[0]
        plain = (other if amounts[0] else one).replace(",", "")
        if re.fullmatch(r"\d{1,12}(?:\.\d{1,4})?", plain):
            return Fraction(plain) == total
    first, second = (found or _amount(text) for found, text in zip(amounts, (one, other), strict=True))
    return first is not None and first == second


def _amount(text: str) -> tuple[Fraction, str] | None:
    match = _AMOUNT.fullmatch(" ".join(re.sub(r"\\text\s?\{([^{}]*)\}", r" \1 ", text).split()))
    found = _named(match[2]) if match else None
    return (Fraction(match[1]) * found[0], found[1]) if match and found else None


# --- clock times and dates

_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?\s?(?:([ap])\.?\s?m\b\.?|o'clock)?", re.I)
_MONTH_NAMES = (
    "jan january|feb february|mar march|apr april|may|jun june|jul july|aug august|sep sept september|oct october"
    "|nov november|dec december"
)
_MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES.split("|"), start=1) for name in names.split()}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
DATE = re.compile(
    rf"(?:[a-z]{{3,9}}day,?\s)?(?:(?:the\s)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<month>{_MONTH})\.?"
    rf"|(?P<month2>{_MONTH})\.?\s(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?)(?:,?\s(?P<year>\d{{4}}))?",
    re.I,
)
"""`March 14, 2025`, `14 March`."""


def same_time(one: str, other: str) -> bool | None:
    """Whether two clock times are the same; None unless both are, and one of them says am or pm."""
    texts = [" ".join(re.sub(r"\\text\s?\{([^{}]*)\}", r" \1", text).split()) for text in (one, other)]
    matches = [_CLOCK.fullmatch(text) for text in texts]
    first, second = matches
    if first is None or second is None or not (first[4] or second[4]):
        return None
    if not (first[2] and second[2]) and not (first[4] and second[4]):  # "7" may be anything
        return None
    times = [(int(match[1]), int(match[2] or 0), int(match[3] or 0)) for match in (first, second)]
    if times[0][1:] != times[1][1:]:
        return False
    hours = [_hour(time[0], match[4], match) for time, match in zip(times, (first, second), strict=True)]
    if first[4] and second[4]:
        return hours[0] == hours[1]
    return hours[0] == hours[1] or times[0][0] == times[1][0]


def _hour(hour: int, half: str | None, match: re.Match[str]) -> int:
    if half is None:
        return hour
    return hour % 12 + (12 if half.lower() == "p" else 0)


def same_date(one: str, other: str) -> bool | None:
    """Whether two dates are the same, a year that one leaves out apart; None unless both name a month."""
    dates = [_date(text) for text in (one, other)]
    first, second = dates
    if first is None or second is None:
        return None
    return first[:2] == second[:2] and (first[2] == second[2] or None in (first[2], second[2]))


def _date(text: str) -> tuple[int, int, int | None] | None:
    match = DATE.fullmatch(re.sub(r"\\text\s?\{([^{}]*)\}", r"\1", text).strip())
    if match is None:
        return None
    month = _MONTHS[(match["month"] or match["month2"]).lower()]
    return month, int(match["day"] or match["day2"]), int(match["year"]) if match["year"] else None
