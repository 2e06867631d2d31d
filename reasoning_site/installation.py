"""What must be on the disk before the site can serve: its directory, its tables, its static files."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import django
from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

Report = Callable[[str], None]


def prepare(report: Report) -> None:
    """Make what is missing and renew what is old; `report` gets one line for each thing done, none for the rest.

    Of several processes that start at once in one `DATA_DIR`, one does the work and the others wait for it. Where nothing is
    to be done, nothing is written: an image has its static files, and its file system may be read-only.
    """
    data_dir: Path = settings.DATA_DIR
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    # In this order: of several that begin with nothing, one alone is to make the database.
    if _static_files_are_collected() and _is_migrated():
        return
    with _alone(data_dir / "prepare.lock"):
        _migrate(report)
        collect_static_files(report)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        # Falls with the process, however it ends; a file that is only there or not would outlive a killed one.
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_migrated() -> bool:
    executor = MigrationExecutor(connection)
    return not executor.migration_plan(executor.loader.graph.leaf_nodes())


def _migrate(report: Report) -> None:
    if not _is_migrated():
        report("Bringing the database up to date …")
        call_command("migrate", interactive=False, verbosity=0)


def collect_static_files(report: Report) -> None:
    """Make those that are served, unless they are there. Whoever builds an image calls this; it needs no database."""
    if _static_files_are_collected():
        return
    report("Collecting the static files …")
    # What was collected before stays: pages that are open in a browser still ask for it, under its own hash.
    call_command("collectstatic", interactive=False, verbosity=0)
    _stamp().write_text(_static_files_digest())


def _static_files_are_collected() -> bool:
    # In debug mode the files are served from where they lie.
    if settings.DEBUG:
        return True
    is_collected = (settings.STATIC_ROOT / "staticfiles.json").exists() and _stamp().exists()
    return is_collected and _stamp().read_text() == _static_files_digest()


def _stamp() -> Path:
    data_dir: Path = settings.DATA_DIR
    return data_dir / "static.sha256"


def _static_files_digest() -> str:
    """Changes with any static file's name or content, and with what turns them into what is served."""
    storage = settings.STORAGES["staticfiles"]["BACKEND"]
    digest = hashlib.sha256(f"{storage} {django.__version__} {version('whitenoise')}".encode())
    for finder in get_finders():
        for path, files in finder.list(StaticFilesConfig.ignore_patterns):
            with files.open(path) as file:
                digest.update(f"\0{path}\0".encode() + hashlib.sha256(file.read()).digest())
    return digest.hexdigest()
