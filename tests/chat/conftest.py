"""The site inside this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from channels.layers import channel_layers

if TYPE_CHECKING:
    from tests.parts.in_process import InProcessSite


@pytest.fixture
async def inside(transactional_db: None) -> AsyncIterator[InProcessSite]:
    """The site inside this process, over a fresh database."""
    # Not at the top: it needs Django's models, and pytest reads this file before Django is set up.
    from tests.parts.in_process import InProcessSite

    channel_layers.backends.clear()
    site = InProcessSite()
    try:
        yield site
    finally:
        await site.close()
        channel_layers.backends.clear()
