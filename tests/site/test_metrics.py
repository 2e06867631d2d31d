"""Who may read the metrics, at both doors; and that what is documented is what there is."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import Client
from prometheus_client import REGISTRY, generate_latest

from tests.parts.child import Child, free_port
from tests.parts.postgres_server import Database
from tests.parts.site_process import TOP, Site

README = (TOP / "README.md").read_text()
SAMPLES = TOP / "deploy" / "prometheus"


def told(text: str) -> set[str]:
    """The names of our metrics in what a scrape reads."""
    return set(re.findall(r"^# TYPE (glassbox_\w+) ", text, re.MULTILINE))


class TestTheWebsDoor:
    @pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1"])
    def test_without_a_token_this_machine_may_read(self, db: None, peer: str) -> None:
        answer = Client(REMOTE_ADDR=peer).get("/metrics")
        assert answer.status_code == 200
        assert answer["Content-Type"].startswith("text/plain; version=")
        assert "no-store" in answer["Cache-Control"]
        text = answer.content.decode()
        assert "glassbox_sockets_open 0.0" in text
        assert {"process_resident_memory_bytes", "python_info"} <= {
            line.split(" ")[2] for line in text.splitlines() if line[0] == "#"
        }

    @pytest.mark.parametrize("peer", ["10.0.0.7", "2001:db8::1", "::ffff:10.0.0.7", "", "localhost"])
    def test_without_a_token_other_machines_find_no_such_page(self, peer: str) -> None:
        assert Client(REMOTE_ADDR=peer).get("/metrics").status_code == 404

    @pytest.mark.parametrize(
        "header", ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via"]
    )
    def test_without_a_token_nobody_reads_through_a_proxy_of_this_machine(self, header: str) -> None:
        """Also where the proxy passes on that somebody claims to be on this machine."""
        assert Client(headers={header: "127.0.0.1"}).get("/metrics").status_code == 404

    def test_with_a_token_whoever_has_it_may_read(self, db: None, settings: Any) -> None:
        settings.METRICS_TOKEN = "the token"
        client = Client(REMOTE_ADDR="10.0.0.7", headers={"X-Forwarded-For": "10.0.0.8"})
        assert client.get("/metrics", headers={"Authorization": "Bearer the token"}).status_code == 200

    @pytest.mark.parametrize(
        "given",
        ["", "Bearer", "Bearer ", "Bearer the toke", "Bearer the token ", "the token", "Basic the token", "Bearer thé"],
    )
    def test_with_a_token_nobody_else_may_not_even_this_machine(self, settings: Any, given: str) -> None:
        settings.METRICS_TOKEN = "the token"
        for headers in ({"Authorization": given}, {}):
            assert Client(headers=headers).get("/metrics").status_code == 404

    def test_it_is_only_read(self) -> None:
        assert Client().post("/metrics").status_code == 405

    def test_it_is_not_redirected_to_https(self, db: None, settings: Any) -> None:
        """Prometheus asks each process by its own address, where nothing ends TLS."""
        settings.SECURE_SSL_REDIRECT = True
        assert Client().get("/metrics").status_code == 200

    def test_a_real_server_tells_what_it_does(self, site: Site) -> None:
        with site.client() as client:
            assert "glassbox_runs{" in client.get("/metrics").text
            assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 404
            openmetrics = client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
            assert openmetrics.text.endswith("# EOF\n")


class TestTheWorkersDoor:
    def worker(self, database: Database, tmp_path: Path, *words: str) -> Child:
        env = {"DATABASE_URL": database.url, "DATA_DIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, str(TOP / "manage.py"), "agentworker", *words]
        return Child(command, log=tmp_path / "log", env={**env, "MODEL": "demo"}, cwd=TOP)

    def test_a_worker_tells_what_it_does_on_loopback_alone(self, site_database: Database, tmp_path: Path) -> None:
        port = free_port()
        worker = self.worker(site_database, tmp_path, "--metrics-port", str(port))
        try:
            worker.wait_until(lambda: "is ready" in worker.output(), timeout=60)
            text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
            assert told(text) == documented()
            assert 'glassbox_runs{state="queued"} 0.0' in text
            # An address of this machine that it would answer at if it listened on all of them.
            with pytest.raises(httpx.TransportError):
                httpx.get(f"http://127.0.0.2:{port}/metrics", trust_env=False)
            assert worker.term() == 0
        finally:
            if worker.running:
                worker.kill()

    def test_a_port_that_is_taken_is_said_so(self, site_database: Database, site: Site, tmp_path: Path) -> None:
        taken = site.origin.rpartition(":")[2]
        worker = self.worker(site_database, tmp_path, "--metrics-port", taken)
        assert worker.process.wait(60) == 1
        assert f"port {taken}" in worker.output().strip().splitlines()[-1]


def documented() -> set[str]:
    found = re.search(r"^## Watch it run$(.*?)(?=^## )", README, re.MULTILINE | re.DOTALL)
    assert found
    return set(re.findall(r"^\| `(glassbox_\w+)` \|", found[1], re.MULTILINE))


def test_every_metric_is_documented_and_nothing_else(db: None) -> None:
    assert documented() == told(generate_latest(REGISTRY).decode())


def test_labels_are_documented(db: None) -> None:
    """Whoever writes a query finds its labels in the table."""
    rows = dict(re.findall(r"^\| `(glassbox_\w+)` \| ([^|]*)\|", README, re.MULTILINE))
    for family in REGISTRY.collect():
        for sample in family.samples:
            name = next((name for name in rows if name in (sample.name, family.name)), None)
            if name is not None:
                assert set(re.findall(r"`(\w+)`", rows[name])) == set(sample.labels) - {"le"}, name


def test_the_samples_for_prometheus_use_what_there_is(db: None) -> None:
    names = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    # A counter with labels has no sample before it has counted.
    names |= told(generate_latest(REGISTRY).decode())
    used = set(re.findall(r"glassbox_\w+", "".join(path.read_text() for path in SAMPLES.glob("*.yml"))))
    assert used
    assert used <= names
