"""Multi-SFT: several different correct responses of each prompt; exploded, a row each for the trainers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rsr.formatters.chat import as_given
from rsr.formatters.layouts import Layout, Reasoning, ReasoningField, Style
from rsr.formatters.thresholds import Messages, check_count, check_thresholds, passed
from rsr.formatters.unique import Unique, UniqueBy
from rsr.row_files import FileFormat
from rsr.types import FormattedRow, Formatter, Prompt, Rollout


class MultiSFT:
    """Multi-SFT: up to `num_responses` different correct responses of each prompt.

    Satisfied by `num_responses` passes that differ, by default in their final answers after trimming white space. A
    prompt whose budget ends with fewer writes what it has, if that is at least `min_responses`.

    Args:
        num_responses: how many to collect.
        pass_threshold: a score of at least this passes.
        min_responses: the least that is worth a row.
        unique_by: what makes responses different: `text`, `normalized`, `answer` (as it was read) or `near`.
        max_similarity: for `near`: the most, 0 to 1, that two have in common.
        explode: write `<name>_exploded` too, with a row of each response, which trainers read.
        reasoning: `keep` it, `inline` in `<think>` tags, in a `field` (exploded rows only), or `drop` it.
        reasoning_field: the field's name; `thinking` for gpt-oss.
        messages: the prompt as it was given (`original`) or as it was `sampled`, with system prompt and suffix.
        layout: of the exploded rows: `llamafactory`, `trl`, `openrlhf`, `verl`, `axolotl` or `openai`.
        file_format: `jsonl` or `parquet`, of the exploded rows. Default: jsonl, for verl parquet.
        fail_threshold: not used; taken because configs of the reference implementation carry it.
    """

    name = "multi_sft"

    def __init__(
        self,
        *,
        num_responses: int = 16,
        pass_threshold: float = 1.0,
        min_responses: int = 1,
        unique_by: UniqueBy = "text",
        max_similarity: float = 0.8,
        explode: bool = False,
        reasoning: Reasoning = "keep",
        reasoning_field: ReasoningField = "reasoning_content",
        messages: Messages = "original",
        layout: Layout = "llamafactory",
        file_format: FileFormat | None = None,
        fail_threshold: float | None = None,
    ) -> None:
        check_thresholds(pass_threshold, fail_threshold)
        check_count("num_responses", num_responses)
        check_count("min_responses", min_responses)
        if min_responses > num_responses:
            raise ValueError(f"min_responses: {min_responses} must be at most num_responses {num_responses}")
        if not explode and (layout != "llamafactory" or file_format):
            key = "layout" if layout != "llamafactory" else "file_format"
            raise ValueError(f"{key}: no trainer reads rows of several responses; add explode: true")
        if reasoning == "field" and not explode:
            raise ValueError("reasoning: should be 'keep' or 'drop': responses have no field for it; or explode: true")
        self.unique = Unique(unique_by, max_similarity)
        self.key_function = self.unique.key_function
        self.num_responses = num_responses
        self.pass_threshold = pass_threshold
        self.min_responses = min_responses
        self.messages = messages
        self.style = Style.checked("responses", layout, file_format, reasoning, reasoning_field)
        within: Reasoning = "drop" if reasoning == "drop" else "inline"
        self._within = Style.checked("responses", "llamafactory", None, within)
        self.explode = explode

    def companions(self) -> dict[str, Formatter]:
        """Formatters beside this one, by what is put after its name."""
        return {"exploded": Exploded(self)} if self.explode else {}

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        """`num_responses` less the different passes."""
        threshold = self.pass_threshold
        passes = [rollout for rollout in rollouts if passed(rollout, threshold)]
        return max(0, self.num_responses - self.unique.count(passes))

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterator[FormattedRow]:
        """One row: the best first, ties by lowest index; of equal answers the first."""
        unique = self.written(rollouts)
        if not unique:
            return
        row = {
            "messages": as_given(prompt.messages),
            "responses": [self._within.text(rollout) for rollout in unique],
        }
        row |= {name: value for name, value in (("images", prompt.images), ("tools", prompt.tools)) if value}
        yield FormattedRow(row, tuple(rollout.index for rollout in unique))

    def reads(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Those that the row is made of."""
        return self._unique(rollouts)[: self.num_responses]

    def written(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """The same, where they are enough."""
        unique = self.reads(rollouts)
        return unique if len(unique) >= self.min_responses else []

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        """`no_pass`, or `too_few` where there are fewer than `min_responses`."""
        return "too_few" if self._unique(rollouts) else "no_pass"

    def dataset_info(self) -> None:
        """No trainer reads this shape, so it is not registered."""
        return

    def _unique(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        return self.unique.pick([rollout for rollout in rollouts if passed(rollout, self.pass_threshold)])


class Exploded:
    """The responses of Multi-SFT, a row each; it needs what that one needs."""

    name = "multi_sft_exploded"
    follows = True  # need not be asked what it needs

    def __init__(self, whole: MultiSFT) -> None:
        self._whole = whole
        self.pass_threshold = whole.pass_threshold
        self.messages = whole.messages
        self.style = whole.style
        self.shape = whole.style.shape()

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        """As Multi-SFT."""
        return self._whole.needs(rollouts)

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterator[FormattedRow]:
        """A row of each response, in the order of Multi-SFT."""
        for rollout in self._whole.written(rollouts):
            yield FormattedRow(self._whole.style.response(prompt, rollout), (rollout.index,))

    def reads(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """As Multi-SFT."""
        return self._whole.reads(rollouts)

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        """As Multi-SFT."""
        return self._whole.missing(rollouts)

    def dataset_info(self) -> Mapping[str, Any] | None:
        """LLaMA-Factory's entry."""
        return self._whole.style.dataset_info()
