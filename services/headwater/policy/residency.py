"""The part of the policy document about residency: in which region a tenant's records live, and where they may go.

Labels that are held: no record is written to an account, and nobody is told of one, outside the regions that the policy
allows. Owns the words and what must agree across them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from headwater.policy.faults import Fault, nearest
from headwater.policy.words import Name, Part

if TYPE_CHECKING:
    from headwater.policy.document import PolicyDocument

Region = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
"""A name of one's own, as `eu` or `us-east`."""


class Residency(Part):
    """Where records are, by region."""

    region: Region
    """Where Headwater keeps this tenant's records."""
    allowed: Annotated[tuple[Region, ...], Field(max_length=64)] = ()
    """Further regions that records may go to, because somebody decided so."""
    accounts: dict[Name, Region] = {}
    """Where each connector account keeps what is written to it."""
    providers: dict[Name, Region] = {}
    """Where each provider of enrichment is that is told values; those without a network need none."""


def residency_faults(document: PolicyDocument) -> Iterator[Fault]:
    """Yield accounts and providers that are nowhere, outside the allowed regions, or unknown."""
    section = document.residency
    if section is None:
        return
    enrichment = document.enrichment
    asked = {} if enrichment is None else {n: p for n, p in enrichment.providers.items() if p.kind != "local"}
    written = {name: item for name, item in document.connectors.items() if item.written}
    for part, named, known, told in (
        ("accounts", section.accounts, document.connectors, written),
        ("providers", section.providers, asked, asked),
    ):
        yield from _unknown(part, named, known)
        for name in told:
            if name not in named:
                message = f"does not say in which region {name!r} keeps records"
                yield Fault(f"residency.{part}", "residency_unstated", message)
            elif named[name] not in {section.region, *section.allowed}:
                message = f"{name!r} is in {named[name]!r}: records of {section.region!r} may not go there"
                yield Fault(f"residency.{part}.{name}", "residency_outside", message)


def _unknown(part: str, named: Mapping[str, str], known: Mapping[str, object]) -> Iterator[Fault]:
    for name in named:
        if name not in known:
            path, fix = f"residency.{part}.{name}", nearest(name, known)
            if part == "accounts":
                yield Fault(path, "known_account", f"{name!r} is not under connectors", fix)
            else:
                message = f"{name!r} is no provider that is asked over a network"
                yield Fault(path, "known_provider", message, fix)
