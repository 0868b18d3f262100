"""From stored rollouts to training files, provenance and summary, in one replay in input order.

train/, provenance/      see `rsr.training_files`
summary/dropped.jsonl    each prompt without a row, by file, each row of the input that was skipped, and what the
                         filters took, with reasons
summary/stats.json       the figures
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

import msgspec

from rsr.errors import PluginError, RSRError, StoreError, boundary
from rsr.filters import Filters
from rsr.lint import lint_files
from rsr.parts import Parts
from rsr.prompts import Prompts
from rsr.replay import Stored, pages, replay
from rsr.schedule import Stream
from rsr.stats import Stats, why_no_row
from rsr.store.rollouts import RolloutStore
from rsr.store.rundir import RunDir, write_atomically
from rsr.training_files import TrainingFiles, file_name
from rsr.types import Rollout
from rsr.verifiers.remote import spent_of

_log = logging.getLogger("rsr")

_TEXTS = 128  # held at once


def figures(
    parts: Parts, prompts: Prompts, store: RolloutStore, rows: Mapping[str, int], failing: Collection[str] = ()
) -> dict[str, Any]:
    """The summary of what is stored, with nothing written.

    Args:
        parts: the config of now.
        prompts: the input.
        store: the rollouts.
        rows: how many each training file has.
        failing: prompts whose last request failed.
    """
    stats = Stats(parts.passes, parts.prices, failing)
    for stored in replay(prompts, store, parts.verification, parts.limit):
        stats.add(stored.id, _stream(parts, stored), stored.rollouts, {})
    summary = stats.summary(rows, sum(1 for _ in prompts.skipped()))
    for name, formatter in parts.formatters.items():
        summary["files"][name]["file"] = file_name(name, formatter)
    return {**summary, "verifier": spent_of(store.counters()), "written": False}


def write_files(
    run_dir: RunDir,
    parts: Parts,
    prompts: Prompts,
    store: RolloutStore,
    partial: bool = False,
    failing: Collection[str] = (),
) -> dict[str, Any]:
    """Write everything that follows from what is stored; returns the summary.

    Args:
        run_dir: where.
        parts: the config of now.
        prompts: the input.
        store: the rollouts.
        partial: write rows of undecided prompts too.
        failing: prompts whose last request failed.

    Raises:
        StoreError: the disk failed; the old files are left as they were.
        PluginError: a formatter failed.
    """
    files = TrainingFiles(run_dir, parts.formatters, parts.messages)
    stats = Stats(parts.passes, parts.prices, failing)
    filtering = _Filtering(parts.filters, Counter(), Counter())
    dropped = run_dir.summary / "dropped.jsonl"
    staged = dropped.with_name("dropped.jsonl.new")
    skipped = 0
    try:
        with staged.open("wb") as listing:
            for line, reason in prompts.skipped():
                skipped += 1
                listing.write(_json_line({"line": line, "reason": reason}))
            for page in pages(prompts, store, parts.verification, parts.limit):
                for prompt in _decided(parts, files, store, page, partial):
                    without = prompt.without or _add(files, filtering, prompt, listing)
                    stats.add(prompt.stored.id, prompt.stream, prompt.stored.rollouts, without)
                    for name, reason in without.items():
                        entry = {"id": prompt.stored.id, "file": files.files[name], "reason": reason}
                        listing.write(_json_line(entry))
        files.commit()
        staged.replace(dropped)
    except OSError as cause:
        files.discard()
        fix = f"nothing that was sampled is lost; make room, then rsr format {run_dir.path}"
        raise StoreError(f"{run_dir.path}: the files can't be written: {cause.strerror}; {fix}") from cause
    except BaseException:
        files.discard()
        raise
    summary = {**stats.summary(files.counts, skipped), "verifier": spent_of(store.counters())}
    for name, file in files.files.items():
        bias = files.length_bias(name)
        summary["files"][name] |= {"file": file, **({"length_bias": bias} if bias else {})}
    if filtering.filters.of_responses:
        summary["filtered"] = {"prompts": dict(filtering.prompts), "responses": dict(filtering.responses)}
    summary["lint"] = _linted(run_dir, parts, files)
    write_atomically(run_dir.summary / "stats.json", json.dumps(summary, indent=2) + "\n")
    return summary


def _linted(run_dir: RunDir, parts: Parts, files: TrainingFiles) -> dict[str, Any]:
    """What a trainer would make of the files; those of other people's formatters are theirs to check.

    They are written by now: what hinders the look at them hinders nothing else.
    """
    styles = {name: getattr(formatter, "style", None) for name, formatter in parts.formatters.items()}
    trainers = {files.files[name]: style.layout for name, style in styles.items() if style is not None}
    try:
        return lint_files(run_dir.train, trainers)
    except (OSError, RSRError) as cause:
        _log.warning("%s: can't be linted: %s; rsr lint %s tries again", run_dir.train, cause, run_dir.train)
        return {}


class _Filtering(NamedTuple):
    """The filters, and what they have left out so far, by reason."""

    filters: Filters
    prompts: Counter[str]
    responses: Counter[str]


def _add(files: TrainingFiles, filtering: _Filtering, prompt: _Decided, listing: IO[bytes]) -> dict[str, str]:
    """Write a prompt's rows of what the filters leave of it; what they take is listed. Says why a file has no row."""
    filters, given, valid = filtering.filters, prompt.stored.prompt, prompt.stream.valid
    if not filters.of_responses:
        return files.add(given, valid)
    if drop := filters.prompt(given):
        filtering.prompts[drop.reason] += 1
        listing.write(_json_line({"id": given.id, "reason": drop.reason, "detail": drop.detail}))
        return dict.fromkeys(files.files, drop.reason)
    kept = []
    for rollout, found in zip(valid, filters.responses(valid), strict=True):
        if found is None:
            kept.append(rollout)
            continue
        filtering.responses[found.reason] += 1
        entry = {"id": given.id, "index": rollout.index, "reason": found.reason, "detail": found.detail}
        listing.write(_json_line(entry))
    return files.add(given, valid, kept)


