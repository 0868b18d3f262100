"""What is kept out of training files: contaminated prompts, and responses that are too long, looped or unwanted.

    prompt      contaminated: it shares an n-gram with an evaluation file; it has no row at all
    response    contaminated, too_short, too_long, repetition, pattern, no_pattern: it is as if it had not been drawn

Filters decide about files only. What is sampled and when a prompt stops doesn't depend on them, so they can be changed
at no cost (`rsr format`). Every drop is in summary/dropped.jsonl. Patterns are RE2's: linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from rsr.alike import normalized
from rsr.errors import ConfigError, InputError
from rsr.rows import read
from rsr.sections import FiltersConfig
from rsr.types import Prompt, Rollout

_LEAST = 6  # words of a text that is looked for as a whole where it is shorter than an n-gram
_WINDOW = 24  # characters of which a repetition has at least
_WORTH = 200  # characters from which on repetitions are looked for
_NAMED = {"id", "uuid", "url", "source", "license", "subject", "split"}  # columns that say nothing of a task
_CJK = "぀-ヿ㐀-鿿가-힯"
_WORD = re.compile(f"[{_CJK}]|[^\\W_{_CJK}]+")


class Drop(NamedTuple):
    """Why something is left out."""

    reason: str
    detail: str | None = None


class Filters:
    """The filters of a config; nothing is read before the first prompt comes.

    Args:
        config: the config's `filters`.
    """

    def __init__(self, config: FiltersConfig) -> None:
        self._config = config
        self._files = [Path(name).expanduser() for name in config.evaluation]
        self._patterns = [("refuse", text) for text in config.refuse] + [("require", text) for text in config.require]

    def check(self) -> None:
        """Find out before anything is spent whether they can work.

        Raises:
            ConfigError: a file is missing, a pattern is none, or the tokenizer can't be loaded; names the key.
        """
        for file in self._files:
            if not file.is_file():
                raise ConfigError(f"filters.evaluation: there is no file {file}")
        for key, text in self._patterns:
            _matches(["x"], text, f"filters.{key}")
        if self._config.length_unit == "tokens":
            self._length("x")

    @property
    def of_prompts(self) -> bool:
        """Whether any prompt may be dropped."""
        return bool(self._files)

    @property
    def of_responses(self) -> bool:
        """Whether any response may be dropped: then all texts are needed."""
        config = self._config
        bounds = (config.min_length, config.max_length, config.repetition)
        return bool(self._files or self._patterns) or any(bound is not None for bound in bounds)

    def stamp(self) -> list[Any]:
        """What decides beside the config: the state of the files that it names."""
        counts = self._config.length_unit == "tokens"
        files = [*self._files, *([_file_of(self._config.tokenizer)] if counts else [])]
        return [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]

    def prompt(self, prompt: Prompt) -> Drop | None:
        """Why a prompt has no row."""
        if not self._files:
            return None
        texts = [text for message in prompt.messages for text in _strings(message.get("content"))]
        return self._contaminated(texts, whole=True)

    def responses(self, rollouts: Sequence[Rollout]) -> list[Drop | None]:
        """For each response, with its text, why it is left out."""
        texts = [self._text(rollout) for rollout in rollouts]
        found = [self._bounds(text) or self._looped(text) or self._contaminated([text]) for text in texts]
        for key, pattern in self._patterns:
            for at, matches in enumerate(_matches(texts, pattern, f"filters.{key}")):
                if matches is (key == "refuse") and found[at] is None:
                    found[at] = Drop("pattern" if key == "refuse" else "no_pattern", pattern)
        return found

    def _text(self, rollout: Rollout) -> str:
        return f"{rollout.reasoning}\n{rollout.response}" if self._config.reasoning else rollout.response

    def _bounds(self, text: str) -> Drop | None:
        low, high = self._config.min_length, self._config.max_length
        if low is None and high is None:
            return None
        length = self._length(text)
        if low is not None and length < low:
            return Drop("too_short", f"{length} {self._config.length_unit}")
        return Drop("too_long", f"{length} {self._config.length_unit}") if high is not None and length > high else None

    def _length(self, text: str) -> int:
        if self._config.length_unit == "tokens":
            return len(self._tokenizer.encode(text, add_special_tokens=False).ids)
        return len(words(text)) if self._config.length_unit == "words" else len(text.strip())

    def _looped(self, text: str) -> Drop | None:
        most = self._config.repetition
        if most is None:
            return None
        share = repetition(text)
        return Drop("repetition", f"{share:.2f}") if share > most else None

    @cached_property
    def _tokenizer(self) -> Any:
        return _tokenizer(_file_of(self._config.tokenizer))

    @cached_property
    def _known(self) -> Mapping[bytes, str]:
        """Of every n-gram of the evaluation files where it stands; of shorter texts all their words."""
        known: dict[bytes, str] = {}
        for file in self._files:
            for where, text in _evaluation(file):
                found = words(text)
                size = min(self._config.ngram, len(found))
                for gram in _ngrams(found, size) if size >= _LEAST else ():
                    known.setdefault(gram, where)
        if not known:
            raise InputError(
                f"filters.evaluation: no text of at least {_LEAST} words in {', '.join(map(str, self._files))}"
            )
        return known

    def _contaminated(self, texts: Sequence[str], whole: bool = False) -> Drop | None:
        """Whether a text shares an n-gram; `whole`: or is, all of it, a shorter text of an evaluation file."""
        if not self._files:
            return None
        for text in texts:
            found = words(text)
            sizes = {self._config.ngram, *([len(found)] if whole and len(found) >= _LEAST else [])}
            for size in sorted(sizes):
                for gram in _ngrams(found, size):
                    if gram in self._known:
                        return Drop("contaminated", self._known[gram])
        return None


def words(text: str) -> list[str]:
    """The words of a text without case and punctuation; each character of scripts without spaces is one."""
    return _WORD.findall(normalized(text))


def repetition(text: str) -> float:
    """The share of a text's pieces of 24 characters that stand in it before; 0 for short texts."""
    plain = " ".join(text.split())
    if len(plain) < _WORTH:
        return 0.0
    count = len(plain) - _WINDOW + 1
    return 1 - len({plain[at : at + _WINDOW] for at in range(count)}) / count


