"""The shipped weights that fit a tenant's size. Pure.

Among more records chance brings more strangers together: with each doubling the prior falls by a bit, and what says
that two mailboxes or numbers are equal by chance falls with it. Weights for 10,000 contacts, used for 100,000, tied
strangers who share no more than their names: a resolve then grouped 658 records anew in place of 10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from headwater.identity.domain.records import RecordId
from headwater.identity.domain.scoring import priors
from headwater.identity.domain.scoring.versions import DOUBLINGS_MAX, name_of, number_of_size
from headwater.identity.domain.scoring.weights import Weights

SAMPLE_RECORDS: Final = 2_000
"""Records of which the ids tell how many there are, with an error of 2 %."""
_HEAD_DIGITS: Final = 12
"""Digits at the beginning of an id that are a hash's, all of them."""

Sizes = tuple[int, ...]
"""How often the records of each object are twice those of the first day, in the order of the objects."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The first records of a tenant in the order of their ids, which are hashes.

    Args:
        counts: of them, by object. last: the last one's id.
    """

    counts: Mapping[str, int]
    last: RecordId


def sizes_of(sample: Sample | None, objects: Sequence[str], records_max: int = SAMPLE_RECORDS) -> Sizes:
    """Return the size of each object: *records_max* ids that take up a tenth of all possible ones are a tenth of all.

    Args:
        sample: None of a tenant without records. records_max: as many as were asked for.
    """
    if sample is None:
        return (0,) * len(objects)
    found = sum(sample.counts.values())
    times = 1.0 if found < records_max else 1.0 / _place(sample.last)
    return tuple(doublings_of(sample.counts.get(name, 0) * times) for name in objects)


def _place(record: RecordId) -> float:
    """Return where an id is among all possible ones: above 0, at most 1."""
    head = record.replace("-", "")[:_HEAD_DIGITS]
    return (int(head, 16) + 1) / 16**_HEAD_DIGITS


def doublings_of(records: float) -> int:
    """Return how often so many records are twice those of the first day, in whole doublings."""
    times = int(records / priors.RECORDS)
    return min(DOUBLINGS_MAX, max(times, 1).bit_length() - 1)


@lru_cache(DOUBLINGS_MAX * 4)
def shipped_for(object_name: str, doublings: int) -> Weights:
    """Return the shipped weights for so many times twice the records of the first day."""
    weights = priors.shipped(object_name, priors.RECORDS * 2**doublings)
    return replace(weights, version=name_of(number_of_size(doublings)))
