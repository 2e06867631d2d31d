"""A forked process is the same as one that was started: all but the libraries is its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.parts import forked
from tests.parts.family import wait_until_gone
from tests.parts.forked import Forked

Begin = Callable[..., Forked]

TELL = """
import json, os, sys
print(json.dumps({
    "name": __name__, "argv": sys.argv, "path": sys.path[0], "env": dict(os.environ), "cwd": os.getcwd(),
    "group": os.getpgrp() == os.getpid(), "libraries": "langchain.agents" in sys.modules,
    "own": [name for name in sys.modules if name.split(".")[0] in ("chat", "agents", "reasoning_site")],
    "input": sys.stdin.read(), "random": os.urandom(4).hex(),
}))
"""
ENDING = """
import atexit, sys, threading, time
atexit.register(print, "at exit")
threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
print("main")
sys.exit(3)
"""


@pytest.fixture
def begin(tmp_path: Path) -> Begin:
    def make(source: str, *words: str, **env: str) -> Forked:
        file = tmp_path / "program.py"
        file.write_text(source)
        out, err = tmp_path / "out", tmp_path / "err"
        return Forked([str(file), *words], env=env, cwd=tmp_path, stdout=out, stderr=err)

    return make


def test_it_begins_as_a_started_one_does(begin: Begin, tmp_path: Path) -> None:
    """Its file is the main program; arguments, environment, folder, input and process group are its own."""
    assert begin(TELL, "a", "b c", ONLY="this").wait(20) == 0
    told: dict[str, Any] = json.loads((tmp_path / "out").read_text())
    program = str(tmp_path / "program.py")
    started = subprocess.run(
        [sys.executable, program, "a", "b c"],
        env={"ONLY": "this"},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    expected = {**json.loads(started.stdout), "group": True, "libraries": True, "random": told["random"]}
    # What a C locale makes of an interpreter's environment.
    expected["env"].pop("LC_CTYPE", None)
    assert told == expected
    assert (told["name"], told["own"]) == ("__main__", [])


def test_it_ends_as_a_started_one_does(begin: Begin, tmp_path: Path) -> None:
    """Threads are waited for, what is registered is called, the code is handed on, output is not lost."""
    process = begin(ENDING)
    assert process.wait(20) == process.poll() == 3
    assert (tmp_path / "out").read_text() == "main\nthread\nat exit\n"


@pytest.mark.parametrize("unbuffered", [False, True])
def test_what_it_wrote_before_it_was_killed_is_there_where_nothing_is_buffered(
    begin: Begin, tmp_path: Path, *, unbuffered: bool
) -> None:
    source = "import os, sys\nprint('said', end='')\nos.kill(os.getpid(), 9)"
    env = {"PYTHONUNBUFFERED": "1"} if unbuffered else {}
    assert begin(source, **env).wait(20) == -signal.SIGKILL
    assert (tmp_path / "out").read_text() == ("said" if unbuffered else "")


def test_an_error_is_a_traceback_and_a_code(begin: Begin, tmp_path: Path) -> None:
    assert begin("raise ValueError('no such luck')").wait(20) == 1
    assert "ValueError: no such luck" in (tmp_path / "err").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it(begin: Begin, number: signal.Signals) -> None:
    process = begin("import time; time.sleep(60)")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(20) == process.returncode == -number
    # Its number may be somebody else's by now.
    process.kill()


def test_ctrl_c_interrupts_it(begin: Begin, tmp_path: Path) -> None:
    process = begin(
        "import time\ntry: print(1, flush=True); time.sleep(60)\nexcept KeyboardInterrupt: print('stopped')"
    )
    while "1" not in (tmp_path / "out").read_text():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert (tmp_path / "out").read_text() == "1\nstopped\n"


def test_a_command_is_run_and_its_output_returned(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text("import sys; print(sys.argv[1]); print('bad', file=sys.stderr); sys.exit(4)")
    done = forked.run([str(file), "good"], env={}, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (4, "good\n", "bad\n")


@pytest.mark.parametrize(("ends", "paused"), [("killed", False), ("by itself", True)])
def test_it_dies_with_a_test_run(tmp_path: Path, *, ends: str, paused: bool) -> None:
    (tmp_path / "program.py").write_text("import time; print(1, flush=True); time.sleep(600)")
    run = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from tests.parts import forked\n"
        "forked.use()\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "process = forked.Forked([str(folder / 'program.py')], env={}, cwd=folder, stdout=folder / 'out')\n"
        "while not (folder / 'out').read_text(): time.sleep(0.01)\n"
        f"{'process.send_signal(19)' if paused else ''}\n"
        "print(process.pid, flush=True)\n"
        f"{'time.sleep(600)' if ends == 'killed' else ''}\n"
    )
    with subprocess.Popen([sys.executable, "-c", run], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        if ends == "killed":
            os.kill(pid, 0)
            process.kill()
        assert process.wait(20) == (-signal.SIGKILL if ends == "killed" else 0)
    wait_until_gone([pid])
