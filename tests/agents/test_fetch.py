"""`fetch_url`: text from the public web, and no way from there to anything else.

One file: each attack is tried against the same few servers.
"""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from agents.tools.addresses import Address, is_public
from agents.tools.fetch import (
    MAX_BYTES,
    MAX_CHARACTERS,
    MAX_REDIRECTS,
    Fetcher,
    FetchError,
    Resolver,
    fetch_tool,
    fetch_url,
)
from tests.agents.web_server import WebServer, Write, certified, redirect, serving, whole

HERE = ipaddress.ip_address("127.0.0.1")


def public_or_here(address: Address) -> bool:
    """The real rule, but for the one address at which the tests' server stands for a public site."""
    return address == HERE or is_public(address)


def resolving(*answers: Sequence[str]) -> Resolver:
    """A resolver that gives these answers one after another and then the last one again, whatever the name."""
    left = list(answers)

    async def resolver(host: str, port: int) -> list[Address]:
        found = left.pop(0) if len(left) > 1 else left[0]
        return [ipaddress.ip_address(address) for address in found]

    return resolver


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    async with serving() as server:
        yield server


@pytest.fixture
def fetcher() -> Fetcher:
    return Fetcher(allowed=public_or_here, ports=None)


# Where it does not go


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "127.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "224.0.0.1",
        "255.255.255.255",
        "１２７.0.0.1",
        "127.0.0.1.",
        "LOCALHOST.",
    ],
)
async def test_inner_addresses_are_refused_however_they_are_written(web: WebServer, host: str) -> None:
    """The tool as agents have it, and only the port let through so that the address decides."""
    with pytest.raises(FetchError, match=r"not on the public internet|was not found|not a valid URL"):
        await Fetcher(ports=None).text(web.url("/secret", host=host))
    assert web.requests == []


async def test_the_tool_itself_is_the_strict_one(web: WebServer) -> None:
    web.answers["/"] = whole(b"secret")
    with pytest.raises(FetchError, match="Port"):
        await fetch_url.ainvoke({"url": web.url()})
    with pytest.raises(FetchError, match="not on the public internet"):
        await fetch_url.ainvoke({"url": "http://127.0.0.1/"})
    assert web.requests == []


@pytest.mark.parametrize(
    "answer", [["93.184.216.34", "127.0.0.2"], ["10.0.0.1", "93.184.216.34"], ["127.0.0.1", "::1"]]
)
async def test_a_name_with_one_inner_address_is_refused_whole(web: WebServer, answer: list[str]) -> None:
    fetcher = Fetcher(allowed=public_or_here, ports=None, resolver=resolving(answer))
    with pytest.raises(FetchError, match="not on the public internet"):
        await fetcher.text(web.url(host="two-faced.test"))
    assert web.requests == []


async def test_a_name_that_changes_its_mind_gains_nothing(web: WebServer) -> None:
    """The address that was checked is the one connected to: nobody resolves the name again."""
    web.answers["/"] = whole(b"hello")
    fetcher = Fetcher(allowed=public_or_here, ports=None, resolver=resolving(["127.0.0.1"], ["127.0.0.2"]))
    # No resolver of the system knows this name, so any second look would fail.
    assert "hello" in await fetcher.text(web.url(host="rebinding.test"))
    assert web.peers == ["127.0.0.1"]
    assert f"Host: rebinding.test:{web.port}\r\n" in web.requests[0]
    with pytest.raises(FetchError, match="not on the public internet"):
        await fetcher.text(web.url(host="rebinding.test"))
    assert len(web.requests) == 1


@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/secret",
        "http://169.254.169.254/latest/meta-data/",
        "//127.0.0.2:{port}/secret",
        "http://[::1]:{port}/secret",
        "http://localhost.:{port}/secret",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://user:pass@127.0.0.1:{port}/secret",
        "http://[",
        "http://\x00/",
    ],
)
async def test_a_redirect_inwards_is_refused(web: WebServer, fetcher: Fetcher, status: str, location: str) -> None:
    web.answers["/"] = redirect(location.format(port=web.port), status=status)
    web.answers["/secret"] = whole(b"secret")
    with pytest.raises(FetchError) as error:
        await fetcher.text(web.url())
    assert len(web.requests) == 1
    assert "secret" not in str(error.value).replace("/secret", "")


