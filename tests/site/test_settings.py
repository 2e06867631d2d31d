"""The settings: each variable documented, wrong ones refused aloud, a deployment clean, the secret key kept."""

from __future__ import annotations

import ast
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from agents.model_choice import default_spec
from reasoning_site.origins import full_origins
from tests.parts.site_process import TOP

LONG_KEY = "k3y-of-the-tests-" + "".join(chr(ord("a") + number % 26) for number in range(50))

# Read by docker-compose.yml, which finds it in the same `.env`.
ONLY_OF_COMPOSE = {"POSTGRES_PASSWORD"}


def settings_in_a_process(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "reasoning_site.settings", **env},
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )


class TestDocumentation:
    def test_the_example_file_has_what_the_settings_read_and_nothing_else(self) -> None:
        assert set(example()) == read_by_settings() | ONLY_OF_COMPOSE

    def test_the_readme_has_what_the_settings_read_and_nothing_else(self) -> None:
        assert set(readme()) == read_by_settings() | ONLY_OF_COMPOSE

    def test_the_example_file_and_the_readme_tell_the_defaults_that_hold(self) -> None:
        stated = example()
        for name, default in defaults_in_settings().items():
            assert stated[name] == default, f".env.example: {name}"
        for name, default in readme().items():
            assert default.strip("`") in (stated[name], "empty" if not stated[name] else stated[name]), (
                f"README: {name}"
            )

    def test_the_example_file_changes_nothing_as_it_is_and_sets_no_other_default(self, tmp_path: Path) -> None:
        lines = (TOP / ".env.example").read_text().splitlines()
        assert all(not line or line.startswith("#") for line in lines)
        code = (
            "from django.conf import settings; settings._setup();"
            "known = {k: v for k, v in vars(settings._wrapped).items() if k.isupper() and k != 'SECRET_KEY'};"
            "print({k: float(v) if isinstance(v, int | float) else str(v) for k, v in known.items()})"
        )
        defaults = {name: value for name, value in example().items() if name != "DATA_DIR"}
        printed = [
            settings_in_a_process(code, **env, DATA_DIR=str(tmp_path), PYTHONHASHSEED="0") for env in ({}, defaults)
        ]
        assert printed[0].returncode == 0, printed[0].stderr
        assert printed[0].stdout == printed[1].stdout

    def test_a_shell_reads_the_example_file_as_it_is_meant(self, tmp_path: Path) -> None:
        uncommented = re.sub(r"^#(?=[A-Z_]+=)", "", (TOP / ".env.example").read_text(), flags=re.MULTILINE)
        (tmp_path / "env").write_text(uncommented)
        shell = subprocess.run(
            ["sh", "-c", "set -a; . ./env; env"], cwd=tmp_path, env={}, capture_output=True, text=True, check=True
        )
        assert shell.stderr == ""
        assert example().items() <= dict(line.split("=", 1) for line in shell.stdout.splitlines()).items()


