"""The input: rows in, usable prompts out, in one pass and without holding them.

    prompts.sqlite
        prompts    ord (input order, from 0), key, id, file (number), line, row (JSON: messages, metadata, ...)
        skipped    line, reason of each row that can't be used, where `data.on_error: skip`
        meta       fingerprint of the input and of how it was read: unchanged, the pass is skipped

A row is `{"id", "messages", "metadata"}`, or has a plain question and an answer in columns of their own.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rsr.errors import InputError, StoreError
from rsr.hashing import content_hash, prompt_key
from rsr.migrations import Migration, migrate
from rsr.rows import Content, Source, given, normalised, read, transformed
from rsr.sections import DataConfig
from rsr.types import Prompt

RowCheck = Callable[[Prompt], str | None]
"""What keeps a prompt from being verified (a missing answer, an unknown verifier), or None."""

_PAGE = 512


class Change(NamedTuple):
    """How the input differs from what it was at the last run."""

    total: int
    added: int = 0
    removed: int = 0
    edited: int = 0
    skipped: int = 0

    @property
    def share(self) -> float:
        """The share of the prompts that changed."""
        return max(self.added, self.removed, self.edited) / max(self.total, 1)


class Prompts:
    """The indexed prompts of a run directory, streamed in input order."""

    def __init__(self, path: Path) -> None:
        self._db = _connect(path, readonly=True)
        self._decode = msgspec.json.Decoder(Content).decode
        self._total = int(self._db.execute("SELECT count(*) FROM prompts").fetchone()[0])

    def __len__(self) -> int:
        return self._total

    def pages(self, size: int = _PAGE) -> Iterator[list[Prompt]]:
        """All prompts, `size` at a time."""
        after = -1
        while True:
            query = "SELECT ord, key, id, row FROM prompts WHERE ord > ? ORDER BY ord LIMIT ?"
            page = [self._prompt(*row) for row in self._db.execute(query, [after, size])]
            if not page:
                return
            yield page
            after = page[-1].order

    def skipped(self) -> Iterator[tuple[int, str]]:
        """Line and reason of each row that was left out."""
        yield from self._db.execute("SELECT line, reason FROM skipped ORDER BY rowid")

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _prompt(self, order: int, key: bytes, id: str, row: bytes) -> Prompt:
        content = self._decode(row)
        return Prompt(
            order=order,
            key=key,
            id=id,
            messages=content.messages,
            metadata=content.metadata,
            tools=content.tools,
            images=content.images,
        )


def index(
    data: DataConfig,
    seed: int,
    path: Path,
    check: RowCheck,
    check_key: Any = None,
    rows: Iterable[Mapping[str, Any]] | None = None,
    accept: Callable[[Change], None] = lambda change: None,
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

    Raises:
        InputError: a file is missing, or a row can't be used (and `data.on_error` is `stop`); names file and line.
    """
    files = [] if rows is not None else input_files(data)
    fingerprint = _fingerprint(data, seed, files, check_key)
    if rows is None and path.exists():
        unchanged = _unchanged(path, fingerprint)
        if unchanged is not None:
            return unchanged
    staged = path.with_name(path.name + ".new")
    staged.unlink(missing_ok=True)
    try:
        db = _connect(staged)
        try:
            _fill(db, data, read(files) if rows is None else given(rows), check, [str(file) for file in files])
            if data.shuffle:
                _shuffle(db, seed, data.limit)
            db.execute("INSERT INTO meta VALUES ('fingerprint', ?)", [fingerprint])
            db.execute("COMMIT")
            change = _compare(db, path)
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


def m001_prompts(db: sqlite3.Connection) -> None:
    """Prompts, skipped rows, meta."""
    db.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    db.execute(
        "CREATE TABLE prompts (ord INTEGER PRIMARY KEY, key BLOB, id TEXT, file INTEGER, line INTEGER, row BLOB, "
        "own_id INTEGER)"
    )
    db.execute("CREATE TABLE skipped (line INTEGER, reason TEXT)")


