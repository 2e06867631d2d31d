"""What docker-compose.yml and the Dockerfile promise and can be read from them. `make compose-proof` runs them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.compose_proof import Proof
from scripts.containers import Failed, Project
from tests.parts.site_process import TOP

TEXT = (TOP / "docker-compose.yml").read_text()
# They end by themselves.
ONE_SHOT = {"migrate"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(TEXT)["services"]
    return found


def ours(services: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in services.items() if "build" in service}


def variables() -> dict[str, str]:
    """What the file reads from the environment, and what it does without: `-default` or `?words`."""
    return dict(re.findall(r"\$\{(\w+):?([-?][^}]*)\}", TEXT))


class TestComposeFile:
    def test_has_the_services_of_the_stack(self, services: dict[str, Any]) -> None:
        assert services.keys() == {"proxy", "web", "worker", "migrate", "postgres", "redis"}

    def test_holds_no_secret(self, services: dict[str, Any]) -> None:
        """Whatever is called a key or a password comes from outside, has no default, and says what to do where it is missing."""
        secret = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY")
        for service in services.values():
            for name, value in service.get("environment", {}).items():
                if secret.search(name):
                    assert re.fullmatch(r"\$\{\w+:\?[^}]*make secrets[^}]*\}", value), name
                assert not re.search(r"://[^/@]*:[^/@]*@", value), f"{name} has a password in it"
        assert {name for name, without in variables().items() if without.startswith("?")} == {
            "POSTGRES_PASSWORD",
            "SECRET_KEY",
        }

    def test_reads_only_what_the_example_file_explains(self) -> None:
        known = set(re.findall(r"^#(\w+)=", (TOP / ".env.example").read_text(), re.MULTILINE))
        assert variables()
        assert variables().keys() <= known
        assert len(variables()) == len(set(re.findall(r"(?<!\$)\$\{?(\w+)", TEXT))), "a variable without a default"

    def test_passes_on_every_setting_that_stands_in_the_env_file(self, services: dict[str, Any]) -> None:
        assert all(service["env_file"] == [{"path": ".env", "required": False}] for service in ours(services).values())

    def test_only_the_proxy_can_be_reached_and_only_from_this_machine(self, services: dict[str, Any]) -> None:
        published = {name: service["ports"] for name, service in services.items() if "ports" in service}
        assert published == {"proxy": ["127.0.0.1:${PORT:-8000}:8080"]}

    def test_the_databases_are_reached_by_ours_alone(self, services: dict[str, Any]) -> None:
        assert yaml.safe_load(TEXT)["networks"]["back"] == {"internal": True}
        inside = {name for name, service in services.items() if "back" in service["networks"]}
        assert inside == {"postgres", "redis", *ours(services)}
        assert services["postgres"]["networks"] == services["redis"]["networks"] == ["back"]

    def test_every_service_that_stays_has_a_health_check_and_comes_back(self, services: dict[str, Any]) -> None:
        for name in services.keys() - ONE_SHOT:
            assert services[name]["healthcheck"]["test"], name
            assert services[name]["restart"] == "unless-stopped", name
            assert "stop_grace_period" in services[name], name

    def test_what_needs_the_tables_waits_for_the_migrations_to_end_well(self, services: dict[str, Any]) -> None:
        for name in ours(services).keys() - ONE_SHOT:
            conditions = {key: value["condition"] for key, value in services[name]["depends_on"].items()}
            assert conditions == {
                "migrate": "service_completed_successfully",
                "postgres": "service_healthy",
                "redis": "service_healthy",
            }
        assert services["migrate"]["restart"] == "no"

    def test_no_one_gets_more_than_it_needs(self, services: dict[str, Any]) -> None:
        """Nobody is root, no capability is left, and of the file systems only the database's is writable."""
        for name, service in services.items():
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
            assert service.get("read_only", False) == (name != "postgres"), name
            if "build" not in service:
                assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name

    def test_the_web_and_the_workers_can_be_scaled(self, services: dict[str, Any]) -> None:
        assert not any("container_name" in service for service in services.values())

    def test_they_are_given_longer_to_end_than_they_take(self, services: dict[str, Any]) -> None:
        defaults = dict(re.findall(r"^#(\w+_SECONDS)=(\d+)$", (TOP / ".env.example").read_text(), re.MULTILINE))
        for name, seconds in (("web", "DRAIN_SECONDS"), ("worker", "GRACE_SECONDS")):
            grace = int(services[name]["stop_grace_period"].removesuffix("s"))
            assert grace >= int(defaults[seconds]) + 15, name

    def test_the_volume_is_named(self, services: dict[str, Any]) -> None:
        assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql/data"]
        assert "postgres" in yaml.safe_load(TEXT)["volumes"]


