"""From what a call brings to whom it comes from: cached, bounded, forgotten when trust changes."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from headwater.kernel.clock import SteppedClock, SystemClock
from headwater.kernel.errors import StartRefused, Unauthenticated
from headwater.kernel.security import authenticator as authentication
from headwater.kernel.security.authenticator import Authenticator, Trust
from headwater.kernel.security.grants import Grant
from headwater.kernel.security.jwt import JwtVerifier, Keys, read_keys
from headwater.kernel.security.tokens import TokenEntry, mint

pytestmark = pytest.mark.anyio
NOW = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
ISSUER, AUDIENCE = "https://login.acme.example", "headwater"


def _token(days: int = 1) -> tuple[str, TokenEntry]:
    expires = NOW + dt.timedelta(days=days)
    return mint("gateway", roles=("producer",), tenants=("acme",), created_time=NOW, expires_time=expires)


def _opened(*entries: TokenEntry) -> tuple[Authenticator, SteppedClock]:
    clock = SteppedClock(NOW)
    trust = Trust(tokens={entry.token_id: entry for entry in entries})
    return Authenticator(trust, None, clock), clock


async def test_a_credential_is_checked_once_until_it_ends() -> None:
    """The second call finds the same principal; past the end it is checked again, and refused."""
    text, entry = _token()
    authenticator, clock = _opened(entry)
    first = await authenticator.authenticate(f"Bearer {text}", b"")
    assert await authenticator.authenticate(f"bearer  {text}", b"") is first
    clock.advance(86_400)
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(f"Bearer {text}", b"")


async def test_a_change_of_trust_is_seen_at_the_next_call() -> None:
    """What was cached is forgotten."""
    text, entry = _token()
    authenticator, _ = _opened(entry)
    await authenticator.authenticate(f"Bearer {text}", b"")
    authenticator.believe(replace(authenticator.trust, tokens={}))
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(f"Bearer {text}", b"")


async def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest credential goes first; it is checked again when it comes back."""
    monkeypatch.setattr(authentication, "CACHE_MAX", 3)
    made = [_token() for _ in range(5)]
    authenticator, clock = _opened(*(entry for _, entry in made))
    for text, _ in made:
        await authenticator.authenticate(f"Bearer {text}", b"")
    now_s = clock.now().timestamp()
    kept = [text for text, _ in made if authenticator.cached(text.encode(), now_s) is not None]
    assert kept == [text for text, _ in made[2:]]
    assert (await authenticator.authenticate(f"Bearer {made[0][0]}", b"")).method == "token"


@pytest.mark.parametrize("authorization", ["", "Basic Z2F0ZTp3YXk=", "Bearer", "Bearer ", "hwt_0_0"])
async def test_what_is_no_bearer_token_is_refused(authorization: str) -> None:
    """Nothing but a bearer token is looked at."""
    authenticator, _ = _opened(_token()[1])
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(authorization, b"")


async def test_a_certificate_that_cannot_be_read_is_refused() -> None:
    """As one that proves nobody."""
    authenticator, _ = _opened()
    for encoded in (b"-----BEGIN CERTIFICATE-----\n", b"\x30\x00"):
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate("", encoded)


class Provider:
    """An identity provider that changes its keys."""

    def __init__(self) -> None:
        self.fetched = 0
        self.rotate("first")

    def rotate(self, kid: str) -> None:
        """Sign with another key from now on."""
        self._key, self._kid = Ed25519PrivateKey.generate(), kid

    def keys(self) -> Keys:
        """The keys as published now."""
        return read_keys(self._document())

    def _document(self, **more: str) -> bytes:
        public = pyjwt.get_algorithm_by_name("EdDSA").to_jwk(self._key.public_key(), as_dict=True)
        return json.dumps({"keys": [{**public, "kid": self._kid, **more}]}).encode()

    def sign(self, **claims: object) -> str:
        """Return a token."""
        ends = SystemClock().now() + dt.timedelta(hours=1)
        given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": ends, **claims}
        return pyjwt.encode(given, self._key, "EdDSA", headers={"kid": self._kid})

    def verifying(self) -> Authenticator:
        """Return an authenticator that fetches the keys when it meets an unknown one."""

        async def fetch() -> bool:
            self.fetched += 1
            opened.believe(replace(opened.trust, keys=self.keys()))
            return True

        trust = Trust(
            keys=self.keys(), grants={"root": Grant(frozenset({"audit:read"}), frozenset({"acme"}))}
        )
        opened = Authenticator(trust, JwtVerifier(ISSUER, AUDIENCE), SystemClock(), fetch)
        return opened


async def test_claims_say_what_a_token_is_for() -> None:
    """Scopes as words or list, roles, tenants; words of other houses allow nothing."""
    provider = Provider()
    claims = {"scope": "openid audit:read", "scp": ["events:write"], "roles": ["king"], "tenants": ["acme"]}
    principal = await provider.verifying().authenticate(f"Bearer {provider.sign(**claims)}", b"")
    assert principal.scopes == {"audit:read", "events:write"}
    assert principal.tenants == {"acme"}
    assert (principal.subject, principal.method, principal.is_person) == ("ann", "jwt", True)


async def test_a_token_without_claims_of_ours_may_do_nothing() -> None:
    """A provider that knows nothing of Headwater lets nobody in; a grant by subject does."""
    provider = Provider()
    authenticator = provider.verifying()
    principal = await authenticator.authenticate(f"Bearer {provider.sign()}", b"")
    assert not principal.scopes
    assert not principal.tenants
    granted = await authenticator.authenticate(f"Bearer {provider.sign(sub='root')}", b"")
    assert granted.scopes == {"audit:read"}


async def test_an_unknown_key_is_fetched_once() -> None:
    """A provider may change its keys at any time; the token signed with the old one is then refused."""
    provider = Provider()
    authenticator, old = provider.verifying(), provider.sign()
    provider.rotate("second")
    assert (await authenticator.authenticate(f"Bearer {provider.sign()}", b"")).subject == "ann"
    assert provider.fetched == 1
    with pytest.raises(Unauthenticated):
        await authenticator.authenticate(f"Bearer {old}", b"")


@pytest.mark.parametrize(
    "document",
    [
        b"no json",
        b"{}",
        b'{"keys": [{"kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256"}]}',
        b'{"keys": [{"kty": "OKP"}, 7]}',
    ],
)
def test_a_document_without_a_public_signing_key_is_refused(document: bytes) -> None:
    """A shared secret is no key of a provider."""
    with pytest.raises(StartRefused):
        read_keys(document)