async def test_a_redirect_to_a_name_is_resolved_and_checked_again(web: WebServer) -> None:
    web.answers["/"] = redirect(f"http://second.test:{web.port}/secret")
    fetcher = Fetcher(allowed=public_or_here, ports=None, resolver=resolving(["127.0.0.1"], ["127.0.0.2"]))
    with pytest.raises(FetchError, match=r"second\.test is not on the public internet"):
        await fetcher.text(web.url(host="first.test"))
    assert len(web.requests) == 1


async def test_a_redirect_to_another_port_is_refused(web: WebServer) -> None:
    web.answers["/"] = redirect("http://127.0.0.1:22/")
    fetcher = Fetcher(allowed=public_or_here, ports=frozenset({web.port}))
    with pytest.raises(FetchError, match="Port 22"):
        await fetcher.text(web.url())


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "Only complete"),
        ("ftp://example.com/", "Only complete"),
        ("example.com", "Only complete"),
        ("//example.com/", "Only complete"),
        ("http:///path", "Only complete"),
        ("", "Only complete"),
        ("javascript:alert(1)", "Only complete"),
        ("http://user:secret@example.com/", "user name or password"),
        ("http://user@example.com/", "user name or password"),
        ("http://example.com:22/", "Port 22"),
        ("https://example.com:8443/", "Port 8443"),
        ("http://example.com:99999/", "Port 99999"),
        ("http://exa mple.com/\r\nX: 1", "not a valid URL"),
        ("http://[::1", "not a valid URL"),
        ("http://example.com/" + "a" * 2000, "too long"),
        ("http://name-that-is-nowhere.invalid/", "was not found"),
        ("http://" + "a" * 70 + ".com/", "was not found|not a valid URL"),
    ],
)
async def test_what_is_no_public_web_address_is_refused_with_a_reason(url: str, reason: str) -> None:
    with pytest.raises(FetchError, match=reason):
        await Fetcher().text(url)


# How it gets there


async def test_redirects_are_followed_up_to_the_limit(web: WebServer, fetcher: Fetcher) -> None:
    web.answers["/end"] = whole(b"arrived")
    web.answers["/again"] = redirect("/again")
    for step in range(MAX_REDIRECTS):
        location = f"/hop{step + 1}" if step + 1 < MAX_REDIRECTS else "/end#part"
        web.answers[f"/hop{step}"] = redirect(location)
    said = await fetcher.text(web.url("/hop0"))
    assert said == f"From {web.url('/end')}\n\narrived"
    assert len(web.requests) == MAX_REDIRECTS + 1
    with pytest.raises(FetchError, match="more than 5 times"):
        await fetcher.text(web.url("/again"))
    assert len(web.requests) == 2 * (MAX_REDIRECTS + 1)


async def test_another_address_of_the_name_is_tried_when_one_is_dead(web: WebServer) -> None:
    web.answers["/"] = whole(b"hello")
    fetcher = Fetcher(allowed=lambda address: address.is_loopback, ports=None, resolver=resolving(["::1", "127.0.0.1"]))
    assert "hello" in await fetcher.text(web.url(host="two-homes.test"))


async def test_a_dead_server_is_a_sentence(fetcher: Fetcher) -> None:
    async with serving() as web:
        url = web.url()
    with pytest.raises(FetchError, match=r"No connection to 127\.0\.0\.1"):
        await fetcher.text(url)


