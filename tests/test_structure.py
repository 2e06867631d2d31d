"""The structure holds: who may import whom, where each thing has its one home, and what every file owes its reader.

Each rule is a function from a tree (paths and texts) to complaints. It is tried twice: on the project, which must give
none, and on planted sources, which must give one; so a rule that has stopped to see anything fails too. One file,
because a rule is read beside what it is tried on.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]
OURS = ("agents", "chat", "reasoning_site")
NOT_OURS = {"node_modules", "var", "vendor", "__pycache__"}

Tree = dict[str, str]

# Imports point down, or sideways on the same floor. A new module of chat's goes on a floor here.
FLOORS = [
    {"agents.steps"},
    {"agents"},
    {"chat.protocol"},
    {"chat.models"},
    {"chat.log_context", "chat.metrics", "chat.prices", "chat.tool_counts"},
    {"chat.frames", "chat.group", "chat.spans"},
    {
        "chat.access",
        "chat.database",
        "chat.drafts",
        "chat.drain",
        "chat.events",
        "chat.finding",
        "chat.limits",
        "chat.logins",
        "chat.search",
        "chat.traces",
        "chat.turns",
        "chat.upkeep",
    },
    {
        "chat.holds",
        "chat.looks",
        "chat.personal",
        "chat.processes",
        "chat.quotas",
        "chat.readings",
        "chat.rights",
        "chat.run_queue",
    },
    {"chat.deletion"},
    {"chat.leases"},
    {"chat.feed", "chat.marks", "chat.retention", "chat.runs", "chat.site_notices", "chat.statistics"},
    {"chat.driving", "chat.recovery", "chat.review", "chat.transcripts"},
    {
        "chat.comparison",
        "chat.erasure",
        "chat.keeper",
        "chat.left_runs",
        "chat.personal_export",
        "chat.prepared_agents",
        "chat.reach",
        "chat.sweeper",
    },
    {"chat.driver"},
    {"chat.remote", "chat.tasks", "chat.worker"},
    {"chat.operations", "chat.workload"},
    {"chat.admin_site", "chat.zip_answer"},
    {"chat.admin", "chat.entry", "chat.views"},
    {"chat.commands"},
    {"chat.consumers", "chat.watching"},
    {"chat.apps", "chat.migrations", "chat.routing", "chat.urls"},
    {"reasoning_site"},
]
# Beyond the floors: of all that lies below it, the wire knows only what an agent can say.
ONLY = {"chat.protocol": {"agents.steps"}}
LANGCHAIN = re.compile(r"(langchain\w*|langgraph|langsmith|openai|anthropic|ollama)(\.|$)")
SITE = re.compile(r"(django|channels|channels_redis|daphne)(\.|$)")


# --- reading ----------------------------------------------------------------------------------------------------------


def project() -> Tree:
    """Every text file of the project, vendored ones and what is made by tools left out."""
    tree = {}
    for folder, folders, files in os.walk(TOP):
        # Folders with a dot are the tools' own, but for the one with our continuous integration.
        folders[:] = [name for name in folders if name not in NOT_OURS and (name == ".ci" or not name.startswith("."))]
        for path in (Path(folder) / name for name in files):
            try:
                tree[path.relative_to(TOP).as_posix()] = path.read_text()
            except UnicodeDecodeError:
                continue
    return tree


def python(tree: Tree, *folders: str) -> Iterator[tuple[str, str, ast.Module]]:
    """Path, module name and syntax tree of the Python files, or of those below the folders."""
    for path, text in tree.items():
        if path.endswith(".py") and (not folders or path.split("/")[0] in folders):
            module = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
            yield path, module, ast.parse(text, path)


def imports(tree: Tree, module: str, syntax: ast.Module) -> Iterator[str]:
    """What a module imports, wherever in it. `from a import b` is `a.b` where that is a module of ours, else `a`."""
    for node in ast.walk(syntax):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                path = f"{node.module}.{alias.name}".replace(".", "/")
                is_module = f"{path}.py" in tree or f"{path}/__init__.py" in tree
                yield f"{node.module}.{alias.name}" if is_module else node.module


def floor_of(module: str) -> int | None:
    """The floor of the module, or of the package that stands for it."""
    while module:
        for number, modules in enumerate(FLOORS):
            if module in modules:
                return number
        module = module.rpartition(".")[0]
    return None


def code_of(script: str) -> str:
    """JavaScript without its comments."""
    return re.sub(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", "", script, flags=re.DOTALL)


# --- the rules --------------------------------------------------------------------------------------------------------


def imports_point_down(tree: Tree) -> Iterator[str]:
    graph: dict[str, set[str]] = {}
    for path, module, syntax in python(tree, *OURS):
        floor = floor_of(module)
        if floor is None and module != "chat":
            yield f"{path} has no floor; give it one in FLOORS"
        ours = graph[module] = {name for name in imports(tree, module, syntax) if name.split(".")[0] in OURS} - {module}
        for name in sorted(ours):
            below = floor_of(name)
            if floor is not None and below is not None and below > floor:
                yield f"{path} imports {name}, which is above it"
            if module in ONLY and name not in ONLY[module]:
                yield f"{path} imports {name}; of ours it may only import {ONLY[module]}"
    yield from (f"{' → '.join(circle)} is a circle" for circle in circles(graph))


def circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """One way around for each circle, found from its first module in the alphabet."""
    done: set[str] = set()

    def walk(module: str, way: list[str]) -> Iterator[list[str]]:
        if module in way:
            yield [*way[way.index(module) :], module]
        elif module not in done:
            for name in sorted(graph.get(module, ())):
                yield from walk(name, [*way, module])
            done.add(module)

    for module in sorted(graph):
        yield from walk(module, [])


def agents_know_no_site(tree: Tree) -> Iterator[str]:
    for path, module, syntax in python(tree, "agents"):
        yield from (f"{path} imports {name}" for name in imports(tree, module, syntax) if SITE.match(name))


def langchain_stays_in_agents(tree: Tree) -> Iterator[str]:
    for path, module, syntax in python(tree, "chat", "reasoning_site"):
        yield from (f"{path} imports {name}" for name in imports(tree, module, syntax) if LANGCHAIN.match(name))


def the_stream_is_read_in_one_file(tree: Tree) -> Iterator[str]:
    for path, _, syntax in python(tree, *OURS):
        for node in ast.walk(syntax):
            if (
                isinstance(node, ast.Attribute)
                and node.attr in ("astream", "astream_events")
                and path != "agents/stream.py"
            ):
                yield f"{path}:{node.lineno} reads LangChain's stream"


def the_environment_is_read_in_settings(tree: Tree) -> Iterator[str]:
    homes = ("reasoning_site/environment.py", "reasoning_site/settings.py")
    names = ("environ", "environb", "getenv")
    for path, _, syntax in python(tree, *OURS, "manage.py"):
        # Where Django is told which settings to read, nothing is read.
        told = [
            node.func.value
            for node in ast.walk(syntax)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setdefault"
        ]
        for node in ast.walk(syntax):
            if isinstance(node, ast.Attribute) and node.attr in names and node not in told and path not in homes:
                yield f"{path}:{node.lineno} reads the environment"


def tasks_are_kept(tree: Tree) -> Iterator[str]:
    for path, _, syntax in python(tree):
        groups = {
            item.optional_vars.id
            for node in ast.walk(syntax)
            if isinstance(node, ast.AsyncWith)
            for item in node.items
            if isinstance(item.optional_vars, ast.Name) and "TaskGroup" in ast.unparse(item.context_expr)
        }
        for node in ast.walk(syntax):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                *owner, called = ast.unparse(node.value.func).split(".")
                if called in ("create_task", "ensure_future") and ".".join(owner) not in groups:
                    yield f"{path}:{node.lineno} drops a task: keep it, or it may vanish, and its failure with it"


def long_files_say_why(tree: Tree) -> Iterator[str]:
    """Over 300 lines, the comment at the top gives the reason, in a sentence with the words "one file" or "module"."""
    for path, text in tree.items():
        if path.endswith((".py", ".js", ".mjs", ".css")) and text.count("\n") > 300:
            if path.endswith(".py"):
                head = ast.get_docstring(ast.parse(text)) or ""
            else:
                head = "".join(re.findall(r"\A/\*.*?\*/", text, re.DOTALL))
            if not re.search(r"\bone (small )?(file|module)\b", head, re.IGNORECASE):
                yield f'{path} has over 300 lines and does not say at its top why it is "one file"'


def modules_are_nouns_of_the_field(tree: Tree) -> Iterator[str]:
    vague = {"base", "common", "core", "helper", "helpers", "lib", "manager", "managers", "misc", "util", "utils"}
    for path in tree:
        if path.endswith((".py", ".js", ".mjs")) and vague & {part.split(".")[0] for part in path.split("/")}:
            yield f"{path}: the name does not say what is in it"


def the_reducer_is_pure(tree: Tree) -> Iterator[str]:
    impure = (
        r"\b(document|window|globalThis|WebSocket|fetch|localStorage|setTimeout|Date|performance|Math\.random|await)\b"
    )
    for found in re.finditer(impure, code_of(tree.get("static/chat/state.js", ""))):
        yield f"static/chat/state.js uses {found[0]}"


def the_socket_knows_nothing_of_chat(tree: Tree) -> Iterator[str]:
    code = code_of(tree.get("static/chat/socket.js", ""))
    for found in re.finditer(
        r"^\s*import\b.*|[\"'`](reasoning_\w+|response|quiet_step|interrupt\w*|accepted|chat)[\"'`]", code, re.MULTILINE
    ):
        yield f"static/chat/socket.js has {found[0].strip()}"


def html_is_made_in_one_place(tree: Tree) -> Iterator[str]:
    doors = r"\b(innerHTML|outerHTML|insertAdjacentHTML|srcdoc|createContextualFragment|document\.write|DOMParser)\b"
    for path, text in tree.items():
        if path.startswith("static/") and path.endswith(".js") and path != "static/chat/markdown.js":
            yield from (f"{path} uses {found[0]}" for found in re.finditer(doors, code_of(text)))


def nothing_names_a_machine(tree: Tree) -> Iterator[str]:
    """No home directory, no checkout's place and no private package index: it works anywhere or it does not work."""
    places = {str(TOP), str(Path.home())} - {"/", "/app", "/code", "/src", "/work", "/workspace", "/build"}
    homes = re.compile(
        rf"(?<![\w.~])/(?:home|Users)/[a-z]\w*|(?:{'|'.join(map(re.escape, sorted(places)))})(?=[/\s'\"]|$)"
    )
    for path, text in tree.items():
        yield from (f"{path} names {found[0]}" for found in homes.finditer(text))
        if path.startswith("requirements"):
            yield from (
                f"{path} names an index" for _ in re.finditer(r"--(extra-)?index-url|--find-links|https?://", text)
            )
        if path.endswith("package-lock.json"):
            for found in re.finditer(r'"resolved": "https?://([^/"]+)', text):
                if found[1] != "registry.npmjs.org":
                    yield f"{path} names {found[1]}"