_MIGRATIONS: tuple[Migration, ...] = (m001_prompts,)


def _connect(path: Path, readonly: bool = False) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA cache_size = -8000")
        if not readonly:
            # Nothing is lost with it: the pass is made again.
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
        migrate(db, _MIGRATIONS, path)
    except sqlite3.Error as cause:
        raise StoreError(f"{path}: can't be opened: {cause}") from cause
    return db


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


def _unchanged(path: Path, fingerprint: str) -> Change | None:
    db = _connect(path, readonly=True)
    try:
        found = db.execute("SELECT value FROM meta WHERE name = 'fingerprint'").fetchone()
        if found is None or found[0] != fingerprint:
            return None
        total, skipped = (db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("prompts", "skipped"))
        return Change(total=total, skipped=skipped)
    finally:
        db.close()


def _fill(
    db: sqlite3.Connection, data: DataConfig, rows: Iterable[tuple[Source, Any]], check: RowCheck, files: list[str]
) -> None:
    db.execute("BEGIN")
    skipped: list[tuple[int, str]] = []
    limit = None if data.shuffle else data.limit
    numbers = {file: number for number, file in enumerate(files)}

    def usable() -> Iterator[tuple[int, bytes, str, int, int, bytes, int]]:
        order = 0
        encode = msgspec.json.Encoder().encode
        for source, row in transformed(rows, data.preprocess.transform):
            if order == limit:
                return
            try:
                own_id, content = normalised(row, data.fields)
                key = prompt_key(own_id, content.messages, content.tools, content.images)
                id = own_id if own_id is not None else key.hex()[:12]
                problem = check(_as_prompt(order, key, id, content))
                if problem:
                    raise ValueError(problem)
            except ValueError as cause:
                if data.on_error == "stop":
                    fix = "correct the row, or set data.on_error=skip to leave such rows out"
                    raise InputError(f"{source}: {cause}; {fix}") from None
                skipped.append((source.line, f"{source.file}: {cause}" if len(files) > 1 else str(cause)))
                if len(skipped) >= _PAGE:
                    db.executemany("INSERT INTO skipped VALUES (?, ?)", skipped)
                    skipped.clear()
                continue
            yield order, key, id, numbers.get(source.file, 0), source.line, encode(content), own_id is not None
            order += 1

    db.executemany("INSERT INTO prompts VALUES (?, ?, ?, ?, ?, ?, ?)", usable())
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
    columns = "key, id, file, line, row, own_id"
    db.execute(
        "CREATE TABLE ordered (ord INTEGER PRIMARY KEY, key BLOB, id TEXT, file INTEGER, line INTEGER, row BLOB, "
        "own_id INTEGER)"
    )
    db.execute(
        f"INSERT INTO ordered SELECT row_number() OVER (ORDER BY shuffled(key)) - 1, {columns} FROM prompts "
        f"ORDER BY shuffled(key) LIMIT {limit or -1}"
    )
    db.execute("DROP TABLE prompts")
    db.execute("ALTER TABLE ordered RENAME TO prompts")
    db.execute("CREATE INDEX by_id ON prompts (id)")


def _compare(db: sqlite3.Connection, old: Path) -> Change:
    def count(query: str) -> int:
        return int(db.execute(query).fetchone()[0])

    total, skipped = count("SELECT count(*) FROM prompts"), count("SELECT count(*) FROM skipped")
    if not old.exists():
        return Change(total=total, skipped=skipped)
    db.execute("ATTACH ? AS old", [os.fspath(old)])
    added = count("SELECT count(*) FROM prompts WHERE id NOT IN (SELECT id FROM old.prompts)")
    removed = count("SELECT count(*) FROM old.prompts WHERE id NOT IN (SELECT id FROM prompts)")
    edited = count("SELECT count(*) FROM prompts p JOIN old.prompts o USING (id) WHERE p.key != o.key")
    return Change(total=total, added=added, removed=removed, edited=edited, skipped=skipped)
