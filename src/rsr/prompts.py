"""The input: rows in, usable prompts out, in one pass and without holding them.

    prompts.sqlite
        prompts    ord (input order, from 0), key, id, file (number), line, row (JSON: messages, metadata, ...),
                   verdict (the key of the verdicts that count)
        skipped    line, reason of each row that can't be used, where `data.on_error: skip`
        meta       fingerprint of the input and of how it was read: unchanged, the pass is skipped;
                   named, signature: on which verifiers the verdict keys depend; total

A row is `{"id", "messages", "metadata"}`, or has a plain question and an answer in columns of their own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from rsr.errors import ConfigError, InputError, PluginError
from rsr.hashing import content_hash, prompt_key
from rsr.prompt_changes import Change, compare, is_damaged
from rsr.prompt_tables import COLUMNS, LIGHT, connect, counts, reading, version
from rsr.rows import Content, Source, given, normalised, read, transformed
from rsr.sections import DataConfig
from rsr.types import Prompt

RowCheck = Callable[[Prompt], str | None]
"""What keeps a prompt from being verified (a missing answer, an unknown verifier), or None."""

_PAGE = 512
_NAMED = 1000  # verifiers that rows name; with more of them verdict keys are made when they are needed


class VerdictKeys(Protocol):
    """Says which verdicts count for a prompt (see `rsr.verifiers.verification.Verification`)."""

    def verdict_key(self, prompt: Prompt) -> int:
        """The key of the verdicts that count."""

    @property
    def named(self) -> list[bytes]:
        """The verifiers that rows have named so far."""

    def signature(self, named: Iterable[bytes]) -> str:
        """What the keys depend on beside the rows."""


class Entry(NamedTuple):
    """A prompt as far as replaying it needs: its content stays on disk."""

    order: int
    key: bytes
    id: str
    verdict: int | None
    """The key of the verdicts that count; None: not known without the content."""
    row: bytes | None
    """Its content, where it was asked for."""


class Prompts:
    """The indexed prompts of a run directory, streamed in input order."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = connect(path, readonly=True)
        self._decode = msgspec.json.Decoder(Content).decode
        self._old = version(self._db) < 2  # opened for reading only, it stays as it is
        self._total = counts(self._db)[0]

    def __len__(self) -> int:
        return self._total

    def pages(self, size: int = _PAGE) -> Iterator[list[Prompt]]:
        """All prompts, `size` at a time."""
        after = -1
        while page := self.page(after, content=True, size=size):
            yield [self.prompt(entry) for entry in page]
            after = page[-1].order

    def page(self, after: int, content: bool, size: int = _PAGE) -> list[Entry]:
        """The next entries after a position; without the content it is many times quicker."""
        verdict = "NULL" if self._old else "verdict"
        source = "prompts" if content or self._old else "prompts INDEXED BY light"
        query = f"SELECT ord, key, id, {verdict}, {'row' if content else 'NULL'} FROM {source}"
        with reading(self._path):
            rows = self._db.execute(f"{query} WHERE ord > ? ORDER BY ord LIMIT ?", [after, size])
            return list(map(Entry._make, rows))

    def prompt(self, entry: Entry) -> Prompt:
        """The whole prompt of an entry."""
        row = entry.row
        if row is None:
            with reading(self._path):
                (row,) = self._db.execute("SELECT row FROM prompts WHERE ord = ?", [entry.order]).fetchone()
        content = self._decode(row)
        return Prompt(
            order=entry.order,
            key=entry.key,
            id=entry.id,
            messages=content.messages,
            metadata=content.metadata,
            tools=content.tools,
            images=content.images,
        )

    def verdict_keys(self, prompts: Iterable[tuple[str, bytes]]) -> list[int | None]:
        """The verdict keys of prompts by id and key; None for one that is not here."""
        query = f"SELECT {'NULL' if self._old else 'verdict'} FROM prompts WHERE id = ? AND key = ?"
        with reading(self._path):
            rows = [self._db.execute(query, prompt).fetchone() for prompt in prompts]
        return [row[0] if row else None for row in rows]

    def knows(self, keys: VerdictKeys) -> bool:
        """Whether the verdict keys of the entries are those of now."""
        meta = dict(self._db.execute("SELECT name, value FROM meta"))
        return "signature" in meta and _signature(keys, meta["named"]) == meta["signature"]

    def place(self, prompt: Prompt) -> tuple[int, int]:
        """The number of its input file, from 0, and the line."""
        with reading(self._path):
            file, line = self._db.execute("SELECT file, line FROM prompts WHERE ord = ?", [prompt.order]).fetchone()
            return file, line

    def skipped(self) -> Iterator[tuple[int, str]]:
        """Line and reason of each row that was left out."""
        yield from self._db.execute("SELECT line, reason FROM skipped ORDER BY rowid")

    def close(self) -> None:
        """Close the database."""
        self._db.close()


