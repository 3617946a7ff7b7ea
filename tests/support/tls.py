"""Certificates for servers on this machine; made by hand, good for a hundred years."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

CERTIFICATES = Path(__file__).parents[1] / "connect" / "certificates"
CA = CERTIFICATES / "ca.pem"


def serving(name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem")
    return context


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
