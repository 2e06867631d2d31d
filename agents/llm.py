"""The chat model: from the name in the settings to something that LangChain can talk to."""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel

from agents.model_choice import DEFAULT_ANTHROPIC, DEFAULT_OPENAI, DEMO, ModelError, is_openai

_EXAMPLES = f"for example {DEFAULT_OPENAI}, {DEFAULT_ANTHROPIC}, ollama:qwen3 or {DEMO}"


def chat_model(
    spec: str | BaseChatModel,
    *,
    openai_base_url: str = "",
    openai_api_key: str = "",
    anthropic_api_key: str = "",
    ollama_base_url: str = "",
    demo_delay: float | None = None,
) -> BaseChatModel:
    """The model of a spec: `demo`, or `provider:name` as LangChain's `init_chat_model` writes it; a model is itself.

    What is left empty the provider's own library reads from where it usually does (`OPENAI_API_KEY` and the like).
    `demo_delay` is the seconds between the demo's words. Raises ModelError, which says what to do. A model belongs to
    the event loop that first uses it.
    """
    if isinstance(spec, BaseChatModel):
        return spec
    spec = spec.strip()
    if spec == DEMO:
        # Every import of a provider stands where it is used: each costs up to seconds and tens of megabytes.
        from agents.demo import DemoChatModel

        return DemoChatModel() if demo_delay is None else DemoChatModel(delay=demo_delay)
    provider, _, name = spec.partition(":")
    if not provider or not name:
        raise ModelError(f"“{spec}” names no model. Write MODEL as provider:model, {_EXAMPLES}.")
    match provider:
        case "openai":
            return _openai(name, base_url=openai_base_url, api_key=openai_api_key)
        case "anthropic":
            return _anthropic(name, api_key=anthropic_api_key)
        case "ollama":
            from agents.ollama import ollama_chat

            return ollama_chat(name, base_url=ollama_base_url)
        case _:
            return _other(provider, spec)


def _openai(name: str, *, base_url: str, api_key: str) -> BaseChatModel:
    if base_url and not is_openai(base_url):
        from agents.openai_compatible import openai_compatible

        return openai_compatible(name, base_url=base_url, api_key=api_key)
    from langchain_openai import ChatOpenAI
    from openai import OpenAIError
    from pydantic import SecretStr

    try:
        model = ChatOpenAI(
            model=name,
            api_key=SecretStr(api_key) if api_key else None,
            base_url=base_url or None,
            stream_usage=True,
        )
    except OpenAIError:
        model = None
    if model is None or model.openai_api_key is None:
        raise ModelError(
            "OpenAI needs a key: set OPENAI_API_KEY. For a server of your own set OPENAI_BASE_URL as well, "
            "or use MODEL=demo, which needs nothing."
        )
    return model


def _anthropic(name: str, *, api_key: str) -> BaseChatModel:
    from langchain_anthropic import ChatAnthropic
    from pydantic import SecretStr

    # Given as empty, a key would hide the one that the library finds by itself.
    key: dict[str, Any] = {"api_key": SecretStr(api_key)} if api_key else {}
    model = ChatAnthropic(model_name=name, output_version="v1", **key)
    if not model.anthropic_api_key.get_secret_value():
        raise ModelError("Anthropic needs a key: set ANTHROPIC_API_KEY, or use MODEL=demo, which needs nothing.")
    # These models think unasked and keep it to themselves unless told to sum it up. Those with the effort "xhigh" are
    # the ones that take this setting (LangChain goes by the same sign); others answer it with an error.
    if "xhigh" in ((model.profile or {}).get("reasoning_effort_levels") or []):
        model.thinking = {"type": "adaptive", "display": "summarized"}
    return model


def _other(provider: str, spec: str) -> BaseChatModel:
    from langchain.chat_models import init_chat_model

    try:
        return init_chat_model(spec)
    except ImportError as error:
        raise ModelError(f"The provider {provider} needs a package that is not installed. {error}") from error
    except Exception as error:
        # Each provider's library has errors of its own for an unknown provider, a missing key or a wrong name.
        raise ModelError(f"MODEL={spec} cannot be used: {error} Write it as provider:model, {_EXAMPLES}.") from error
