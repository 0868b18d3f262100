"""The versions of a database: refuse the future, migrate the past, in one transaction each.

A database's version is its `user_version`, the number of migrations that it has been through.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from rsr.errors import RunDirError

Migration = Callable[[sqlite3.Connection], None]


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration], path: Path) -> None:
    """Bring a database to the newest version.

    Args:
        connection: in autocommit mode (`isolation_level=None`).
        migrations: all there are, oldest first.
        path: for the error text.

    Raises:
        RunDirError: it was written by a newer version of RSR.
    """
    version = refuse_newer(connection, migrations, path)
    for number, migration in enumerate(migrations[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Another process may have been quicker.
            if connection.execute("PRAGMA user_version").fetchone()[0] < number:
                migration(connection)
                connection.execute(f"PRAGMA user_version = {number}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def refuse_newer(connection: sqlite3.Connection, migrations: Sequence[Migration], path: Path) -> int:
    """The version of a database that is opened for reading only.

    Raises:
        RunDirError: it was written by a newer version of RSR.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(migrations):
        known = f"schema {version}, this version knows {len(migrations)}"
        raise RunDirError(f"{path}: was written by a newer version of rsr ({known}); upgrade rsr")
    return version
