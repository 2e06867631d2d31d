"""The tools that write into the ledger, in a worker. Where they are told to hold, they wait at the gatekeeper of the chaos."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from langchain_core.tools import tool

from tests.chaos import gatekeeper
from tests.chaos.ledger import write


@tool
async def ledger(mark: str, before: str = "", after: str = "") -> str:
    """Write a mark into the ledger, once."""
    return await _write("ledger", mark, before=before, after=after)


@tool
async def glance(mark: str, before: str = "", after: str = "") -> str:
    """Look; it is written down that somebody looked."""
    return await _write("glance", mark, before=before, after=after)


async def _write(name: str, mark: str, *, before: str, after: str) -> str:
    """`before` and `after` name gates, to be passed before and after the effect."""
    if before:
        await gatekeeper.knock(int(os.environ["GATEKEEPER"]), before)
    # In a thread, as a tool with a real effect would; a line that is begun is also ended.
    await asyncio.to_thread(write, Path(os.environ["LEDGER"]), tool=name, mark=mark)
    if after:
        await gatekeeper.knock(int(os.environ["GATEKEEPER"]), after)
    return mark
