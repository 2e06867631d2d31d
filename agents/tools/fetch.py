"""A page of the public web, as text: the one tool that goes where a stranger points, and so the most suspicious one."""

from __future__ import annotations

import asyncio
import codecs
import functools
import ipaddress
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import httpx
from langchain_core.tools import BaseTool, ToolException, tool

from agents.tools.addresses import Address, is_public
from agents.tools.readable import readable

# A little less than the tool is given, so that the fetcher itself gets to say which page was too slow.
FETCH_TIMEOUT = 20.0

MAX_BYTES = 1_048_576
MAX_CHARACTERS = 12_000
MAX_REDIRECTS = 5
MAX_URL = 2_000
CONNECT_TIMEOUT = 5.0

PORTS = frozenset({80, 443})
"""The ports of the web: others are where the inner services of a public machine listen."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TEXT_TYPES = frozenset(
    f"application/{name}"
    for name in ("json", "xml", "javascript", "x-javascript", "yaml", "x-yaml", "toml", "x-ndjson")
)
# Python knows decoders whose cost grows with the square of the input, and some that are no text encodings at all; a
# page chooses among these.
_CHARSETS = (
    "ascii utf-8 utf-8-sig utf-16 utf-16-le utf-16-be utf-32 iso8859 cp125 koi8 mac shift_jis cp932 euc gb big5 iso2022"
).split()

# Of its own: a name that is slow to resolve keeps its thread, and the process's common ones are for everybody.
_THREADS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="fetch")

Resolver = Callable[[str, int], Awaitable[list[Address]]]


class FetchError(ToolException):
    """The page was not fetched; the message says why in a sentence."""


async def resolve(host: str, port: int) -> list[Address]:
    """Every address of a host name, as the system resolves it; raises OSError."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_THREADS, look_up)
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What came back: the address in the end, the body's first MAX_BYTES, and whether there was more."""

    url: httpx.URL
    content_type: str
    charset: str | None
    body: bytes
    is_cut: bool


