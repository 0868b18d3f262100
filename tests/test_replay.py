"""The input joined with what is stored: the same whether the content of prompts is read or not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import question
from rsr.completions import to_rollout
from rsr.prompts import Prompts, index
from rsr.replay import pages, replay
from rsr.sections import DataConfig, StoreConfig
from rsr.store.rollouts import NewRollout, RolloutStore, Said
from rsr.types import NO_LIMIT, Completion, Verdict
from rsr.verifiers.check import Check
from rsr.verifiers.pool import shared_pool
from rsr.verifiers.verification import Verification

COUNT = 1200  # more than two pages


def verification(**params: object) -> Verification:
    return Verification(Check("mcq-rlvr", params), shared_pool())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts of which every third has two rollouts."""
    folder, by = tmp_path_factory.mktemp("run"), verification()
    rows = [question(f"q{number}") for number in range(COUNT)]
    index(DataConfig(), 0, folder / "prompts.sqlite", by.problem, rows=rows, keys=by)
    prompts = Prompts(folder / "prompts.sqlite")
    store = RolloutStore(folder / "rollouts", b"k" * 16, settings=StoreConfig(reserve_bytes=0))
    new = []
    for page in prompts.pages():
        for prompt in page[::3]:
            for place in range(2):
                said = Completion(text=f"{prompt.id}/{place}: B")
                verdict = Said(Verdict(score=1.0), by.verdict_key(prompt), 1)
                new.append(NewRollout(prompt, to_rollout(said, place), said, verdict))
    store.add(new)
    store.close()
    prompts.close()
    return folder


@pytest.fixture
def opened(folder: Path) -> Iterator[tuple[Prompts, RolloutStore]]:
    prompts = Prompts(folder / "prompts.sqlite")
    store = RolloutStore(folder / "rollouts", b"k" * 16, readonly=True)
    yield prompts, store
    store.close()
    prompts.close()


def test_prompts_come_in_input_order_with_their_rollouts(opened: tuple[Prompts, RolloutStore]) -> None:
    by = verification()
    seen = list(replay(*opened, by, NO_LIMIT))
    assert [stored.order for stored in seen] == list(range(COUNT))
    assert sum(len(stored.rollouts) for stored in seen) == 2 * sum(len(range(0, size, 3)) for size in (512, 512, 176))
    for stored in seen[::100]:
        prompt = stored.prompt
        assert (prompt.order, prompt.id, prompt.key) == (stored.order, stored.id, stored.key)
        assert stored.prompt is prompt
        assert stored.reference.key == by.reference(prompt).key
        assert stored.reference is stored.reference
        assert [rollout.score for rollout in stored.rollouts] in ([], [1.0, 1.0])


def test_content_is_read_only_where_it_is_asked_for(
    opened: tuple[Prompts, RolloutStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, store = opened
    read: list[bool] = []
    page = prompts.page

    def noted(after: int, content: bool, size: int = 512) -> object:
        read.append(content)
        return page(after, content, size)

    monkeypatch.setattr(prompts, "page", noted)
    for some in pages(prompts, store, verification(), NO_LIMIT):
        assert some[0].prompt.id
    assert read == [False] * 4
    read.clear()
    for some in pages(prompts, store, verification(), NO_LIMIT):
        assert all(stored.prompt.id == stored.id for stored in some)
    assert read == [False, True, True, True]


def test_under_another_verifier_the_stored_verdicts_do_not_count(opened: tuple[Prompts, RolloutStore]) -> None:
    by = verification(no_answer="fail")
    seen = list(replay(*opened, by, NO_LIMIT))
    assert {rollout.score for stored in seen for rollout in stored.rollouts} == {None}
    assert seen[0].reference.key == by.reference(seen[0].prompt).key