class TestDockerfile:
    @pytest.fixture
    def stages(self) -> list[str]:
        text = (TOP / "Dockerfile").read_text().replace("\\\n", " ")
        return re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]

    def test_what_runs_is_what_another_stage_has_built(self, stages: list[str]) -> None:
        build, runtime = stages
        assert build.splitlines()[0] == "python:3.13-slim AS build"
        assert runtime.splitlines()[0] == "python:3.13-slim"
        assert "pip" in build
        assert not re.search(r"\b(pip|apt-get|gcc|compileall)\b", runtime)
        assert re.findall(r"^COPY (?!--from=build)", runtime, re.MULTILINE) == []

    def test_it_runs_as_a_numbered_user_who_is_not_root(self, stages: list[str]) -> None:
        """By number: an engine that is told to refuse root need not know the image's names."""
        (user,) = re.findall(r"^USER (.*)$", stages[-1], re.MULTILINE)
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)

    def test_what_is_installed_is_locked_and_compiled(self, stages: list[str]) -> None:
        assert "--require-hashes" in stages[0]
        assert stages[0].count("compileall") == 2

    def test_it_knows_when_it_is_well(self, stages: list[str], services: dict[str, Any]) -> None:
        (test,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", stages[-1], re.MULTILINE)
        assert yaml.safe_load(test) == services["web"]["healthcheck"]["test"][1:]

    def test_nothing_gets_in_that_is_not_named(self) -> None:
        lines = [line for line in (TOP / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
        assert lines[0] == "*"
        let_in = {line.removeprefix("!") for line in lines[1:] if line.startswith("!")}
        assert let_in == {"requirements.txt", "manage.py", "agents", "chat", "reasoning_site", "static", "templates"}
        assert all((TOP / path).exists() for path in let_in)


class TestProxy:
    def test_its_configuration_is_where_the_service_looks_for_it(self, services: dict[str, Any]) -> None:
        (volume,) = services["proxy"]["volumes"]
        source, target, _ = volume.split(":")
        assert services["proxy"]["command"] == ["sh", f"{target}/start.sh"]
        assert {path.name for path in (TOP / source).iterdir()} >= {"start.sh", "nginx.conf", "site.conf.inc"}

    def test_its_health_check_asks_for_what_the_configuration_answers(self, services: dict[str, Any]) -> None:
        address = services["proxy"]["healthcheck"]["test"][-1]
        port, path = re.fullmatch(r"http://127\.0\.0\.1:(\d+)(/\S+)", address).groups()  # type: ignore[union-attr] # None fails as well
        assert f"listen {port};" in (TOP / "deploy" / "nginx" / "nginx.conf").read_text()
        assert f"location = {path} " in (TOP / "deploy" / "nginx" / "site.conf.inc").read_text()


class TestSecrets:
    def make(self, folder: Path) -> str:
        words = ["sh", str(TOP / "scripts" / "secrets.sh")]
        return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout

    def read(self, folder: Path) -> dict[str, str]:
        return dict(line.split("=", 1) for line in (folder / ".env").read_text().splitlines() if "=" in line)

    def test_makes_both_for_their_owner_alone(self, tmp_path: Path) -> None:
        self.make(tmp_path)
        made = self.read(tmp_path)
        assert made.keys() == {"SECRET_KEY", "POSTGRES_PASSWORD"}
        assert made["SECRET_KEY"] != made["POSTGRES_PASSWORD"]
        assert all(re.fullmatch(r"[0-9a-f]{64}", secret) for secret in made.values())
        assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600

    def test_leaves_what_there_is_and_adds_what_is_missing(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("PORT=9000\nPOSTGRES_PASSWORD=\nSECRET_KEY=mine")
        said = self.make(tmp_path)
        made = self.read(tmp_path)
        assert (made["PORT"], made["SECRET_KEY"]) == ("9000", "mine")
        assert len(made["POSTGRES_PASSWORD"]) == 64
        assert "SECRET_KEY already" in said
        before = (tmp_path / ".env").read_bytes()
        self.make(tmp_path)
        assert (tmp_path / ".env").read_bytes() == before

    def test_takes_the_example_file_for_one_without_secrets(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text((TOP / ".env.example").read_text())
        self.make(tmp_path)
        assert self.read(tmp_path).keys() >= {"SECRET_KEY", "POSTGRES_PASSWORD"}


def test_the_proof_wants_the_images_that_are_named(tmp_path: Path) -> None:
    for name in ("docker-compose.yml", "Dockerfile"):
        (tmp_path / name).write_text((TOP / name).read_text())
    project = Project(tmp_path, compose=["docker", "compose"], name="x", scale={"web": 2})
    assert project.images() == {"python:3.13-slim", "nginx:1.29", "postgres:17", "redis:8"}
    assert project.base == "python:3.13-slim"
    assert project.scale == {"proxy": 1, "web": 2, "worker": 1, "migrate": 1, "postgres": 1, "redis": 1}


def test_the_proof_fails_over_a_promise_that_does_not_hold(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text(TEXT)
    proof = Proof(Project(tmp_path, compose=["docker", "compose"], name="x", scale={}), port=1)
    proof.check("one is one", True)
    with pytest.raises(Failed, match="one is two"):
        proof.check("one is two", False)
    assert [line.split("  ")[0] for line in proof.found] == ["one is one"]