def _ngrams(found: Sequence[str], size: int) -> Iterator[bytes]:
    for at in range(len(found) - size + 1):
        yield blake2b(" ".join(found[at : at + size]).encode(), digest_size=8).digest()


def _evaluation(file: Path) -> Iterator[tuple[str, str]]:
    """The texts of an evaluation file (JSONL, .gz too, Parquet, or lines of text), each with where it stands."""
    if file.suffix == ".txt":
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                yield f"{file.name}, line {number}", line
        return
    for source, row in read([file]):
        if not isinstance(row, Mapping):
            raise InputError(f"filters.evaluation: {source}: a row is a JSON object; or name a file .txt")
        for text in _strings(row):
            yield f"{file.name}, line {source.line}", text


def _strings(value: Any) -> Iterator[str]:
    """All texts in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _NAMED:
                yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _matches(texts: list[str], pattern: str, where: str) -> list[bool]:
    """Whether a pattern is found in each text, by RE2 as Arrow has it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        found: list[bool] = pc.match_substring_regex(pa.array(texts, pa.string()), pattern).to_pylist()
    except pa.ArrowInvalid as cause:
        said = str(cause).splitlines()[0]
        fix = "patterns are RE2's (no look-around, no back-references)"
        raise ConfigError(f"{where}: {pattern!r} is no pattern ({said}); {fix}") from cause
    return found


def _file_of(folder: str | None) -> Path:
    if folder is None:
        fix = "name a folder that holds tokenizer.json"
        raise ConfigError(f"filters.tokenizer: tokens are counted by a tokenizer; {fix}")
    path = Path(folder).expanduser() / "tokenizer.json"
    if not path.is_file():
        raise ConfigError(f"filters.tokenizer: there is no file {path}")
    return path


def _tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as cause:
        raise ConfigError("filters.tokenizer: needs the package tokenizers; pip install tokenizers") from cause
    try:
        return Tokenizer.from_file(str(path))
    except Exception as cause:  # the library raises Exception itself
        raise ConfigError(f"filters.tokenizer: {path} can't be read: {cause}") from cause
