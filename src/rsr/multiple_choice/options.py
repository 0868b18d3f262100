"""The options of a multiple-choice question and its reference, in whatever form a data set has them.

Options become `{"A": "Mercury", "B": "Mars"}` (no text known: an empty string); a reference becomes a set of labels.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from rsr.multiple_choice.labels import family

Options = dict[str, str]

_LETTERS = string.ascii_uppercase
_LABELLED = re.compile(
    r"\s*[(\[]?([A-Z]|[a-z](?=[).\]])|\d{1,2}(?=[).:\]]))(?:[)\].:、]{1,2}|\s[-–—](?=\s))\s*(.*)", re.S
)
_LINE = re.compile(
    r"^[ \t>*-]{0,6}(?:(?:Option|Choice)[ \t]+)?[(\[*]{0,3}([A-Z])[*]{0,2}[)\].:、][*]{0,2}[ \t]*(\S[^\n]*)$", re.M
)
_INLINE = re.compile(r"(?:(?<=\s)|^)(?:\(([A-Z])\)|([A-Z])[).:])\s")
_MARKUP = re.compile(  # begins with a plain set of characters, which makes the search fast
    r"[*_`$\"“”«»{}~\\](?:(?<!\\)|(?:text|textbf|mathrm|mathbf|mathit|textit|operatorname)\b|[,;!])"
)
_EDGES = " \t\r\n.,;:!。、()[]'‘’"
_REMOVED_AT_END = _EDGES + string.whitespace + "\x1c\x1d\x1e\x1f" + '*_`$"{}~'
_ARTICLE = re.compile(r"(?:the|an?|to) (?=\S)")


def plain(text: str) -> str:
    """Text for comparing options: no markup, no outer punctuation, no article, one space, one case."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = " ".join(_MARKUP.sub("", text).split()).strip(_EDGES).casefold()
    match = _ARTICLE.match(text)
    return text[match.end() :] if match else text


def may_be(text: str, endings: Collection[str]) -> bool:
    """Whether a text in the form of `plain` may be one that ends in one of these letters: cheaper than `plain`."""
    if "\\" in text or not text.isascii():
        return True
    last = text.rstrip(_REMOVED_AT_END)[-1:].lower()
    return not last or last in endings


def options_of(choices: Any) -> Options:
    """Options from a dict, a list of texts, a list of `{"label", "text"}`, or the text of a prompt."""
    if isinstance(choices, str):
        return parse_options(choices)
    if isinstance(choices, Mapping):
        labels, texts = choices.get("label", choices.get("labels")), choices.get("text", choices.get("texts"))
        if isinstance(labels, list) and isinstance(texts, list):
            return {_label(label): str(text) for label, text in zip(labels, texts, strict=False)}
        return {_label(label): str(text) for label, text in choices.items()}
    if isinstance(choices, list | tuple):
        return _listed(list(choices))
    return {}


def parse_options(text: str) -> Options:
    """The last list of options in a prompt: `A: ...`, `(A) ...`, `A. ...` on lines of their own, or in one line."""
    for found in (_LINE.finditer(text), None):
        rows = _inline(text) if found is None else [(match[1], match[2].strip()) for match in found]
        runs: list[Options] = []
        for label, content in rows:
            if label == "A":
                runs.append({})
            if runs and label == _LETTERS[len(runs[-1]) % 26]:
                runs[-1][label] = content
        runs = [run for run in runs if len(run) > 1]
        if runs:
            return runs[-1]
    return {}


def reference_labels(answer: Any, options: Options) -> tuple[frozenset[str], Options]:
    """The labels of a reference, and the options with what the reference adds to them (`D) Mars`).

    Raises:
        ValueError: it can't be read as labels or as the text of an option.
    """
    if isinstance(answer, list | tuple | set | frozenset):
        labels: frozenset[str] = frozenset()
        for part in answer:
            found, options = reference_labels(part, options)
            labels |= found
        if labels:
            return labels, options
    elif isinstance(answer, int) and not isinstance(answer, bool):
        if str(answer) in options:
            return frozenset([str(answer)]), options
        if 0 <= answer < len(options):  # data sets count from 0
            return frozenset([list(options)[answer]]), options
    elif isinstance(answer, str):
        return _from_text(answer, options)
    raise ValueError(f"the reference {answer!r} names no option")


_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{(.*)\}\s*\$*\s*\Z", re.S)
_SET = re.compile(r"[A-Z](?:(?:\s*[,;/&+、]\s*|\s+and\s+|\s+)[A-Z])+")
_ONE = re.compile(
    r"(?:(?:the )?(?:correct )?(?:answer|option|choice)(?: is)?\s*:?\s*)?[(\[<]?([A-Za-z]|\d{1,2})[)\]>.:]{0,2}", re.I
)


def _from_text(answer: str, options: Options) -> tuple[frozenset[str], Options]:
    text = unicodedata.normalize("NFKC", answer).strip().strip("$*`\"' \n")
    box = _BOX.search(text) if "\\" in text else None
    if box:
        text = box[1]
    text = _MARKUP.sub("", text).strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
    label = _label(text)
    known = label in options or (not options and bool(family(label)))
    if known and len(label) < 3:  # most references
        return frozenset([label]), options
    given = plain(text)
    same = [label for label, option in options.items() if option and plain(option) == given]
    if known and not same:
        return frozenset([label]), options
    one = _ONE.fullmatch(text)
    if one and (_label(one[1]) in options or (not options and one[1].isalpha())) and (len(text) < 2 or not same):
        return frozenset([_label(one[1])]), options
    if len(same) == 1:
        return frozenset(same), options
    letters = [char for char in re.sub(r"and", "", text) if char.isalpha()]
    known = len(set(letters)) == len(letters) and all(letter in options or not options for letter in letters)
    if known and (_SET.fullmatch(text) or (text.isalpha() and text.isupper())):
        return frozenset(letters), options
    labelled = _LABELLED.fullmatch(text)
    if labelled and (not options or _label(labelled[1]) in options):
        label = _label(labelled[1])
        return frozenset([label]), options if options.get(label) else {**options, label: labelled[2].strip()}
    raise ValueError(f"the reference {answer!r} names no option" + (f" of {', '.join(options)}" if options else ""))


def _listed(choices: list[Any]) -> Options:
    if all(isinstance(choice, Mapping) for choice in choices):
        return {
            _label(choice.get("label", choice.get("id", _LETTERS[at % 26]))): str(choice.get("text", ""))
            for at, choice in enumerate(choices)
        }
    texts = [str(choice) for choice in choices]
    if len(texts) > 1 and texts == list(_LETTERS[: len(texts)]):
        return dict.fromkeys(texts, "")
    matches = [_LABELLED.fullmatch(text) for text in texts]
    if matches and all(m and _label(m[1]) == _LETTERS[at % 26] for at, m in enumerate(matches)):
        return {_label(match[1]): match[2].strip() for match in matches if match}
    return dict(zip(_LETTERS, texts, strict=False))


def _inline(text: str) -> list[tuple[str, str]]:
    found = list(_INLINE.finditer(text))
    rows = []
    for match, following in zip(found, [*found[1:], None], strict=False):
        end = following.start() if following else len(text)
        rows.append((match[1] or match[2], text[match.end() : end].strip(" \n,;")))
    return rows


def _label(label: Any) -> str:
    return unicodedata.normalize("NFKC", str(label)).strip().strip("().:[]").upper()
