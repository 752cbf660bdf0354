"""The parts of security that need cryptography, PyJWT or httpx: loaded by those alone whose settings ask for them."""

from __future__ import annotations

from collections.abc import Callable

from headwater.kernel.clock import Clock, SystemClock
from headwater.kernel.security.authenticator import Authenticator, Trust
from headwater.kernel.security.jwt import JwtVerifier
from headwater.kernel.security.keys import KeySource, key_source
from headwater.kernel.security.security import path_of, read_files
from headwater.kernel.security.settings import SecuritySettings
from headwater.kernel.security.tls import ServerTls, TlsFiles

Parts = tuple[ServerTls | None, Authenticator | None, KeySource | None]


def open_parts(settings: SecuritySettings, clock: Clock | None, monotonic: Callable[[], float]) -> Parts:
    """Return what listens, what authenticates, and where the keys of the identity provider come from.

    Raises:
        StartRefused: a file cannot be read, is not private, or is not what it should be.
    """
    tls = _tls(settings)
    keys = key_source(settings.oidc_jwks, monotonic) if settings.oidc_issuer else None
    by_certificate = tls is not None and settings.tls_ca and settings.tls_clients == "required"
    if not (by_certificate or settings.tokens_file or keys is not None):
        return tls, None, None
    verifier = JwtVerifier(settings.oidc_issuer, settings.oidc_audience) if keys is not None else None
    trust = Trust(settings.trust_domain, **read_files(settings))
    return tls, Authenticator(trust, verifier, clock or SystemClock()), keys


def _tls(settings: SecuritySettings) -> ServerTls | None:
    if not settings.tls_cert:
        return None
    authorities = path_of(settings.tls_ca) if settings.tls_ca else None
    required = settings.tls_clients == "required"
    return ServerTls(TlsFiles(path_of(settings.tls_cert), path_of(settings.tls_key), authorities, required))
