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
def test_a_bad_task_has_its_reason_and_the_next_is_judged(nasty, pool, response, reason, detail):
    verdict = judged(nasty, pool, response)
    assert verdict.reason is reason
    assert detail in verdict.detail
    assert judged(nasty, pool, "right").score == 1.0


def test_waiting_takes_no_cpu_time_but_has_a_limit_by_the_clock(nasty):
    with Pool(workers=1, cpu_seconds=0.05) as pool:
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


def test_a_cancelled_task_is_not_judged(nasty, pool):
    first = nasty.submit("spin", "x", pool=pool)
    second = nasty.submit("right", "right", pool=pool)
    assert second.cancel()
    assert first.result().reason is Reason.UNVERIFIABLE
    assert judged(nasty, pool, "right").score == 1.0


def test_the_interpreter_ends_while_a_worker_spins(tmp_path):
    (tmp_path / "spin.py").write_text("def spin(response):\n    while True: pass\n")
    code = "from rsr.verifiers import get\nget('./spin.py:spin').submit('x', None)\nimport time; time.sleep(0.5)"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 10
    assert done.stderr == b""
