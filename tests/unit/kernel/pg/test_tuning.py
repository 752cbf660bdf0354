"""The embedded server's settings, from the size of the machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kernel.pg.tuning import GIB, MIB, Machine, log_settings, render, tuned_settings


@pytest.mark.parametrize(
    ("memory_bytes", "expected"),
    [(64 * GIB, "1024MB"), (8 * GIB, "1024MB"), (4 * GIB, "512MB"), (512 * MIB, "128MB")],
)
def test_shared_buffers_follow_memory(memory_bytes: int, expected: str) -> None:
    """1 GB on a large machine, an eighth on a small one, never under 128 MB."""
    settings = tuned_settings(Machine(memory_bytes, 100 * GIB, lz4=False))
    assert settings["shared_buffers"] == expected


@pytest.mark.parametrize(
    ("disk_free_bytes", "expected"), [(500 * GIB, "8192MB"), (20 * GIB, "2048MB"), (1 * GIB, "256MB")]
)
def test_wal_size_follows_free_disk(disk_free_bytes: int, expected: str) -> None:
    """A tenth of the free disk, at most 8 GB, at least 256 MB."""
    settings = tuned_settings(Machine(16 * GIB, disk_free_bytes, lz4=False))
    assert settings["max_wal_size"] == expected


@pytest.mark.parametrize("lz4", [True, False])
def test_wal_is_compressed_when_the_server_can(lz4: bool) -> None:  # noqa: FBT001 - a parametrised case
    """lz4 is asked for only where it is built in."""
    settings = tuned_settings(Machine(16 * GIB, 100 * GIB, lz4=lz4))
    assert settings.get("wal_compression") == ("lz4" if lz4 else None)


@given(memory_bytes=st.integers(0, 2**45), disk_free_bytes=st.integers(0, 2**50))
def test_settings_are_durable_on_any_machine(memory_bytes: int, disk_free_bytes: int) -> None:
    """No size of machine turns durability off."""
    settings = tuned_settings(Machine(memory_bytes, disk_free_bytes, lz4=False))
    assert {settings[name] for name in ("fsync", "full_page_writes", "synchronous_commit")} == {"on"}


def test_log_is_bounded_to_a_file_an_hour_of_the_day() -> None:
    """Files are named by hour and truncated when the hour comes again."""
    settings = log_settings("/somewhere")
    assert settings["log_filename"] == "postgresql-%H.log"
    assert settings["log_truncate_on_rotation"] == "on"
    assert settings["log_rotation_size"] == "0"


def test_rendered_values_are_quoted() -> None:
    """A quote in a value stays in the value."""
    assert "log_directory = '/it''s here'" in render({"log_directory": "/it's here"})
