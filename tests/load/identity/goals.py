"""The goals of identity and the figures that answer them. Pure.

F1 is asked of every set of contacts that a seed made, of both generators; of accounts that a seed made, only what is
relative: how hard a made-up account is, is the maker's choice. Every figure is asked of each driver of ours that ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from tests.load.figures import Figure, Goal
from tests.load.identity.metrics import Rates
from tests.load.identity.outcome import NOTHING, Outcome
from tests.load.identity.sets_of_run import SetOfRun
from tests.load.identity.speed import Speed
from tests.load.identity.systems import OURS, PEERS, TOO_SLOW

Outcomes = Sequence[Outcome]
F1_OF_SET: Final[Mapping[str, float]] = {"crm_synth_dev": 0.92, "febrl3": 0.9995}
F1_OF_SIZE: Final[Mapping[str, float]] = {"2k": 0.90, "15k": 0.90, "200k": 0.88}
LARGE_BELOW_MAX: Final = 0.03
NAMES_F1: Final[Mapping[str, float]] = {"companies": 0.90, "persons": 0.80}
LARGEST_MAX: Final = 1.5
MERGE_PRECISION: Final = 0.9995
MERGE_RECALL: Final = 0.40
IDENTICAL_MIN: Final = 0.999
TEN_MILLION: Final = 10_000_000
SERVICE_MB_MAX: Final = 400.0


def quality_figures(sets: Sequence[SetOfRun], outcomes: Outcomes) -> list[Figure]:
    """Return what is asked of our own answers."""
    found: list[Figure] = []
    for one, ours in _ours(sets, outcomes):
        name = f"{one.name}, {ours.system}"
        bound = F1_OF_SET.get(one.name) or (F1_OF_SIZE[one.size] if _is_fresh_contacts(one) else None)
        if bound is not None:
            found.append(_figure(f"F1 {name}", Goal(">=", bound), ours, lambda o: o.pairs.f1))
        found.append(
            _figure(
                f"largest / largest true {name}",
                Goal("<=", LARGEST_MAX),
                ours,
                lambda o: o.largest / o.largest_true,
            )
        )
        if (one.name == "crm_synth_dev" or _is_fresh_contacts(one)) and (ours.merge or ours.failure):
            found += [
                _figure(
                    f"merge tier precision {name}",
                    Goal(">=", MERGE_PRECISION),
                    ours,
                    lambda o: _merge(o).precision,
                ),
                _figure(
                    f"merge tier recall {name}", Goal(">=", MERGE_RECALL), ours, lambda o: _merge(o).recall
                ),
            ]
    return found + _size_figures(sets, outcomes)


def peer_figures(sets: Sequence[SetOfRun], outcomes: Outcomes) -> list[Figure]:
    """Return B-cubed of ours less that of the best peer, a set each.

    A peer that failed or is missing may have been the best: the figure fails. One that was too slow had its chance:
    it is named and left out.
    """
    return [_against_peers(one, ours, outcomes) for one, ours in _ours(sets, outcomes)]


def _against_peers(one: SetOfRun, ours: Outcome, outcomes: Outcomes) -> Figure:
    peers = {
        other.system: other for other in outcomes if other.set_name == one.name and other.system in PEERS
    }
    best = max((peer for peer in peers.values() if not peer.failure), key=lambda o: o.cubed.f1, default=None)
    slow = [name for name, peer in peers.items() if peer.failure.startswith(TOO_SLOW)]
    failed = [f"{name}: {peer.failure}" for name, peer in peers.items() if peer.failure and name not in slow]
    absent = [f"{name} not run" for name in PEERS if name not in peers]
    missing = "; ".join([*([ours.failure] if ours.failure else ()), *failed, *absent])
    rounds = (ours.cubed.f1 - best.cubed.f1,) if best and not ours.failure else ()
    name = f"B-cubed {one.name}, {ours.system} less {best.system if best else 'best peer'}"
    if slow:
        name += f" ({', '.join(slow)} too slow)"
    return Figure(name, "", Goal(">=", 0.0), rounds, missing or ("" if rounds else "no peer answered"))


def name_figures(rates: Mapping[str, Rates]) -> list[Figure]:
    """Return what is asked of pairs of names."""
    return [
        Figure(f"name_bench {kind} F1", "", Goal(">=", bound), (rates[kind].f1,))
        for kind, bound in NAMES_F1.items()
        if kind in rates
    ]


def order_figures(name: str, orders: int, shares: Mapping[str, Sequence[float]]) -> list[Figure]:
    """Return what is asked of orders of arrival."""
    told = f"{orders} orders of {name}: least share of identical groups"
    return [
        Figure(
            f"{told}, with the first order", "", Goal(">=", IDENTICAL_MIN), _least(shares["among_orders"])
        ),
        Figure(f"{told}, with bulk", "", Goal(">=", 1.0), _least(shares["with_bulk"])),
    ]


def speed_figures(speed: Speed) -> list[Figure]:
    """Return what is asked at a size; below ten million, the goals of one million."""
    large = speed.contacts >= TEN_MILLION
    at = f"at {speed.contacts:,} contacts"
    asked: list[tuple[str, str, Goal, float]] = [
        ("resolves in batches", "/s", Goal(">=", 3_000 if large else 4_000), speed.batched_per_s),
        ("single resolve p99", "ms", Goal("<=", 8.0 if large else 5.0), speed.single_p99_ms),
        ("service memory", "MB", Goal("<=", SERVICE_MB_MAX), speed.service_bytes / 1e6),
    ]
    if not large:
        asked += [
            ("8 hot writers", "/s", Goal(">=", 2_000), speed.hot_per_s),
            ("8 hot writers p99", "ms", Goal("<=", 15.0), speed.hot_p99_ms),
        ]
    return [Figure(f"{name} {at}", unit, goal, (value,)) for name, unit, goal, value in asked]


def unmeasured(name: str, failure: str) -> Figure:
    """Return the figure of a part that could not be measured."""
    return Figure(name, "", Goal(">=", 1.0), (), failure)


def _ours(sets: Sequence[SetOfRun], outcomes: Outcomes) -> Iterable[tuple[SetOfRun, Outcome]]:
    return (
        (one, outcome)
        for one in sets
        for outcome in outcomes
        if outcome.set_name == one.name and outcome.system in OURS
    )


def _is_fresh_contacts(one: SetOfRun) -> bool:
    return one.family in {"crm", "contacts"}


def _figure(name: str, goal: Goal, outcome: Outcome, read: Callable[[Outcome], float]) -> Figure:
    return Figure(name, "", goal, () if outcome.failure else (read(outcome),), outcome.failure)


def _merge(outcome: Outcome) -> Rates:
    return outcome.merge or NOTHING


def _size_figures(sets: Sequence[SetOfRun], outcomes: Outcomes) -> list[Figure]:
    """Return how far a large set falls below the small one of the same seed."""
    known = {(o.set_name, o.system): o for o in outcomes if not o.failure}
    small = {(s.family, s.seed): s.name for s in sets if s.size == "15k"}
    found = []
    for one, ours in _ours([s for s in sets if s.size == "200k" and _is_fresh_contacts(s)], outcomes):
        other = known.get((small.get((one.family, one.seed), ""), ours.system))
        whole = other is not None and not ours.failure
        rounds = (other.pairs.f1 - ours.pairs.f1,) if other is not None and whole else ()
        missing = "" if whole else (ours.failure or "the set of 15,000 was not run")
        found.append(
            Figure(
                f"F1 lost from 15k to {one.name}, {ours.system}",
                "",
                Goal("<=", LARGE_BELOW_MAX),
                rounds,
                missing,
            )
        )
    return found


def _least(shares: Sequence[float]) -> tuple[float, ...]:
    return (min(shares),) if shares else ()
