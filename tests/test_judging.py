"""`Judging`: who is asked again, what is delivered, and when nothing should be drawn."""

import asyncio
from concurrent.futures import Future

from rsr.errors import SamplerDown
from rsr.judging import Case, Judging
from rsr.types import Outcome, Prompt, Reason, Rollout, Verdict

CASE = Case(None, Prompt(order=0, key=bytes(16), id="p", messages=[]), None, Rollout(index=0, outcome=Outcome.OK))
BROKEN = Verdict(reason=Reason.VERIFIER_ERROR, detail="judge: broken")
RIGHT = Verdict(score=1.0)


class Scripted:
    """Gives one verdict after the other; as futures, which come at once."""

    def __init__(self, *verdicts):
        self.verdicts = list(verdicts)
        self.asked = self.drained = 0
        self.stopped = None
        self.held_up = ""

    def submit(self, prompt, reference, response):
        self.asked += 1
        future = Future()
        future.set_result(self.verdicts.pop(0))
        return future

    def drain(self):
        self.drained += 1


def judged(judge, prepare=lambda judging: None):
    """What is delivered, and the errors that end the run."""
    delivered, failed = [], []

    async def main():
        done = asyncio.Event()
        judging = Judging(judge, lambda case, verdict: (delivered.append(verdict), done.set()), failed.append)
        prepare(judging)
        assert judging.ask(CASE) is None
        assert judging.pending == 1
        await asyncio.wait_for(done.wait(), 10)
        assert judging.pending == 0

    asyncio.run(main())
    return delivered, failed


def test_an_error_is_tried_once_more():
    judge = Scripted(BROKEN, RIGHT)
    assert judged(judge) == ([RIGHT], [])
    judge = Scripted(BROKEN, BROKEN)
    assert judged(judge) == ([BROKEN], [])
    assert judge.asked == 2


def test_an_error_that_no_request_can_mend_ends_the_run_and_is_not_tried_again():
    judge = Scripted(BROKEN)
    judge.stopped = SamplerDown("gone")
    assert judged(judge) == ([BROKEN], [judge.stopped])
    assert judge.asked == 1


def test_a_stop_lets_go_of_what_was_not_asked_yet_once():
    def stop(judging):
        judging.stopping = True
        judging.stopping = True

    judge = Scripted(BROKEN)
    assert judged(judge, stop) == ([BROKEN], [])
    assert (judge.asked, judge.drained) == (1, 1)


def test_given_up_on_it_is_final():
    def give_up(judging):
        judging.give_up = True

    delivered, _ = judged(Scripted(BROKEN, BROKEN), give_up)
    assert delivered == [Verdict(reason=Reason.UNVERIFIABLE, detail="given up: judge: broken")]


def test_there_is_room_until_too_many_are_waited_for():
    async def main():
        judge = Scripted()
        judging = Judging(judge, lambda case, verdict: None, lambda error: None)
        judging.pending = 63
        assert judging.room(64, in_flight=5) > 1000
        judging.pending = 64
        assert judging.room(64, in_flight=0) == 0
        judge.held_up = "the verifier waits"
        rooms = []
        for judging.pending, in_flight in ((5, 5), (5, 0), (0, 5), (0, 1), (1, 0), (0, 0)):
            rooms.append(judging.room(64, in_flight))
        assert rooms == [0, 0, 0, 0, 0, 1]

    asyncio.run(main())
