"""The ranges of ids by which an object of a CRM is compared: which must be read, and how the others are proven. Pure.

Ranges are the leaves of a tree that is never stored: a node is some neighbouring leaves. A vendor that is asked how
many records a node has, and when one changed last, proves all its leaves unchanged by one call; where the answer
differs the node is asked by parts, down to the leaf that is read. What we hold of a range is hashed in the database,
so that a change of ours is never taken for nothing.

What this cannot see is a change that neither moves a vendor's stamp nor a count: for that a range is read again when
its last reading is old, and some are read by chance in every run.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from headwater.connectors.base import Seen
from headwater.connectors.base.sweeping import Probe, Span

_canonical = msgspec.json.Encoder(order="sorted").encode

RANGE_RECORDS: Final = 2_000
"""Records of a range when it is made: one answer of Salesforce, twenty pages of HubSpot."""
SPLIT_AT: Final = 2
"""A range that has grown to so many times that is cut when it is read."""
FANOUT: Final = 8
"""Parts of a node that is asked again."""


@dataclass(frozen=True, slots=True)
class Range:
    """One leaf as it was read last.

    Args:
        clean: every record of it could be compared.
        run_id: the run that read it, or proved it unchanged, last.
    """

    span: Span
    crm_count: int
    newest_time: dt.datetime | None
    ours_hash: str
    crm_hash: str
    plan_hash: str
    clean: bool
    read_time: dt.datetime
    run_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Sorted:
    """What is to become of an object's ranges in one run, in the order of ids.

    Args:
        read: must be read, whatever the vendor says.
        probed: neighbours whose proof is asked for together.
        sampled: of those that must be read, those drawn by chance.
    """

    read: tuple[Span, ...]
    probed: tuple[tuple[Range, ...], ...]
    sampled: frozenset[str] = frozenset()


def sort_ranges(
    ranges: Sequence[Range],
    ours: Mapping[str, str],
    plan_hash: str,
    now: dt.datetime,
    full_days: float,
    sample_records: int,
    chance: random.Random,
) -> Sorted:
    """Return which of *ranges* must be read, and which may be proven unchanged.

    Args:
        ours: beginning of a range to the hash of what we hold of it now.
        full_days: age of the last reading from which a range is read again.
        sample_records: about so many records of the others are read by chance.
    """
    if not ranges:
        return Sorted((Span(),), ())
    if any(item.plan_hash != plan_hash for item in ranges):
        return Sorted(tuple(item.span for item in ranges), ())
    oldest = now - dt.timedelta(days=full_days)
    forced = {
        item.span.after
        for item in ranges
        if not item.clean or item.read_time <= oldest or ours.get(item.span.after, "") != item.ours_hash
    }
    others = [item for item in ranges if item.span.after not in forced]
    drawn = frozenset(item.span.after for item in _drawn(others, sample_records, chance))
    read = tuple(item.span for item in ranges if item.span.after in forced or item.span.after in drawn)
    return Sorted(read, _neighbours(ranges, forced | drawn), drawn)


def tail_of(ranges: Sequence[Range]) -> tuple[Span, ...]:
    """Return what lies behind the last range where a reading was cut off before it came to the end."""
    last = ranges[-1].span.upto if ranges else ""
    return (Span(last),) if last else ()


def _drawn(ranges: Sequence[Range], records: int, chance: random.Random) -> Sequence[Range]:
    """Return ranges drawn by chance that have *records* records together, or a few more."""
    left = list(ranges)
    chance.shuffle(left)
    chosen: list[Range] = []
    while left and records > 0:
        chosen.append(left.pop())
        records -= max(1, chosen[-1].crm_count)
    return chosen


def _neighbours(ranges: Sequence[Range], apart: frozenset[str] | set[str]) -> tuple[tuple[Range, ...], ...]:
    groups: list[list[Range]] = [[]]
    for item in ranges:
        if item.span.after in apart:
            groups.append([])
        else:
            groups[-1].append(item)
    return tuple(tuple(group) for group in groups if group)


def span_of(node: Sequence[Range]) -> Span:
    """Return the span of neighbours."""
    return Span(node[0].span.after, node[-1].span.upto)


def is_unchanged(node: Sequence[Range], probe: Probe) -> bool:
    """Return whether what the vendor says of *node* is what was read."""
    newest = max((item.newest_time for item in node if item.newest_time is not None), default=None)
    return probe.count == sum(item.crm_count for item in node) and probe.newest == newest


def parts_of(node: Sequence[Range]) -> tuple[tuple[Range, ...], ...]:
    """Return *node* in at most `FANOUT` parts."""
    size = -(-len(node) // FANOUT)
    return tuple(tuple(node[start : start + size]) for start in range(0, len(node), size))


def content_hash(records: Sequence[Seen]) -> str:
    """Return the hash of what a CRM showed of a range, whatever the order."""
    total = 0
    for item in records:
        digest = hashlib.blake2b(_canonical([item.crm_id, dict(item.fields)]), digest_size=16).digest()
        total ^= int.from_bytes(digest, "big")
    return f"{total:032x}"
