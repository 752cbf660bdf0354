"""Who calls: good and bad credentials by chance, and what each of them may. Made once a run, seeded."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.fuzz.methods import Method
from tests.integration.security.credentials import ALL_SCOPES, Credentials, confused, unsigned

from headwater.kernel.security.table import rule_of

TENANTS: Final = ("acme", "globex")
UNKNOWN: Final = "UNAUTHENTICATED"
DENIED: Final = "PERMISSION_DENIED"
GOOD: Final = 24
"""Callers with a credential that counts."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a credential.

    Args:
        token: of every call; empty: none.
        is_known: whether the credential counts.
    """

    name: str
    token: str
    tenants: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    is_known: bool = True

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def refusal(self, method: Method, tenant_id: str) -> str:
        """Return the one code that a well-formed request must get; empty where it may come through.

        Args:
            tenant_id: that the request names.
        """
        if not self.is_known:
            return UNKNOWN
        if rule_of(method.path).scopes.isdisjoint(self.scopes):
            return DENIED
        return DENIED if tenant_id and tenant_id not in self.tenants else ""


def make_callers(chance: random.Random, made: Credentials) -> Sequence[Caller]:
    """Return everybody who calls; the tokens are in the file that the services read."""
    good = [_good(chance, made, number) for number in range(GOOD)]
    return (*good, *_bad(made))


def _good(chance: random.Random, made: Credentials, number: int) -> Caller:
    tenants = (TENANTS[:1], TENANTS[1:], TENANTS)[number % 3]
    scopes = (
        ALL_SCOPES if number < len(TENANTS) + 1 else tuple(chance.sample(ALL_SCOPES, chance.randint(1, 8)))
    )
    if number % 4 == 3:
        token = made.signer.sign(tenants=list(tenants), scope=" ".join(scopes), sub=f"person-{number}")
    else:
        token, _ = made.token(scopes=scopes, tenants=tenants)
    return Caller(f"{number}", token, tenants, frozenset(scopes))


def _bad(made: Credentials) -> list[Caller]:
    revoked, entry = made.token(tenants=TENANTS)
    made.tokens.revoke(entry.token_id, made.now)
    whole = made.signer.sign(tenants=list(TENANTS))
    tokens = {
        "nobody": "",
        "revoked": revoked,
        "expired": made.token(tenants=TENANTS, days=-1)[0],
        "forged": f"hwt_{made.token(tenants=TENANTS)[1].token_id}_{'A' * 43}",
        "unsigned": unsigned(whole),
        "confused": confused(whole, made.signer),
        "other audience": made.signer.sign(aud="somebody-else", tenants=list(TENANTS)),
        "noise": "\x7e" * 40,
    }
    return [Caller(name, token, is_known=False) for name, token in tokens.items()]
