"""Thinking: agents, their models and tools. Knows LangChain; knows no database row, no socket."""
