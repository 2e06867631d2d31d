"""What the proxy passes on to the web servers, and what not: `deploy/nginx`, in a real nginx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from tests.parts.child import free_port
from tests.parts.proxy import Proxy


class Upstream:
    """A web server that answers with the request's headers, or cuts the connection when it has read the request."""

    def __init__(self, *, cuts: bool = False) -> None:
        self.requests: list[str] = []
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                upstream.requests.append(f"{self.command} {self.path}")
                if cuts:
                    self.close_connection = True
                    return
                body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the library's name

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def web() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="module")
def broken() -> Iterator[Upstream]:
    upstream = Upstream(cuts=True)
    yield upstream
    upstream.close()


@pytest.fixture(scope="module")
def proxy(web: Upstream) -> Iterator[Proxy]:
    made = Proxy([web.port])
    made.start()
    yield made
    made.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.origin, trust_env=False) as made:
        yield made


def test_the_site_is_told_who_asks_for_what_and_nothing_that_the_client_made_up(
    client: httpx.Client, proxy: Proxy
) -> None:
    lies = {"X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6", "Forwarded": "for=6.6.6.6;proto=https"}
    told = client.get("/", headers={**lies, "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}).json()
    name = f"127.0.0.1:{proxy.port}"
    assert {key: told.get(key) for key in told if key == "host" or "forward" in key or "real" in key} == {
        "host": name,
        "x-forwarded-host": name,
        # Of this the site reads as much from the end as there are proxies.
        "x-forwarded-for": "6.6.6.6, 127.0.0.1",
        "x-real-ip": "127.0.0.1",
        "x-forwarded-proto": "http",
    }


def test_only_sockets_are_upgraded(client: httpx.Client) -> None:
    asked = {"Connection": "Upgrade", "Upgrade": "websocket"}
    socket, page = (client.get(path, headers=asked).json() for path in ("/ws/chat/s", "/"))
    assert (socket["connection"], socket["upgrade"]) == ("upgrade", "websocket")
    assert (page["connection"], page.get("upgrade")) == ("close", None)


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/ws/../metrics", "/metrics?a=b"])
def test_metrics_are_not_to_be_had_from_outside(client: httpx.Client, web: Upstream, path: str) -> None:
    before = list(web.requests)
    # As it stands, not as the client would tidy it up.
    answer = client.get(httpx.URL(str(client.base_url).rstrip("/")).copy_with(raw_path=path.encode()))
    assert answer.status_code == 404
    assert web.requests == before


def test_too_large_a_body_is_refused(client: httpx.Client) -> None:
    assert client.post("/", content=b"x" * (1024 * 1024)).status_code == 200
    assert client.post("/", content=b"x" * (1024 * 1024 + 1)).status_code == 413


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 502)])
def test_a_server_that_fails_is_replaced_only_where_asking_twice_does_no_harm(
    web: Upstream, broken: Upstream, method: str, status: int
) -> None:
    proxy = Proxy([broken.port, web.port])
    try:
        proxy.start()
        before = len(broken.requests), len(web.requests)
        assert httpx.request(method, proxy.origin, content=b"once", trust_env=False).status_code == status
        asked = len(broken.requests) - before[0], len(web.requests) - before[1]
        assert asked == (1, 1 if status == 200 else 0)
    finally:
        proxy.close()


def test_a_server_that_is_gone_is_not_noticed(web: Upstream) -> None:
    """Nothing was sent to it: a POST goes to another, too."""
    proxy = Proxy([free_port(), web.port])
    try:
        proxy.start()
        with httpx.Client(base_url=proxy.origin, trust_env=False) as client:
            assert {client.post("/", content=b"once").status_code for _ in range(6)} == {200}
    finally:
        proxy.close()


def test_it_says_that_it_lives_though_no_server_does() -> None:
    proxy = Proxy([])
    try:
        proxy.start()
        with httpx.Client(base_url=proxy.origin, trust_env=False) as client:
            assert client.get("/proxy-healthz").text == "ok\n"
            assert client.get("/").status_code == 502
    finally:
        proxy.close()
