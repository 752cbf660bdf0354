"""The figures of ingest follow from the rounds; what is missing fails by name."""

from __future__ import annotations

from dataclasses import replace

from tests.load.ingest.cases import CASES, PEERS
from tests.load.ingest.goals import COPY, STREAM, Rounds, figures_of
from tests.load.ingest.stages import Measurement

GOOD = Measurement(
    events=100_000, seconds=1.0, client_us=1.0, server_us=8.0, postgres_us=9.0, wal_bytes=600.0,
    latency_ms={"p50": 10.0, "p99": 20.0}, acked=100_000, distinct=100_000, stored=100_000, refused=0,
)  # fmt: skip


def all_good() -> dict[str, list[Measurement | str]]:
    """Return two rounds in which every case went as well as every other; peers half as well."""
    rounds: dict[str, list[Measurement | str]] = {case.name: [GOOD, GOOD] for case in CASES}
    for peer in PEERS:
        rounds[peer] = [replace(GOOD, events=50_000)] * 2
    return rounds


def failing(rounds: Rounds) -> list[str]:
    """Return the names of the figures that fail."""
    return [figure.name for figure in figures_of(rounds, PEERS) if not figure.passed]


def test_every_goal_is_met_by_good_rounds() -> None:
    """Twelve goals, no more and no fewer, none of which fails."""
    assert len(figures_of(all_good(), PEERS)) == 12
    assert failing(all_good()) == []


def test_slow_stream_fails_what_hangs_on_it() -> None:
    """A third of the rate fails rate and ratios, not CPU or latency."""
    rounds = all_good()
    rounds[STREAM] = [replace(GOOD, events=33_000)] * 2
    assert failing(rounds) == [
        "stream of 100 / raw COPY",
        "stream of 100 / INSERT unnest",
        "stream of 100",
        "stream of 100 / best peer's batch enqueue",
    ]


def test_case_that_failed_in_one_round_fails_its_figures() -> None:
    """A round that could not be measured is not passed over in silence."""
    rounds = all_good()
    rounds[COPY] = [GOOD, "no room on the disk"]
    assert failing(rounds) == ["stream of 100 / raw COPY", "WAL per event / raw COPY"]


def test_peer_that_is_missing_fails_the_comparison() -> None:
    """It could have been the best; the others are still compared."""
    rounds = all_good()
    rounds["peer pg-boss"] = ["not installed"] * 2
    (figure,) = [one for one in figures_of(rounds, PEERS) if "peer" in one.name]
    assert (figure.passed, figure.value) == (False, 2.0)
    assert "pg-boss" in figure.missing


def test_best_peer_of_the_round_is_the_yardstick() -> None:
    """Ours is held against the fastest peer, not against their mean."""
    rounds = all_good()
    rounds["peer pgqueuer"] = [replace(GOOD, events=80_000)] * 2
    (figure,) = [one for one in figures_of(rounds, PEERS) if "peer" in one.name]
    assert figure.value == 1.25
    assert not figure.passed
