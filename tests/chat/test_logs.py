"""The JSON log: it says which run and session a line is about, and quotes no user, model or tool."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from langchain_core.tools import tool

from agents.tools import TOOLS
from chat import events, log_context, logins
from reasoning_site.log_lines import FRAMES, About, JsonLines, anatomy
from tests.parts.in_process import InProcessSite
from tests.parts.scripted_model import Call, ScriptedModel, Think
from tests.parts.site_process import NewSite

CANARY = "kanarienvogel"


class Log:
    """Every line that was written since, whatever its level and logger."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def of(self, logger: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["logger"] == logger]


@pytest.fixture
def log() -> Iterator[Log]:
    """The handler of the settings with `LOG_FORMAT=json`, below which everything of everybody is logged."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    handler.addFilter(About())
    root = logging.getLogger()
    names = ["", *(name for name, one in root.manager.loggerDict.items() if isinstance(one, logging.Logger))]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield Log(stream)
    root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@tool
async def calculator(expression: str) -> str:
    """Fail in a way that nobody has thought of."""
    try:
        raise KeyError(f"the cause: {expression}")
    except KeyError as error:
        raise RuntimeError(f"the tool says {CANARY}: {expression}") from error


async def test_no_line_quotes_anybody(
    inside: InProcessSite, settings: Any, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a user, a model or a tool says is in no line, though tool, model and database fail with it in their errors."""
    monkeypatch.setitem(TOOLS, "calculator", replace(TOOLS["calculator"], module=__name__))
    record = events.record_steps
    failing = iter([OperationalError(f"failing row contains ({CANARY})")])

    def record_steps(*arguments: Any, **named: Any) -> Any:
        for error in failing:
            raise error
        return record(*arguments, **named)

    monkeypatch.setattr(events, "record_steps", record_steps)
    settings.MODEL = ScriptedModel(
        [
            Think(f"{CANARY} thinks"),
            f"{CANARY} says",
            Call("calculator", {"expression": CANARY}),
            Call(CANARY, {CANARY: 1}),
        ],
        [Call("current_time", {"zone": CANARY})],
        [RuntimeError(f"400: the prompt was {CANARY}")],
    )
    tab = await inside.tab(await inside.user())
    run_id = await tab.say(f"{CANARY} asks")
    await tab.until_ended(run_id)
    await tab.send_raw(f'{{"type": "{CANARY}"}}')
    await tab.send("chat", payload={"message": 1, CANARY: 2})
    await tab.until_current()
    shown = json.dumps(tab.frames)
    for piece in ("thinks", "says", "asks"):
        assert f"{CANARY} {piece}" in shown
    failed = {line["logger"] for line in log.lines if line["level"] in ("WARNING", "ERROR")}
    assert {"agents.middleware", "chat.driving"} <= failed
    assert CANARY not in log.text

    (tool_failed,) = log.of("agents.middleware")
    assert tool_failed["message"] == "The tool calculator failed"
    assert (tool_failed["run"], tool_failed["session"], tool_failed["attempt"]) == (run_id, "s-1", 1)
    assert tool_failed["exception"]["type"] == "builtins.RuntimeError"
    assert tool_failed["exception"]["after"]["type"] == "builtins.KeyError"
    last = tool_failed["exception"]["frames"][-1]
    assert (Path(last["file"]).name, last["function"]) == ("test_logs.py", "calculator")
    assert isinstance(last["line"], int)
    away, ended = log.of("chat.driving")
    assert away["message"].endswith("OperationalError")
    assert ended["run"] == run_id
    assert ended["exception"]["type"] == "builtins.RuntimeError"


