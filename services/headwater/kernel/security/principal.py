"""Who a call comes from, whichever way it was proved. Pure, but for the call's own context variable."""

from __future__ import annotations

import math
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Literal

Method = Literal["mtls", "jwt", "token"]

EVERY_TENANT: Final = "ALL"
"""In place of a tenant: all of them. No tenant is called so, since their names have no capitals."""


@dataclass(frozen=True, slots=True)
class Principal:
    """One caller whose credential was checked.

    Args:
        subject: whom the credential names: a SPIFFE URI or a name of a certificate, `sub`, a token's subject.
        method: how it was proved.
        tenants: tenants it may act for; `EVERY_TENANT` stands for all.
        scopes: what it may do; see `scopes`.
        expires_s: seconds since 1970 at which the credential ends.
        is_person: whether a person stands behind it, for the audit.
    """

    subject: str
    method: Method
    tenants: frozenset[str]
    scopes: frozenset[str]
    expires_s: float = math.inf
    is_person: bool = False

    def acts_for(self, tenant_id: str) -> bool:
        """Return whether it may act for *tenant_id*."""
        return tenant_id in self.tenants or EVERY_TENANT in self.tenants

    @property
    def only_tenant(self) -> str:
        """The tenant it is for when there is exactly one, else nothing."""
        if len(self.tenants) != 1 or EVERY_TENANT in self.tenants:
            return ""
        return next(iter(self.tenants))


_current: ContextVar[Principal | None] = ContextVar("headwater_principal", default=None)


def current_principal() -> Principal | None:
    """Return who the call being served comes from; None where callers need no credential."""
    return _current.get()


def serve_as(principal: Principal) -> None:
    """Make *principal* the current one of this task and of those that it starts."""
    _current.set(principal)
