"""The migrations of the store of rollouts, oldest first."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from rsr.migrations import Migration

_CAME = "outcome NOT IN ('refused', 'failed')"
COUNTED = {
    "rollouts": "1",
    "completions": _CAME,
    "uncounted": f"{_CAME} AND completion_tokens IS NULL",
    "prompt_tokens": "prompt_tokens",
    "completion_tokens": "completion_tokens",
}
"""Counters that follow from the rollouts, and what each of them counts."""


def m001_rollouts(connection: sqlite3.Connection) -> None:
    """Streams, rollouts, texts and verdicts."""
    connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    connection.execute(
        """CREATE TABLE streams (
            stream INTEGER PRIMARY KEY,
            prompt_key BLOB NOT NULL,
            sampling_key BLOB NOT NULL,
            prompt_id TEXT NOT NULL,
            UNIQUE (prompt_key, sampling_key))"""
    )
    connection.execute(
        """CREATE TABLE rollouts (
            stream INTEGER NOT NULL,
            idx INTEGER NOT NULL,
            lim INTEGER NOT NULL,
            outcome TEXT NOT NULL,
            finish_reason TEXT NOT NULL,
            seed INTEGER NOT NULL,
            prompt_tokens INTEGER,
            completion_tokens INTEGER,
            answer_key INTEGER NOT NULL,
            has_reasoning INTEGER NOT NULL,
            text INTEGER NOT NULL,
            PRIMARY KEY (stream, idx, lim)) WITHOUT ROWID"""
    )
    connection.execute("CREATE TABLE texts (text INTEGER PRIMARY KEY, content BLOB NOT NULL)")
    connection.execute(
        """CREATE TABLE verifiers (
            verifier INTEGER PRIMARY KEY,
            name TEXT NOT NULL, params TEXT NOT NULL, version TEXT NOT NULL,
            UNIQUE (name, params, version))"""
    )
    connection.execute(
        """CREATE TABLE verdicts (
            stream INTEGER NOT NULL,
            idx INTEGER NOT NULL,
            lim INTEGER NOT NULL,
            verdict_key INTEGER NOT NULL,
            verifier INTEGER NOT NULL,
            score REAL,
            extracted TEXT,
            reason TEXT,
            detail TEXT,
            PRIMARY KEY (stream, idx, lim, verdict_key)) WITHOUT ROWID"""
    )


def m002_checks(connection: sqlite3.Connection) -> None:
    """Checksums of rows, verdicts on rollouts of older segments, counters, and which rollouts were drawn again."""
    connection.execute("ALTER TABLE rollouts ADD COLUMN redrawn INTEGER NOT NULL DEFAULT 0")
    connection.execute("ALTER TABLE rollouts ADD COLUMN crc INTEGER")
    connection.execute("ALTER TABLE verdicts ADD COLUMN crc INTEGER")
    connection.execute(
        """CREATE TABLE later_verdicts (
            stream INTEGER NOT NULL,
            idx INTEGER NOT NULL,
            lim INTEGER NOT NULL,
            verdict_key INTEGER NOT NULL,
            answer_key INTEGER NOT NULL,
            verifier INTEGER NOT NULL,
            score REAL,
            extracted TEXT,
            reason TEXT,
            detail TEXT,
            crc INTEGER,
            PRIMARY KEY (stream, idx, lim, verdict_key, answer_key)) WITHOUT ROWID"""
    )
    connection.execute(
        """CREATE TABLE counters (
            sampling_key BLOB NOT NULL,
            name TEXT NOT NULL,
            value REAL NOT NULL,
            PRIMARY KEY (sampling_key, name)) WITHOUT ROWID"""
    )
    count_anew(connection)


def count_anew(connection: sqlite3.Connection) -> None:
    """Make the counters that follow from the rollouts."""
    for name, value in COUNTED.items():
        connection.execute(
            f"""INSERT INTO counters SELECT sampling_key, ?, coalesce(sum({value}), 0)
                FROM streams JOIN rollouts USING (stream) GROUP BY sampling_key""",
            [name],
        )


ROLLOUT_MIGRATIONS: Sequence[Migration] = (m001_rollouts, m002_checks)
