"""Who may speak for which source, and whose name stands behind an operator's event.

A producer must not write what Headwater itself or an operator writes: a policy, a merge, a provider's value, a correction. What an operator
writes is written in the name of his credential, whatever the event says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from headwater.ingest.domain.event import Actor, Arrival
from headwater.kernel.ids import ENTITY_PREFIX, OPERATOR_SOURCE, OWN_SOURCE, ROUTING_SOURCE
from headwater.kernel.security.access import check_source, may_name_actors
from headwater.kernel.security.principal import Principal

RESERVED: Final = frozenset({OWN_SOURCE, OPERATOR_SOURCE, ROUTING_SOURCE})
_PERSON, _PROGRAM = 1, 2
"""Numbers of the wire contract's ActorType."""


def attributed(principal: Principal | None, arrivals: Sequence[Arrival]) -> Sequence[Arrival]:
    """Return *arrivals* with the actor that the caller proved, where the source is Headwater's or an operator's.

    Args:
        principal: who calls; None where nobody is asked.

    Raises:
        PermissionDenied: one is from a source that the caller may not speak for; nothing is recorded.
    """
    if principal is None:
        return arrivals
    reserved = False
    plain = "events:write" in principal.scopes
    for arrival in arrivals:
        if arrival.source in RESERVED:
            reserved = True
        elif plain and not arrival.external_id.startswith(ENTITY_PREFIX):
            continue
        check_source(principal, arrival.source, arrival.object, arrival.external_id)
    if not reserved or may_name_actors(principal):
        return arrivals
    actor = Actor(_PERSON if principal.is_person else _PROGRAM, principal.subject)
    return [
        msgspec.structs.replace(arrival, actor=actor) if arrival.source in RESERVED else arrival
        for arrival in arrivals
    ]