def index(
    data: DataConfig,
    seed: int,
    path: Path,
    check: RowCheck,
    check_key: Any = None,
    rows: Iterable[Mapping[str, Any]] | None = None,
    accept: Callable[[Change], None] = lambda change: None,
    keys: VerdictKeys | None = None,
) -> Change:
    """Bring `prompts.sqlite` up to date with the input.

    Args:
        data: where the rows are and how they are read.
        seed: of the shuffle.
        path: the database; replaced as a whole, so that a pass that was cut short leaves the old one.
        check: says what keeps a prompt from being verified.
        check_key: what `check` depends on.
        rows: the rows themselves, instead of `data.input_path`.
        accept: asked before the old index is replaced; raises where the change is not wanted.
        keys: makes the verdict keys that are kept beside the prompts.

    Raises:
        InputError: a file is missing, or a row can't be used (and `data.on_error` is `stop`); names file and line.
    """
    files = [] if rows is not None else input_files(data)
    fingerprint = _fingerprint(data, seed, files, check_key)
    if rows is None and path.exists():
        unchanged = _unchanged(path, fingerprint, keys)
        if unchanged is not None:
            return unchanged
    staged = path.with_name(path.name + ".new")
    staged.unlink(missing_ok=True)
    try:
        db = connect(staged)
        try:
            _fill(db, data, read(files) if rows is None else given(rows), check, [str(file) for file in files], keys)
            if data.shuffle:
                _shuffle(db, seed, data.limit)
            _note(db, fingerprint, keys)
            db.execute("COMMIT")
            change = compare(db, path)
            first = db.execute("SELECT line, reason FROM skipped ORDER BY rowid LIMIT 1").fetchone()
            why = f" that can be used; line {first[0]}: {first[1]}" if first else ""
        finally:
            db.close()
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    if not change.total:
        staged.unlink()
        raise InputError(f"{_named(files)}: there is no prompt in it{why}")
    try:
        accept(change)
    except BaseException:
        staged.unlink()
        raise
    staged.replace(path)
    return change


def input_files(data: DataConfig) -> list[Path]:
    """The input files.

    Raises:
        InputError: none is named, or one is not there.
    """
    if not data.input_path:
        raise InputError("data.input_path: missing; give the JSONL or Parquet file that holds the prompts")
    names = [data.input_path] if isinstance(data.input_path, str) else data.input_path
    files = [Path(name).expanduser() for name in names]
    for file in files:
        if file.is_dir():
            raise InputError(f"data.input_path: {file} is a folder; name the files in it")
        if not file.exists():
            raise InputError(f"data.input_path: there is no file {file}")
    return files


def _named(files: list[Path]) -> str:
    return ", ".join(str(file) for file in files) or "the given rows"


def _fingerprint(data: DataConfig, seed: int, files: list[Path], check_key: Any) -> str:
    stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    transform = data.preprocess.transform
    source = Path(transform.rpartition(":")[0]).expanduser() if transform else None
    text = source.read_text(encoding="utf-8") if source and source.is_file() else ""
    shown = data.model_dump(mode="json", exclude={"input_path"})
    return content_hash([stats, shown, seed if data.shuffle else None, text, check_key]).hex()


def _unchanged(path: Path, fingerprint: str, keys: VerdictKeys | None) -> Change | None:
    if is_damaged(path):
        return None
    db = connect(path, readonly=True)
    try:
        meta = dict(db.execute("SELECT name, value FROM meta"))
        if meta.get("fingerprint") != fingerprint:
            return None
        if keys is not None and ("total" not in meta or _is_stale(keys, meta)):
            return None
        total, skipped = counts(db)
        return Change(total=total, skipped=skipped)
    finally:
        db.close()


def _is_stale(keys: VerdictKeys, meta: Mapping[str, str]) -> bool:
    return "signature" in meta and _signature(keys, meta["named"]) != meta["signature"]


def _signature(keys: VerdictKeys, named: str) -> str | None:
    try:
        return keys.signature([name.encode() for name in msgspec.json.decode(named, type=list[str])])
    except (ConfigError, PluginError):  # a row names a verifier that isn't there any more
        return None


def _note(db: sqlite3.Connection, fingerprint: str, keys: VerdictKeys | None) -> None:
    meta = {"fingerprint": fingerprint, "total": str(db.execute("SELECT count(*) FROM prompts").fetchone()[0])}
    if keys is not None and len(keys.named) <= _NAMED:
        meta["named"] = msgspec.json.encode([name.decode() for name in keys.named]).decode()
        meta["signature"] = keys.signature(keys.named)
    db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())


