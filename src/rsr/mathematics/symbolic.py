"""Equality by algebra: numbers to 30 digits, formulas at exact points, the rest by math-verify.

Runs in a worker, since nothing here has a limit of its own; `too_large` keeps out what is hopeless from the start. The
text is parsed as LaTeX by a grammar, never evaluated as Python.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

from rsr.mathematics.points import equal_at_points

_LONGEST = 600
_LARGE = re.compile(
    r"\d{60}|\\binom\s?\{\s?\d{4}|\^\s?\{?\s?-?\d{5}|\d{4,}\s?\)?!|!\s?\)?!\s?\)?!"
    r"|\^\s?(?:\{[^{}]{1,40}\}|\w)\s?\^"  # x^2^2
    r"|\d\s?\)?\^\s?\{[^{}^]{0,20}\d\s?\^"  # 9^{9^9}
    r"|\^\s?\{[^{}^]{0,40}\^\s?\{[^{}^]{0,40}\^"
    r"|\\(?:sum|prod)(?![a-z])[^\n]{0,60}?\^\s?\{?[^{}a-z]{0,12}(?:\d{4}|\^)"  # too many terms
)
_PRODUCT = re.compile(r"(?<![\\a-zA-Z_{])([a-eijk-oq-zA-EG-OQ-Z])\s?\((?![a-z]\))")  # n(n+1); f, g, h are functions
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\s?\^\\circ")
_PRECISION = 30
_POINTS = ((7, 11), (-13, 9), (23, 5))


def too_large(text: str) -> bool:
    """Whether an expression is not worth parsing: towers of powers, huge factorials, deep nesting, great length."""
    return len(text) > _LONGEST or _LARGE.search(text) is not None or too_deep(text)


def too_deep(text: str) -> bool:
    """Whether brackets are nested beyond what people write."""
    depth = deepest = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    return deepest > 20


def warm() -> None:
    """Import and run the grammar once."""
    same("\\frac{x}{2}", "0.5x")


def same(gold: str, given: str) -> bool:
    """Whether two expressions in LaTeX are equal; what can't be parsed equals nothing."""
    quickly = equal_at_points(_radians(gold), _radians(given))
    if quickly is not None:
        return quickly
    sides = _sides(gold), _sides(given)
    if sides[0] and sides[1]:
        verdict = _same_equation(sides[0], sides[1])
        if verdict is not None:
            return verdict
    one, other = _parse(_radians(gold)), _parse(_radians(given))
    if one is None or other is None:
        return False
    one, other = _imaginary(one), _imaginary(other)
    verdict = _numerically(one, other, gold, given)
    if verdict is not None:
        return verdict
    from math_verify import verify

    return bool(
        verify([one], [other], numeric_precision=_PRECISION, allow_set_relation_comp=True, timeout_seconds=None)
    )


def _sides(text: str) -> tuple[str, str] | None:
    left, equals, right = text.partition("=")
    plain = equals and left.strip() and right.strip() and "=" not in right
    return (left, right) if plain and not re.search(r"[<>,]|\\le|\\ge|\\ne", text) else None


def _same_equation(one: tuple[str, str], other: tuple[str, str]) -> bool | None:
    """Whether `left - right` of one is a constant multiple of the other's; None: no points decide."""
    import sympy

    parts = [_parse(_radians(text)) for text in (*one, *other)]
    if not all(isinstance(part, sympy.Expr) for part in parts):
        return None
    first, second = parts[0] - parts[1], parts[2] - parts[3]
    symbols = sorted(first.free_symbols | second.free_symbols, key=str)
    if not symbols or first.free_symbols != second.free_symbols or len(symbols) > 8:
        return None
    ratio = None
    for point in _points(symbols):
        top, bottom = _number(first.subs(point)), _number(second.subs(point))
        if top is None or bottom is None or bottom == 0 or top == 0:
            return None
        if ratio is not None and not _close(top / bottom, ratio, sympy.Float(10) ** -12):
            return False
        ratio = top / bottom
    return True


def _points(symbols: list[Any]) -> list[dict[Any, Any]]:
    import sympy

    return [
        {symbol: sympy.Rational(top + 3 * at, bottom + 2 * at) for at, symbol in enumerate(symbols)}
        for top, bottom in _POINTS
    ]


def _radians(text: str) -> str:
    if "\\circ" not in text:
        return text
    text = _DEGREES.sub(r"\\frac{\1\\pi}{180}", text)
    return text.replace("^\\circ", "\\cdot\\frac{\\pi}{180}")


@lru_cache(maxsize=512)
def _parse(text: str) -> Any:
    text = _PRODUCT.sub(r"\1\\cdot (", text)
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)  # it warns that its signals are off
    from latex2sympy2_extended.latex2sympy2 import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    # Units are gone already: its own way would drop the h of r^2 h. The other configs evaluate text as Python.
    normalization = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none"
    )
    config = [LatexExtractionConfig(normalization_config=normalization)]
    found = parse(f"${text}$", config, fallback_mode="no_fallback", parsing_timeout=None)
    return found[0] if found else None


def _imaginary(expression: Any) -> Any:
    """`i` is the imaginary unit, unless it counts something."""
    import sympy

    if not isinstance(expression, sympy.Expr) or expression.has(sympy.Sum, sympy.Product):
        return expression
    return expression.subs({symbol: sympy.I for symbol in expression.free_symbols if str(symbol) == "i"})


def _numerically(one: Any, other: Any, gold: str, given: str) -> bool | None:
    """True or False where points decide; None for sets, relations, matrices and what has no value."""
    import sympy

    if not (isinstance(one, sympy.Expr) and isinstance(other, sympy.Expr)):
        return None
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    functions = one.atoms(sympy.core.function.AppliedUndef) | other.atoms(sympy.core.function.AppliedUndef)
    if len(symbols) > 8 or functions:
        return None
    if not symbols:
        first, second = _number(one), _number(other)
        if first is None or second is None:
            return None
        return _close(first, second, _tolerance(one, other, gold, given))
    agreed = 0
    for point in _points(symbols):
        first, second = _number(one.subs(point)), _number(other.subs(point))
        if first is None or second is None:
            continue
        if not _close(first, second, sympy.Float(10) ** -12):
            return False
        agreed += 1
    return True if agreed >= 2 else None


def _number(expression: Any) -> Any:
    try:
        value = expression.evalf(_PRECISION)
    except Exception:  # no value there: sympy raises all kinds
        return None
    return value if value.is_number and value.is_finite else None


def _close(first: Any, second: Any, tolerance: Any) -> bool:
    size = max(abs(first), abs(second))
    return bool(size == 0 or abs(first - second) <= tolerance * size)


def _tolerance(one: Any, other: Any, gold: str, given: str) -> Any:
    """Exact against exact: all digits; a decimal against a formula: half a unit of its last of five or more figures."""
    import sympy

    for expression, text, partner in ((one, gold, other), (other, given, one)):
        match = re.fullmatch(r"\s?-?(\d*)\.(\d+)\s?", text)
        if match and not partner.is_rational and len((match[1] + match[2]).lstrip("0")) >= 5:
            return sympy.Float(10) ** -len(match[2]) / 2 / abs(expression.evalf(15))
    return sympy.Float(10) ** -20
