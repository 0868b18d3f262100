"""Reads rollouts out of all files at once: whichever file a row is in, the first committed one of a key wins."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rsr.errors import StoreDamaged, StoreError
from rsr.store.files import Files, Looking
from rsr.store.records import effective
from rsr.store.salvage import tells_of_damage
from rsr.store.segment import Segment
from rsr.store.texts import Damaged, Texts
from rsr.store.whereabouts import Whereabouts
from rsr.types import Outcome, Reason, Rollout, Verdict

_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_REASONS: dict[str | None, Reason | None] = {None: None, **{reason.value: reason for reason in Reason}}
_SALVAGE = "run the same command again: what can be read is kept, the rest is sampled again"
_REMEMBERED = 1 << 16  # verdicts
_MANY = 64  # prompts asked for at once, from which on a table of where they are pays


class Reader:
    """What is stored under a sampling key.

    Args:
        files: the open files; there may be more of them later.
        sampling_key: which streams are seen.
    """

    def __init__(self, files: Files | Looking, sampling_key: bytes) -> None:
        self._files, self._sampling_key = files, sampling_key
        self._unpack = Texts().unpack
        self._whereabouts: Whereabouts | None = None
        self._verdicts: dict[tuple[float | None, str | None, str | None, str | None], Verdict] = {}

    def rollouts(self, keys: Sequence[bytes], verdict_keys: Sequence[int], limit: int) -> list[list[Rollout]]:
        """For each prompt key the rollouts that count under `limit` (-1: every row), without texts."""
        found: list[list[Rollout]] = [[] for _ in keys]
        unclear: set[int] = set()  # prompts of which more than one row, or none, of an index may count
        for number, segment in enumerate(self._files.segments):
            with self.guarded(segment):
                places = self._places(keys, number)
                if places is None:
                    self._load(segment, keys, verdict_keys, found, range(len(keys)), unclear)
                elif places:
                    some, their_verdicts = [keys[at] for at in places], [verdict_keys[at] for at in places]
                    self._load(segment, some, their_verdicts, [found[at] for at in places], places, unclear)
        for segment in self._files.segments:
            if segment.has_later:
                with self.guarded(segment):
                    self._load_later(segment, keys, verdict_keys, found)
        for at in unclear:
            found[at] = effective(_first_of_each(found[at]), limit)
        return found

    def noted(self, key: bytes) -> None:
        """A prompt has been stored in the file that is written."""
        if self._whereabouts is not None:
            self._whereabouts.note(key, len(self._files.segments) - 1)

    def _places(self, keys: Sequence[bytes], number: int) -> list[int] | None:
        """The positions of keys that may be in a file; None: not known, search for all of them."""
        if len(self._files.segments) == 1:
            return None
        if self._whereabouts is None:
            if len(keys) < _MANY:
                return None
            self._whereabouts = Whereabouts(self._files.segments, self._sampling_key)
        return self._whereabouts.of(keys, number)

    def _load(
        self,
        segment: Segment,
        keys: Sequence[bytes],
        verdict_keys: Sequence[int],
        found: Sequence[list[Rollout]],
        places: Sequence[int],
        unclear: set[int],
    ) -> None:
        """Add what a file holds of some prompts to what was found of them; `places`: by what `unclear` names them."""
        verdict = self._verdict
        for (
            at,
            index,
            limit,
            outcome,
            finish_reason,
            seed,
            prompt_tokens,
            completion_tokens,
            answer_key,
            has_reasoning,
            redrawn,
            verifier,
            score,
            extracted,
            reason,
            detail,
        ) in segment.rollouts(self._sampling_key, keys, verdict_keys):
            mine = found[at]
            if outcome == "truncated" or (mine and mine[-1].index >= index):
                unclear.add(places[at])
            mine.append(
                Rollout(
                    index=index,
                    outcome=_OUTCOMES[outcome],
                    verdict=None if verifier is None else verdict(score, extracted, reason, detail),
                    seed=seed,
                    limit=limit,
                    finish_reason=finish_reason,
                    prompt_tokens=prompt_tokens,
                    completion_tokens=completion_tokens,
                    answer_key=answer_key,
                    has_reasoning=has_reasoning == 1,
                    redrawn=redrawn == 1,
                )
            )

    def _load_later(
        self, segment: Segment, keys: Sequence[bytes], verdict_keys: Sequence[int], found: list[list[Rollout]]
    ) -> None:
        """Verdicts on rollouts of older segments: they count for the answer that was judged only."""
        for at, index, limit, answer_key, *said in segment.later_verdicts(self._sampling_key, keys, verdict_keys):
            for rollout in found[at]:
                if (rollout.index, rollout.limit, rollout.answer_key) == (index, limit, answer_key) and (
                    rollout.verdict is None or not rollout.verdict.final
                ):
                    rollout.verdict = self._verdict(*said)

    def _verdict(self, score: float | None, extracted: str | None, reason: str | None, detail: str | None) -> Verdict:
        """Most verdicts are equal to one before."""
        row = (score, extracted, reason, detail)
        known = self._verdicts.get(row)
        if known is None:
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            known = Verdict(score=score, extracted=extracted, reason=_REASONS[reason], detail=detail)
            self._verdicts[row] = known
        return known

    def texts(self, wanted: Sequence[tuple[bytes, Sequence[Rollout]]]) -> list[tuple[str, str | None]]:
        """Text and reasoning field of every rollout, in order."""
        left = dict(enumerate((key, r.index, r.limit) for key, rollouts in wanted for r in rollouts))
        texts: dict[int, tuple[str, str | None]] = {}
        for number, segment in enumerate(self._files.segments):
            with self.guarded(segment):
                positions = list(left)
                places = self._places([left[at][0] for at in positions], number)
                if places is not None:
                    positions = [positions[at] for at in places]
                for position, content in segment.texts(self._sampling_key, [left[at] for at in positions]):
                    texts[positions[position]] = self._unpack(content)
            for at in positions:
                if at in texts:
                    del left[at]
            if not left:
                break
        if left:
            for segment in self._files.segments:
                self._damaged(segment, "")
            raise self._damaged(self._files.segments[-1], f" ({len(left)} texts are missing)")
        return [texts[at] for at in sorted(texts)]

    @contextmanager
    def guarded(self, segment: Segment) -> Iterator[None]:
        """Make what goes wrong in a file an error of one line that names it."""
        try:
            yield
        except sqlite3.Error as cause:
            raise self.failed(segment, cause, "can't be read") from cause
        except (Damaged, KeyError, UnicodeDecodeError) as cause:
            raise self._damaged(segment, "") from cause

    def failed(self, segment: Segment, cause: sqlite3.Error, what: str) -> StoreError:
        """An error of SQLite's in one line. A damaged file is mended at the next opening."""
        if tells_of_damage(cause):
            return self._damaged(segment, f" ({cause})" if hasattr(cause, "sqlite_errorcode") else "")
        return StoreError(f"{segment.path}: {what}: {cause}")

    def _damaged(self, segment: Segment, how: str) -> StoreDamaged:
        if isinstance(self._files, Files):
            self._files.suspect(segment)
        return StoreDamaged(f"{segment.path}: is damaged{how}; {_SALVAGE}")


def _first_of_each(rollouts: list[Rollout]) -> list[Rollout]:
    """Of rows from several segments, oldest segment first, the one that wins for each index and limit; sorted."""
    first: dict[tuple[int, int], Rollout] = {}
    for rollout in rollouts:
        first.setdefault((rollout.index, rollout.limit), rollout)
    return [first[key] for key in sorted(first)]
