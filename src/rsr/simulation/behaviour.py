"""All that one simulated server does, in one record."""

from __future__ import annotations

import dataclasses
from typing import Literal

from rsr.simulation.faults import Window
from rsr.simulation.model import Model
from rsr.simulation.slots import Speed


@dataclasses.dataclass
class Behaviour:
    """What a simulated server does."""

    model: Model = dataclasses.field(default_factory=Model)
    speed: Speed = dataclasses.field(default_factory=Speed)
    models: list[str] = dataclasses.field(default_factory=lambda: ["simulated"])
    """Listed on /v1/models; requests for others are 404. Empty: no list (404), and any model is served."""
    reply_model: str | None = None
    """The model that replies name instead of the one asked for."""
    api_key: str | None = None
    """Requests with another one are 401. None: any will do."""
    script: list[str] = dataclasses.field(default_factory=list)
    """Faults of the first requests of every prompt, where its text has no script of its own."""
    faults: str = ""
    """Faults by chance: see `rsr.simulation.faults`."""
    storm: Window | None = None
    outage: Window | None = None
    keeps_generating: bool = False
    """A client that leaves does not stop the generation."""
    llamacpp: bool = False
    """Looks like llama.cpp's server: only streams stop when the client leaves; usage counts choice 0 only."""
    choices: Literal["ok", "unsupported", "silent", "equal", "fewer", "more", "capped"] = "ok"
    """What n > 1 brings: unsupported (400), silent (400 that does not say why), equal (all choices alike), fewer (one),
    more, capped (400 above 8)."""
    refuses: list[str] = dataclasses.field(default_factory=list)
    """Parameters that get a 400."""
    reasoning: str | None = None
    """The field that carries reasoning: reasoning_content, reasoning, thinking. None: no reasoning."""
    context: int = 0
    """Prompts of more words are refused. 0: no limit."""
    tokens_per_event: int = 4
    """How many tokens an event of a streamed reply holds."""
    keepalive: float = 75.0
    """Seconds after which an idle connection is closed."""
    remembers: bool = False
    """GET /stats shows the last request: parameters, headers and messages."""
