r"""One spelling for one piece of mathematics: LaTeX, Unicode and plain text become the same short LaTeX.

`$\dfrac12\,\text{cm}^2$`, `½ cm²`, `1/2 square centimeters`   ──>   Expression(body="\frac{1}{2}", unit="cm^2")
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple


class Expression(NamedTuple):
    """A piece of mathematics, taken apart."""

    body: str
    """What it is, without name, unit and percent sign."""
    name: str = ""
    """The left side of `x = 5`, when it is only a name."""
    unit: str = ""
    percent: bool = False


_FRACTIONS = {char: unicodedata.normalize("NFKC", char).split("⁄") for char in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒"}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SYMBOLS = {
    "π": "\\pi ", "∞": "\\infty ", "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "∙": "\\cdot ", "÷": "/", "−": "-",
    "–": "-", "—": "-", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "±": "\\pm ", "∪": "\\cup ", "∩": "\\cap ",
    "∈": "\\in ", "≈": "\\approx ", "θ": "\\theta ", "α": "\\alpha ", "β": "\\beta ", "λ": "\\lambda ",
    "∅": "\\emptyset ",
    "ℝ": "\\mathbb{R}", "°": "^\\circ ", "→": "\\to ", "⟨": "(", "⟩": ")", "√": "\\sqrt ", "⁄": "/", "′": "'",
    "\u200b": "", "\u2062": "", "\u2061": "", "∖": "\\setminus ",
}  # fmt: skip
_UNICODE = re.compile("[" + "".join(_SYMBOLS) + "]")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_DROPPED = re.compile(
    r"\\(?:left|right|m?bigg?[lr]?|Bigg?[lr]?|displaystyle|textstyle|limits|mathstrut|boldsymbol|bm)(?![a-zA-Z])|\\[!,;:>]"
    r"|\\(?:quad|qquad|thinspace|hspace\{[^{}]{0,20}\}|phantom\{[^{}]{0,20}\}|label\{[^{}]{0,40}\}|tag\{[^{}]{0,40}\})"
    r"|\\\$|\$|(?<!\\)\\(?:[()\[\]]|(?= ))|~|`|\*\*|‎"
)
_FONTS = "textbf|mathbf|mathit|mathsf|textit|textrm|textnormal|mbox|mathrm|mathtt|texttt|hbox"
_BRACKETS = {
    "\\lbrace": "\\{", "\\rbrace": "\\}", "\\lbrack": "[", "\\rbrack": "]", "\\lvert": "|", "\\rvert": "|",
    "\\vert": "|",
}  # fmt: skip
_Replacement = str | Callable[[re.Match[str]], str]
_RENAMED: tuple[tuple[re.Pattern[str], _Replacement], ...] = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:leq|leqslant|le)(?![a-zA-Z])"), r"\\le "),
    (re.compile(r"\\(?:geq|geqslant|ge)(?![a-zA-Z])"), r"\\ge "),
    (re.compile(r"\\(?:neq|ne)(?![a-zA-Z])"), r"\\ne "),
    (re.compile(r"\\(?:ast|star)(?![a-zA-Z])"), r"*"),
    (re.compile(r"\\degree(?![a-zA-Z])|\^\s?\{?\s?\\circ\s?\}?"), r"^\\circ "),
    (re.compile(r"\\(?:lbrace|lbrack|rbrace|rbrack|lvert|rvert|vert)(?![a-zA-Z])"), lambda m: _BRACKETS[m[0]]),
    (re.compile(rf"\\(?:text|operatorname|{_FONTS})\s?\{{\s?(sqrt|pi|sin|cos|tan|log|ln|and|or)\s?\}}"),
     lambda m: f" {m[1]} " if m[1] in ("and", "or") else f"\\{m[1]} "),
    (re.compile(rf"\\(?:{_FONTS})(?=\s?\{{)"), r"\\text"),
    (re.compile(r"\\frac\s?(\d)\s?(\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s?(\d)\s?\{"), r"\\frac{\1}{"),
    (re.compile(r"(\\frac\s?\{[^{}]{1,60}\})\s?(\d)"), r"\1{\2}"),
    (re.compile(r"\\sqrt\s?(\d+|[a-zA-Z])"), r"\\sqrt{\1}"),
    (re.compile(r"\\(?=%)"), ""),
)  # fmt: skip
_WORDS = re.compile(
    r"(?<![a-zA-Z\\])(sqrt|infinity|infty|inf|pi|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp|theta|times|union)"
    r"(?![a-zA-Z{])"
)
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """The same mathematics in short LaTeX."""
    if not text.isascii():
        text = _ascii(text)
    text = _DROPPED.sub(" ", text) if _DROPPED.search(text) else text
    text = text.replace("{,}", ",")
    if "\\" in text:
        for expression, replacement in _RENAMED:
            text = expression.sub(replacement, text)
    if _WORDS.search(text):
        text = _WORDS.sub(lambda match: _WORD[match[1]] if match[1] in _WORD else f"\\{match[1]} ", text)
    text = _grouped(text, "\\sqrt", "^")
    text = _SPACE.sub(" ", text).strip()
    return text if text.endswith("...") else text.rstrip(".。,;: ")


_WORD = {"infinity": "\\infty ", "inf": "\\infty ", "times": "\\times ", "union": "\\cup "}


def _ascii(text: str) -> str:
    for char, parts in _FRACTIONS.items():
        if char in text:
            fraction = "/".join(parts)
            text = re.sub(rf"(?<=\d)\s?{char}", f" {fraction}", text).replace(char, fraction)
    text = _RAISED.sub(lambda match: "^{" + match[0].translate(_SUPERSCRIPTS) + "}", text)
    text = _LOWERED.sub(lambda match: "_{" + match[0].translate(_SUBSCRIPTS) + "}", text)
    text = _UNICODE.sub(lambda match: _SYMBOLS[match[0]], text)
    return unicodedata.normalize("NFKC", text)


def _grouped(text: str, *commands: str) -> str:
    """`sqrt(x+1)` and `2^(n-1)` with braces."""
    for command in commands:
        at = text.find(command)
        for _ in range(50):
            if at < 0:
                break
            start = at + len(command)
            while text[start : start + 1] == " ":
                start += 1
            end = closing(text, start) if text[start : start + 1] == "(" else -1
            if end > 0:
                text = f"{text[: at + len(command)]}{{{text[start + 1 : end]}}}{text[end + 1 :]}"
            at = text.find(command, at + 1)
    return text


def closing(text: str, at: int) -> int:
    """Where the bracket that opens at a position closes; -1: it doesn't."""
    opened = text[at]
    closed = {"(": ")", "{": "}", "[": "]"}[opened]
    depth = 0
    for index in range(at, len(text)):
        char = text[index]
        if char == opened:
            depth += 1
        elif char == closed:
            depth -= 1
            if depth == 0:
                return index
    return -1


