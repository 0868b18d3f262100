"""A judge for tests: chat completions whose reply a function gives, and the endpoints of reward models."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rsr.types import Message
from rsr.verifiers.check import Check

QUESTION: list[Message] = [{"role": "user", "content": "Which is right?\n\nA: X\nB: Y"}]
FENCE = re.compile(r"<<<(\w+) (\w+)\n(.*?)\n\1 \2>>>", re.DOTALL)


class Reply:
    """What a request gets.

    Args:
        content: of the message; or the whole body where it is no text.
        status: of HTTP.
        finish: the finish reason.
        wait: seconds.
    """

    def __init__(self, content: Any, status: int = 200, finish: str = "stop", wait: float = 0.0) -> None:
        self.content, self.status, self.finish, self.wait = content, status, finish, wait

    def body(self, model: str) -> bytes:
        if not isinstance(self.content, str):
            return json.dumps(self.content).encode()
        choice = {"index": 0, "finish_reason": self.finish, "message": {"role": "assistant", "content": self.content}}
        usage = {"prompt_tokens": 100, "completion_tokens": 5}
        return json.dumps({"model": model, "choices": [choice], "usage": usage}).encode()


class JudgeServer:
    """What the server knows; `requests` are paths with their payloads, in their order."""

    def __init__(self, answer: Callable[[str, dict[str, Any]], Reply | str], models: list[str] | None) -> None:
        self.answer = answer
        self.models = models
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.key: str | None = None
        self.in_flight = self.most = 0
        self.lock = threading.Lock()
        self.base_url = ""

    @property
    def prompts(self) -> list[str]:
        return [payload["messages"][0]["content"] for _, payload in self.requests if "messages" in payload]


@contextlib.contextmanager
def judge_server(
    answer: Callable[[str, dict[str, Any]], Reply | str], models: list[str] | None = None, port: int = 0
) -> Iterator[JudgeServer]:
    """A running server; `answer(path, payload)` gives each reply."""
    server = JudgeServer(answer, ["judge"] if models is None else models)

    connections: set[socket.socket] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            connections.add(self.request)
            super().setup()

        def do_GET(self) -> None:
            self.send({"data": [{"id": name} for name in server.models or []]}, 200 if server.models else 404)

        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                server.requests.append((self.path, payload))
                server.in_flight += 1
                server.most = max(server.most, server.in_flight)
            try:
                reply = server.answer(self.path, payload)
                reply = reply if isinstance(reply, Reply) else Reply(reply)
                time.sleep(reply.wait)
            finally:
                with server.lock:
                    server.in_flight -= 1
            self.raw(reply.body(str(payload.get("model"))), reply.status)

        def send(self, value: Any, status: int) -> None:
            self.raw(json.dumps(value).encode(), status)

        def raw(self, body: bytes, status: int) -> None:
            if server.key is not None and self.headers.get("Authorization") != f"Bearer {server.key}":
                body, status = b'{"error": {"message": "Incorrect API key provided"}}', 401
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    http = Quiet(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.base_url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        for connection in connections:  # those that are kept would be served on
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join()


def fields(prompt: str) -> dict[str, str]:
    """What stands in the fences of a judge's prompt, by label."""
    found = {match[1]: match[3] for match in FENCE.finditer(prompt)}
    return {label: "\n".join(line.removeprefix("| ") for line in text.split("\n")) for label, text in found.items()}


def by_letter(path: str, payload: dict[str, Any]) -> str:
    """An honest judge of "The answer is X.": compares the last letter with the reference."""
    shown = fields(payload["messages"][0]["content"])
    said = re.findall(r"answer is ([A-Z])", shown["RESPONSE"])
    verdict = "no_answer" if not said else "correct" if said[-1] == shown["REFERENCE"] else "incorrect"
    return f'It says {said}.\n{{"verdict": "{verdict}"}}'


def always(reply: Reply | str) -> Callable[[str, dict[str, Any]], Reply | str]:
    """One reply to every request."""
    return lambda path, payload: reply


def in_turn(*replies: Reply | str) -> Callable[[str, dict[str, Any]], Reply | str]:
    """One reply after the other."""
    rest = iter(replies)
    return lambda path, payload: next(rest)


def judge(server: JudgeServer, **params: Any) -> Check:
    """A verifier that asks this server: `llm-as-judge` where `type` names no other."""
    given = {"model": "judge", "base_url": server.base_url, "max_retries": 1, **params}
    return Check(given.pop("type", "llm-as-judge"), given)
