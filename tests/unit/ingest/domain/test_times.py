"""Times of JSON bodies, held to protobuf's own reading."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from headwater.ingest.domain.times import TimeFormat, read_rfc3339_us, read_time_us


@given(
    st.datetimes(),
    st.integers(0, 999_999_999),
    st.sampled_from([0, 3, 6, 9]),
    st.sampled_from(["Z", "+00:00", "-05:30", "+14:00"]),
)
def test_a_time_is_what_protobuf_reads(moment: object, nanos: int, digits: int, zone: str) -> None:
    """Whole microseconds, cut off rather than rounded, as the gRPC door reads a Timestamp."""
    fraction = f".{nanos:09d}"[: digits + 1] if digits else ""
    text = f"{str(moment)[:19].replace(' ', 'T')}{fraction}{zone}"
    stamp = Timestamp()
    try:
        stamp.FromJsonString(text)
    except ValueError:  # an offset that leads out of protobuf's years
        return
    assert read_rfc3339_us(text) == stamp.seconds * 1_000_000 + stamp.nanos // 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-02-30T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "\u0662026-01-01T00:00:00Z",
    ],
)
def test_what_is_no_moment_is_none(text: str) -> None:
    """A time without an offset is no moment."""
    assert read_rfc3339_us(text) is None


@pytest.mark.parametrize(
    ("value", "form", "time_us"),
    [
        (1_760_000_000, "epoch_s", 1_760_000_000_000_000),
        (1_760_000_000.123456, "epoch_s", 1_760_000_000_123_456),
        ("1760000000123", "epoch_ms", 1_760_000_000_123_000),
        (True, "epoch_s", None),
        (float("nan"), "epoch_s", None),
        (1e300, "epoch_s", None),
        ("soon", "epoch_ms", None),
        ([], "iso_datetime", None),
        ("2026-01-31T12:00:00Z", "iso_datetime", 1_769_860_800_000_000),
    ],
)
def test_times_are_read_in_the_form_that_the_policy_names(
    value: object, form: TimeFormat, time_us: int | None
) -> None:
    """Seconds and milliseconds as numbers or texts; nothing that is none."""
    assert read_time_us(value, form) == time_us
