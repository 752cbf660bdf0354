"""JSON web tokens of an OIDC provider: fixed algorithms, issuer, audience, times, keys by id. No I/O.

Claims: `sub`, `exp`, `iss`, `aud` are required; `scope` (words) or `scp` (list), `roles` and `tenants` (lists) say what
it is for. Scopes that are not ours allow nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import jwt
import msgspec

from headwater.kernel.errors import StartRefused, Unauthenticated
from headwater.kernel.security.grants import Grant
from headwater.kernel.security.principal import Principal
from headwater.kernel.security.scopes import known_scopes

ALGORITHMS: Final = frozenset({"EdDSA", "ES256", "ES384", "RS256", "PS256"})
"""Signatures only: a key that both sides share, or none, proves nothing. A key serves the algorithm it was made for."""
LEEWAY_S: Final = 30.0
"""By how much clocks may differ."""
TOKEN_CHARS_MAX: Final = 8_192
KEYS_MAX: Final = 64

Keys = Mapping[str, jwt.PyJWK]


class KeyUnknown(Unauthenticated):
    """The token names a key that is not among those known: perhaps a new one."""

    default_reason = "KEY_UNKNOWN"


def read_keys(document: bytes) -> Keys:
    """Return the keys of a JWKS document by id; those that sign with no algorithm of ours are left out.

    Raises:
        StartRefused: it is none, or holds no key of use.
    """
    try:
        listed = msgspec.json.decode(document, type=dict[str, Any]).get("keys", ())
    except msgspec.MsgspecError as error:
        raise StartRefused(f"HEADWATER_OIDC_JWKS is no JWKS: {error}", reason="SECURITY") from error
    found = {}
    for item in list(listed)[:KEYS_MAX]:
        key = _read_key(item)
        if key is not None and key.key_id:
            found[key.key_id] = key
    if not found:
        raise StartRefused("HEADWATER_OIDC_JWKS holds no signing key with an id", reason="SECURITY")
    return found


def _read_key(item: Any) -> jwt.PyJWK | None:
    try:
        key = jwt.PyJWK(item)
    except (jwt.PyJWTError, TypeError, AttributeError):
        return None
    of_use = key.algorithm_name in ALGORITHMS and key.public_key_use in {None, "sig"}
    return key if of_use and "d" not in item else None


class JwtVerifier:
    """Tells whom a token proves."""

    def __init__(self, issuer: str, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience

    def verify(self, token: str, keys: Keys, grants: Mapping[str, Grant]) -> Principal:
        """Return whom *token* proves.

        Raises:
            KeyUnknown: no key of that id is known.
            Unauthenticated: anything else is wrong with it; the reason says what.
        """
        if len(token) > TOKEN_CHARS_MAX:
            raise Unauthenticated("the token is too long", reason="TOKEN_MALFORMED")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise Unauthenticated("the bearer token is of no known kind", reason="TOKEN_MALFORMED") from error
        if header.get("alg") not in ALGORITHMS:
            raise Unauthenticated("the token's algorithm is not accepted", reason="ALGORITHM_REFUSED")
        key = keys.get(str(header.get("kid", "")))
        if key is None:
            raise KeyUnknown("the token's key is not known")
        if header["alg"] != key.algorithm_name:
            raise Unauthenticated("the token's algorithm is not its key's", reason="ALGORITHM_REFUSED")
        return _principal(self._claims(token, key), grants)

    def _claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key.key,
                algorithms=[str(key.algorithm_name)],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "TOKEN_MALFORMED")
            raise Unauthenticated("the token is not accepted", reason=reason) from error


_REASONS: Final[tuple[tuple[type[jwt.PyJWTError], str], ...]] = (
    (jwt.ExpiredSignatureError, "TOKEN_EXPIRED"),
    (jwt.ImmatureSignatureError, "TOKEN_NOT_YET_VALID"),
    (jwt.InvalidAudienceError, "AUDIENCE_REFUSED"),
    (jwt.InvalidIssuerError, "ISSUER_REFUSED"),
    (jwt.InvalidSignatureError, "SIGNATURE_REFUSED"),
    (jwt.MissingRequiredClaimError, "CLAIM_MISSING"),
)


def _principal(claims: dict[str, Any], grants: Mapping[str, Grant]) -> Principal:
    subject = str(claims["sub"])
    expires_s = float(claims["exp"]) + LEEWAY_S
    grant = grants.get(subject)
    if grant is not None:
        return Principal(subject, "jwt", grant.tenants, grant.scopes, expires_s, is_person=True)
    scopes = known_scopes(
        _words(claims.get("roles")), (*_words(claims.get("scope")), *_words(claims.get("scp")))
    )
    return Principal(
        subject, "jwt", frozenset(_words(claims.get("tenants"))), scopes, expires_s, is_person=True
    )


def _words(claim: Any) -> tuple[str, ...]:
    """Return the texts of a claim that is a list of them or one text of words."""
    if isinstance(claim, str):
        return tuple(claim.split())
    if isinstance(claim, list):
        return tuple(item for item in claim if isinstance(item, str))
    return ()
