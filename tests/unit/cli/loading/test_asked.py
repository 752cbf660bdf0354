"""Options and what they ask for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import typer

from headwater.cli.loading.asked import Options, describe, read_options
from headwater.load.campaign import Course
from headwater.load.payloads import Sizes

DEFAULTS = Options(
    shape="stream", batch=100, rate=None, arrivals="constant", ramp=None, steps=0, find_limit=False, p99_ms=100.0,
    callers=None, streams=None, window=8, tenants=1, tenant=None, skew=0.0, duplicates=0.0, duplicate_level="event",
    payload_bytes=None, invalid=0.0, sampled=0.0, duration=10.0, warm_up=2.0, processes=1, channels=None, seed=1,
    timeout=10.0, honour_retry=True, verify=False, max_p99_ms=None, min_rate=None, max_errors=None, watch=(),
)  # fmt: skip


def test_without_a_rate_the_loop_is_closed() -> None:
    """The defaults: four streams of batches of 100, as fast as they are acknowledged."""
    asked = read_options(DEFAULTS)
    assert asked.course == Course("closed", 10.0, 2.0, p99_ms=100.0)
    assert (asked.lanes, asked.channels, asked.mixture.tenants) == (4, 4, ("load-1",))


def test_a_ramp_is_read_from_its_ends() -> None:
    """FROM..TO in events a second, in stairs when asked."""
    course = read_options(replace(DEFAULTS, ramp="100..2000", steps=5, warm_up=0.0)).course
    assert (course.mode, course.rate, course.rate_to, course.steps) == ("ramp", 100, 2000, 5)
    assert describe(course) == "open loop, 100 to 2,000 events/s in 5 steps, 10 s"


def test_lanes_are_shared_out_to_processes() -> None:
    """Sixty-four callers in three processes: none is lost to rounding; unary means one event a message."""
    asked = read_options(replace(DEFAULTS, shape="unary", callers=64, processes=3))
    assert (asked.lanes, asked.channels, asked.mixture.batch) == (22, 8, 1)


def test_an_open_loop_of_calls_has_room_for_late_ones() -> None:
    """Otherwise a slow service would slow its load: a closed loop in disguise."""
    assert read_options(replace(DEFAULTS, shape="batch", rate=100.0)).lanes == 256
    assert read_options(replace(DEFAULTS, shape="batch")).lanes == 16


def test_sizes_and_processes_to_watch_are_read() -> None:
    """MIN..MAX bytes; NAME=PID, several of one name together."""
    asked = read_options(replace(DEFAULTS, payload_bytes="100..200", watch=("pg=1", "pg=2", "ingest=3")))
    assert asked.mixture.sizes == Sizes(100, 200)
    assert asked.watch == {"pg": (1, 2), "ingest": (3,)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"ramp": "100"},
        {"ramp": "0..0"},
        {"ramp": "1..2", "rate": 5.0},
        {"ramp": "1..2", "find_limit": True},
        {"steps": 3},
        {"callers": 3},
        {"shape": "batch", "streams": 3},
        {"payload_bytes": "300..200"},
        {"payload_bytes": "1..300000"},
        {"tenant": "acme", "tenants": 2},
        {"watch": ("4711",)},
    ],
)
def test_contradictions_are_refused(wrong: dict[str, object]) -> None:
    """Each with a sentence that names the option."""
    with pytest.raises(typer.BadParameter, match="--"):
        read_options(replace(DEFAULTS, **wrong))  # type: ignore[arg-type]