async def test_proxies_from_the_environment_are_not_used(
    web: WebServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would resolve the name once more, by itself, and behind the wall."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    web.answers["/"] = whole(b"hello")
    assert "hello" in await fetcher.text(web.url())


async def test_the_certificate_is_checked_for_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the connection goes to an address, the server is asked for by name and must prove that name."""
    context, trusted = certified("glassbox.test", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    fetcher = Fetcher(allowed=public_or_here, ports=None, resolver=resolving(["127.0.0.1"]))
    async with serving(context) as web:
        web.answers["/"] = whole(b"hello")
        assert "hello" in await fetcher.text(web.url(host="glassbox.test", scheme="https"))
        assert web.names == ["glassbox.test"]
        with pytest.raises(FetchError, match=r"certificate of other\.test is not valid"):
            await fetcher.text(web.url(host="other.test", scheme="https"))
        assert len(web.requests) == 1


async def test_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    context, _ = certified("glassbox.test", tmp_path)
    async with serving(context) as web:
        with pytest.raises(FetchError, match="certificate"):
            await Fetcher(allowed=public_or_here, ports=None, resolver=resolving(["127.0.0.1"])).text(
                web.url(host="glassbox.test", scheme="https")
            )


# How much of it


def trickling(head: str, piece: bytes, *, pause: float = 0.0) -> Callable[[Write], Awaitable[None]]:
    """An answer that begins with `head` and then never ends."""

    async def answer(write: Write) -> None:
        await write(head.encode())
        while True:
            await write(piece)
            await asyncio.sleep(pause)

    return answer


HEAD = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"


async def test_an_endless_body_is_cut_and_the_connection_closed(web: WebServer, fetcher: Fetcher) -> None:
    web.answers["/"] = trickling(HEAD, b"x " * 8_192)
    said = await asyncio.wait_for(fetcher.text(web.url()), 10)
    assert said.endswith(f"[Cut off here after {MAX_CHARACTERS:,} characters.]")
    await asyncio.wait_for(web.left.wait(), 5)


async def test_a_page_larger_than_the_limit_says_so(web: WebServer, fetcher: Fetcher) -> None:
    page = b"<p>short</p><!--" + b"x" * (MAX_BYTES + 1) + b"--><p>never read</p>"
    web.answers["/"] = whole(page, content_type="text/html")
    said = await fetcher.text(web.url())
    assert said == f"From {web.url()}\n\nshort\n\n[Cut off here: the page is larger than 1,024 KiB.]"


async def test_a_bomb_is_unpacked_no_further_than_the_limit(web: WebServer, fetcher: Fetcher) -> None:
    """64 MB packed into 64 kB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    bomb = b"".join(packer.compress(b"a" * 2**20) for _ in range(64)) + packer.flush()
    web.answers["/"] = whole(bomb, headers="Content-Encoding: gzip\r\n")
    tracemalloc.start()
    try:
        said = await fetcher.text(web.url())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(said) < MAX_CHARACTERS + 200
    assert peak < 8 * MAX_BYTES


async def test_packed_bytes_that_unpack_to_nothing_are_bounded_too(web: WebServer, fetcher: Fetcher) -> None:
    empty_blocks = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    head = empty_blocks.compress(b"") + empty_blocks.flush(zlib.Z_FULL_FLUSH)
    piece = b"\x00\x00\x00\xff\xff" * 4_096

    async def answer(write: Write) -> None:
        await write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n\r\n" + head)
        while True:
            await write(piece)

    web.answers["/"] = answer
    assert "no text" in await asyncio.wait_for(fetcher.text(web.url()), 10)
    await asyncio.wait_for(web.left.wait(), 5)


@pytest.mark.parametrize("slow", ["body", "head"])
async def test_the_whole_of_it_is_bounded_in_time(web: WebServer, slow: str) -> None:
    """A byte now and then keeps no time-out for single reads from being met, so the whole has one."""
    body_begins = "\r\n\r\n" if slow == "body" else ""
    web.answers["/"] = trickling(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain{body_begins}", b"x", pause=0.02)
    began = time.monotonic()
    with pytest.raises(FetchError, match=r"took longer than 0\.3 seconds"):
        await Fetcher(allowed=public_or_here, ports=None, timeout=0.3).text(web.url())
    assert time.monotonic() - began < 2
    await asyncio.wait_for(web.left.wait(), 5)


# What it says


async def test_a_web_page_becomes_its_text(web: WebServer, fetcher: Fetcher) -> None:
    page = "<title>Cafés &amp; bars</title><script>alert('no')</script><h1>Où ?</h1><p>Ici&nbsp;!<style>p{}</style></p>"
    for path, charset in (("/utf8", "utf-8"), ("/latin", "iso-8859-1"), ("/wide", "utf-16")):
        web.answers[path] = whole(page.encode(charset), content_type=f"text/html; charset={charset}")
        assert await fetcher.text(web.url(path)) == f"From {web.url(path)}\nCafés & bars\n\n# Où ?\n\nIci !"


@pytest.mark.parametrize(
    "charset", ["punycode", "idna", "unicode_escape", "zip", "rot13", "utf-7", "nonsense", "\u0000"]
)
async def test_a_charset_that_is_none_is_read_as_utf8(web: WebServer, fetcher: Fetcher, charset: str) -> None:
    """Some of Python's decoders take time that grows with the square of what they are given."""
    body = "é-".encode() * 300_000
    web.answers["/"] = whole(body, content_type=f"text/plain; charset={charset}")
    if "\u0000" in charset:
        with pytest.raises(FetchError):
            await fetcher.text(web.url())
    else:
        assert "é-é-é-" in await asyncio.wait_for(fetcher.text(web.url()), 5)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x-gzip"])
async def test_packed_text_is_unpacked(web: WebServer, fetcher: Fetcher, encoding: str) -> None:
    body = zlib.compress(b"hello") if encoding == "deflate" else gzip.compress(b"hello")
    web.answers["/"] = whole(body, headers=f"Content-Encoding: {encoding}\r\n")
    assert (await fetcher.text(web.url())).endswith("\n\nhello")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (whole(b"\x89PNG", content_type="image/png"), "is not text but image/png"),
        (whole(b"PK", content_type="application/zip"), "is not text but application/zip"),
        (whole(b"a\x00b"), "is not text"),
        (whole(b"gone", status="410 Gone"), "answered with 410 Gone"),
        (whole(b"oops", status="500 Internal Server Error"), "answered with 500 Internal Server Error"),
        (whole(b"x", status="304 Not Modified"), "answered with 304"),
        (whole(b"not gzip", headers="Content-Encoding: gzip\r\n"), "cannot be unpacked"),
        (whole(b"?", headers="Content-Encoding: br\r\n"), "not understood"),
        (whole(b"?", headers="Content-Encoding: gzip, gzip\r\n"), "not understood"),
        (b"this is not HTTP\r\n\r\n", "did not answer properly"),
        (b"", "did not answer properly"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "broke off"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", "did not answer properly"),
    ],
)
async def test_what_is_no_readable_page_is_a_sentence(
    web: WebServer, fetcher: Fetcher, answer: bytes, reason: str
) -> None:
    web.answers["/"] = answer
    with pytest.raises(FetchError, match=reason):
        await fetcher.text(web.url())


@pytest.mark.parametrize("content_type", ["application/json", "application/problem+json", "image/svg+xml", "text/csv"])
async def test_other_text_comes_as_it_is(web: WebServer, fetcher: Fetcher, content_type: str) -> None:
    web.answers["/"] = whole(b'{"a": [1, 2]}', content_type=content_type)
    tool = fetch_tool(fetcher)
    assert await tool.ainvoke({"url": web.url("/#part")}) == f'From {web.url()}\n\n{{"a": [1, 2]}}'


async def test_cancelling_closes_the_connection(web: WebServer, fetcher: Fetcher) -> None:
    web.answers["/"] = trickling(HEAD, b"x", pause=0.01)
    task = asyncio.create_task(fetcher.text(web.url()))
    await asyncio.wait_for(web.asked.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(web.left.wait(), 5)