def a_silenced_check_says_why(tree: Tree) -> Iterator[str]:
    """Behind it, on its line: who reads it later must be able to tell whether it still holds."""
    silenced = r"(#|//) (type: ignore\[[\w, -]+\]|noqa: [A-Z]+\d+(, [A-Z]+\d+)*|eslint-disable(-next)?-line [\w, -]+?)"
    for path, text in tree.items():
        if path.endswith((".py", ".js", ".mjs")):
            for found in re.finditer(rf"{silenced}(?=$| *#| *\(| -{{1,2}} )(?P<why>.*)$", text, flags=re.MULTILINE):
                if not re.search(r"\w", found["why"]):
                    yield f"{path} silences a check: {found[0]}"


# --- the rules, tried -------------------------------------------------------------------------------------------------

Rule = Callable[[Tree], Iterator[str]]

# For each rule, sources that break it, and each of them only once.
PLANTED: list[tuple[Rule, Tree]] = [
    (imports_point_down, {"chat/events.py": "from chat import runs", "chat/runs.py": ""}),
    (imports_point_down, {"chat/models.py": "def f():\n    import reasoning_site.settings"}),
    (imports_point_down, {"agents/llm.py": "from chat.models import Run"}),
    (imports_point_down, {"agents/steps.py": "from agents.text import clean"}),
    (imports_point_down, {"chat/protocol.py": "from agents import registry", "agents/registry.py": ""}),
    (imports_point_down, {"chat/events.py": "import chat.access", "chat/access.py": "import chat.events"}),
    (imports_point_down, {"chat/novelty.py": ""}),
    (agents_know_no_site, {"agents/tools/clock.py": "from django.utils import timezone"}),
    (langchain_stays_in_agents, {"chat/driver.py": "from langgraph.graph.state import CompiledStateGraph"}),
    (langchain_stays_in_agents, {"chat/driver.py": "def f():\n    from langchain_core.messages import AIMessage"}),
    (the_stream_is_read_in_one_file, {"chat/driver.py": "async def f(a):\n    async for x in a.astream({}): pass"}),
    (the_environment_is_read_in_settings, {"agents/llm.py": "import os\nkey = os.environ['KEY']"}),
    (the_environment_is_read_in_settings, {"chat/runs.py": "import os\nkey = os.getenv('KEY')"}),
    (tasks_are_kept, {"chat/driver.py": "import asyncio\nasync def f():\n    asyncio.create_task(g())"}),
    (tasks_are_kept, {"tests/parts/x.py": "def f(loop):\n    loop.create_task(g())"}),
    (long_files_say_why, {"chat/views.py": '"""Views."""\n' + "x = 1\n" * 300}),
    (long_files_say_why, {"static/chat/render.js": "/** Renders. */\n" + "f();\n" * 300}),
    (modules_are_nouns_of_the_field, {"chat/utils.py": ""}),
    (modules_are_nouns_of_the_field, {"static/chat/helpers.js": ""}),
    (the_reducer_is_pure, {"static/chat/state.js": "export const now = () => Date.now();"}),
    (the_socket_knows_nothing_of_chat, {"static/chat/socket.js": 'if (type === "reasoning_step") f();'}),
    (the_socket_knows_nothing_of_chat, {"static/chat/socket.js": 'import { apply } from "./state.js";'}),
    (html_is_made_in_one_place, {"static/chat/cards.js": "card.innerHTML = text;"}),
    (a_silenced_check_says_why, {"chat/runs.py": "x = f()  # type: " + "ignore[misc]"}),
    (a_silenced_check_says_why, {"chat/runs.py": "x = f()  # noqa" + ": S101\ny = 1"}),
    (a_silenced_check_says_why, {"static/chat/cards.js": "f(); // eslint-disable-" + "line no-eval"}),
    (nothing_names_a_machine, {"README.md": f"It lies in {TOP}/chat."}),
    (nothing_names_a_machine, {"README.md": "cd /" + "home/somebody/glassbox"}),
    (nothing_names_a_machine, {"requirements.txt": "--index-url somewhere"}),
    (nothing_names_a_machine, {"package-lock.json": '{"resolved": "https://' + 'example.org/a.tgz"}'}),
]

