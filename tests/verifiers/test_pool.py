"""The pool: whatever a verifier does to its process, the verdict comes and the next one too."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from rsr.types import Reason
from rsr.verifiers import pool as pools
from rsr.verifiers.check import Check
from rsr.verifiers.pipe import Spec, Task
from rsr.verifiers.pool import Pool

NASTY = """
import os, sys, time

def nasty(response, answer):
    print("printed", response)
    os.write(1, b"written\\n")
    if response == "spin":
        while True:
            pass
    if response == "sleep":
        time.sleep(60)
    if response == "die":
        os._exit(3)
    if response == "exit":
        sys.exit(3)
    if response == "memory":
        return len(bytearray(4 << 30))
    if response == "raise":
        raise KeyError("boo")
    if response == "surrogate":
        raise KeyError("\\ud800")
    if response == "pid":
        from rsr.types import Verdict
        return Verdict(score=1.0, extracted=str(os.getpid()))
    return response == answer
"""


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    path = tmp_path_factory.mktemp("nasty") / "nasty.py"
    path.write_text(NASTY)
    return Check(f"{path}:nasty")


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=1, cpu_seconds=0.3) as pool:
        yield pool


@pytest.fixture
def warm(nasty, pool):
    """The pool with a worker that has judged already."""
    judged(nasty, pool, "right")
    return pool


def judged(check, pool, response, answer="right"):
    return check.submit(response, answer, pool=pool).result(timeout=60)


def test_it_judges_and_what_is_printed_does_no_harm(nasty, pool):
    assert judged(nasty, pool, "right").score == 1.0
    assert judged(nasty, pool, "wrong").score == 0.0
    assert nasty.submit("x", 10**40, pool=pool).result().score == 0.0


@pytest.mark.parametrize(
    ("response", "reason", "detail"),
    [
        ("spin", Reason.UNVERIFIABLE, "0.3 s of CPU time"),
        ("memory", Reason.UNVERIFIABLE, "memory limit"),
        ("die", Reason.VERIFIER_ERROR, "the worker died (exit code 3)"),
        ("exit", Reason.VERIFIER_ERROR, "SystemExit: 3"),
        ("raise", Reason.VERIFIER_ERROR, "KeyError: 'boo'"),
        ("surrogate", Reason.VERIFIER_ERROR, "KeyError"),
    ],
)
def test_a_bad_task_has_its_reason_and_the_next_is_judged(nasty, warm, response, reason, detail):
    verdict = judged(nasty, warm, response)
    assert verdict.reason is reason
    assert detail in verdict.detail
    assert judged(nasty, warm, "right").score == 1.0


COSTLY = """
import os, time
from rsr.types import Verdict

calls = 0

def costly(response, answer):
    global calls
    calls += 1
    spent = 0.5 if calls == 1 or response == "slow" else 0.0
    start = time.process_time()
    while time.process_time() - start < spent:
        pass
    if response == "sleep":
        time.sleep(60)
    return Verdict(score=1.0, extracted=f"{os.getpid()} {calls}")
