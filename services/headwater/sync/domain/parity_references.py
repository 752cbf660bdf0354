"""Whom a record refers to, where its own fields show it: compared with whom we wrote last. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from headwater.policy.outbound import Wanted
from headwater.policy.outbound_mapping import OutboundObject
from headwater.sync.domain.delivering import REFERENCES_KEY

_NONE: Final[Mapping[str, list[str]]] = {}


def compared_references(
    outbound: OutboundObject,
    wanted: Wanted,
    known: Mapping[str, Any],
    shown: Mapping[str, Any],
    read: Collection[str],
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield CRM field, canonical field and the CRM ids that it was given, of references that agree or do not.

    Args:
        known: what the CRM is known to hold.
        shown: what it shows; a vendor that keeps references elsewhere shows none of them.
        read: fields of which the CRM tells changes: who decides there is not us.
    """
    if wanted.withheld:
        return
    for name, crm_ids in known.get(REFERENCES_KEY, _NONE).items():
        canonical = outbound.references.get(name)
        if canonical is None or canonical in wanted.kept_back or name in read:
            continue
        if crm_ids and name in shown:
            yield name, canonical, crm_ids


def as_known(references: Collection[str], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a CRM is known to hold once it has shown *found*; of references no others count as known then."""
    plain = {name: value for name, value in found.items() if name not in references}
    shown = {name: [found[name]] if found[name] else [] for name in references if name in found}
    return {**plain, REFERENCES_KEY: shown} if shown else plain
