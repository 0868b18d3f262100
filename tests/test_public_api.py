"""The Python API: the names that are public, their signatures, and what `rsr.run` and `rsr.open` do."""

import asyncio
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import rsr
from commands import question, read_rows, write_rows
from rsr import Completion, FormattedRow, Options, Prompt, Rollout, Run, SampleRequest, Verdict
from rsr.errors import ConfigError, InputError, PluginError, RunDirError, SamplerStopped

PUBLIC = [
    *("Completion", "FormattedRow", "Options", "Outcome", "Prompt", "RSRError", "Reason", "Rollout", "Run"),
    *("SampleRequest", "Verdict", "__version__", "open", "run", "split_reasoning", "verifiers"),
]
SIGNATURES = {
    "run": "(config=None, *, prompts=None, work_dir=None, sampler=None, verifier=None, formatter=None, overrides=(), "
    "options=None, watch=None)",
    "open": "(run_dir, *, verifier=None, formatter=None)",
    "split_reasoning": "(text_or_message)",
    "verifiers.get": "(name, **params)",
    "Run.stats": "(self)",
    "Run.rows": "(self, name)",
    "Run.rollouts": "(self)",
}
ROWS = [question("a"), question("b", answer="A")]


class Fixed:
    """A sampler of the caller's own: replies by index."""

    max_in_flight = None
    max_choices = None

    def __init__(self, *replies: str) -> None:
        self.replies = replies
        self.asked: list[SampleRequest] = []
        self.closed = 0

    def identity(self) -> Mapping[str, Any]:
        return {"replies": list(self.replies)}

    async def start(self) -> None:
        pass

    async def sample(self, request: SampleRequest) -> Sequence[Completion]:
        self.asked.append(request)
        indices = range(request.index, request.index + request.n)
        return [Completion(text=self.replies[index % len(self.replies)]) for index in indices]

    async def close(self) -> None:
        self.closed += 1


class Shortest:
    """A formatter of the caller's own."""

    name = "shortest"
    pass_threshold = 1.0

    def needs(self, rollouts: Sequence[Rollout]) -> int:
        return max(0, 2 - len(rollouts))

    def rows(self, prompt: Prompt, rollouts: Sequence[Rollout]) -> Iterator[FormattedRow]:
        best = min(rollouts, key=lambda rollout: len(rollout.response))
        yield FormattedRow({"id": prompt.id, "text": best.response}, (best.index,))

    def missing(self, rollouts: Sequence[Rollout]) -> str:
        return "nothing"

    def dataset_info(self) -> None:
        return None


def sampler() -> Fixed:
    return Fixed("The answer is B.", "The answer is A.")


# Names


def test_the_public_names_are_these() -> None:
    assert list(rsr.__all__) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(rsr, name) is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+", rsr.__version__)


def test_every_public_object_has_a_docstring() -> None:
    for name in PUBLIC:
        if name != "__version__":
            assert (inspect.getdoc(getattr(rsr, name)) or "").strip(), name


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_stay_as_they_are(name: str) -> None:
    found: Any = rsr
    for part in name.split("."):
        found = getattr(found, part)
    parameters = inspect.signature(found).parameters.values()
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]
    assert str(inspect.Signature(bare)) == SIGNATURES[name]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'rsr' has no attribute 'rum'"):
        rsr.rum  # noqa: B018


def test_split_reasoning_gives_reasoning_and_response() -> None:
    assert tuple(rsr.split_reasoning("<think>Hm.</think>B")) == ("Hm.", "B")
    reasoning, response = rsr.split_reasoning({"content": "B", "reasoning_content": "Hm."})
    assert (reasoning, response) == ("Hm.", "B")


def test_a_verifier_can_be_called() -> None:
    verdict = rsr.verifiers.get("mcq-rlvr")("The answer is B.", "B", choices=["X", "Y"], metadata={})
    assert (verdict.score, verdict.extracted, verdict.reason) == (1.0, "B", None)
    assert rsr.verifiers.get("exact", no_answer="fail")("", "B").score == 0.0


# rsr.run