"""


@pytest.fixture
def costly(tmp_path):
    (tmp_path / "costly.py").write_text(COSTLY)
    return f"{tmp_path / 'costly.py'}:costly"


def test_a_first_task_over_the_limit_is_judged_again_by_the_warm_worker(costly):
    with Pool(workers=1, cpu_seconds=0.2) as pool:
        first, second = (judged(Check(costly), pool, "x").extracted.split() for _ in range(2))
        slow = judged(Check(costly), pool, "slow")
        assert (slow.reason, slow.detail) == (Reason.UNVERIFIABLE, "took more than 0.2 s of CPU time")
        fresh = judged(Check(costly), pool, "slow")  # the same of a worker that must warm up first
        assert fresh == slow
        third = judged(Check(costly), pool, "x").extracted.split()
    assert [first[1], second[1], third[1]] == ["2", "3", "2"]
    assert first[0] == second[0] != third[0]


def test_a_first_task_within_the_limit_is_judged_once(costly):
    with Pool(workers=1, cpu_seconds=5) as pool:
        assert judged(Check(costly), pool, "x").extracted.endswith(" 1")


def test_a_first_task_has_a_limit_too(costly, monkeypatch):
    monkeypatch.setattr(pools, "WARM_SECONDS", 0.3)
    with Pool(workers=1, cpu_seconds=0.1) as pool:
        verdict = judged(Check(costly), pool, "x")
    assert (verdict.reason, verdict.detail) == (Reason.UNVERIFIABLE, "took more than 0.3 s of CPU time")


def test_a_verifier_that_warms_itself_has_no_longer_first_task(tmp_path):
    code = "class Own:\n    def __call__(self, response):\n        while True: pass\n    def warm(self): pass\n"
    (tmp_path / "own.py").write_text(code + "own = Own()\n")
    with Pool(workers=1, cpu_seconds=0.2) as pool:
        verdict = judged(Check(f"{tmp_path / 'own.py'}:own"), pool, "x")
    assert verdict.detail == "took more than 0.2 s of CPU time"


def test_the_verifiers_own_limit_is_before_the_pools(costly):
    with Pool(workers=1, cpu_seconds=0.2) as pool:
        own = Check(costly, {"cpu_seconds": 5})
        assert judged(own, pool, "x").extracted.endswith(" 1")
        assert judged(own, pool, "slow").score == 1.0
    with Pool(workers=1) as pool:
        own = Check(costly, {"cpu_seconds": 0.2})
        assert judged(own, pool, "slow").detail == "took more than 0.2 s of CPU time"


def test_waiting_takes_no_cpu_time_but_has_a_limit_by_the_clock(nasty):
    with Pool(workers=1, cpu_seconds=0.05) as pool:
        judged(nasty, pool, "right")
        verdict = judged(nasty, pool, "sleep")
    assert verdict.reason is Reason.VERIFIER_ERROR
    assert "by the clock" in verdict.detail


def test_a_killed_worker_is_replaced(nasty, pool):
    pid = int(judged(nasty, pool, "pid").extracted)
    os.kill(pid, signal.SIGKILL)
    assert judged(nasty, pool, "right").reason is Reason.VERIFIER_ERROR
    assert judged(nasty, pool, "right").score == 1.0
    assert int(judged(nasty, pool, "pid").extracted) != pid


def test_a_worker_serves_several_verifiers(nasty, pool):
    exact = Spec("exact", {"match": "word"})
    pid = judged(nasty, pool, "pid").extracted
    assert pool.submit(exact, Task("it is x", "x", None, None)).result().score == 1.0
    assert judged(nasty, pool, "pid").extracted == pid


def test_a_verifier_that_cannot_be_built_is_an_error(pool):
    verdict = pool.submit(Spec("no-such", {}), Task("x", "y", None, None)).result()
    assert verdict.reason is Reason.VERIFIER_ERROR
    assert "can't be built" in verdict.detail


def test_what_cannot_be_sent_is_an_error(nasty, pool):
    assert nasty.submit("x", lambda: 1, pool=pool).result().reason is Reason.VERIFIER_ERROR


def test_from_many_threads_and_inside_an_event_loop(nasty):
    async def main(pool):
        futures = [asyncio.wrap_future(nasty.submit(text, "right", pool=pool)) for text in ("right", "wrong") * 20]
        return [verdict.score for verdict in await asyncio.gather(*futures)]

    with Pool(workers=2) as pool:
        scores = []
        threads = [threading.Thread(target=lambda: scores.append(judged(nasty, pool, "right").score)) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert asyncio.run(main(pool)) == [1.0, 0.0] * 20
        for thread in threads:
            thread.join()
        assert scores == [1.0] * 8


def test_nothing_is_started_before_it_is_needed(nasty):
    with Pool(workers=4) as pool:
        assert threading.active_count() == len([t for t in threading.enumerate() if not _is_worker(t, pool)])
        for _ in range(5):
            judged(nasty, pool, "right")
        assert len(pool._threads) == 1


def _is_worker(thread, pool):
    return thread in pool._threads


def test_closing_settles_what_is_open_and_leaves_no_process(nasty):
    pool = Pool(workers=1)
    pid = int(judged(nasty, pool, "pid").extracted)
    futures = [nasty.submit("sleep", "x", pool=pool) for _ in range(3)]
    futures[2].cancel()
    time.sleep(0.1)
    started = time.monotonic()
    pool.close()
    pool.close()
    assert time.monotonic() - started < 3
    assert [future.result().reason for future in futures[:2]] == [Reason.VERIFIER_ERROR] * 2
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert nasty.submit("right", "right", pool=pool).reason is Reason.VERIFIER_ERROR


def test_a_cancelled_task_is_not_judged(nasty, warm):
    first = nasty.submit("spin", "x", pool=warm)
    second = nasty.submit("right", "right", pool=warm)
    assert second.cancel()
    assert first.result().reason is Reason.UNVERIFIABLE
    assert judged(nasty, warm, "right").score == 1.0


def test_the_interpreter_ends_while_a_worker_spins(tmp_path):
    (tmp_path / "spin.py").write_text("def spin(response):\n    while True: pass\n")
    code = "from rsr.verifiers import get\nget('./spin.py:spin').submit('x', None)\nimport time; time.sleep(0.5)"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 10
    assert done.stderr == b""


def test_a_worker_whose_parent_was_killed_ends_in_silence(tmp_path):
    own = "import os, time\ndef slow(response):\n    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(0.5)\n"
    (tmp_path / "slow.py").write_text(own)
    code = (
        "import os, pathlib, time\nfrom rsr.verifiers import get\nget('./slow.py:slow').submit('x', None)\n"
        "while not pathlib.Path('pid').exists(): time.sleep(0.01)\nos.kill(os.getpid(), 9)"
    )
    # The worker has the standard error too: this waits until it has ended.
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, b"")
