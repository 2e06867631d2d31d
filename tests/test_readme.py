"""The README tells the truth: its commands run, its examples work, its lists are complete, its links lead somewhere.

One file for one file: what is read in the README and what is tried of it stand side by side.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import httpx
import pytest
from django.core.management import get_commands

from agents.model_choice import DEFAULT_ANTHROPIC, DEFAULT_OPENAI
from chat import protocol
from chat.protocol import Close
from scripts.node import with_node
from tests.parts.checkout import Make, send_form
from tests.parts.child import Child
from tests.parts.site_process import PASSWORD, TOP, NewSite

README = (TOP / "README.md").read_text()
MAX_PICTURE_BYTES = 300_000
FENCE = r"^```{}\n(.*?)^```$"


def fenced(language: str, text: str = README) -> list[str]:
    return re.findall(FENCE.format(language), text, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    found = re.search(rf"^#+ {re.escape(title)}$(.*?)(?=^#|\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"no section “{title}”"
    return found[1]


def first_cells(text: str) -> list[str]:
    """What stands in the first column of the tables, their headings left out."""
    rows = re.sub(r"^\|.*\n\|-.*$", "", text, flags=re.MULTILINE)
    return re.findall(r"^\|\s*(.*?)\s*\|", rows, re.MULTILINE)


# --- make run, as somebody who cloned the tree has it ------------------------------------------------------------------


def test_make_run_leads_to_the_first_admin_and_a_second_start_to_the_sign_in(copy: Path, tmp_path: Path) -> None:
    assert fenced("sh")[0] == "make run\n"
    first = Make("run", copy, tmp_path / "first")
    try:
        link = first.wait_until_it_says(r"^  (http://\S+/accounts/first-admin/\S+)$")
        address = first.wait_until_it_says(r"^Glassbox is at (\S+)/ ")
        assert address == f"http://127.0.0.1:{first.port}"
        with httpx.Client(base_url=address, trust_env=False, timeout=20, follow_redirects=True) as client:
            page = send_form(client, link, username="ada", password1=PASSWORD, password2=PASSWORD)
            assert page.status_code == 200
            assert "Watch an agent think" in page.text
        first.interrupt()
        assert "Stopped." in first.output
    finally:
        first.close()
    assert {path.name for path in (copy / "var").iterdir()} >= {"glassbox.sqlite3", "secret_key", "static"}

    second = Make("run", copy, tmp_path / "second")
    try:
        address = second.wait_until_it_says(r"^Glassbox is at (\S+)/ ")
        with httpx.Client(base_url=address, trust_env=False, timeout=20, follow_redirects=True) as client:
            page = send_form(client, "/accounts/login/", username="ada", password=PASSWORD)
            assert page.status_code == 200
            assert "Watch an agent think" in page.text
            script = re.search(r'<script type="module" src="([^"]+)"', page.text)
            assert script
            assert client.get(script[1]).status_code == 200
        second.interrupt()
        assert "first-admin" not in second.output
        assert "Installing" not in second.output
    finally:
        second.close()


class TestDotEnv:
    """`make run` reads `.env`, and what is set before holds against it."""

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        """The Makefile alone, and a `.venv` whose Python tells its environment."""
        shutil.copy(TOP / "Makefile", tmp_path)
        (tmp_path / "requirements.txt").touch()
        (tmp_path / ".venv" / "bin").mkdir(parents=True)
        python = tmp_path / ".venv" / "bin" / "python"
        python.write_text('#!/bin/sh\necho "$*"\nenv\n')
        python.chmod(0o755)
        (tmp_path / ".venv" / "requirements.stamp").touch()
        return tmp_path

    def run(self, tree: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "run", *words],
            cwd=tree,
            env={"PATH": os.environ["PATH"], **env},
            capture_output=True,
            text=True,
        )

    def environment(self, tree: Path, *words: str, **env: str) -> Mapping[str, str]:
        done = self.run(tree, *words, **env)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0] == "manage.py serve"
        return dict(line.split("=", 1) for line in lines[1:] if "=" in line)

    def test_it_is_read(self, tree: Path) -> None:
        (tree / ".env").write_text("# A comment.\nPORT=9001\nMODEL='openai:a model, $HOME and \"quotes\"'\n")
        environment = self.environment(tree)
        assert environment["PORT"] == "9001"
        assert environment["MODEL"] == 'openai:a model, $HOME and "quotes"'

    def test_what_is_set_before_holds_against_it(self, tree: Path) -> None:
        (tree / ".env").write_text("PORT=9001\nMODEL=demo\nSIGN_UP=1\n")
        awkward = "two\nlines, 'quotes' and $HOME"
        environment = self.environment(tree, PORT="9000", MODEL="", OTHER=awkward)
        assert (environment["PORT"], environment["MODEL"], environment["SIGN_UP"]) == ("9000", "", "1")
        assert environment["OTHER"] == awkward.splitlines()[0]
        assert self.environment(tree, "PORT=9002")["PORT"] == "9002"

    def test_without_it_nothing_is_set(self, tree: Path) -> None:
        assert not {"PORT", "MODEL"} & set(self.environment(tree))

    def test_one_that_no_shell_can_read_stops_the_start(self, tree: Path) -> None:
        (tree / ".env").write_text("MODEL=a model\nPORT=9001\n")
        done = self.run(tree)
        assert done.returncode != 0
        assert "manage.py serve" not in done.stdout
        assert "model" in done.stderr

    def test_the_example_file_can_be_copied_as_it_is(self, tree: Path) -> None:
        shutil.copy(TOP / ".env.example", tree / ".env")
        assert "PORT" not in self.environment(tree)


def test_the_settings_of_a_deployment_are_clean(copy: Path, tmp_path: Path) -> None:
    (settings,) = fenced("ini", section("Deploy"))
    data_dir = f"DATA_DIR='{tmp_path / 'data'}'"
    (copy / ".env").write_text(re.sub(r"^DATA_DIR=.*$", data_dir, settings, flags=re.MULTILINE))
    (command,) = (block for block in fenced("sh", section("Deploy")) if "check --deploy" in block)
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(["sh", "-ec", command], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_every_command_exists() -> None:
    known = set(re.findall(r"^#([A-Z_]+)=", (TOP / ".env.example").read_text(), re.MULTILINE))
    for line in "\n".join(fenced("sh") + fenced("ini")).splitlines():
        assert set(re.findall(r"(?<!\S)([A-Z_]+)=", line)) <= known, line
        for command in re.findall(r"manage\.py (\w+)", line):
            assert command in get_commands(), line
    targets = set(re.findall(r"^([a-z-]+):.*## ", (TOP / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)(?:[A-Z_]+=\S+ )*make ([a-z-]+)(?=`|$)", README, re.MULTILINE)) == targets
    assert {cell.removeprefix("`make ").rstrip("`") for cell in first_cells(section("Start"))} == targets


# --- examples ---------------------------------------------------------------------------------------------------------

ASK_THE_NEW_AGENT = """
import asyncio
import django
django.setup()
from agents.registry import build
from tests.agents.conversation import converse, results
from tests.parts.scripted_model import Call, ScriptedModel

