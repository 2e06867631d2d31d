"""The containers of one Compose project, by whichever of `docker compose` and `podman-compose` there is."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

COMMAND_SECONDS = 120
BUILD_SECONDS = 1200


class Failed(Exception):
    """A command ended with an error, or something did not come about in time. The text is for a person."""


def find_compose() -> list[str]:
    """The words that `COMPOSE` names, or those of the first that is here. Raises `Failed` where there is none."""
    if named := os.environ.get("COMPOSE"):
        return shlex.split(named)
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return ["docker", "compose"]
    if shutil.which("podman-compose"):
        return ["podman-compose"]
    raise Failed("Neither `docker compose` nor `podman-compose` is here. COMPOSE names another.")


def run(words: Sequence[str], *, seconds: float = COMMAND_SECONDS, cwd: Path | None = None) -> str:
    """A command's output. Raises `Failed`, with what it said."""
    try:
        done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"{shlex.join(words)} did not end within {seconds:g} s") from None
    if done.returncode:
        raise Failed(f"{shlex.join(words)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


class Project:
    """One project: the Compose file of a folder, started `scale` times over."""

    def __init__(self, folder: Path, *, compose: Sequence[str], name: str, scale: Mapping[str, int]) -> None:
        self.folder = folder
        self.name = name
        self.services = yaml.safe_load((folder / "docker-compose.yml").read_text())["services"]
        self.scale = {service: scale.get(service, 1) for service in self.services}
        self._compose = list(compose)
        self.engine = "docker" if Path(compose[0]).name == "docker" else "podman"
        # As `--scale` does, which podman-compose takes once only, and forgets.
        scaled = {service: {"scale": count} for service, count in scale.items()}
        (folder / "scale.yml").write_text(json.dumps({"services": scaled}))

    def compose(self, *words: str, seconds: float = COMMAND_SECONDS) -> str:
        files = ["-f", "docker-compose.yml", "-f", "scale.yml"]
        return run([*self._compose, "-p", self.name, *files, *words], seconds=seconds, cwd=self.folder)

    @property
    def base(self) -> str:
        """The image that ours begins with."""
        lines = [line.split() for line in (self.folder / "Dockerfile").read_text().splitlines()]
        return [words[1] for words in lines if words[:1] == ["FROM"]][-1]

    def images(self) -> set[str]:
        """What is not built here."""
        return {self.base} | {service["image"] for service in self.services.values() if "build" not in service}

    def get_images(self) -> None:
        """Raises `Failed` for an image that is neither here nor to be had."""
        for image in sorted(self.images()):
            try:
                run([self.engine, "image", "inspect", image])
            except Failed:
                run([self.engine, "pull", "--quiet", image], seconds=BUILD_SECONDS)

    def build(self) -> None:
        """The site's image, once for all services that run it."""
        self.compose("build", "web", seconds=BUILD_SECONDS)

    def size(self, image: str) -> int:
        """In bytes."""
        return int(run([self.engine, "image", "inspect", "--format", "{{.Size}}", image]))

    def start(self, *, seconds: float) -> None:
        """All services, each when those that it depends on are as it asks; returns when all are well."""
        if self.engine == "docker":
            self.compose("up", "--detach", "--no-build", seconds=seconds)
        else:
            # It does not wait for health, and cannot start what depends on a container that has ended.
            waiting = dict(self.services)
            while waiting:
                ready = [
                    name for name, service in waiting.items() if not waiting.keys() & set(service.get("depends_on", ()))
                ]
                self.compose("up", "--detach", "--no-deps", *ready, seconds=seconds)
                self.until_well(ready, seconds=seconds)
                waiting = {name: service for name, service in waiting.items() if name not in ready}
        self.until_well(list(self.services), seconds=seconds)

    def until_well(self, services: Sequence[str], *, seconds: float) -> None:
        """Return when every container of the services is healthy, or has ended well where it is to end. Raises `Failed`."""
        until = time.monotonic() + seconds
        for service in services:
            while len(names := self.containers(service)) < self.scale[service] or not all(map(self._is_well, names)):
                if time.monotonic() > until:
                    raise Failed(f"{service} was not well within {seconds:g} s: {self.states()}")
                time.sleep(0.5)

    def _is_well(self, container: str) -> bool:
        state = self.state(container)
        health = state.get("Health") or state.get("Healthcheck") or {}
        if not health.get("Status"):
            return bool(state["Status"] == "exited" and state["ExitCode"] == 0)
        if self.engine == "podman" and state["Status"] == "running":
            # By itself it asks only where systemd reminds it.
            asked = subprocess.run(["podman", "healthcheck", "run", container], capture_output=True, check=False)
            return asked.returncode == 0
        return bool(health["Status"] == "healthy")

    def state(self, container: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run([self.engine, "inspect", "--format", "{{json .State}}", container]))
        return found

    def states(self) -> dict[str, str]:
        """What the engine says of each container."""
        words = ["ps", "--all", "--filter", f"label=com.docker.compose.project={self.name}", "--format"]
        lines = run([self.engine, *words, "{{.Names}}\t{{.Status}}"]).splitlines()
        return dict(line.split("\t", 1) for line in lines)

    def containers(self, service: str) -> list[str]:
        """Their names, those that have ended included."""
        filters = [
            f"label=com.docker.compose.{key}={value}" for key, value in (("project", self.name), ("service", service))
        ]
        words = [word for text in filters for word in ("--filter", text)]
        return sorted(run([self.engine, "ps", "--all", *words, "--format", "{{.Names}}"]).split())

    def execute(self, container: str, *words: str) -> str:
        """The output of a command in a running container."""
        return run([self.engine, "exec", container, *words])

    def kill(self, container: str) -> None:
        """SIGKILL to its first process: nothing is tidied up."""
        run([self.engine, "kill", "--signal", "KILL", container])

    def stop(self, *services: str) -> dict[str, int]:
        """As `docker compose stop` does, with the file's own grace; the exit codes by container."""
        self.compose("stop", *services, seconds=COMMAND_SECONDS)
        names = [name for service in services for name in self.containers(service)]
        return {name: int(self.state(name)["ExitCode"]) for name in names}

    def start_again(self, *services: str, seconds: float) -> None:
        """The containers of the services that have ended, as they are; returns when they are well."""
        for service in services:
            for container in self.containers(service):
                if self.state(container)["Status"] != "running":
                    run([self.engine, "start", container])
        self.until_well(services, seconds=seconds)

    def hostname(self, container: str) -> str:
        return run([self.engine, "inspect", "--format", "{{.Config.Hostname}}", container]).strip()

    def logs(self, container: str, *, lines: int = 40) -> str:
        """The end of what it wrote, both streams."""
        words = [self.engine, "logs", "--tail", str(lines), container]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout

    def remove(self) -> None:
        """Everything of the project, volumes too."""
        self.compose("down", "--volumes", seconds=COMMAND_SECONDS)