def test_prompts_in_memory_with_a_scripted_sampler_give_a_run(folder: Path) -> None:
    run = rsr.run(prompts=ROWS, sampler={"type": "scripted", "replies": ["The answer is A."]}, work_dir="run")
    assert isinstance(run, Run)
    assert (run.path, run.exit_code) == (Path("run"), 0)
    assert list(run.files) == ["sft"]
    (row,) = run.rows("sft")
    assert row["messages"] == [*ROWS[1]["messages"], {"role": "assistant", "content": "The answer is A."}]
    assert run.stats()["prompts"]["satisfied"] == 1
    assert run.stats()["prompts"]["exhausted"] + run.stats()["prompts"]["full"] == 1


def test_the_same_call_again_resumes(folder: Path) -> None:
    first, second = sampler(), sampler()
    rsr.run(prompts=ROWS, sampler=first, work_dir="run")
    run = rsr.run(prompts=ROWS, sampler=second, work_dir="run")
    assert first.asked
    assert second.asked == []
    assert second.closed == 1
    assert len(list(run.rows("sft"))) == 2


def test_a_sampler_object_is_asked_and_closed(folder: Path) -> None:
    mine = sampler()
    run = rsr.run(prompts=ROWS, sampler=mine, formatter="dpo", work_dir="run")
    assert mine.closed == 1
    assert {request.tag for request in mine.asked} == {"a", "b"}
    assert [row["chosen"]["value"] for row in run.rows("dpo")] == ["The answer is B.", "The answer is A."]


def test_a_function_is_a_verifier(folder: Path) -> None:
    def short(response: str, answer: str) -> float:
        return float(answer in response and len(response) < 20)

    run = rsr.run(prompts=ROWS, sampler=sampler(), verifier=short, work_dir="run")
    assert [row["messages"][-1]["content"] for row in run.rows("sft")] == ["The answer is B.", "The answer is A."]
    assert {row["verifier"] for row in run.rollouts() if row["verifier"]} == {short.__qualname__}


def test_a_function_that_raises_leaves_the_prompt_incomplete(folder: Path) -> None:
    def judge(response: str) -> bool:
        raise RuntimeError("no judge today")

    run = rsr.run(prompts=ROWS[:1], sampler=sampler(), verifier=judge, work_dir="run")
    assert run.exit_code == 3
    assert run.stats()["incomplete_reasons"] == {"verifier_error": 1}
    again = rsr.run(prompts=ROWS[:1], sampler=sampler(), verifier=lambda response: True, work_dir="run")
    assert again.exit_code == 0


def test_a_name_or_a_section_is_a_verifier_too(folder: Path) -> None:
    rows = [question("a", answer="The answer is B.")]
    one = rsr.run(prompts=rows, sampler=sampler(), verifier="exact", work_dir="1")
    two = rsr.run(prompts=rows, sampler=sampler(), verifier={"type": "exact", "match": "word"}, work_dir="2")
    assert len(list(one.rows("sft"))) == len(list(two.rows("sft"))) == 1


def test_formatter_objects_write_their_files(folder: Path) -> None:
    run = rsr.run(prompts=ROWS, sampler=Fixed("B.", "The answer is A."), formatter=Shortest(), work_dir="run")
    assert list(run.rows("shortest")) == [{"id": "a", "text": "B."}, {"id": "b", "text": "B."}]


def test_several_formatters_by_name_section_or_object(folder: Path) -> None:
    from rsr.formatters.sft import SFT

    by_name = rsr.run(prompts=ROWS, sampler=sampler(), formatter=["sft", {"type": "dpo"}], work_dir="1")
    assert list(by_name.files) == ["dpo", "sft"]
    objects = rsr.run(prompts=ROWS, sampler=sampler(), formatter=[SFT(), Shortest()], work_dir="2")
    assert list(objects.files) == ["sft", "shortest"]
    with pytest.raises(InputError, match="either formatters or config entries"):
        rsr.run(prompts=ROWS, sampler=sampler(), formatter=[SFT(), {"type": "dpo"}], work_dir="3")


