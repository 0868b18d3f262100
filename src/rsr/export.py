"""What is stored, as rows for other tools: one line per rollout, JSONL or Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec

from rsr.outfile import replacing
from rsr.replay import Stored
from rsr.schedule import Needs, Rules, Stream
from rsr.store.rollouts import RolloutStore, effective
from rsr.types import Rollout

COLUMNS = (
    "prompt_id",
    "index",
    "seed",
    "outcome",
    "finish_reason",
    "text",
    "reasoning",
    "prompt_tokens",
    "completion_tokens",
    "score",
    "extracted",
    "reason",
    "verifier",
    "used",
)
_PAGE = 1024


def rollout_rows(
    replayed: Iterable[Stored], store: RolloutStore, rules: Rules, needs: Needs, limit: int
) -> Iterator[dict[str, Any]]:
    """A row per stored rollout, in input and index order.

    Args:
        replayed: prompts with all their rows (`limit` -1).
        store: for the texts.
        rules: for the decided prefix.
        needs: as above.
        limit: `max_tokens` of now; of each index the row that counts under it is given, else the last one.

    Yields:
        `COLUMNS`. `text` is the final answer and `reasoning` what came before it, both trimmed; `used` says that the
        rollout is in its prompt's decided prefix.
    """
    for stored in replayed:
        counting = effective(stored.rollouts, limit)
        stream = Stream(stored.prompt.order, rules, needs, counting)
        last = {rollout.index: rollout for rollout in [*stored.rollouts, *counting]}
        rollouts = [last[index] for index in sorted(last)]
        store.fill(stored.prompt, rollouts)
        drawn = {rollout.index for rollout in counting}
        for rollout in rollouts:
            yield _row(stored, rollout, used=rollout.index in drawn and rollout.index < stream.prefix)


def write_rows(rows: Iterable[dict[str, Any]], path: Path, format: Literal["jsonl", "parquet"]) -> int:
    """Write rows to a file, as a whole; returns how many."""
    with replacing(path) as target:
        return _write_parquet(rows, target) if format == "parquet" else _write_lines(rows, target)


def _row(stored: Stored, rollout: Rollout, used: bool) -> dict[str, Any]:
    verdict = rollout.verdict
    return {
        "prompt_id": stored.prompt.id,
        "index": rollout.index,
        "seed": rollout.seed,
        "outcome": rollout.outcome.value,
        "finish_reason": rollout.finish_reason,
        "text": rollout.response.strip(),
        "reasoning": rollout.reasoning.strip(),
        "prompt_tokens": rollout.prompt_tokens,
        "completion_tokens": rollout.completion_tokens,
        "score": rollout.score,
        "extracted": verdict.extracted if verdict else None,
        "reason": verdict.reason.value if verdict and verdict.reason else None,
        "verifier": stored.reference.check.name if verdict else None,
        "used": used,
    }


def _write_lines(rows: Iterable[dict[str, Any]], path: Path) -> int:
    encode, count = msgspec.json.Encoder().encode, 0
    with path.open("wb") as file:
        for row in rows:
            file.write(encode(row) + b"\n")
            count += 1
    return count


def _write_parquet(rows: Iterable[dict[str, Any]], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"index": pa.int64(), "seed": pa.int64(), "prompt_tokens": pa.int64(), "completion_tokens": pa.int64()}
    kinds |= {"score": pa.float64(), "used": pa.bool_()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    remaining, count = iter(rows), 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while page := list(islice(remaining, _PAGE)):
            writer.write_table(pa.Table.from_pylist(page, schema=schema))
            count += len(page)
    return count