def _stream(parts: Parts, stored: Stored) -> Stream:
    """Where a prompt stands."""
    with boundary(PluginError, "what decides on the rollouts failed"):
        return Stream(stored.order, parts.rules, parts.needs, stored.rollouts)


class _Decided(NamedTuple):
    """A prompt, where it stands, and why no file can have a row of it (empty: that is for the formatters to say)."""

    stored: Stored
    stream: Stream
    without: dict[str, str]


def _decided(
    parts: Parts, files: TrainingFiles, store: RolloutStore, page: list[Stored], partial: bool
) -> Iterator[_Decided]:
    """The prompts of a page, with the texts of which their rows are made; so many texts at a time fit into memory."""
    ready: list[_Decided] = []
    wanted: list[tuple[bytes, Sequence[Rollout]]] = []
    count = 0
    for stored in page:
        stream = _stream(parts, stored)
        reason = why_no_row(stream, stored.rollouts)
        if reason == "incomplete" and partial and stream.valid:
            reason = None
        ready.append(_Decided(stored, stream, dict.fromkeys(files.counts, reason) if reason else {}))
        if reason is None:
            # A filter looks at every response, whichever a formatter will take.
            texts = stream.valid if parts.filters.of_responses else files.reads(stream.valid)
            wanted.append((stored.key, texts))
            count += len(wanted[-1][1])
        if count >= _TEXTS:
            yield from _filled(files, store, ready, wanted)
            ready, wanted, count = [], [], 0
    yield from _filled(files, store, ready, wanted)


def _filled(
    files: TrainingFiles, store: RolloutStore, ready: list[_Decided], wanted: list[tuple[bytes, Sequence[Rollout]]]
) -> Iterator[_Decided]:
    """The same prompts with their texts; those that a formatter names later too. Texts are let go of afterwards."""
    store.fill_all(wanted)
    for prompt in ready:
        if not prompt.without:
            while more := [it for it in files.reads(prompt.stream.valid, again=True) if not it.response]:
                store.fill_all([(prompt.stored.key, more)])
        yield prompt
        for rollout in prompt.stream.valid:
            rollout.forget_text()


def _json_line(value: Any) -> bytes:
    return msgspec.json.encode(value) + b"\n"
