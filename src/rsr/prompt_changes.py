"""How an index of prompts differs from the one before it: what was added, removed, edited, or has another answer."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

from rsr.errors import StoreError
from rsr.prompt_tables import connect, counts


class Change(NamedTuple):
    """How the input differs from what it was at the last run."""

    total: int
    added: int = 0
    removed: int = 0
    edited: int = 0
    skipped: int = 0
    answers: int = 0
    """Prompts that are what they were, but are judged by another answer or other options."""

    @property
    def share(self) -> float:
        """The share of the prompts that changed."""
        return max(self.added, self.removed, self.edited) / max(self.total, 1)


def is_damaged(path: Path) -> bool:
    """Whether it can't even be opened: it is made again. Damage further in is found when it is read."""
    try:
        db = connect(path, readonly=True)
        try:
            counts(db)
            db.execute("SELECT value FROM meta LIMIT 1").fetchall()
        finally:
            db.close()
    except (StoreError, sqlite3.Error):
        return True
    return False


def compare(db: sqlite3.Connection, old: Path) -> Change:
    """How a new index differs from the one before it."""

    def count(query: str) -> int:
        return int(db.execute(query).fetchone()[0])

    total, skipped = count("SELECT count(*) FROM prompts"), count("SELECT count(*) FROM skipped")
    if not old.exists() or is_damaged(old):
        return Change(total=total, skipped=skipped)
    db.execute("ATTACH ? AS old", [os.fspath(old)])
    added = count("SELECT count(*) FROM prompts WHERE id NOT IN (SELECT id FROM old.prompts)")
    removed = count("SELECT count(*) FROM old.prompts WHERE id NOT IN (SELECT id FROM prompts)")
    edited = count("SELECT count(*) FROM prompts p JOIN old.prompts o USING (id) WHERE p.key != o.key")
    same_verifiers = "SELECT count(*) FROM meta JOIN old.meta USING (name, value) WHERE name = 'signature'"
    answers = 0
    if count(same_verifiers):
        joined = "prompts p JOIN old.prompts o USING (id, key)"
        answers = count(f"SELECT count(*) FROM {joined} WHERE p.verdict != o.verdict")
    return Change(total, added, removed, edited, skipped, answers)
