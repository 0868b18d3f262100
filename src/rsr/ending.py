"""How a command ends: one line on stderr, an exit code, what is owed last; nothing secret in any of it."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sqlite3
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

import typer

from rsr.errors import BudgetSpent, RSRError
from rsr.redaction import Redactor, is_secret

if TYPE_CHECKING:
    from rsr.display import Display
    from rsr.session import Ended

_SHOWN, _THEN_EVERY = 20, 100

redact = Redactor()
"""Knows the secrets of the command line, the environment and the config."""


def run_to_its_end(call: Callable[[], object], arguments: Sequence[str]) -> None:
    """Make the call; whatever goes wrong becomes one line and an exit code.

    Args:
        call: the command.
        arguments: of the command line; its keys are never shown.
    """
    # Little of what a command makes refers to itself: looking for cycles at the usual pace costs a sixth of the CPU.
    gc.set_threshold(50_000, 20, 10)
    _learn_secrets(arguments)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminated)
        signal.signal(signal.SIGINT, _interrupted)
    try:
        call()
    except RSRError as error:
        _fail(str(error), error.exit_code, arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except sqlite3.Error as error:
        _fail(f"a database of the run directory can't be read or written: {error}", 1, arguments)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}", 1, arguments)
    except Exception as error:
        _fail(f"internal error, please report it with --traceback: {type(error).__name__}: {error}", 1, arguments)


def _fail(text: str, code: int, arguments: Sequence[str]) -> NoReturn:
    if "--traceback" in arguments:
        sys.stderr.write(redact(traceback.format_exc()))
    _say_error(text)
    sys.exit(code)


def _say_error(text: str) -> None:
    line = "".join(char if char.isprintable() else " " for char in f"rsr: {text}")
    sys.stderr.write(redact(line) + "\n")
    sys.stderr.flush()


def _interrupted(*_: object) -> None:
    """Ctrl-C where nothing is in flight: everything that was stored stays."""
    sys.stderr.write("rsr: interrupted\n")
    sys.exit(130)


def _terminated(*_: object) -> None:
    sys.exit(143)


def _learn_secrets(arguments: Sequence[str]) -> None:
    redact.add(os.environ.get("OPENAI_API_KEY"))
    for argument in arguments:
        key, _, value = argument.partition("=")
        if is_secret(key):
            redact.add(value)


def finish(ended: Ended) -> NoReturn:
    """Print the summary and exit as the run ended."""
    from rsr.display import owed_line, summary_lines

    for line in summary_lines(ended):
        typer.echo(line)
    budget = isinstance(ended.error, BudgetSpent)
    owed = owed_line(ended.summary, ended.run_dir.path, ended.exit_code, budget)
    if ended.error is not None and owed is None:
        raise ended.error
    if ended.error is not None:
        _say_error(str(ended.error))
    if owed:
        typer.echo(owed)  # last, whatever else there is to say
    raise typer.Exit(ended.exit_code)


def log_to(display: Display) -> None:
    """Show what is logged as warnings."""

    class _Handler(logging.Handler):
        count = 0

        def emit(self, record: logging.LogRecord) -> None:
            self.count += 1
            if self.count <= _SHOWN:
                display.warn(record.getMessage())
            elif self.count % _THEN_EVERY == 0:  # a server that fails for hours must not bury everything else
                display.warn(f"{record.getMessage()} ({self.count:,} such messages so far)")

    logger = logging.getLogger("rsr")
    logger.handlers = [_Handler()]
    logger.propagate = False