def test_a_config_may_be_a_recipe_a_file_a_mapping_or_a_run(folder: Path) -> None:
    path = write_rows(folder / "in.jsonl", ROWS)
    scripted = {"type": "scripted", "replies": ["The answer is B.", "The answer is A."]}
    (folder / "mine.yaml").write_text(json.dumps({"formatter": [{"type": "dpo"}], "sampler": scripted}))
    recipe = rsr.run("dpo", prompts=path, sampler=scripted, work_dir="1")
    file = rsr.run(folder / "mine.yaml", prompts=str(path), work_dir="2")
    mapping = rsr.run({"formatter": ["dpo"], "data": {"input_path": str(path)}, "sampler": scripted}, work_dir="3")
    rows = list(recipe.rows("dpo"))
    assert len(rows) == 2
    assert list(file.rows("dpo")) == list(mapping.rows("dpo")) == rows
    again = rsr.run(folder / "1", overrides=["formatter=[{type: sft}]"])
    assert (again.path, list(again.files)) == (folder / "1", ["sft"])


def test_overrides_win_over_arguments(folder: Path) -> None:
    path = write_rows(folder / "in.jsonl", ROWS)
    run = rsr.run("sft", prompts=path, sampler=sampler(), overrides=["formatter=dpo", "work_dir=other"], work_dir="run")
    assert (run.path, list(run.files)) == (Path("other"), ["dpo"])


@pytest.mark.parametrize(
    "text", ["😀 Zürich", "a: b # c", "two\nlines\t", "\x7f\x85\u2028\ufeff", '"quoted" \\boxed{}', "{x: 1}"]
)
def test_any_text_can_be_given_in_a_section(text: str, folder: Path) -> None:
    given = {"type": "scripted", "system_prompt": text, "replies": [f"{text} The answer is B."]}
    run = rsr.run(prompts=ROWS[:1], sampler=given, formatter={"type": "sft", "messages": "sampled"}, work_dir="run")
    (row,) = run.rows("sft")
    assert row["messages"][0] == {"role": "system", "content": text}
    assert row["messages"][-1]["content"] == f"{text} The answer is B.".strip()


def test_it_runs_inside_a_running_event_loop(folder: Path) -> None:
    async def notebook() -> Run:
        return rsr.run(prompts=ROWS, sampler=sampler(), work_dir="run")

    run = asyncio.run(notebook())
    assert run.exit_code == 0
    assert len(list(run.rows("sft"))) == 2


def test_an_error_comes_through_a_running_event_loop(folder: Path) -> None:
    async def notebook() -> Run:
        return rsr.run(prompts=[{"id": "broken"}], sampler=sampler(), work_dir="run")

    with pytest.raises(InputError, match="the given rows, line 1: there are no messages"):
        asyncio.run(notebook())


def test_options_are_those_of_the_command_line(folder: Path) -> None:
    rsr.run(prompts=ROWS, sampler=sampler(), work_dir="run")
    with pytest.raises(RunDirError, match="--new-samples"):
        rsr.run(prompts=ROWS, sampler=Fixed("The answer is A."), work_dir="run")
    other = Fixed("The answer is A.")
    run = rsr.run(prompts=ROWS, sampler=other, work_dir="run", options=Options(new_samples=True))
    assert other.asked
    assert len(list(run.rows("sft"))) == 1


# What it raises


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"config": "nowhere.yaml"}, ConfigError, "there is no such config file"),
        ({"config": {"sampling": {"step_sise": 1}}}, ConfigError, "sampling.step_sise: unknown key"),
        ({"prompts": "nowhere.jsonl"}, InputError, "there is no file nowhere.jsonl"),
        ({"prompts": []}, InputError, "the given rows: there is no prompt in it"),
        ({"formatter": "sfd"}, ConfigError, "did you mean 'sft'"),
        ({"verifier": "mcq-rlrv"}, ConfigError, "did you mean 'mcq-rlvr'"),
        ({"verifier": 5}, PluginError, "is a int, not a function"),
        (
            {"sampler": object()},
            PluginError,
            "sampler: a object is none, it has no max_in_flight, max_choices, identity",
        ),
        ({"formatter": Fixed()}, PluginError, "formatter: a Fixed is none, it has no name, needs, rows, missing"),
        ({"sampler": {"type": "scripted", "replies": print}}, ConfigError, "sampler.replies: "),
    ],
)
def test_what_is_wrong_is_raised(given: dict[str, Any], error: Any, says: str, folder: Path) -> None:
    with pytest.raises(error, match=re.escape(says)):
        rsr.run(**{"prompts": ROWS, "sampler": sampler(), "work_dir": "run", **given})