model = ScriptedModel([Call("roll_dice", {"sides": 6}), Call("roll_dice", {"sides": 1})], ["So be it."])
said = asyncio.run(converse(build("croupier", model=model, max_iterations=3), "Who begins?"))
print("\\n".join(sorted(f"{result.status}: {result.text}" for result in results(said))))
"""


def test_a_tool_and_an_agent_are_added_as_it_says(copy: Path) -> None:
    added = new_files(copy)
    assert added == {"croupier/dice.py", "croupier/__init__.py"}
    (command,) = fenced("sh", section("Add a tool and an agent"))
    variable, _, command = command.partition(" ")
    assert command == "make run\n"
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "reasoning_site.settings",
        **dict([variable.split("=")]),
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK_THE_NEW_AGENT], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"error: A die has 2 to 1000 sides\.\nsuccess: [1-6]\n", done.stdout), done.stdout
    for words in (["check"], ["format", "--check"]):
        linted = subprocess.run(
            [sys.executable, "-m", "ruff", *words, *added], cwd=copy, env=environment, capture_output=True, text=True
        )
        assert linted.returncode == 0, linted.stdout


def new_files(tree: Path) -> set[str]:
    """Do in the tree what the section says: each Python block is the new file that was named before it."""
    step = re.compile(rf"`(croupier/[\w/]+\.py)`|{FENCE.format('python')}", re.MULTILINE | re.DOTALL)
    path = ""
    added = set()
    for named, block in step.findall(section("Add a tool and an agent")):
        if named:
            path = named
            continue
        added.add(path)
        (tree / path).parent.mkdir(exist_ok=True)
        (tree / path).write_text(block)
    return added


# A page would send these by itself.
SIGNED_IN = """
const Plain = globalThis.WebSocket;
const headers = { cookie: process.env.COOKIE, origin: process.env.ORIGIN };
globalThis.WebSocket = class extends Plain {
  constructor(url) {
    super(url, { headers });
  }
};
"""


class TestEmbedding:
    @pytest.fixture
    def script(self) -> str:
        (page,) = fenced("html")
        found = re.search(r'<script type="module">\n(.*)</script>', page, re.DOTALL)
        assert found
        return found[1]

    def test_it_uses_what_the_client_has(self, script: str) -> None:
        client = (TOP / "static" / "chat" / "socket.js").read_text()
        own_events = re.search(r"const OWN_EVENTS = new Set\((.*?)\)", client)
        defaults = re.search(r"const DEFAULTS = \{(.*?)\n\};", client, re.DOTALL)
        options = re.search(r"new ChatSocket\(url, \{(.*?)\}\)", script)
        assert own_events
        assert defaults
        assert options
        events = set(re.findall(r'\.on\("(\w+)"', script))
        assert events <= frames() | set(re.findall(r'"(\w+)"', own_events[1]))
        assert set(re.findall(r"(\w+):", options[1])) <= set(re.findall(r"^  (\w+):", defaults[1], re.MULTILINE))
        for method in re.findall(r"\b(?:socket)\.(\w+)\(", script):
            assert re.search(rf"^  {method}\(", client, re.MULTILINE), method

    def test_it_runs(self, script: str, new_site: NewSite, tmp_path: Path) -> None:
        site = new_site(MODEL="demo", DEMO_TOKEN_SECONDS="0")
        client = TOP / "static" / "chat" / "socket.js"
        address = re.search(r'from "http://127\.0\.0\.1:8000(/\S+)"', script)
        assert address
        served = httpx.get(site.origin + address[1], trust_env=False)
        assert served.text == client.read_text()
        assert served.headers["Access-Control-Allow-Origin"] == "*"

        script = script.replace(address[0], f'from "{client.as_uri()}"')
        script = script.replace("ws://127.0.0.1:8000", site.origin.replace("http", "ws"))
        (tmp_path / "signed-in.mjs").write_text(SIGNED_IN)
        (tmp_path / "example.mjs").write_text(script)
        environment = with_node(os.environ)
        words = ["node", "--experimental-websocket", "--import", "./signed-in.mjs", "example.mjs"]
        signed_in = {"COOKIE": site.cookie(site.new_user()), "ORIGIN": site.origin}
        node = Child(
            words, log=tmp_path / "log", env={"PATH": environment["PATH"], "NO_COLOR": "1", **signed_in}, cwd=tmp_path
        )
        try:
            node.wait_until(lambda: "ended completed" in node.output(), timeout=30)
        finally:
            if node.running:
                node.kill()
        said = [line.split(" ")[0] for line in node.output().splitlines() if line]
        steps = [word for word in said if word in ("thought", "tool_use", "tool_result", "final_answer", "error")]
        assert steps == ["thought", "thought", "tool_use", "tool_result", "thought", "final_answer"]
        assert "final_answer `6 * 7` = **42**" in node.output()


# --- lists ------------------------------------------------------------------------------------------------------------


def frames() -> set[str]:
    """The types of all frames to the client."""
    return set(re.findall(r'\bencode\(\s*"(\w+)"', (TOP / "chat" / "protocol.py").read_text()))


def commands() -> set[str]:
    return {get_args(command.model_fields["type"].annotation)[0] for command in get_args(protocol.Command)}


def test_every_frame_is_listed_and_those_of_the_first_table_are_bold() -> None:
    cells = first_cells(section("Frames"))
    assert sorted(cell.strip("*`") for cell in cells) == sorted(commands() | frames())
    first_table = re.search(r"knows only (.*?) needs", protocol.__doc__ or "", re.DOTALL)
    assert first_table
    assert {cell.strip("*`") for cell in cells if "**" in cell} == set(re.findall(r"`(\w+)`", first_table[1]))


def test_every_close_code_is_listed() -> None:
    rows = re.findall(r"^\| (\d{4}) \| `(\w+)` \|", section("Close codes"), re.MULTILINE)
    assert {name: int(code) for code, name in rows} == {code.name: int(code) for code in Close}


def test_the_models_it_names_are_the_ones_that_are_taken() -> None:
    assert f"`{DEFAULT_OPENAI}`" in README
    assert f"`{DEFAULT_ANTHROPIC}`" in README


def test_every_place_in_the_tree_exists() -> None:
    places = list(tree_listing())
    assert len(places) > 20
    assert [place for place in places if not (TOP / place).exists()] == []
    mentioned = re.findall(r"`((?:agents|chat|reasoning_site|docs|scripts|static|templates|tests)/[\w./]+)`", README)
    assert {place for place in mentioned if not (TOP / place).exists()} == set()


def tree_listing() -> Iterator[str]:
    (listing,) = fenced("", section("Where things are"))
    folder = ""
    for line in listing.splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
            yield name
        else:
            yield folder + name


def test_every_link_leads_somewhere() -> None:
    linked = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r'\b(?:src|srcset)="([^"]+)"', section("Glassbox"))
    local = [link for link in linked if not link.startswith(("http://", "https://"))]
    assert len(local) > 10
    assert [link for link in local if not (TOP / link).exists()] == []
    pictures = [TOP / link for link in local if link.endswith(".png")]
    assert sorted(pictures) == sorted((TOP / "docs").glob("*.png"))
    assert all(picture.stat().st_size < MAX_PICTURE_BYTES for picture in pictures)