def _fill(
    db: sqlite3.Connection,
    data: DataConfig,
    rows: Iterable[tuple[Source, Any]],
    check: RowCheck,
    files: list[str],
    keys: VerdictKeys | None,
) -> None:
    db.execute("BEGIN")
    skipped: list[tuple[int, str]] = []
    limit = None if data.shuffle else data.limit
    numbers = {file: number for number, file in enumerate(files)}

    def usable() -> Iterator[tuple[int, bytes, str, int, int, bytes, int, int | None]]:
        order = 0
        encode = msgspec.json.Encoder().encode
        for source, row in transformed(rows, data.preprocess.transform):
            if order == limit:
                return
            try:
                own_id, content = normalised(row, data.fields)
                key = prompt_key(own_id, content.messages, content.tools, content.images)
                id = own_id if own_id is not None else key.hex()[:12]
                prompt = _as_prompt(order, key, id, content)
                problem = check(prompt)
                if problem:
                    raise ValueError(problem)
                verdict = keys.verdict_key(prompt) if keys is not None else None
            except ValueError as cause:
                if data.on_error == "stop":
                    fix = "correct the row, or set data.on_error=skip to leave such rows out"
                    raise InputError(f"{source}: {cause}; {fix}") from None
                skipped.append((source.line, f"{source.file}: {cause}" if len(files) > 1 else str(cause)))
                if len(skipped) >= _PAGE:
                    db.executemany("INSERT INTO skipped VALUES (?, ?)", skipped)
                    skipped.clear()
                continue
            file = numbers.get(source.file, 0)
            yield order, key, id, file, source.line, encode(content), own_id is not None, verdict
            order += 1

    db.executemany("INSERT INTO prompts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", usable())
    db.executemany("INSERT INTO skipped VALUES (?, ?)", skipped)
    _number_repeats(db)
    _refuse_duplicates(db, data.on_error == "skip", files or ["the given rows"])


def _as_prompt(order: int, key: bytes, id: str, content: Content) -> Prompt:
    return Prompt(order=order, key=key, id=id, messages=content.messages, metadata=content.metadata)


def _number_repeats(db: sqlite3.Connection) -> None:
    """Rows without an id that are equal get keys of their own, by their number among equal ones."""
    db.execute("CREATE INDEX by_id ON prompts (id)")
    decode = msgspec.json.Decoder(Content).decode
    repeated = "SELECT id FROM prompts WHERE NOT own_id GROUP BY id HAVING count(*) > 1"
    for (id,) in db.execute(repeated).fetchall():
        same = db.execute("SELECT ord, row FROM prompts WHERE id = ? AND NOT own_id ORDER BY ord", [id])
        for number, (order, row) in enumerate(same.fetchall()):
            content = decode(row)
            key = prompt_key(None, content.messages, content.tools, content.images, repeat=number)
            new_id = f"{id}-{number}" if number else id
            db.execute("UPDATE prompts SET key = ?, id = ? WHERE ord = ?", [key, new_id, order])


def _refuse_duplicates(db: sqlite3.Connection, skip: bool, files: list[str]) -> None:
    query = """SELECT p.id, p.file, p.line, f.file, f.line FROM prompts p
        JOIN (SELECT id, min(ord) AS ord FROM prompts GROUP BY id HAVING count(*) > 1) least USING (id)
        JOIN prompts f ON f.ord = least.ord WHERE p.ord > least.ord ORDER BY p.ord"""
    for id, file, line, first_file, first_line in db.execute(query):
        other = f"line {first_line}" if file == first_file else f"{files[first_file]}, line {first_line}"
        problem = f"duplicate id {id!r}, also on {other}"
        if not skip:
            fix = "give each row an id of its own, or set data.on_error=skip to use the first"
            raise InputError(f"{Source(files[file], line)}: {problem}; {fix}")
        where = f"{files[file]}: " if len(files) > 1 else ""
        db.execute("INSERT INTO skipped VALUES (?, ?)", [line, where + problem])
    db.execute("DELETE FROM prompts WHERE ord NOT IN (SELECT min(ord) FROM prompts GROUP BY id)")


def _shuffle(db: sqlite3.Connection, seed: int, limit: int | None) -> None:
    """Put the prompts into the order of a hash of seed and key, which doesn't depend on where a row stood."""
    db.create_function("shuffled", 1, lambda key: content_hash([seed, key.hex()])[:8], deterministic=True)
    columns = "key, id, file, line, row, own_id, verdict"
    db.execute(f"CREATE TABLE ordered ({COLUMNS})")
    db.execute(
        f"INSERT INTO ordered SELECT row_number() OVER (ORDER BY shuffled(key)) - 1, {columns} FROM prompts "
        f"ORDER BY shuffled(key) LIMIT {limit or -1}"
    )
    db.execute("DROP TABLE prompts")
    db.execute("ALTER TABLE ordered RENAME TO prompts")
    db.execute("CREATE INDEX by_id ON prompts (id)")
    db.execute(LIGHT)
