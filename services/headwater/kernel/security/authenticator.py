"""From what a call brings to whom it comes from: one look-up in a bounded cache, the checking itself once a credential.

Owns the cache and the order of the three ways. A bearer token stands above the certificate that the connection was
opened with: the certificate then is a gateway's, the token its user's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509

from headwater.kernel.clock import Clock
from headwater.kernel.errors import Unauthenticated
from headwater.kernel.security import tokens
from headwater.kernel.security.grants import Grant
from headwater.kernel.security.identities import principal_of
from headwater.kernel.security.jwt import JwtVerifier, Keys, KeyUnknown
from headwater.kernel.security.principal import Principal
from headwater.kernel.security.tokens import TokenEntry

CACHE_MAX: Final = 8_192
"""Credentials kept; the oldest goes first. Some 4 MB when full."""
BEARER: Final = "bearer "


@dataclass(frozen=True, slots=True)
class Trust:
    """What is believed at the moment; replaced whole when a file changes."""

    trust_domain: str = ""
    grants: Mapping[str, Grant] = field(default_factory=dict)
    tokens: Mapping[str, TokenEntry] | None = None
    keys: Keys | None = None


class Authenticator:
    """Tells whom a call comes from.

    Args:
        verifier: of JSON web tokens; None: none are taken.
        fetch_keys: brings the keys of the provider anew; returns whether it did, bounded in rate.
    """

    def __init__(
        self,
        trust: Trust,
        verifier: JwtVerifier | None,
        clock: Clock,
        fetch_keys: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._trust = trust
        self._verifier = verifier
        self._clock = clock
        self.fetch_keys = fetch_keys
        self._cache: dict[bytes, Principal] = {}

    @property
    def trust(self) -> Trust:
        """What is believed now."""
        return self._trust

    def now_s(self) -> float:
        """Return the seconds since 1970."""
        return self._clock.now().timestamp()

    def believe(self, trust: Trust) -> None:
        """Believe *trust* from now on; every credential is checked anew."""
        self._trust = trust
        self._cache.clear()

    def cached(self, credential: bytes, now_s: float) -> Principal | None:
        """Return whom a credential that was checked before proves; None when it is to be checked."""
        found = self._cache.get(hashlib.sha256(credential).digest())
        return found if found is not None and found.expires_s > now_s else None

    async def bearer(self, token: str) -> Principal:
        """Return whom a bearer token proves.

        Raises:
            Unauthenticated: it is no good; the reason says why.
        """
        if tokens.is_token(token) and self._trust.tokens is not None:
            principal = tokens.check_token(token, self._trust.tokens, self._clock.now())
        elif self._verifier is not None:
            principal = await self._of_jwt(self._verifier, token)
        else:
            raise Unauthenticated("no such token is taken here", reason="TOKEN_UNKNOWN")
        return self._keep(token.encode(), principal)

    async def _of_jwt(self, verifier: JwtVerifier, token: str) -> Principal:
        try:
            return verifier.verify(token, self._trust.keys or {}, self._trust.grants)
        except KeyUnknown:
            if self.fetch_keys is None or not await self.fetch_keys():
                raise
        return verifier.verify(token, self._trust.keys or {}, self._trust.grants)

    def certificate(self, encoded: bytes) -> Principal:
        """Return whom a verified certificate proves, PEM or DER.

        Raises:
            Unauthenticated: it names nobody to whom anything is granted, or has ended since the handshake.
        """
        try:
            load = (
                x509.load_pem_x509_certificate if encoded[:5] == b"-----" else x509.load_der_x509_certificate
            )
            principal = principal_of(load(encoded), self._trust.trust_domain, self._trust.grants)
        except ValueError as error:
            raise Unauthenticated(
                "the certificate cannot be read", reason="CERTIFICATE_UNREADABLE"
            ) from error
        if principal.expires_s <= self.now_s():
            raise Unauthenticated("the certificate has ended", reason="CERTIFICATE_EXPIRED")
        return self._keep(encoded, principal)

    def _keep(self, credential: bytes, principal: Principal) -> Principal:
        if len(self._cache) >= CACHE_MAX:
            del self._cache[next(iter(self._cache))]
        self._cache[hashlib.sha256(credential).digest()] = principal
        return principal

    async def authenticate(self, authorization: str, certificate: bytes) -> Principal:
        """Return whom a call comes from; the hot path is one look-up.

        Args:
            authorization: the header of that name; empty when there is none.
            certificate: of the connection, verified by its handshake; empty when there is none.

        Raises:
            Unauthenticated: it brings no credential, or one that is no good.
        """
        now_s = self.now_s()
        if authorization:
            if authorization[: len(BEARER)].lower() != BEARER:
                raise Unauthenticated("only bearer tokens are taken", reason="SCHEME_UNKNOWN")
            token = authorization[len(BEARER) :].strip()
            return self.cached(token.encode(), now_s) or await self.bearer(token)
        if certificate:
            return self.cached(certificate, now_s) or self.certificate(certificate)
        raise Unauthenticated(
            "no credential: bring a bearer token, or a client certificate", reason="CREDENTIAL_REQUIRED"
        )
