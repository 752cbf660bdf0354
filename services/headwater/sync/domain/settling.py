"""How tries end, and how a delivery stands after: the values that are settled. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from msgspec import Struct

from headwater.kernel.telemetry import TraceContext
from headwater.sync.domain.breaker import ALL_CLOSED, Breakers
from headwater.sync.domain.delivering import Claimed
from headwater.sync.domain.lanes import Lane


class State(IntEnum):
    """Where a delivery stands: `DeliveryState` of sync.proto."""

    PENDING = 1
    DELIVERED = 2
    RETRYING = 3
    IN_DOUBT = 4
    DEAD = 5
    DISCARDED = 6
    HELD = 7


class Settlement(Struct, frozen=True, gc=False):
    """How one try ended; a struct, as thousands a second are made.

    Args:
        state: where the delivery stands now.
        lane: where it stands in line if this try leaves it due: RETRY after a failure, else where it stood.
        after_s: pause before the next try; 0 for none.
        outcome: as `sync.attempt.outcome`; empty when nothing was tried.
        changes: what was written, field by field, for the audit.
        endpoint: what was asked of the CRM, as `upsert contacts`; of failed tries.
        created: the CRM holds the record since this try.
    """

    claimed: Claimed
    state: State
    version: int
    crm_object: str
    crm_id: str
    known: Mapping[str, Any]
    failure_count: int
    try_count: int
    start_time: dt.datetime
    outcome: str
    lane: Lane
    after_s: float = 0.0
    waits: bool = False
    lacks_reference: bool = False
    error_class: str = ""
    error_code: str = ""
    error_message: str = ""
    http_status: int = 0
    trace: TraceContext | None = None
    created: bool = False
    changes: tuple[dict[str, Any], ...] = ()
    policy_version: str = ""
    endpoint: str = ""


def is_plain(item: Settlement) -> bool:
    """Say whether a try brought a record up to date that the CRM held before, and no more.

    Then settling it touches its own rows alone: nobody waited for the record, and no error is told or taken back.
    """
    claimed = item.claimed
    held = bool(claimed.crm_id) and item.crm_id == claimed.crm_id and claimed.delivered_version > 0
    smooth = not (claimed.in_doubt or claimed.erred or claimed.verdict or item.created)
    return item.state is State.DELIVERED and held and smooth


@dataclass(frozen=True, slots=True)
class ConnectorState:
    """What is stored about an account."""

    paused: bool = False
    breaker: Breakers = ALL_CLOSED
    breaker_generation: int = 0
