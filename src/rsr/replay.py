"""The input joined with what is stored of it, in input order, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator

from rsr.prompts import Entry, Prompts
from rsr.store.rollouts import RolloutStore
from rsr.types import Prompt, Rollout
from rsr.verifiers.verification import Reference, Verification

_OFTEN = 8  # where one of so many prompts of a page is asked for its content, that of the next page is read at once


class Stored:
    """A prompt, what it is judged by, and its rollouts that count under the config of now, without texts.

    Most prompts of a run that is taken up again are done with: their content is read only where it is asked for.

    Attributes:
        order: position in the input, from 0.
        id: the prompt's.
        rollouts: in index order.
    """

    __slots__ = ("_entry", "_page", "_prompt", "_reference", "id", "order", "rollouts")

    def __init__(self, entry: Entry, page: _Page, rollouts: list[Rollout], reference: Reference | None = None) -> None:
        self._entry, self._page = entry, page
        self.order, self.id = entry.order, entry.id
        self.rollouts = rollouts
        self._prompt: Prompt | None = None
        self._reference = reference

    @property
    def key(self) -> bytes:
        """The prompt's key."""
        return self._entry.key

    @property
    def verdict_key(self) -> int:
        """Which verdicts count."""
        return self._reference.key if self._reference is not None else self._entry.verdict or 0

    @property
    def prompt(self) -> Prompt:
        """The whole prompt."""
        if self._prompt is None:
            self._page.asked += 1
            self._prompt = self._page.prompts.prompt(self._entry)
        return self._prompt

    @property
    def reference(self) -> Reference:
        """What the prompt's responses are judged by."""
        if self._reference is None:
            self._reference = self._page.verification.reference(self.prompt)
        return self._reference


class _Page:
    """What the prompts of a page have in common."""

    def __init__(self, prompts: Prompts, verification: Verification) -> None:
        self.prompts, self.verification = prompts, verification
        self.asked = 0


def replay(prompts: Prompts, store: RolloutStore, verification: Verification, limit: int) -> Iterator[Stored]:
    """Every prompt with its rollouts.

    Args:
        prompts: the input; open as long as what is yielded is used.
        store: the rollouts.
        verification: says which verdicts count.
        limit: `max_tokens` of now (-1: all rows, superseded ones too).
    """
    for page in pages(prompts, store, verification, limit):
        yield from page


def pages(prompts: Prompts, store: RolloutStore, verification: Verification, limit: int) -> Iterator[list[Stored]]:
    """As `replay`, a page at a time."""
    known = prompts.knows(verification)
    page = _Page(prompts, verification)
    content, after = not known, -1
    while entries := prompts.page(after, content):
        page = _Page(prompts, verification)
        references: list[Reference | None] = [None] * len(entries)
        if not known:
            references = [verification.reference(prompts.prompt(entry)) for entry in entries]
        keys = [entry.verdict or 0 if it is None else it.key for entry, it in zip(entries, references, strict=True)]
        rollouts = store.load_keys([entry.key for entry in entries], keys, limit)
        rows = zip(entries, rollouts, references, strict=True)
        yield [Stored(entry, page, stored, reference) for entry, stored, reference in rows]
        after = entries[-1].order
        content = not known or page.asked * _OFTEN >= len(entries)
