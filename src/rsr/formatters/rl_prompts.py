"""Prompts for reinforcement learning: those of a pass rate at which there is something to learn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from rsr.formatters.layouts import Layout, Style
from rsr.formatters.thresholds import Messages, check_count, check_share, check_thresholds, passed
from rsr.row_files import FileFormat, Shape
from rsr.types import FormattedRow, Prompt, Rollout, Row


class RLPrompts:
    """Prompts for reinforcement learning, with their answers, whose pass rate is within a band.

    Satisfied by `n` valid rollouts. The pass rate is that of exactly the first n; those without a score don't count.

    Args:
        n: how many rollouts the pass rate is computed from.
        min_pass_rate: the band's lower end, itself outside where it is 0.
        max_pass_rate: the band's upper end, itself outside where it is 1.
        pass_threshold: a score of at least this passes.
        data_source: names the reward function (verl, openrlhf); a row's metadata may name its own.
        ability: verl's word for the kind of task; a row's metadata may name its own.
        split: verl's `extra_info.split`.
        messages: the prompt as it was given (`original`) or as it was `sampled`, with system prompt and suffix.
        layout: `verl`, `trl` or `openrlhf`.
        file_format: `jsonl` or `parquet`. Default: jsonl, for verl parquet.
    """

    name = "rl_prompts"
    writes_responses = False

    def __init__(
        self,
        *,
        n: int = 8,
        min_pass_rate: float = 0.0,
        max_pass_rate: float = 1.0,
        pass_threshold: float = 1.0,
        data_source: str = "rsr",
        ability: str = "reasoning",
        split: str = "train",
        messages: Messages = "original",
        layout: Layout = "verl",
        file_format: FileFormat | None = None,
    ) -> None:
        check_thresholds(pass_threshold, None)
        check_count("n", n)
        check_share("min_pass_rate", min_pass_rate)
        check_share("max_pass_rate", max_pass_rate)
        if min_pass_rate > max_pass_rate:
            raise ValueError(f"min_pass_rate: {min_pass_rate} must be at most max_pass_rate {max_pass_rate}")
        self.n = self.least = n
        self.min_pass_rate, self.max_pass_rate = min_pass_rate, max_pass_rate
        self.pass_threshold = pass_threshold
        self.data_source, self.ability, self.split = data_source, ability, split
        self.messages = messages
        self.style = Style.checked("prompts", layout, file_format)
        self.shape = self._shape()

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        """`n` less the valid ones."""
        return max(0, self.n - len(rollouts))

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterator[FormattedRow]:
        """One row where the pass rate is within the band and the prompt has an answer."""
        rate = self._rate(rollouts)
        if rate is None or self._outside(rate) or prompt.metadata.get("answer") is None:
            return
        yield FormattedRow(self._row(prompt, rate), tuple(rollout.index for rollout in rollouts[: self.n]))

    def reads(self, rollouts: Sequence[Rollout]) -> Sequence[Rollout]:
        """No texts."""
        return ()

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        """`too_few`, `no_score`, `too_hard`, `too_easy`, or `no_reference`."""
        if len(rollouts) < self.n:
            return "too_few"
        rate = self._rate(rollouts)
        return "no_score" if rate is None else self._outside(rate) or "no_reference"

    def dataset_info(self) -> None:
        """LLaMA-Factory reads none."""
        return

    def _rate(self, rollouts: Sequence[Rollout]) -> float | None:
        """The pass rate of the first n; None: there are fewer, or none of them has a score."""
        if len(rollouts) < self.n:
            return None
        scored = [rollout for rollout in rollouts[: self.n] if rollout.score is not None]
        return sum(passed(rollout, self.pass_threshold) for rollout in scored) / len(scored) if scored else None

    def _outside(self, rate: float) -> str | None:
        if rate < self.min_pass_rate or rate == 0 == self.min_pass_rate:
            return "too_hard"
        return "too_easy" if rate > self.max_pass_rate or rate == 1 == self.max_pass_rate else None

    def _row(self, prompt: Prompt, rate: float) -> Row:
        messages, beside = self.style.asked(prompt)
        answer = _as_text(prompt.metadata["answer"])
        source = str(prompt.metadata.get("data_source") or self.data_source)
        rate = round(rate, 6)
        if self.style.layout == "trl":
            return {"prompt": messages, "answer": answer, "id": prompt.id, "pass_rate": rate, **beside}
        if self.style.layout == "openrlhf":
            return {"input": messages, "label": answer, "datasource": source, **beside}
        return {
            "data_source": source,
            "prompt": messages,
            "ability": str(prompt.metadata.get("ability") or self.ability),
            "reward_model": {"style": "rule", "ground_truth": answer},
            "extra_info": {"split": self.split, "index": prompt.order, "id": prompt.id, "pass_rate": rate},
            **beside,
        }

    def _shape(self) -> Shape:
        base = self.style.shape()
        optional: dict[str, Any] = {name: base.columns[name] for name in base.fills}
        columns: dict[str, Any] = {
            "data_source": "text",
            "prompt": "messages",
            "ability": "text",
            "reward_model": {"style": "text", "ground_truth": "text"},
            "extra_info": {"split": "text", "index": "count", "id": "text", "pass_rate": "number"},
        }
        if self.style.layout == "trl":
            columns = {"prompt": "messages", "answer": "text", "id": "text", "pass_rate": "number"}
        elif self.style.layout == "openrlhf":
            columns = {"input": "messages", "label": "text", "datasource": "text"}
        return base._replace(columns={**columns, **optional})


def _as_text(answer: Any) -> str:
    """An answer as text: a column has one type."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list) and len(answer) == 1:
        return _as_text(answer[0])
    return msgspec.json.encode(answer).decode()