def test_a_sampler_that_stops_ends_the_run_and_what_was_sampled_stays(folder: Path) -> None:
    replies = {"a": ["The answer is B."], "b": [{"error": "stopped"}]}
    with pytest.raises(SamplerStopped, match="scripted: stopped"):
        rsr.run(
            prompts=ROWS,
            sampler={"type": "scripted", "replies": replies, "concurrent_requests": 1},
            work_dir="run",
        )
    assert [row["messages"][-1]["content"] for row in rsr.open("run").rows("sft")] == ["The answer is B."]


# rsr.open


def test_a_run_can_be_opened_and_read(folder: Path) -> None:
    path = write_rows(folder / "in.jsonl", ROWS)
    rsr.run("dpo", prompts=path, sampler={"type": "scripted"}, work_dir="run")
    run = rsr.open(folder / "run")
    assert repr(run) == f"Run({str(folder / 'run')!r})"
    assert run.exit_code is None
    assert run.stats()["prompts"]["total"] == 2
    assert list(run.rows("dpo")) == read_rows(folder / "run/train/dpo.jsonl")
    rollouts = list(run.rollouts())
    assert {row["prompt_id"] for row in rollouts} == {"a", "b"}
    assert any(row["used"] for row in rollouts)
    with pytest.raises(InputError, match="there is no training file 'sft'; there are: dpo"):
        list(run.rows("sft"))


def test_the_samples_of_a_callers_sampler_are_found_by_open_and_export(folder: Path, command: Any) -> None:
    run = rsr.run(prompts=ROWS, sampler=sampler(), work_dir="run")
    expected = list(run.rollouts())
    assert len(expected) > 1
    assert list(rsr.open("run").rollouts()) == expected
    assert command("export", "run", "-o", "out.jsonl").code == 0
    assert read_rows(folder / "out.jsonl") == expected


@pytest.mark.parametrize("what", ["nothing", "an empty folder"])
def test_what_is_no_run_is_refused(what: str, folder: Path) -> None:
    if what != "nothing":
        (folder / "run").mkdir()
    with pytest.raises(RunDirError, match="is not a run directory"):
        rsr.open("run")


def test_a_verdict_is_what_a_verifier_of_ones_own_may_return(folder: Path) -> None:
    def judge(response: str, answer: str) -> Verdict:
        return Verdict(score=0.7 if answer in response else 0.2, extracted=response[-2])

    run = rsr.run(
        prompts=ROWS,
        sampler=sampler(),
        verifier=judge,
        formatter={"type": "sft", "pass_threshold": 0.5},
        work_dir="run",
    )
    assert {row["score"] for row in run.rollouts() if row["used"]} <= {0.7, 0.2}
    assert len(list(run.rows("sft"))) == 2


def test_a_function_as_verifier_is_asked_for_again_and_not_mistaken_for_another(folder: Path) -> None:
    def says_right(response: str) -> float:
        return float("right" in response)

    prompts = [{"id": "p", "messages": [{"role": "user", "content": "?"}]}]
    sampler = {"type": "scripted", "replies": ["wrong", "right"]}
    rsr.run(prompts=prompts, work_dir="run", sampler=sampler, verifier=says_right, overrides=["sampling.speculate=0"])
    with pytest.raises(ConfigError, match="was handed over from Python"):
        list(rsr.open("run").rollouts())
    assert [row["score"] for row in rsr.open("run", verifier=says_right).rollouts()] == [0.0, 1.0]
