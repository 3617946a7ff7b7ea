"""Which certificates are trusted."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from hatch_connect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PEM = "-----BEGIN "
_DER = b"\x30\x82"
# Well-known variables for a file or folder of certificates to trust instead of the system's.
_BUNDLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def stored_certificates(text: str | None, source: str) -> str | None:
    """Return the PEM text that a stored `ca_cert` is, or that is in the file that it names.

    Raises:
        UsageError: it is neither.

    """
    if not text or not text.strip():
        return None
    try:
        if _PEM not in text and "\n" not in text.strip():
            return read_certificates(Path(text.strip()).expanduser())
        _check(text, "It")
    except (UsageError, ValueError) as error:
        why = (
            error.message
            if isinstance(error, UsageError)
            else (f"It is not a valid path: {error}.")
        )
        raise UsageError(
            f"`ca_cert` in {source} cannot be used. {why}",
            hint="Save the server again with `hatch-connect add --cacert FILE`, or use --cacert.",
        ) from error
    return text


def read_certificates(path: str | Path) -> str:
    """Return the PEM text of a file of certificates.

    Raises:
        UsageError: if it cannot be read or is not PEM (for DER, with how to convert it).

    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"The CA certificate {path} cannot be read: {error.strerror}.") from error
    if _PEM.encode() not in data and data.startswith(_DER):
        raise UsageError(
            f"The CA certificate {path} is in DER format; PEM is required.",
            hint=f"Convert it with: openssl x509 -inform der -in {path} -out"
            f" {path.with_suffix('.pem')}",
        )
    text = data.decode("utf-8", "replace")
    _check(text, f"The CA certificate {path}")
    return text


def _check(text: str, called: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=_ascii(text))
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(
            f"{called} contains no certificate in PEM format.",
            hint="Such a file has lines that begin with -----BEGIN CERTIFICATE-----.",
        ) from error


def tls_context(
    environ: Mapping[str, str], *, insecure: bool, ca_cert: str | None
) -> ssl.SSLContext:
    """Return the context that checks the server's certificate.

    With `insecure` it checks nothing. Otherwise it trusts `ca_cert` (PEM text), else what the
    environment names (SSL_CERT_FILE, REQUESTS_CA_BUNDLE, ...), else the system's store.

    Raises:
        UsageError: if the environment names a file that cannot be used.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
    # A server's own certificate, or an intermediate one, suffices if the user says to trust it.
    context.verify_flags |= (
        ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    )
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_cert:
        _check(ca_cert, "The server's CA certificate")
        context.load_verify_locations(cadata=_ascii(ca_cert))
    elif not _load_named(context, environ):
        _load_system(context)
    return context


def _load_named(context: ssl.SSLContext, environ: Mapping[str, str]) -> bool:
    # Several often name the same file, which takes 20 ms to load.
    named = {Path(environ[name]): name for name in reversed(_BUNDLES) if environ.get(name)}
    for path, name in reversed(named.items()):
        try:
            if path.is_dir():
                context.load_verify_locations(capath=path)
            else:
                context.load_verify_locations(cafile=path)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"{name} names {path}, which is not a file of certificates in PEM format.",
                hint=f"Correct {name}, unset it, or use --cacert.",
            ) from error
    return bool(named)


def _load_system(context: ssl.SSLContext) -> None:
    context.load_default_certs()
    places = ssl.get_default_verify_paths()
    if not context.get_ca_certs() and not places.cafile and not places.capath:
        import certifi

        context.load_verify_locations(cafile=certifi.where())


def _ascii(text: str) -> str:
    """Return the text as OpenSSL takes it: comments between certificates may hold anything."""
    return text.encode("ascii", "replace").decode("ascii")
