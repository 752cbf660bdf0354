"""Enums of the wire contract in the words that people read. Pure."""

from __future__ import annotations

from headwater.ingest.v1 import ingest_pb2
from headwater.sync.v1 import backfills_pb2, sync_pb2


def disposition(value: ingest_pb2.Disposition.ValueType) -> str:
    """Return `accepted`, `quarantined`, and so on."""
    return ingest_pb2.Disposition.Name(value).removeprefix("DISPOSITION_").lower()


def quarantine_state(value: ingest_pb2.QuarantineState.ValueType) -> str:
    """Return `open`, `released` or `discarded`."""
    return ingest_pb2.QuarantineState.Name(value).removeprefix("QUARANTINE_STATE_").lower()


def delivery_state(value: sync_pb2.DeliveryState.ValueType) -> str:
    """Return `pending`, `delivered`, and so on."""
    return sync_pb2.DeliveryState.Name(value).removeprefix("DELIVERY_STATE_").lower()


def replay_state(value: sync_pb2.ReplayState.ValueType) -> str:
    """Return `running`, `paused`, `done` or `cancelled`."""
    return sync_pb2.ReplayState.Name(value).removeprefix("REPLAY_STATE_").lower()


def backfill_state(value: backfills_pb2.BackfillState.ValueType) -> str:
    """Return `running`, `paused`, `done`, `cancelled` or `failed`."""
    return backfills_pb2.BackfillState.Name(value).removeprefix("BACKFILL_STATE_").lower()


def error_group_state(value: sync_pb2.ErrorGroupState.ValueType) -> str:
    """Return `open` or `resolved`."""
    return sync_pb2.ErrorGroupState.Name(value).removeprefix("ERROR_GROUP_STATE_").lower()
