"""Writes a file as a whole: a reader sees the old one or the new one. Pipes and devices are written through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsr.errors import StoreError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The path to write to; what was written there is put in place at the end, or taken away after an error.

    Raises:
        StoreError: it can't be written.
    """
    target = path.resolve() if path.is_symlink() else path
    try:
        if target.exists() and not target.is_file():
            yield target
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = target.with_name(target.name + ".new")
        try:
            yield staged
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
    except OSError as cause:
        raise StoreError(f"{path}: can't be written: {cause.strerror}") from cause
