"""The seeds of a run: requests that Hypothesis makes of each method's descriptor, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from tests.fuzz.methods import Method
from tests.fuzz.strategies import Hints, wire_strategy


def make_corpus(
    methods: Mapping[str, Method], hints: Hints, *, examples: int, chance_seed: int
) -> dict[str, list[bytes]]:
    """Return that many wire forms of each method's request."""
    return {
        name: make_examples(method.request.DESCRIPTOR, hints, examples=examples, chance_seed=chance_seed)
        for name, method in methods.items()
    }


def make_examples(descriptor: Any, hints: Hints, *, examples: int, chance_seed: int) -> list[bytes]:
    """Return that many wire forms of a message."""
    found: list[bytes] = []

    @seed(chance_seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(wire_strategy(descriptor, hints))
    def collect(wire: bytes) -> None:
        found.append(wire)

    collect()
    return found


def sizes(corpus: Mapping[str, Sequence[bytes]]) -> int:
    """Return the number of seeds."""
    return sum(len(items) for items in corpus.values())
