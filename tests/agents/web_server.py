"""A real web server on loopback that answers byte for byte what a test tells it to, over HTTP or HTTPS."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Write = Callable[[bytes], Awaitable[None]]
Answer = bytes | Callable[[Write], Awaitable[None]]


class WebServer:
    """Answers by path; what it does not know is a 404. `requests` are the heads as they came."""

    def __init__(self) -> None:
        self.port = 0
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.peers: list[str] = []
        self.names: list[str | None] = []
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    def url(self, path: str = "/", *, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(head)
            self.asked.set()
            self.peers.append(writer.get_extra_info("sockname")[0])
            answer = self.answers.get(head.split(" ")[1], whole(b"no such page", status="404 Not Found"))

            async def write(content: bytes) -> None:
                writer.write(content)
                await writer.drain()

            if isinstance(answer, bytes):
                await write(answer)
            else:
                await answer(write)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            self.left.set()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()


def whole(body: bytes, *, status: str = "200 OK", content_type: str = "text/plain", headers: str = "") -> bytes:
    """A complete response; `headers` are further lines, each with its line end."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{headers}"
    return f"{head}Connection: close\r\n\r\n".encode("latin-1") + body


def redirect(location: str, *, status: str = "302 Found") -> bytes:
    return whole(b"", status=status, headers=f"Location: {location}\r\n")


@contextlib.asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[WebServer]:
    """The server on a free port of 127.0.0.1, until the end of the block."""
    web = WebServer()
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            await web.handle(reader, writer)
        finally:
            tasks.discard(task)

    if context is not None:
        context.sni_callback = lambda _socket, name, _context: web.names.append(name)
    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def certified(name: str, folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context with a certificate for `name`, and the file of the authority that vouches for it."""
    now = dt.datetime.now(dt.UTC)

    def certificate(subject: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
        )

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = (
        certificate("Authority of the tests", "Authority of the tests", authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    leaf = (
        certificate(name, "Authority of the tests", key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    trusted, own = folder / f"{name}.ca.pem", folder / f"{name}.pem"
    trusted.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    own.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    return context, trusted
