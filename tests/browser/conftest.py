"""Every test here is a coroutine on the session's one loop, as the browser is, and is marked `browser`."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_asyncio import is_async_test

HERE = Path(__file__).parent

# Its comparisons fail with what differs, as those of the tests do.
pytest.register_assert_rewrite("tests.browser.chat_page")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Called with all tests of the run, not only with those below this directory.
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if is_async_test(item):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