class Fetcher:
    """Fetches pages from addresses that `allowed` admits.

    A name is resolved once for each request, every one of its addresses must be allowed, and the connection goes to one
    of those very addresses, so that a name that changes its mind in between gains nothing; the name itself is only what
    the certificate must be for. Each redirect starts over. Proxies from the environment are not used.
    """

    def __init__(
        self,
        *,
        allowed: Callable[[Address], bool] = is_public,
        ports: frozenset[int] | None = PORTS,
        resolver: Resolver = resolve,
        timeout: float = FETCH_TIMEOUT,
    ) -> None:
        """`ports` None admits all; `timeout` in seconds bounds the whole of a fetch."""
        self._allowed = allowed
        self._ports = ports
        self._resolver = resolver
        self._timeout = timeout

    async def text(self, url: str) -> str:
        """The readable text at a URL, MAX_CHARACTERS at most, under a line that says where it came from."""
        try:
            async with asyncio.timeout(self._timeout):
                page = await self._page(url)
                # Parsing what a stranger wrote takes its time; other people's runs share this thread.
                return await asyncio.get_running_loop().run_in_executor(_THREADS, _rendered, page)
        except TimeoutError:
            raise FetchError(f"{_shown(url)} took longer than {self._timeout:g} seconds.") from None

    async def _page(self, url: str) -> Page:
        target = self._parsed(url)
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._requested(target)
            if isinstance(answer, Page):
                return answer
            target = self._parsed(answer)
        raise FetchError(f"{_shown(url)} redirects more than {MAX_REDIRECTS} times.")

    def _parsed(self, url: str | httpx.URL) -> httpx.URL:
        if len(str(url)) > MAX_URL:
            raise FetchError(f"The URL is too long: at most {MAX_URL} characters.")
        try:
            target = httpx.URL(url) if isinstance(url, httpx.URL) else httpx.URL(url.strip())
        except (httpx.InvalidURL, ValueError):
            raise FetchError(f"“{_shown(url)}” is not a valid URL.") from None
        if target.scheme not in ("http", "https") or not target.host:
            raise FetchError("Only complete http:// and https:// URLs can be fetched.")
        if target.userinfo:
            raise FetchError("URLs with a user name or password in them are not fetched.")
        if self._ports is not None and _port(target) not in self._ports:
            known = " and ".join(str(port) for port in sorted(self._ports))
            raise FetchError(f"Port {_port(target)} is not fetched; only {known} are.")
        return target.copy_with(fragment=None)

    async def _checked_addresses(self, target: httpx.URL) -> list[Address]:
        try:
            addresses = await self._resolver(target.raw_host.decode("ascii"), _port(target))
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise FetchError(f"The host {target.host} was not found.")
        # One inner address among public ones is how a name is made to point inwards at the second look.
        if not all(self._allowed(address) for address in addresses):
            raise FetchError(f"The host {target.host} is not on the public internet, so it is not fetched.")
        return addresses

    async def _requested(self, target: httpx.URL) -> Page | httpx.URL:
        failed: Exception | None = None
        for address in await self._checked_addresses(target):
            # A client for each request: a pool knows connections by address, and would lend the one whose certificate
            # was checked for another name.
            async with httpx.AsyncClient(
                verify=self._certificates, trust_env=False, timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT)
            ) as client:
                request = client.build_request(
                    "GET",
                    target.copy_with(host=str(address)),
                    headers={
                        "Host": target.netloc.decode("ascii"),
                        "User-Agent": "Mozilla/5.0 (compatible; Glassbox)",
                        "Accept": "text/html, text/plain, application/json;q=0.9, text/*;q=0.8, */*;q=0.1",
                        "Accept-Encoding": "gzip",
                    },
                    extensions={"sni_hostname": target.raw_host.decode("ascii")},
                )
                try:
                    response = await client.send(request, stream=True)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    failed = error
                    continue
                except httpx.HTTPError as error:
                    raise FetchError(f"{target.host} did not answer properly ({type(error).__name__}).") from None
                try:
                    return await _received(target, response)
                except httpx.HTTPError as error:
                    raise FetchError(f"{target.host} broke off its answer ({type(error).__name__}).") from None
        if "CERTIFICATE_VERIFY_FAILED" in str(failed):
            raise FetchError(f"The certificate of {target.host} is not valid for it.")
        raise FetchError(f"No connection to {target.host} on port {_port(target)}.")

    @functools.cached_property
    def _certificates(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()


async def _received(target: httpx.URL, response: httpx.Response) -> Page | httpx.URL:
    """The page, or where it says to look for it."""
    status = response.status_code
    if status in _REDIRECTS and (location := response.headers.get("location")):
        try:
            return target.join(location)
        except (httpx.InvalidURL, ValueError):
            raise FetchError(f"{target.host} redirects to something that is not a valid URL.") from None
    if not response.is_success:
        raise FetchError(f"{_shown(target)} answered with {status} {httpx.codes.get_reason_phrase(status)}.")
    content_type = response.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    is_text = content_type.startswith("text/") or content_type.endswith(("+json", "+xml"))
    if not is_text and content_type not in _TEXT_TYPES:
        raise FetchError(f"{_shown(target)} is not text but {content_type[:80]}.")
    body, is_cut = await _bounded_body(response)
    return Page(url=target, content_type=content_type, charset=response.charset_encoding, body=body, is_cut=is_cut)


async def _bounded_body(response: httpx.Response) -> tuple[bytes, bool]:
    """The first MAX_BYTES of the body, unpacked, and whether more would have come.

    Unpacked here and not by httpx, which unpacks a whole piece before anyone can count it: 64 kB can become 64 MB.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", "deflate", ""):
        raise FetchError(f"The answer is packed in a way that is not understood ({encoding[:40]}).")
    unpacker = None if encoding in ("identity", "") else zlib.decompressobj(zlib.MAX_WBITS | 32)
    body = bytearray()
    received = 0
    async for piece in response.aiter_raw():
        received += len(piece)
        try:
            body += piece if unpacker is None else unpacker.decompress(piece, MAX_BYTES + 1 - len(body))
        except zlib.error:
            raise FetchError("The answer is packed in a way that cannot be unpacked.") from None
        # What is packed can also go on for ever without a byte coming out of it.
        if len(body) > MAX_BYTES or received > MAX_BYTES:
            return bytes(body[:MAX_BYTES]), True
    return bytes(body), False


def _rendered(page: Page) -> str:
    text = _decoded(page)
    title = ""
    if "html" in page.content_type:
        title, text = readable(text, enough=MAX_CHARACTERS)
    text = text.strip() or "(The page holds no text.)"
    note = ""
    if len(text) > MAX_CHARACTERS:
        text, note = text[:MAX_CHARACTERS].rstrip(), f"\n\n[Cut off here after {MAX_CHARACTERS:,} characters.]"
    elif page.is_cut:
        note = f"\n\n[Cut off here: the page is larger than {MAX_BYTES // 1024:,} KiB.]"
    heading = f"{title[:300]}\n" if title else ""
    return f"From {_shown(page.url)}\n{heading}\n{text}{note}"


def _decoded(page: Page) -> str:
    charset = "utf-8"
    try:
        name = codecs.lookup(page.charset or "utf-8").name
        if name.startswith(tuple(_CHARSETS)):
            charset = name
    except (LookupError, ValueError):
        pass
    text = page.body.decode(charset, errors="replace")
    if "\x00" in text:
        raise FetchError(f"{_shown(page.url)} is not text.")
    return text


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _shown(url: str | httpx.URL) -> str:
    text = str(url)
    return text if len(text) <= 200 else text[:200] + "…"


def fetch_tool(fetcher: Fetcher) -> BaseTool:
    """The tool `fetch_url`, fetching through `fetcher`."""

    @tool
    async def fetch_url(url: str) -> str:
        """Read a public web page or text file.

        Give a complete http or https URL. HTML comes back as its readable text; long pages are cut off.
        """
        return await fetcher.text(url)

    return fetch_url


fetch_url = fetch_tool(Fetcher())
