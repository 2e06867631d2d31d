"""From the setting `MODEL` to a chat model: which one, and a sentence that helps where there is none."""

from __future__ import annotations

import subprocess
import sys

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI

from agents.demo import DemoChatModel
from agents.llm import chat_model
from agents.model_choice import DEFAULT_ANTHROPIC, DEFAULT_OPENAI, ModelError, default_spec
from agents.openai_compatible import OpenAICompatibleChat


@pytest.mark.parametrize(
    ("environ", "spec"),
    [
        ({}, "demo"),
        ({"OPENAI_API_KEY": "", "OLLAMA_HOST": " "}, "demo"),
        ({"OPENAI_API_KEY": "k"}, DEFAULT_OPENAI),
        ({"ANTHROPIC_API_KEY": "k"}, DEFAULT_ANTHROPIC),
        ({"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"}, DEFAULT_OPENAI),
        ({"OPENAI_BASE_URL": "http://localhost:8080/v1"}, "openai:auto"),
        ({"OPENAI_BASE_URL": "http://localhost:8080/v1", "OPENAI_API_KEY": "k"}, "openai:auto"),
        ({"OPENAI_BASE_URL": "https://api.openai.com/v1", "OPENAI_API_KEY": "k"}, DEFAULT_OPENAI),
        ({"OPENAI_BASE_URL": "https://api.openai.com/v1"}, "demo"),
        ({"OLLAMA_HOST": "127.0.0.1:11434"}, "ollama:auto"),
    ],
)
def test_without_a_choice_the_environment_chooses(environ: dict[str, str], spec: str) -> None:
    assert default_spec(environ) == spec


def test_a_model_is_itself() -> None:
    model = DemoChatModel()
    assert chat_model(model) is model


def test_the_demo_needs_nothing() -> None:
    assert isinstance(chat_model("demo"), DemoChatModel)
    assert chat_model("demo", demo_delay=0) == DemoChatModel(delay=0)


def test_openai_itself_and_compatible_servers_are_told_apart() -> None:
    own = chat_model("openai:gpt-5.5", openai_api_key="k")
    assert isinstance(own, ChatOpenAI)
    assert own.stream_usage is True
    assert isinstance(
        chat_model("openai:gpt-5.5", openai_api_key="k", openai_base_url="https://api.openai.com/v1"), ChatOpenAI
    )
    assert isinstance(chat_model("openai:m", openai_base_url="http://localhost:1/v1"), OpenAICompatibleChat)


def test_anthropic_shows_its_thoughts_where_the_model_can() -> None:
    model = chat_model(DEFAULT_ANTHROPIC, anthropic_api_key="k")
    assert isinstance(model, ChatAnthropic)
    assert model.output_version == "v1"
    assert model.thinking == {"type": "adaptive", "display": "summarized"}
    older = chat_model("anthropic:claude-sonnet-4-5", anthropic_api_key="k")
    assert isinstance(older, ChatAnthropic)
    assert older.thinking is None


@pytest.mark.parametrize(
    ("spec", "advice"),
    [
        ("openai:gpt-5.5", "set OPENAI_API_KEY"),
        ("anthropic:claude-sonnet-5-5", "set ANTHROPIC_API_KEY"),
        ("gpt-5.5", "Write MODEL as provider:model"),
        ("openai:", "Write MODEL as provider:model"),
        (":x", "Write MODEL as provider:model"),
        ("", "Write MODEL as provider:model"),
        ("nonsense:x", "Write it as provider:model, for example openai:"),
        ("groq:llama", "a package that is not installed"),
    ],
)
def test_what_cannot_be_used_says_what_to_do(spec: str, advice: str) -> None:
    with pytest.raises(ModelError, match=advice):
        chat_model(spec)


def test_no_provider_is_imported_before_it_is_used() -> None:
    """They take seconds and tens of megabytes: a process that never asks a model should not pay."""
    code = (
        "import sys; from agents.llm import chat_model; import agents.registry; chat_model('demo');"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'openai', 'anthropic', 'ollama', 'langchain_openai',"
        "'langchain_anthropic', 'langchain_ollama'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
