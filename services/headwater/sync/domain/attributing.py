"""Touches of leads and contacts, and how credit is shared out among them. Pure.

A touch is what one event said when it was read first: it is kept with the event and never written again. Credit is
computed from touches whenever it is asked for, so it follows merges and splits, and another half-life needs nothing
to be written.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final, Literal, get_args

import msgspec

from headwater.policy.document import PolicyDocument
from headwater.policy.timeline import Attribution
from headwater.sync.domain.log import OPERATION_DELETE
from headwater.sync.domain.reading import Reading, RecordReading

Model = Literal["first", "last", "linear", "position", "time_decay"]
MODELS: Final[tuple[Model, ...]] = get_args(Model)
DETAIL_CHARS_MAX: Final = 255
_DAY_S: Final = 86_400.0


class TouchFact(msgspec.Struct, frozen=True, order=True):
    """What one event said of a lead or contact."""

    touch_time: dt.datetime
    event_key: uuid.UUID
    tenant_id: str
    object: str
    source: str
    external_id: str
    channel: str
    detail: str
    policy_version: str


def touch_of(policy: PolicyDocument, reading: Reading) -> TouchFact | None:
    """Return how the event of *reading* touches whom it is about; None when it does not."""
    if policy.attribution is None or not isinstance(reading, RecordReading):
        return None
    event = reading.event
    said = policy.attribution.touch_of(event.source, event.object)
    if said is None or event.operation == OPERATION_DELETE:
        return None
    detail = reading.fields.get(said.detail) if said.detail else None
    return TouchFact(
        event.event_time,
        event.event_key,
        event.tenant_id,
        event.object,
        event.source,
        event.external_id,
        said.channel,
        "" if detail is None else str(detail)[:DETAIL_CHARS_MAX],
        policy.version,
    )


def credit(attribution: Attribution, model: Model, touches: Sequence[TouchFact]) -> tuple[float, ...]:
    """Return the share of each touch, in the order of *touches*; shares add up to 1, of none there are none."""
    if not touches:
        return ()
    order = sorted(range(len(touches)), key=lambda place: touches[place])
    weights = _weights(attribution, model, [touches[place].touch_time for place in order])
    total = sum(weights)
    shares = [0.0] * len(touches)
    for place, weight in zip(order, weights, strict=True):
        shares[place] = weight / total
    return tuple(shares)


def _weights(attribution: Attribution, model: Model, times: Sequence[dt.datetime]) -> list[float]:
    count = len(times)
    match model:
        case "first":
            return [1.0, *[0.0] * (count - 1)]
        case "last":
            return [*[0.0] * (count - 1), 1.0]
        case "linear":
            return [1.0] * count
        case "position":
            return _by_position(attribution.ends_share, count)
        case "time_decay":
            half_life_s = attribution.half_life_days * _DAY_S
            return [0.5 ** ((times[-1] - time).total_seconds() / half_life_s) for time in times]


def _by_position(ends_share: float, count: int) -> list[float]:
    """Return what first and last get, and what is left for those between; without any, both have half."""
    if count <= 2:  # noqa: PLR2004 - one touch, or both ends
        return [1.0] * count
    between = (1.0 - 2 * ends_share) / (count - 2)
    return [ends_share, *[between] * (count - 2), ends_share]
