"""A certificate authority of the tests' own, and servers with certificates from it, made by the openssl command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.services import debian, ports
from tests.services.postgresql import PostgreSQL
from tests.services.rabbitmq import RabbitMQ

HOST: Final = "localhost"  # what the certificates are for: not for 127.0.0.1
_CONFIG: Final = f"""
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:{HOST}
"""
_NEW: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "2")


def install() -> Path:
    """The openssl command of Debian's package.

    Raises:
        debian.Missing: it is not there, and cannot be installed.
    """
    return debian.program("/usr/bin/openssl", package="openssl")


@dataclass(frozen=True)
class Authority:
    """A CA in `directory`, and one server's certificate from it."""

    directory: Path

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def certificate(self) -> Path:
        return self.directory / "server.pem"

    @property
    def key(self) -> Path:
        return self.directory / "server.key"


def make_authority(openssl: Path, directory: Path) -> Authority:
    """A new one, which nobody trusts yet."""
    directory.mkdir()
    (directory / "openssl.cnf").write_text(_CONFIG)
    made = Authority(directory)
    _request(openssl, "/CN=Callstitch tests", made.ca, directory / "ca.key", "authority")
    _request(
        openssl,
        f"/CN={HOST}",
        made.certificate,
        made.key,
        "server",
        "-CA",
        str(made.ca),
        "-CAkey",
        f"{directory}/ca.key",
    )
    return made


def _request(openssl: Path, subject: str, certificate: Path, key: Path, extensions: str, *more: str) -> None:
    options = ("-config", f"{certificate.parent}/openssl.cnf", "-extensions", extensions, "-subj", subject)
    files = ("-keyout", str(key), "-out", str(certificate))
    subprocess.run([openssl, "req", "-x509", *_NEW, *options, *files, *more], capture_output=True, check=True)


def postgresql_with(authority: Authority) -> PostgreSQL:
    """A cluster with a TLS certificate, which takes plain connections too."""
    settings = {"ssl": "on", "ssl_cert_file": "server.pem", "ssl_key_file": "server.key"}
    return PostgreSQL(settings=settings, files={"server.pem": authority.certificate, "server.key": authority.key})


class TlsRabbitMQ(RabbitMQ):
    """A node with a listener for `amqps` beside the plain one."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self.tls_port = ports.free_port()
        super().__init__()

    def _write_files(self) -> None:
        super()._write_files()
        with (self.home / "rabbitmq.conf").open("a") as conf:
            conf.write(
                f"listeners.ssl.default = 127.0.0.1:{self.tls_port}\n"
                f"ssl_options.cacertfile = {self._authority.ca}\n"
                f"ssl_options.certfile = {self._authority.certificate}\n"
                f"ssl_options.keyfile = {self._authority.key}\n"
                "ssl_options.verify = verify_none\n"
            )
