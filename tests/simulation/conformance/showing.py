"""What both stores of the conformance suite answered, in a form that can be compared."""

from __future__ import annotations

from typing import Any

from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.settling import Settlement
from headwater.sync.domain.turns import Turn
from headwater.sync.projector.echoes import FoundRecord


def found_record(item: FoundRecord) -> Any:
    """Return a held record without its times."""
    return (
        item.key,
        item.entity_id,
        item.object,
        dict(item.known),
        dict(item.values),
        item.waits_since is not None,
        item.settle_time is not None,
    )


def as_one(item: Settlement) -> Settlement:
    """Return *item* with the CRM record of all others."""
    fields = {name: getattr(item, name) for name in Settlement.__struct_fields__}
    return Settlement(**{**fields, "crm_object": "Contact", "crm_id": "the-same"})


def shown(turn: Turn) -> Any:
    """Return *turn* without times: those of the queue and of its sweeps are the clock's."""
    state = turn.state
    return (
        [_claimed(item) for item in turn.claimed],
        dict(turn.waiting),
        (state.paused, state.breaker, state.breaker_generation),
    )


def _claimed(item: Claimed) -> Any:
    return (
        item.entity_id, item.object, item.state, item.version, dict(item.values), item.crm_object, item.crm_id,
        dict(item.known), item.failure_count, item.in_doubt, item.event_key, item.tries_before, item.lane,
        item.delivered_version,
        sorted((r.field, str(r.entity_id), r.crm_id, r.coming) for r in item.references),
    )  # fmt: skip
