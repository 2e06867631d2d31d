"""`REDIS_URL`: every form that operators use becomes what `channels_redis` takes; wrong ones are refused with what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from channels_redis.utils import create_pool
from django.core.exceptions import ImproperlyConfigured
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelManagedSSLConnection

from reasoning_site.redis_hosts import redis_hosts


def pool(url: str) -> Any:
    """What the channel layer makes of a URL."""
    (host,) = redis_hosts(url, seconds=2)
    return create_pool(host)


def connection(url: str) -> dict[str, Any]:
    options: dict[str, Any] = pool(url).connection_kwargs
    return options


def test_one_server() -> None:
    """Host, port, user, password and database arrive, and every wait is bounded."""
    options = connection("redis://ann:s%40cret@redis.example:7000/3")
    assert {
        "host": "redis.example",
        "port": 7000,
        "username": "ann",
        "password": "s@cret",
        "db": 3,
    }.items() <= options.items()
    assert options["socket_timeout"] == options["socket_connect_timeout"] == 2
    assert options["retry"].get_retries() == 0


def test_the_url_has_the_last_word_on_time_outs() -> None:
    assert connection("redis://redis.example?socket_timeout=0.5")["socket_timeout"] == 0.5


def test_tls_with_a_certificate_authority_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    made = pool(f"rediss://redis.example/0?ssl_ca_certs={tmp_path}/ca.pem")
    assert made.connection_class is SSLConnection
    assert made.connection_kwargs["ssl_ca_certs"] == f"{tmp_path}/ca.pem"
    # Neither certificate nor name goes unchecked unless the URL says so.
    context = made.make_connection().ssl_context
    assert context.cert_reqs.name == "CERT_REQUIRED"
    assert context.check_hostname


def test_a_socket_file() -> None:
    made = pool("unix:///run/redis.sock?db=2")
    assert made.connection_class is UnixDomainSocketConnection
    assert (made.connection_kwargs["path"], made.connection_kwargs["db"]) == ("/run/redis.sock", 2)


def test_sentinel() -> None:
    """The password is the servers'; the Sentinels have one of their own, and less time, so that the next can be asked."""
    made = pool("redis+sentinel://ann:secret@one:26380,two,[::1]:26381/primary/4?sentinel_password=other")
    assert made.service_name == "primary"
    assert {"username": "ann", "password": "secret", "db": 4}.items() <= made.connection_kwargs.items()
    asked = [sentinel.connection_pool.connection_kwargs for sentinel in made.sentinel_manager.sentinels]
    assert [(one["host"], one["port"]) for one in asked] == [("one", 26380), ("two", 26379), ("::1", 26381)]
    assert {(one["username"], one["password"], one["socket_timeout"]) for one in asked} == {(None, "other", 0.5)}


def test_sentinel_over_tls(tmp_path: Path) -> None:
    """TLS holds for the Sentinels as for the servers."""
    (tmp_path / "ca.pem").touch()
    made = pool(f"rediss+sentinel://one:1,two:2/primary?ssl_ca_certs={tmp_path}/ca.pem")
    assert made.connection_class is SentinelManagedSSLConnection
    for one in (made, *(sentinel.connection_pool for sentinel in made.sentinel_manager.sentinels)):
        assert issubclass(one.connection_class, SSLConnection)
        assert one.connection_kwargs["ssl_ca_certs"] == f"{tmp_path}/ca.pem"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("localhost:6379", "must be of the form"),
        ("http://redis.example", "must be of the form"),
        ("redis+cluster://redis.example", "must be of the form"),
        ("unix+sentinel://redis.example/primary", "must be of the form"),
        ("redis:///0", "names no host"),
        ("unix://", "names no socket file"),
        ("redis://redis.example:port", "cannot be read"),
        ("redis://redis.example/primary", "must be a number"),
        ("redis+sentinel://one:26379", "must name the primary"),
        ("redis+sentinel://one:26379/primary/0/1", "must name the primary"),
        ("redis+sentinel://one:26379/primary/zero", "must be a number"),
        ("redis+sentinel://one:26379,:26379/primary", "number 2"),
        ("redis+sentinel://one:26379,two:many/primary", "number 2"),
        ("redis://redis.example?ssl_ca_certs=/etc/ca.pem", "write rediss"),
        ("rediss://redis.example?ssl_ca_certs=/nowhere/ca.pem", "there is no /nowhere/ca.pem"),
        ("rediss://redis.example?ssl_cert_reqs=yes", "none, optional or required"),
        ("rediss://redis.example?ssl_ca_cert=/etc/ca.pem", "'ssl_ca_cert'"),
        ("redis://redis.example?sentinel_password=x", "'sentinel_password'"),
        ("redis://redis.example?socket_timeout=inf", "above 0"),
        ("redis://redis.example?socket_timeout=0", "above 0"),
        ("redis://redis.example?socket_timeout=soon", "cannot be read"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, complaint: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="REDIS_URL") as refused:
        redis_hosts(url, seconds=2)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://ann:s3cret@one:1,two:many/primary?sentinel_password=s3cret",
        "redis+sentinel://ann:s3cret/and@one:1/primary/0",
        "redis://ann:s3cret/and@redis.example",
        "rediss://ann:s3cret@redis.example?ssl_ca_cert=x",
    ],
)
def test_a_refusal_tells_no_password(url: str) -> None:
    """It stands in the log of whoever starts the site."""
    with pytest.raises(ImproperlyConfigured) as refused:
        redis_hosts(url, seconds=2)
    assert "s3cret" not in str(refused.value)