# Sources that keep the rules and look as if they did not.
INNOCENT: Tree = {
    "chat/runs.py": '"""See chat.consumers."""\nfrom agents import history\nfrom chat import events',
    "agents/history.py": "from agents.steps import Step",
    "chat/views.py": "x = f()  # type: ignore[misc] # it has no types\ny = 1  # noqa: S101 - so",
    "agents/stream.py": "async def f(agent):\n    async for part in agent.astream({}): pass",
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'x')",
    "chat/driver.py": (
        '"""Drives. One file, because of its length."""\nimport asyncio\nasync def f():\n'
        "    task = asyncio.create_task(g())\n"
        "    async with asyncio.TaskGroup() as group:\n        group.create_task(g())\n"
    )
    + "x = 1\n" * 300,
    "static/chat/render.js": "/**\n * " + "Long. " * 30 + "\n * One file, for its length. */\n" + "f();\n" * 300,
    "static/chat/state.js": "/* no window, no Date */\n// document\nexport const x = 1;",
}

RULES: list[Rule] = list(dict.fromkeys(rule for rule, _ in PLANTED))


def _name(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.fixture(scope="module")
def tree() -> Tree:
    return project()


@pytest.mark.parametrize("rule", RULES, ids=_name)
def test_the_project_keeps_the_rule(rule: Rule, tree: Tree) -> None:
    assert list(rule(tree)) == []


@pytest.mark.parametrize(("rule", "planted"), PLANTED, ids=_name)
def test_the_rule_sees_what_breaks_it(rule: Rule, planted: Tree) -> None:
    assert len(list(rule(planted))) == 1


@pytest.mark.parametrize("rule", RULES, ids=_name)
def test_the_rule_lets_the_innocent_pass(rule: Rule) -> None:
    assert list(rule(INNOCENT)) == []


def test_every_rule_is_tried() -> None:
    """A rule that is not in PLANTED would never be run."""
    rules = {
        name
        for name, value in globals().items()
        if callable(value) and getattr(value, "__annotations__", {}) == {"tree": "Tree", "return": "Iterator[str]"}
    }
    assert rules == {_name(rule) for rule in RULES}


def test_the_project_was_read(tree: Tree) -> None:
    """An empty tree would keep every rule."""
    assert {"manage.py", "chat/protocol.py", "agents/steps.py", "reasoning_site/settings.py", "Makefile"} <= tree.keys()