# --- names, units, percent

_NAME = re.compile(
    r"(?:[a-zA-Z]{1,12}|\\[a-zA-Z]{2,8}|\\text\s?\{[^{}]{1,60}\})(?:_\w|_\{\w{1,8}\}|')?(?:\s?\([a-zA-Z0-9, ]{1,12}\))?"
    r"\s?(?:=|:(?!\d)|\\approx|\\in(?![a-zA-Z]))\s?(?=\S)"
)
_LEADING = re.compile(r"(?:\\approx|\\simeq|=|:|USD|EUR|US|Rs\.?|€|£|¥|₹|about|approximately|roughly|exactly)\s?")
_TEXT = re.compile(r"\\text\s?\{([^{}]*)\}")
_UNIT_WORDS = (
    r"mm|cm|km|m|ft|feet|foot|in|inch(?:es)?|yd|yards?|mi|miles?|(?:centi|kilo|milli)?met(?:er|re)s?|mg|kg|g"
    r"|(?:kilo)?grams?|lbs?|pounds?|oz|ounces?|tons?|tonnes?|s|secs?|seconds?|mins?|minutes?|h|hrs?|hours?|days?|weeks?"
    r"|months?|years?|mph|kph|kmh|l|ml|lit(?:er|re)s?|gallons?|units?|degrees?|radians?|rad|dollars?|cents?|euros?"
    r"|rupees?|J|kJ|N|W|kW|Pa|kPa|Hz|V|A|K|C|mol|people|students?|points?|ways?|square|cubic|sq"
)
_POWER = r"\^\s?\{?-?[123]\}?"
_UNIT = re.compile(
    r"(?:(?<=[\d)}\s])|(?=\\text))\s?((?:\\text\s?\{|(?<=\s)|(?<=\d)(?=[a-zA-Z]{2})|\^\\circ\s?)"
    rf"(?:[^\d{{}}\\=<>()+*]{{0,60}})\}}?(?:\s?(?:{_POWER}|/\s?\w{{1,10}}))*"
    rf"(?:\s?\\text\s?\{{[^{{}}]{{0,30}}\}}(?:\s?{_POWER})?)*)\Z"
)
_KNOWN = re.compile(rf"(?:{_UNIT_WORDS})\b")
_SAME = {
    "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "kilometer": "km", "kilometre": "km", "meter": "m",
    "metre": "m", "foot": "ft", "feet": "ft", "inch": "in", "inches": "in", "yard": "yd", "mile": "mi", "gram": "g",
    "kilogram": "kg", "pound": "lb", "ounce": "oz", "second": "s", "sec": "s", "minute": "min", "hour": "h", "hr": "h",
    "liter": "l", "litre": "l", "milliliter": "ml", "degree": "deg", "dollar": "$", "usd": "$", "unit": "",
    "square": "sq",
}  # fmt: skip


