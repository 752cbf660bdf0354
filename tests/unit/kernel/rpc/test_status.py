"""Statuses: what a caller is told, in a size that reaches it."""

from __future__ import annotations

from google.rpc import error_details_pb2

from headwater.kernel.errors import FieldViolation, InvalidInput
from headwater.kernel.rpc.status import to_status

METADATA_BYTES_MAX = 8 * 1024
"""What gRPC's clients take by default."""


def test_a_status_with_hundreds_of_violations_fits_in_metadata() -> None:
    """The first are told, the rest are counted."""
    item = FieldViolation("event.payload.ﷺ", "\U0001f600" * 128, "allowed", "é" * 3_000)
    status = to_status(InvalidInput("ﷺ" * 5_000, violations=(item,) * 400))
    on_the_wire = len(status.SerializeToString()) * 4 / 3 + 3 * len(status.message.encode())
    assert on_the_wire < METADATA_BYTES_MAX
    told = error_details_pb2.BadRequest()
    status.details[1].Unpack(told)
    assert told.field_violations[-1].reason == "MORE"
    assert len(told.field_violations) > 1


def test_a_usual_status_is_told_whole() -> None:
    """Nothing is cut where there is room."""
    item = FieldViolation("event.source", "X", "pattern", "must be a name")
    status = to_status(InvalidInput("malformed", violations=(item,) * 3))
    told = error_details_pb2.BadRequest()
    status.details[1].Unpack(told)
    assert status.message == "malformed"
    assert [entry.reason for entry in told.field_violations] == ["PATTERN"] * 3
