"""Lint of training files: which rows a trainer would drop, mangle or cut, and why."""

from rsr.lint.linting import Options, lint, lint_files
from rsr.lint.report import Reason, Report, Trainer

__all__ = ["Options", "Reason", "Report", "Trainer", "lint", "lint_files"]
