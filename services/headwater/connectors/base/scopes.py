"""OAuth scopes: what an account must be granted for what is read and written there, and what it was granted. Pure.

A vendor's package says which scopes an object needs; what a policy reads and writes of it is the caller's to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from headwater.connectors.base.flows import OAuthPlan

_SEPARATORS = re.compile(r"[\s,]+")


@dataclass(frozen=True, slots=True)
class ObjectAccess:
    """What is done with an object of a CRM, by the CRM's name of it."""

    crm_object: str
    reads: bool
    writes: bool


@runtime_checkable
class TellsGrant(Protocol):
    """A connector whose vendor tells what its token was granted."""

    async def granted_scopes(self) -> tuple[str, ...] | None:
        """Return the scopes of the present token; None where the vendor did not tell. Raises: CallFailed."""
        ...


@dataclass(frozen=True, slots=True)
class GrantFit:
    """A grant beside what is needed.

    Args:
        missing: needed, and not granted.
        needless: granted, and not needed.
    """

    missing: tuple[str, ...] = ()
    needless: tuple[str, ...] = ()

    def findings(self, vendor: str, account: str) -> Iterator[str]:
        """Yield what is wrong with it, one sentence each."""
        again = f"what to do: headwater connect {vendor} --account {account}"
        if self.missing:
            what = ", ".join(self.missing)
            yield f"{vendor}: the grant is narrower than the policy needs: it lacks {what}; {again}"
        if self.needless:
            what = ", ".join(self.needless)
            yield f"{vendor}: the grant is wider than the policy needs, by {what}; {again}"


def derived_scopes(plan: OAuthPlan, accesses: Iterable[ObjectAccess]) -> tuple[str, ...]:
    """Return exactly the scopes that *accesses* need; the plan's own where the vendor's do not go by object."""
    if plan.needs is None:
        return plan.scopes
    needed = dict.fromkeys(plan.always)
    for item in accesses:
        needed |= dict.fromkeys(plan.needs(item.crm_object, item.reads, item.writes))
    return tuple(name for name in needed if not any(name in plan.within.get(other, ()) for other in needed))


def fit_of(plan: OAuthPlan, needed: Iterable[str], granted: Iterable[str]) -> GrantFit:
    """Return how what was granted fits what is needed; a wide scope grants what is within it."""
    held, wanted = tuple(granted), tuple(needed)
    covered = {*held, *(inner for name in held for inner in plan.within.get(name, ()))}
    return GrantFit(
        tuple(name for name in wanted if name not in covered),
        tuple(name for name in held if name not in wanted and name not in plan.harmless),
    )


def scopes_in(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the scopes that a token endpoint's answer tells; None where it tells none.

    Source: RFC 6749, 5.1 (`scope`, a text); HubSpot's `scopes`, a list.
    """
    told = body.get("scopes", body.get("scope"))
    if isinstance(told, list):
        return tuple(str(item) for item in told)
    return tuple(part for part in _SEPARATORS.split(told) if part) if isinstance(told, str) and told else None