def parsed(text: str) -> Expression:
    """An expression from cleaned text."""
    text = _LEADING.sub("", text, count=1) if _LEADING.match(text) else text
    name = ""
    match = _NAME.match(text)
    if match and "=" not in text[match.end() :]:
        name = re.sub(r"\s|\\text|[{}]|=|:|\\approx|\\in", "", match[0])
        text = text[match.end() :].strip()
        text = _LEADING.sub("", text, count=1) if _LEADING.match(text) else text
    percent = False
    if text.endswith("%") or re.search(r"\\text\s?\{\s?percent\s?\}\Z|\bpercent\Z", text):
        text = re.sub(r"\s?(?:%|\\text\s?\{\s?percent\s?\}|percent)\Z", "", text)
        percent = True
    body, unit = _without_unit(text)
    body = body.strip()
    return Expression(body if body.endswith("...") else body.rstrip(". "), name, unit, percent)


_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")


def _without_unit(text: str) -> tuple[str, str]:
    may_end_in_unit = (text and not text[-1].isdigit()) or "^" in text[-4:]
    match = _UNIT.search(text, max(0, len(text) - 160)) if may_end_in_unit and not _TRIGONOMETRY.search(text) else None
    if match is None or not match[1].strip() or not re.search(r"\d|\\pi|\}", text[: match.start()]):
        return text, ""
    unit = match[1].strip()
    bare = _TEXT.sub(r" \1 ", unit).replace("\\circ", "degree").replace("^degree", "degree").strip()
    first = re.match(r"[a-zA-Z]+", bare)
    if first is None or re.match(r"(?:or|and|mod|to|if)\b", bare):
        return text, ""
    in_text = unit.startswith("\\text")
    if not (in_text or "degree" in bare or _KNOWN.match(bare) or len(first[0]) > 2):
        return text, ""
    spaced = text[match.start()].isspace() or text[match.start() - 1].isspace()
    if not in_text and len(first[0]) == 1 and not spaced:  # 5m may be a product
        return text, ""
    return text[: match.start()], _unit_name(bare)


def _unit_name(text: str) -> str:
    text = re.sub(r"[.\s{}\\]+", " ", text.lower()).replace("squared", "^2").replace("cubed", "^3").strip()
    words = []
    for word in re.split(r"\s+|(?=[/^])", text):
        single = word[:-1] if word.endswith("s") and len(word) > 3 else word
        words.append(_SAME.get(word, _SAME.get(single, single)))
    joined = "".join(words).replace("per", "/")
    joined = re.sub(r"^sq(\w+)", r"\1^2", joined)
    return re.sub(r"^cubic(\w+)", r"\1^3", joined)
