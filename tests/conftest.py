"""What every test stands on: an environment of the tests' own, made before Django reads it, and the real parts."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.parts import forked

# Before anything imports the settings: no developer's data, key or server may take part in a test.
DATA_DIR = Path(tempfile.mkdtemp(prefix="glassbox-tests-"))
# Not a pytest hook: none is called where the run ends before it has begun.
atexit.register(shutil.rmtree, DATA_DIR, ignore_errors=True)
_KEPT = {"CHROMIUM", "CI", "HOME", "LANG", "LC_ALL", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV"}
_KEPT_PREFIXES = ("COVERAGE", "HYPOTHESIS", "LD_", "PLAYWRIGHT", "PYTEST", "PYTHON", "SSL_CERT")
for _name in list(os.environ):
    if _name not in _KEPT and not _name.startswith(_KEPT_PREFIXES):
        del os.environ[_name]
os.environ["DJANGO_SETTINGS_MODULE"] = "reasoning_site.settings"
os.environ["DATA_DIR"] = str(DATA_DIR)
os.environ["MODEL"] = "demo"
# Of tests that a test runs once more, on a server that it has started: see `tests/site/test_lists_on_postgresql.py`.
if "PYTEST_DATABASE_URL" in os.environ:
    os.environ["DATABASE_URL"] = os.environ["PYTEST_DATABASE_URL"]

pytest_plugins = [
    "tests.parts.small_model",
    "tests.parts.redis_server",
    "tests.parts.sentinel",
    "tests.parts.tls",
    "tests.parts.postgres_server",
    "tests.parts.model_server",
    "tests.parts.site_process",
    "tests.parts.stack",
    "tests.parts.browser",
    "tests.parts.checkout",
    "tests.parts.collector",
]


def pytest_configure() -> None:
    from django.conf import settings

    forked.use()
    (DATA_DIR / "static").mkdir(exist_ok=True)
    # In the tests' own process nobody runs collectstatic, and nobody needs a slow password hash; the site's processes,
    # which the tests start, have both as they are deployed.
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # A file, as in production: in memory all threads would share one connection's cache and its locks.
    # Tests change how long a connection waits: those that were open before would not hear of it.
    settings.DATABASES["default"]["CONN_MAX_AGE"] = 0
    # All of Django's own keys: of two runs beside each other it looks at them before it has filled them in.
    settings.DATABASES["default"]["TEST"] = {
        "NAME": None if settings.HAS_WORKERS else str(DATA_DIR / "in_process.sqlite3"),
        "CHARSET": None,
        "COLLATION": None,
        "MIGRATE": True,
        "MIRROR": None,
    }


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones first, else in their order: what is begun last, all wait for."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test has logged may hold what no encoding takes, and is sent from one process of the run to another."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report