def example() -> dict[str, str]:
    """Name and default of each line of `.env.example`."""
    text = (TOP / ".env.example").read_text()
    found = re.findall(r"^# \S.*\n#([A-Z_]+)=(.*)$", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^#[A-Z_]+=", text, re.MULTILINE)), "a variable without a line of explanation"
    return dict(found)


def readme() -> dict[str, str]:
    """Name and default of each row of the README's table of variables."""
    return dict(re.findall(r"^\| `([A-Z_]+)` \|\s*(.*?)\s*\|", (TOP / "README.md").read_text(), re.MULTILINE))


def read_by_settings() -> set[str]:
    return set(calls()) | read_by_default_spec()


def calls() -> dict[str, ast.Call]:
    """Each `env.…("NAME", …)` in the settings."""
    found = {}
    for node in ast.walk(ast.parse((TOP / "reasoning_site" / "settings.py").read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("env."):
            name = node.args[0]
            assert isinstance(name, ast.Constant)
            assert isinstance(name.value, str)
            found[name.value] = node
    return found


def defaults_in_settings() -> dict[str, str]:
    """Default of each variable in the spelling of the example file, where it is a plain value."""
    spelled = {}
    for name, call in calls().items():
        given = [*call.args[1:], *(keyword.value for keyword in call.keywords)]
        default = ast.unparse(given[0]) if given else "''"
        if name == "DATA_DIR":
            default = "'var'"
        if ast.unparse(call.func) == "env.flag":
            spelled[name] = "1" if default == "True" else "0"
        else:
            spelled[name] = str(eval(default, {"__builtins__": {}}))
    return spelled


def read_by_default_spec() -> set[str]:
    class Recorded(Mapping[str, str]):
        asked: set[str] = set()

        def __getitem__(self, name: str) -> str:
            self.asked.add(name)
            raise KeyError(name)

        def __iter__(self) -> Iterator[str]:
            raise AssertionError("it reads all of the environment")

        def __len__(self) -> int:
            raise AssertionError("it reads all of the environment")

    recorded = Recorded()
    default_spec(recorded)
    return recorded.asked


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "value"),
        [("DEBUG", "maybe"), ("PORT", "http"), ("RUN_SECONDS", "-1"), ("ALLOWED_ORIGINS", "example.org")],
    )
    def test_a_value_that_cannot_be_stops_the_start_and_names_the_variable(
        self, name: str, value: str, tmp_path: Path
    ) -> None:
        done = subprocess.run(
            [sys.executable, str(TOP / "manage.py"), "serve"],
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), name: value},
            cwd=TOP,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        last = done.stderr.strip().splitlines()[-1]
        assert name in last
        assert value in last

    @pytest.mark.parametrize(
        "origin",
        [
            "example.org",
            "//example.org",
            "https://",
            "https://example.org/",
            "https://example.org/path",
            "https://example.org?x",
            "https://user@example.org",
            "https://*.example.org",
            "https://example.org:port",
            "https://example.org:70000",
            "ws://example.org",
            "null",
            "*",
        ],
    )
    def test_an_origin_is_whole_or_refused(self, origin: str) -> None:
        with pytest.raises(ImproperlyConfigured, match="ALLOWED_ORIGINS"):
            full_origins("ALLOWED_ORIGINS", ["https://example.org", origin])

    def test_whole_origins_are_kept_as_browsers_spell_them(self) -> None:
        written = ["https://Example.org", "http://localhost:3000", "https://[::1]:8443"]
        assert full_origins("ALLOWED_ORIGINS", written) == [origin.lower() for origin in written]


def test_an_agent_module_that_is_wrong_stops_the_start_and_names_the_variable(tmp_path: Path) -> None:
    code = "import django; django.setup()"
    done = settings_in_a_process(code, DATA_DIR=str(tmp_path), AGENT_MODULES="json, no_such_module")
    assert done.returncode != 0
    assert "AGENT_MODULES: The module json has no agent in AGENTS and no tool in TOOLS." in done.stderr


def test_a_deployment_has_nothing_to_be_warned_of(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(TOP / "manage.py"), "check", "--deploy", "--fail-level", "WARNING"],
        env={
            "PATH": os.environ["PATH"],
            "DATA_DIR": str(tmp_path),
            "SECRET_KEY": LONG_KEY,
            "ALLOWED_HOSTS": "chat.example.org",
            "HTTPS": "1",
        },
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


class TestSecretKey:
    MAKE = (
        "import sys, pathlib; from reasoning_site.secret_key import kept_secret_key;"
        "print(kept_secret_key(pathlib.Path(sys.argv[1])))"
    )

    def test_is_made_once_and_is_its_owners_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "secret_key"
        first, second = self.make(path), self.make(path)
        assert first == second
        assert len(first) >= 50
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert list(path.parent.iterdir()) == [path]

    def test_processes_that_make_it_at_once_agree(self, tmp_path: Path) -> None:
        path = tmp_path / "secret_key"
        processes = [self.start(path) for _ in range(4)]
        keys = {process.communicate()[0] for process in processes}
        assert keys == {path.read_text() + "\n"}
        assert list(tmp_path.iterdir()) == [path]

    def test_one_in_the_environment_is_used_and_none_is_made(self, tmp_path: Path) -> None:
        code = "from django.conf import settings; print(settings.SECRET_KEY)"
        done = settings_in_a_process(code, DATA_DIR=str(tmp_path / "data"), SECRET_KEY=LONG_KEY)
        assert done.stdout.strip() == LONG_KEY
        assert not (tmp_path / "data" / "secret_key").exists()

    def make(self, path: Path) -> str:
        return self.start(path).communicate()[0].strip()

    def start(self, path: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", self.MAKE, str(path)]
        return subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True)