async def test_a_line_of_a_socket_says_its_session(
    inside: InProcessSite, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sockets at once, and each line is about its own; the process is named."""
    user = await inside.user()
    tabs = [await inside.tab(user, name) for name in ("s-1", "s-2")]
    for tab in tabs:
        await tab.until_current()

    def away(*arguments: Any) -> Any:
        logging.getLogger("chat.anything").info("on a thread that works for it")
        raise OperationalError(CANARY)

    monkeypatch.setattr(logins, "user_of", away)
    for tab in tabs:
        seen = len(tab.frames)
        await tab.send("interrupt")
        await tab.until_frame("error", seen)
    for logger in ("chat.consumers", "chat.anything"):
        assert [line["session"] for line in log.of(logger)] == ["s-1", "s-2"]
        assert all("run" not in line for line in log.of(logger))
        assert {line["process"] for line in log.of(logger)} == {log_context.process()} != {""}


def test_a_library_s_message_is_its_template_or_nothing(log: Log) -> None:
    """Whatever a library fills in, before or after it hands it to the log, is left out; where it came from is told."""
    library = logging.getLogger("some.package")
    library.warning("Exception inside application: %s", CANARY)
    library.warning("%(what)s broke", {"what": CANARY})
    library.warning(f"The prompt {CANARY} was refused")
    library.warning(ValueError(CANARY))
    messages = [line["message"] for line in log.of("some.package")]
    assert messages[:2] == ["Exception inside application: %s", "%(what)s broke"]
    assert all(message.startswith("(withheld") for message in messages[2:])
    assert all(line["where"].startswith(f"{__file__}:") for line in log.of("some.package"))
    assert CANARY not in log.text


def test_ours_are_told_whole(log: Log) -> None:
    """A name that only begins like one of ours is a library's; a line is one line whatever is in it."""
    logging.getLogger("chat.runs").info("Run %s\nends\u2028%s", "r", "\ud800")
    logging.getLogger("chatter").info("Run %s", CANARY)
    assert [line["message"] for line in log.lines] == ["Run r\nends\u2028\ud800", "Run %s"]


def test_a_message_that_does_not_fit_its_words_is_told_without_them() -> None:
    """Logging itself would print what was to be filled in."""
    record = logging.makeLogRecord({"name": "chat.runs", "msg": "Run %d", "args": (CANARY,)})
    assert json.loads(JsonLines().format(record))["message"] == "Run %d"


def test_an_exception_is_told_with_those_behind_it() -> None:
    """Causes, groups and circles; of an endless recursion the innermost frames."""

    def recurse() -> None:
        recurse()

    first, second = ValueError(CANARY), TypeError(CANARY)
    first.__cause__, second.__cause__ = second, first
    group = ExceptionGroup(CANARY, [first, OSError(CANARY)])
    found = anatomy(group)
    assert [part["type"] for part in found["of"]] == ["builtins.ValueError", "builtins.OSError"]
    assert found["of"][0]["after"]["type"] == "builtins.TypeError"
    assert "after" not in found["of"][0]["after"]
    with pytest.raises(RecursionError) as caught:
        recurse()
    assert len(anatomy(caught.value)["frames"]) == FRAMES < sys.getrecursionlimit()
    assert CANARY not in json.dumps(found)


def test_a_line_for_people_says_what_it_is_about() -> None:
    formatter = logging.Formatter("{message}{about}", style="{")
    record = logging.makeLogRecord({"msg": "Something"})

    def line() -> str:
        About().filter(record)
        return formatter.format(record)

    assert line() == "Something"
    with log_context.about(session="s-1", run="0123456789abcdef", attempt=2):
        assert line() == "Something [session s-1, run 01234567, attempt 2]"
    assert line() == "Something"


def test_a_real_server_logs_as_it_is_told(new_site: NewSite) -> None:
    """With `LOG_FORMAT=json`, a database that is broken is one object a line."""
    site = new_site(LOG_FORMAT="json")
    (site.data_dir / "glassbox.sqlite3").write_bytes(b"no database")
    for path in site.data_dir.glob("glassbox.sqlite3-*"):
        path.unlink()
    with site.client() as client:
        assert client.get("/readyz").status_code == 503
        assert client.get("/accounts/login/").status_code in (200, 500)
    lines = [json.loads(line) for line in site.servers[0].output().splitlines() if line.startswith("{")]
    (line, *_) = [line for line in lines if line["logger"] == "reasoning_site.health"]
    assert line["level"] == "WARNING"
    others = [line for line in site.servers[0].output().splitlines() if not line.startswith("{")]
    assert not any("Traceback" in line for line in others)
