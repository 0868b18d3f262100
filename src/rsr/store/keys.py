"""Keys of answers that decisions need and that cost something: computed once per answer, kept beside the rollouts.

    rollouts/answer-keys.db    keys    (function with its version, answer key) -> key

A key follows from the answer alone, and the answer key says which answer it is. So this file holds nothing that the
rollouts don't: where it is lost, damaged or out of reach, keys are computed again from the texts.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from rsr.alike import KEY_FUNCTIONS
from rsr.types import Outcome, Rollout

log = logging.getLogger("rsr")

NAME = "answer-keys.db"
_PAGE = 500
_TABLE = """CREATE TABLE IF NOT EXISTS keys (
    function TEXT NOT NULL, answer_key INTEGER NOT NULL, key BLOB NOT NULL,
    PRIMARY KEY (function, answer_key)) WITHOUT ROWID"""


class Keys:
    """The keys that some formatters ask for.

    Args:
        folder: the run directory's `rollouts/`.
        names: of functions in `rsr.alike`.
        readonly: compute what is missing, but write nothing.
    """

    def __init__(self, folder: Path, names: Sequence[str], readonly: bool = False) -> None:
        self._functions = {name: KEY_FUNCTIONS[name] for name in names}
        self._path, self._readonly = folder / NAME, readonly
        self._db: sqlite3.Connection | None = None
        self._db = self._opened()

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()

    def attach(self, rollouts: Iterable[Rollout]) -> None:
        """Give rollouts that have their texts their keys, and keep these."""
        new: list[Rollout] = [it for it in rollouts if it.outcome is Outcome.OK and it.keys is None]
        for rollout in new:
            rollout.keys = {name: function.of(rollout.response) for name, function in self._functions.items()}
        self._keep(new)

    def fill(self, rollouts: Sequence[Rollout], read: Callable[[list[Rollout]], None]) -> None:
        """Give stored rollouts their keys.

        Args:
            rollouts: any, without texts.
            read: fills in the texts of some of them.
        """
        valid = [rollout for rollout in rollouts if rollout.outcome is Outcome.OK and rollout.keys is None]
        for start in range(0, len(valid), _PAGE):
            page = valid[start : start + _PAGE]
            known = {name: self._known(function.version, page) for name, function in self._functions.items()}
            unknown = []
            for rollout in page:
                keys = {name: found[rollout.answer_key] for name, found in known.items() if rollout.answer_key in found}
                if len(keys) == len(known):
                    rollout.keys = keys
                else:
                    unknown.append(rollout)
            if unknown:
                read(unknown)
                self.attach(unknown)
                for rollout in unknown:
                    rollout.forget_text()

    def _known(self, version: str, rollouts: Sequence[Rollout]) -> dict[int, int]:
        if self._db is None:
            return {}
        wanted = [rollout.answer_key for rollout in rollouts]
        places = ",".join("?" * len(wanted))
        query = f"SELECT answer_key, key FROM keys WHERE function = ? AND answer_key IN ({places})"
        try:
            return {answer: int.from_bytes(key) for answer, key in self._db.execute(query, [version, *wanted])}
        except sqlite3.Error as cause:
            self._give_up(cause)
            return {}

    def _keep(self, rollouts: Sequence[Rollout]) -> None:
        if self._db is None or self._readonly or not rollouts:
            return
        rows = [
            (function.version, rollout.answer_key, key.to_bytes((key.bit_length() + 7) // 8))
            for name, function in self._functions.items()
            for rollout in rollouts
            if rollout.keys and (key := rollout.keys[name]) is not None
        ]
        try:
            with self._db:
                self._db.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?, ?)", rows)
        except sqlite3.Error as cause:
            self._give_up(cause)

    def _opened(self) -> sqlite3.Connection | None:
        if self._readonly and not self._path.exists():
            return None
        for _ in range(2):
            try:
                return self._connected()
            except sqlite3.DatabaseError as cause:
                if self._readonly:
                    self._give_up(cause)
                    return None
                with suppress(OSError):  # a damaged one is made anew
                    self._path.unlink()
            except OSError:
                return None
        return None

    def _connected(self) -> sqlite3.Connection:
        uri = f"{self._path.resolve().as_uri()}?mode={'ro' if self._readonly else 'rwc'}"
        db = sqlite3.connect(uri, uri=True, timeout=5.0, check_same_thread=False)
        try:
            if not self._readonly:
                db.execute("PRAGMA synchronous = OFF")  # a crash costs what can be computed again
                with db:
                    db.execute(_TABLE)
            db.execute("SELECT count(*) FROM (SELECT 1 FROM keys LIMIT 1)").fetchone()
        except BaseException:
            db.close()
            raise
        return db

    def _give_up(self, cause: sqlite3.Error) -> None:
        log.debug("%s: %s; keys are computed from the texts", self._path, cause)
        if self._db is not None:
            self._db.close()
        self._db = None
