"""Good credentials and every kind of bad one, for one tenant. Makes its own authorities, tokens and keys."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from headwater.kernel.clock import SystemClock
from headwater.kernel.security.authority import AUTHORITY, Authority, Wanted
from headwater.kernel.security.calling import ChannelSecurity
from headwater.kernel.security.scopes import SCOPES
from headwater.kernel.security.settings import TRUST_DOMAIN
from headwater.kernel.security.table import Rule
from headwater.kernel.security.tokens import TokenEntry, TokenFile, mint

TENANT: Final = "acme"
OTHER_TENANT: Final = "globex"
ISSUER: Final = "https://login.acme.example"
AUDIENCE: Final = "headwater"
ALL_SCOPES: Final = tuple(SCOPES)
SERVER: Final = "server"
DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Signer:
    """A key of an identity provider."""

    kid: str
    key: Any
    algorithm: str

    @classmethod
    def make(cls, kid: str) -> Signer:
        """Make one that signs with Ed25519."""
        return cls(kid, Ed25519PrivateKey.generate(), "EdDSA")

    @property
    def jwk(self) -> dict[str, Any]:
        """Its public half, as a JWKS has it."""
        described = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.key.public_key(), as_dict=True)
        return {**described, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    def sign(self, **changed: Any) -> str:
        """Return a token of the tenant with every scope, except for what is *changed*; None leaves a claim out."""
        now = SystemClock().now()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "ann",
            "exp": now + DAY,
            "tenants": [TENANT],
            "scope": " ".join(ALL_SCOPES),
            **changed,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, self.key, self.algorithm, headers={"kid": self.kid})


class Credentials:
    """A directory of everything that the servers believe, and what callers bring."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = SystemClock().now()
        self.authority = _authority(directory / "ours")
        self.foreign = _authority(directory / "theirs")
        self.authority.issue(Wanted(SERVER, ("service",), ("ALL",), ("localhost", "127.0.0.1")), self.now)
        self.tokens_file = directory / "tokens.json"
        self.tokens = TokenFile(self.tokens_file)
        self.signer = Signer.make("first")
        self.curve = Signer("curve", ec.generate_private_key(ec.SECP256R1()), "ES256")
        self.jwks = directory / "jwks.json"
        self.publish(self.signer, self.curve)
        self.grants_file = directory / "grants.json"
        self._grants: dict[str, Any] = {}

    def grant(self, identity: str, roles: tuple[str, ...], tenant_id: str) -> None:
        """Let an identity have roles for a tenant."""
        self._grants[identity] = {"roles": roles, "tenants": [tenant_id]}
        self.grants_file.write_text(json.dumps(self._grants), encoding="ascii")

    @property
    def granting(self) -> dict[str, str]:
        """The variable that says where the grants are."""
        return {"HEADWATER_GRANTS_FILE": str(self.grants_file)}

    def publish(self, *signers: Signer) -> None:
        """Let the provider's keys be these."""
        self.jwks.write_text(json.dumps({"keys": [signer.jwk for signer in signers]}), encoding="ascii")

    @property
    def settings(self) -> dict[str, str]:
        """Variables of a service that takes tokens over TLS."""
        return {
            "HEADWATER_TLS_CERT": str(self.authority.certificate_path(SERVER)),
            "HEADWATER_TLS_KEY": str(self.authority.key_path(SERVER)),
            "HEADWATER_TLS_CA": str(self.authority.certificate_path(AUTHORITY)),
            "HEADWATER_TLS_CLIENTS": "none",
            "HEADWATER_TOKENS_FILE": str(self.tokens_file),
            "HEADWATER_OIDC_ISSUER": ISSUER,
            "HEADWATER_OIDC_AUDIENCE": AUDIENCE,
            "HEADWATER_OIDC_JWKS": str(self.jwks),
            "HEADWATER_SECURITY_REFRESH_S": "0.05",
        }

    @property
    def settings_of_certificates(self) -> dict[str, str]:
        """Variables of a service that takes certificates."""
        names = ("HEADWATER_TLS_CERT", "HEADWATER_TLS_KEY", "HEADWATER_TLS_CA")
        return {name: self.settings[name] for name in names} | {"HEADWATER_SECURITY_REFRESH_S": "0.05"}

    def token(
        self, *, scopes: tuple[str, ...] = ALL_SCOPES, tenants: tuple[str, ...] = (TENANT,), days: float = 1
    ) -> tuple[str, TokenEntry]:
        """Keep a new token; return it and its entry."""
        text, entry = mint(
            "test",
            roles=(),
            scopes=scopes,
            tenants=tenants,
            created_time=self.now,
            expires_time=self.now + days * DAY,
        )
        self.tokens.add(entry)
        return text, entry

    def trusting(self, **more: str) -> ChannelSecurity:
        """What a caller shows who believes the servers' authority."""
        return ChannelSecurity(ca=str(self.authority.certificate_path(AUTHORITY)), **more)

    def with_certificate(self, authority: Authority, name: str) -> ChannelSecurity:
        """What a caller shows who has a certificate of *authority*."""
        return self.trusting(cert=str(authority.certificate_path(name)), key=str(authority.key_path(name)))


def lacking(rule: Rule) -> tuple[str, ...]:
    """Return every scope but those that a rule asks for."""
    return tuple(scope for scope in ALL_SCOPES if scope not in rule.scopes)


def unsigned(token: str) -> str:
    """Return *token* with the algorithm none and no signature."""
    payload = token.split(".")[1]
    return f"{_part({'alg': 'none', 'kid': 'first'})}.{payload}."


def confused(token: str, signer: Signer) -> str:
    """Return *token* signed with the provider's public key as if it were a shared secret."""
    public = signer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{_part({'alg': 'HS256', 'kid': signer.kid})}.{token.split('.')[1]}"
    return f"{signed}.{_encoded(hmac.new(public, signed.encode(), hashlib.sha256).digest())}"


def _part(value: dict[str, str]) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _authority(directory: Path) -> Authority:
    authority = Authority(directory)
    authority.make(TRUST_DOMAIN, SystemClock().now())
    return authority
