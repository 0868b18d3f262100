"""When a request to an endpoint may go: plain state machines, to which the time is handed in.

tickets.py   a request on its way, and what a failed try says about the endpoint
limit.py     completions in flight
rates.py     requests and tokens per minute
breaker.py   whether the endpoint is out of order, and when it is probed
gate.py      all of them together, and who waits
"""

from rsr.gate.gate import Gate
from rsr.gate.tickets import Sign, Ticket

__all__ = ["Gate", "Sign", "Ticket"]
