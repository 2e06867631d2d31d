"""Real TLS before a part that speaks none: an nginx that ends it, and a certificate authority of the tests' own."""

from __future__ import annotations

import datetime as dt
import ipaddress
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.parts.child import Child, free_port
from tests.parts.proxy import binary

CONFIG = """
daemon off;
master_process off;
error_log stderr info;
pid {folder}/pid;
events {{
    worker_connections 512;
}}
stream {{
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.key;
        {alpn}
        proxy_pass 127.0.0.1:{target};
        # A listener may be told nothing for long.
        proxy_timeout 1h;
    }}
}}
"""


class Authority:
    """Signs certificates; `path` is what clients are told to trust."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ca.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), True
        )
        self._save(self.path, builder.add_extension(usage, True))

    def certify(self, folder: Path, *names: str) -> None:
        """Write `server.pem` and `server.key` for these host names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        builder = self._builder(subject, key).add_extension(
            x509.SubjectAlternativeName([_general(name) for name in names]), False
        )
        self._save(folder / "server.pem", builder)
        (folder / "server.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        day = dt.timedelta(days=1)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False)
        )

    def _save(self, path: Path, builder: x509.CertificateBuilder) -> None:
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class TlsEnd:
    """Listens on `port` with a certificate of `authority` and passes on to another port of loopback. Of the others, `stranger`
    signed nothing here.
    """

    def __init__(self, target: int, *, names: Sequence[str], alpn: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="glassbox-tls-")
        folder = Path(self._folder.name)
        (folder / "stranger").mkdir()
        self.port = free_port()
        self.authority, self.stranger = Authority(folder), Authority(folder / "stranger")
        self.authority.certify(folder, *names)
        config = CONFIG.format(folder=folder, port=self.port, target=target, alpn=f"ssl_alpn {alpn};" if alpn else "")
        (folder / "nginx.conf").write_text(config)
        self._child = Child([binary(), "-p", str(folder), "-c", str(folder / "nginx.conf")], log=folder / "log")
        self._child.wait_until((folder / "pid").exists, timeout=10)

    def close(self) -> None:
        self._child.kill()
        self._folder.cleanup()


NewTlsEnd = Callable[..., TlsEnd]


@pytest.fixture
def new_tls_end() -> Iterator[NewTlsEnd]:
    """`new_tls_end(port, names=["localhost"], alpn="postgresql")`: TLS before that port."""
    made: list[TlsEnd] = []

    def make(target: int, *, names: Sequence[str] = ("localhost", "127.0.0.1"), alpn: str = "") -> TlsEnd:
        made.append(TlsEnd(target, names=names, alpn=alpn))
        return made[-1]

    yield make
    for end in made:
        end.close()
