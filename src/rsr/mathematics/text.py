r"""One spelling for one piece of mathematics: LaTeX, Unicode and plain text become the same short LaTeX.

`$\dfrac12\,\text{cm}^2$`, `½ cm²`, `1/2 square centimeters`   ──>   Expression(body="\frac{1}{2}", unit="cm^2")
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

from rsr.mathematics.units import unit as unit_of


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
    "∅": "\\emptyset ", "⌊": "\\lfloor ", "⌋": "\\rfloor ", "⌈": "\\lceil ", "⌉": "\\rceil ",
    "ℝ": "\\mathbb{R}", "°": "^\\circ ", "→": "\\to ", "⟨": "(", "⟩": ")", "√": "\\sqrt ", "⁄": "/", "′": "'",
    "\u200b": "", "\u2062": "", "\u2061": "", "∖": "\\setminus ",
}  # fmt: skip
_UNICODE = re.compile("[" + "".join(_SYMBOLS) + "]")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_DROPPED = re.compile(
    r"\\(?:left|right|m?bigg?[lr]?|Bigg?[lr]?|displaystyle|textstyle|limits|mathstrut|boldsymbol|bm)(?![a-zA-Z])"
    r"|\\[!,;:>]"
    r"|\\(?:quad|qquad|thinspace|hspace\{[^{}]{0,20}\}|phantom\{[^{}]{0,20}\}|label\{[^{}]{0,40}\}|tag\{[^{}]{0,40}\})"
    r"|\\\$|\$|(?<!\\)\\(?:[()\[\]]|(?= ))|~|`|\*\*|‎"
)
_FONTS = "textbf|mathbf|mathit|mathsf|textit|textrm|textnormal|mbox|mathrm|mathtt|texttt|hbox"
_BRACKETS = {
    "\\lbrace": "\\{", "\\rbrace": "\\}", "\\lbrack": "[", "\\rbrack": "]", "\\lvert": "|", "\\rvert": "|",
    "\\vert": "|", "\\langle": "(", "\\rangle": ")",
}  # fmt: skip
_Replacement = str | Callable[[re.Match[str]], str]
_RENAMED: tuple[tuple[re.Pattern[str], _Replacement], ...] = (
    (re.compile(r"\\\\\s?\[-?[\d.]{1,6}\s?(?:pt|em|ex|mm|cm|in|bp)\]"), r"\\\\ "),
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:leq|leqslant|le)(?![a-zA-Z])"), r"\\le "),
    (re.compile(r"\\(?:geq|geqslant|ge)(?![a-zA-Z])"), r"\\ge "),
    (re.compile(r"\\(?:neq|ne)(?![a-zA-Z])"), r"\\ne "),
    (re.compile(r"\\(?:overline|vec|overrightarrow|hat|bar|widehat)\s?(?:\{([A-Za-z]{1,3})\}|([A-Za-z])(?![A-Za-z]))"),
     lambda m: m[1] or m[2]),
    (re.compile(r"\\begin\s?\{(?:aligned|align\*?|gathered|split)\}(.*?)\\end\s?\{(?:aligned|align\*?|gathered"
                r"|split)\}", re.S),
     lambda m: ", ".join(row.replace("&", "").strip() for row in m[1].split("\\\\") if row.strip())),
    (re.compile(r"\\varnothing(?![a-zA-Z])|\\\{\s?\\\}"), r"\\emptyset "),
    (re.compile(r"\\(?:ast|star)(?![a-zA-Z])"), r"*"),
    (re.compile(r"\\degree(?![a-zA-Z])|\^\s?\{?\s?\\circ\s?\}?"), r"^\\circ "),
    (re.compile(r"\\(?:lbrace|lbrack|rbrace|rbrack|lvert|rvert|vert|langle"
                r"|rangle)(?![a-zA-Z])"), lambda m: _BRACKETS[m[0]]),
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
    r"(?<![a-zA-Z\\])(sqrt|infinity|infty|inf|pi|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp|theta"
    r"|times|union)"
    r"(?![a-zA-Z{])"
)
_STARS = re.compile(r"(?<=[\w)}\]])\s?\*\*\s?(?=[\d({-]|[a-zA-Z](?![a-zA-Z]))")
_PICTURES = re.compile("[\u2600-\u27bf\ufe0f\U0001f300-\U0001faff]")  # ticks and emoji
_WIDE = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_BORDERS = re.compile(rf"(?<=[{_WIDE}])(?=[\dA-Za-z$\\(-])|(?<=[\dA-Za-z$)])(?=[{_WIDE}])")
_LEVEL: dict[int, str] = {
    zero + digit: str(digit) for zero in (0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0xFF10) for digit in range(10)
}
_LEVEL |= {ord(wide): plain for wide, plain in zip("＝（）［］｛｝％＋－．＄", "=()[]{}%+-.$", strict=True)}
_LEVEL |= {ord("，"): ", ", ord("、"): ", ", ord("\xa0"): " ", ord("\u202f"): " ", ord("\u2009"): " "}
_SPACE = re.compile(r"\s+")


_SQUARE = re.compile(r"\bsq\.\s?(?=[a-z])")


def levelled(text: str) -> str:
    """The same text with digits and brackets of all scripts in ASCII, and spaces where scripts write none."""
    text = _SQUARE.sub("sq ", text) if "sq." in text else text
    if text.isascii():
        return text
    return _BORDERS.sub(" ", _fractions(_PICTURES.sub("", text.translate(_LEVEL))))


def clean(text: str) -> str:
    """The same mathematics in short LaTeX."""
    text = _money(text) if _CURRENCY.search(text) else text
    if not text.isascii():
        text = _ascii(text)
    text = _THIN.sub(lambda match: re.sub(r"\D", "", match[0]), text) if "\\," in text else text
    text = text.replace("\\!", "") if "\\!" in text else text
    text = _STARS.sub("^", text) if "**" in text else text
    text = _DROPPED.sub(" ", text) if _DROPPED.search(text) else text
    text = text.replace("{,}", ",").replace("\\text{:}", ":").replace("{:}", ":")
    if "\\" in text:
        for expression, replacement in _RENAMED:
            text = expression.sub(replacement, text)
    if _WORDS.search(text):
        text = _WORDS.sub(lambda match: _WORD[match[1]] if match[1] in _WORD else f"\\{match[1]} ", text)
    text = _grouped(text, "\\sqrt", "^")
    text = _SPACE.sub(" ", text).strip()
    text = _FRACTION_OF.sub(r"\\frac{\1}{\2}", text) if "/" in text else text
    if "base" in text or " x " in text or "x10" in text:
        text = _TIMES_X.sub(r" \\times ", _IN_BASE.sub(r"\1_{\2}", text))
    if dotted := _DOT_THOUSANDS.fullmatch(text):
        text = (dotted[1] or dotted[2] or dotted[3]).replace(".", "") + (dotted[4] or "")
    text = _REVERSED.sub(r"\2 = \1", text) if text[-1:].isalpha() and _REVERSED.fullmatch(text) else text
    return text if text.endswith("...") else text.rstrip(".。,;: ")


_THIN = re.compile(r"(?<![\d.])\d{1,3}(?:(?:\{,\}|\\,)\d{3})+(?!\d)")
_REVERSED = re.compile(r"((?:[-+\d.,/(){}^* ]|\\(?:frac|sqrt|pi|cdot|times)(?![a-zA-Z]))*\d[\d)} ]*) ?= ?([a-zA-Z])")
_CURRENCY = re.compile(r"[$€£₹¥]")
_CURRENCIES = {"$": "dollars", "€": "euros", "£": "gbp", "¥": "yen", "₹": "rupees"}
_MONEY = re.compile(
    r"\s*(-?)\s?(?:\$\s?(?=\\\$))?(?:US)?\\?([$€£₹¥])\s?(-?[\d,.]*\d)( (?:thousand|million|billion"
    r"|trillion))?\.?\s*\$?\s*"
    r"|\s*(-?(?:\d{1,3}(?: \d{3})+,\d\d|[\d,.]*\d))\s?([€£₹¥])\s*"
)


def _money(text: str) -> str:
    """`$5` and `5 €` with the currency as a unit; `$5$` is a formula."""
    match = _MONEY.fullmatch(text)
    if match is None or (match[2] == "$" and text.rstrip().endswith("$") and text.count("$") < 3):
        return text
    amount, sign = (match[1] + match[3] + (match[4] or ""), match[2]) if match[2] else (match[5], match[6])
    return f"{amount} \\text{{{_CURRENCIES[sign]}}}"


_FRACTION_OF = re.compile(r"(?<![\w./^{)])(\d{1,9})/(\d{1,9})(?= [a-zA-Z](?![a-zA-Z]))")
_IN_BASE = re.compile(r"\b([0-9A-F]+)\s(?:in\s|\()?(?:\\text\s?\{\s?)?(?:in\s)?base[- ](\d{1,2})\)?\s?\}?")
_TIMES_X = re.compile(r"(?<=\d)\s?x\s?(?=10\^)|(?<=\d) x (?=\d)")
_DOT_THOUSANDS = re.compile(
    r"([-+]?\d{1,3}(?:\.\d{3}){2,})"
    r"|Rp\.? ?(\d{1,3}(?:\.\d{3})+)"
    r"|(?:Rp\.? ?)?([-+]?\d{1,3}\.\d{3})( ?(?:\\text\{euros\}|euros?|rupiah|đồng|dong|vnd|liras?|tl))",
    re.I,
)
_WORD = {"infinity": "\\infty ", "inf": "\\infty ", "times": "\\times ", "union": "\\cup "}


def _ascii(text: str) -> str:
    text = _fractions(text)
    text = _RAISED.sub(lambda match: "^{" + match[0].translate(_SUPERSCRIPTS) + "}", text)
    text = _LOWERED.sub(lambda match: "_{" + match[0].translate(_SUBSCRIPTS) + "}", text)
    text = _UNICODE.sub(lambda match: _SYMBOLS[match[0]], text)
    return unicodedata.normalize("NFKC", text)


def _fractions(text: str) -> str:
    """`2½` as `2 1/2`."""
    for char in set(text) & _FRACTIONS.keys():
        fraction = "/".join(_FRACTIONS[char])
        text = re.sub(rf"(?<=\d)\s?{char}", f" {fraction}", text).replace(char, fraction)
    return text


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
    r"(?:[a-zA-Z]{1,12}|\\[a-zA-Z]{2,8}|\\text\s?\{[^{}]{1,60}\})(?:_\w|_\{\w{1,8}\}"
    r"|')?(?:\s?\([a-zA-Z0-9, ]{1,12}\))?"
    r"\s?(?:=|:(?!\d)|\\approx|\\equiv(?![a-zA-Z])|\\in(?![a-zA-Z]))\s?(?=\S)"
)
_LEADING = re.compile(
    r"(?:\\text\s?\{(?:[^{}]{0,60}(?:\bis|\bare|:|=)|\s?(?:about|approximately|roughly|exactly))\s?\}|\\approx"
    r"|\\simeq|=|:|USD|EUR|US|Rs\.?|€|£|¥|₹|about"
    r"|approximately|roughly|exactly|(?:\\text\s?\{\s?)?all (?:(?:real|positive|odd|even|prime) )*(?:primes"
    r"|integers|numbers|values)(?: of)?"
    r"\s?\}?(?=\s[a-z$\\]))\s?"
)
_TEXT = re.compile(r"\\text\s?\{([^{}]*)\}")
_POWER = r"\^\s?\{?-?[123]\}?"
_UNIT = re.compile(
    r"(?:(?<=[\d)}\s])|(?=\\text))\s?((?:\\text\s?\{|(?<=\s)|(?<=\d)(?=[a-zA-Z]{2})|\^\\circ\s?)"
    rf"(?:[^\d{{}}\\=<>()+*]{{0,60}})\}}?(?:\s?(?:{_POWER}|/\s?\w{{1,10}}))*"
    rf"(?:\s?\\text\s?\{{[^{{}}]{{0,30}}\}}(?:\s?{_POWER})?)*)\Z"
)
_FOREIGN_UNIT = re.compile(r"(?<=[\d)}])\s?([^\W\d_]*[^\W\d_a-zA-Z][^\d=<>\\]{0,40})\Z")
_LETTER_UNIT = re.compile(r"(?<=\d)([mgsLVNJWK])\Z")
_SCALES = {"thousand": "10^3", "million": "10^6", "billion": "10^9", "trillion": "10^{12}", "dozen": "12"}
_SCALE = re.compile(rf"\A({'|'.join(_SCALES)})s?\b\s?")


def parsed(text: str) -> Expression:
    """An expression from cleaned text."""
    text = _LEADING.sub("", text, count=1) if _LEADING.match(text) else text
    name = ""
    match = _NAME.match(text)
    if match and "=" not in text[match.end() :]:
        name = re.sub(r"\s|\\text|[{}]|=|:|\\approx|\\equiv|\\in", "", match[0])
        text = text[match.end() :].strip()
        text = _LEADING.sub("", text, count=1) if _LEADING.match(text) else text
    text = _ASIDE.sub("", text)
    inner = _TEXT.fullmatch(text)
    if inner and inner[1].strip()[:1].isdigit():
        text = inner[1].strip()
    ordinal = _ORDINAL.match(text)
    text = ordinal[1] + text[ordinal.end() :] if ordinal else text
    percent = False
    if _JOINED.search(text) and text[0] not in "([{":  # a list: each part has its own unit
        return Expression(_TEXT.sub(r" \1 ", text).rstrip(". "), name)
    if text.endswith("%") or re.search(r"\\text\s?\{\s?percent\s?\}\Z|\bpercent\Z", text):
        text = re.sub(r"\s?(?:%|\\text\s?\{\s?percent\s?\}|percent)\Z", "", text)
        percent = True
    body, unit = _without_unit(text)
    scale = _SCALE.match(unit)
    if scale and body.strip().replace(".", "").replace(",", "").isdigit():
        body, unit = f"{body.strip()} \\times {_SCALES[scale[1]]}", unit[scale.end() :]
    body = body.strip()
    return Expression(body if body.endswith("...") else body.rstrip(". "), name, unit, percent)


_ASIDE = re.compile(r"(?<=\S)\s?\\text\s?\{\s?\([^{}()]*[a-z]{2}[^{}()]*\)\s?\}\Z")  # (by symmetry)
_ORDINAL = re.compile(r"(\d+)(?:\^\s?\{?\s?)?(?:\\text\s?\{\s?)?(?:st|nd|rd|th)\b\s?\}{0,2}")
_JOINED = re.compile(r",\s|\b(?:or|and)\b")
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")


def _without_unit(text: str) -> tuple[str, str]:
    may_end_in_unit = (text and not text[-1].isdigit()) or "^" in text[-4:]
    if not may_end_in_unit or _TRIGONOMETRY.search(text):
        return text, ""
    other = _FOREIGN_UNIT.search(text, max(0, len(text) - 60)) or _LETTER_UNIT.search(text, max(0, len(text) - 9))
    if other and (other[1].isascii() is False or re.fullmatch(r"-?[\d.,]+", text[: other.start()])):
        return text[: other.start()], other[1].strip()
    match = _UNIT.search(text, max(0, len(text) - 160))
    if match is None or not match[1].strip() or not re.search(r"\d|\\pi|\}", text[: match.start()]):
        return text, ""
    if re.search(r"[-+*/^=<>]\s*\Z", text[: match.start()]):  # the constant C
        return text, ""
    unit = match[1].strip()
    bare = _TEXT.sub(r" \1 ", unit).replace("\\circ", "degree").replace("^degree", "degree").strip()
    first = re.match(r"[a-zA-Z]+", bare)
    if first is None or re.match(r"(?:or|and|mod|to|if|choose)\b", bare):
        return text, ""
    in_text = unit.startswith("\\text")
    known = unit_of(bare) is not None
    if not (in_text or "degree" in bare or known or len(first[0]) > 2 or bare.startswith(("sq ", "sq. ", "cu "))):
        return text, ""
    body = re.sub(r"\\[a-zA-Z]+|(?<=\d)[eE](?=[-+]?\d)", "", text[: match.start()])
    if not in_text and re.search(r"[a-zA-Z]", body):  # the h of r^2 h
        return text, ""
    spaced = text[match.start()].isspace() or text[match.start() - 1].isspace()
    if not in_text and len(first[0]) == 1 and not spaced:  # 5m may be a product
        return text, ""
    return text[: match.start()], " ".join(re.sub(r"[{}\\]+", " ", bare).split())
