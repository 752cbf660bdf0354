"""Audits made up for tests and benches, with checkpoints, and every way to tamper with them. Pure."""

from __future__ import annotations

import datetime as dt
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from headwater.audit.checkpoints import FIRST, Checkpoint, Signer
from headwater.audit.entries import ERASED_ACTION, Entry, commitment_of, leaf_of
from headwater.audit.merkle import Tree

TENANT: Final = "acme"
NOON: Final = dt.datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=dt.UTC)
OURS: Final = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
THEIRS: Final = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
"""A key that nobody trusts."""
change: Final = msgspec.structs.replace


@dataclass(frozen=True, slots=True)
class History:
    """An audit as somebody finds it, and what the second place knows."""

    entries: tuple[Entry, ...]
    checkpoints: tuple[Checkpoint, ...]

    @property
    def sealed(self) -> int:
        """Entries under the last checkpoint."""
        return self.checkpoints[-1].size


def entry(seq: int, chance: random.Random) -> Entry:
    """Return an entry as the service writes them: changes of fields, and deliveries."""
    delivered = bool(seq % 3)
    made = Entry(
        seq,
        seq * 3 + chance.randrange(3),
        tenant_id=TENANT,
        audit_time=NOON + dt.timedelta(milliseconds=seq),
        action="delivered" if delivered else "field_changed",
        actor="sync" if delivered else "site",
        entity_id=uuid.UUID(int=chance.getrandbits(128)),
        event_key=uuid.UUID(int=chance.getrandbits(128)),
        connector="crm" if delivered else "",
        policy_version="7",
        trace_id=f"{chance.getrandbits(128):032x}",
        object="contact" if delivered else None,
        attempt_number=1 if delivered else None,
        version=seq if delivered else None,
        start_time=NOON if delivered else None,
        outcome="updated" if delivered else None,
        latency_ms=float(seq) if delivered else None,
        span_id=f"{chance.getrandbits(64):016x}" if delivered else None,
        salt=chance.randbytes(16),
        changes=changes(f"title {seq}"),
    )
    return change(made, leaf=leaf_of(made))


def changes(value: str) -> msgspec.Raw:
    """Return the changes of one field."""
    return msgspec.Raw(
        b'[{"field":"title","before":"was","after":"%s","rule":"most_recent"}]' % value.encode()
    )


def sealed(entries: Sequence[Entry], sizes: Sequence[int], signer: Signer = OURS) -> tuple[Checkpoint, ...]:
    """Return a chain of checkpoints over *entries*, as their leaves say."""
    tree, chain, before = Tree(), list[Checkpoint](), FIRST
    for size in sizes:
        tree.append([item.leaf for item in entries[tree.size : size]])
        moment = NOON + dt.timedelta(minutes=len(chain))
        chain.append(signer.sign(TENANT, size, tree.root(), moment, before))
        before = chain[-1].hash
    return tuple(chain)


@lru_cache(4)
def history(count: int, every: int, seed: int = 1) -> History:
    """Return *count* entries with a checkpoint over every *every* of them; entries may be left behind the last one."""
    chance = random.Random(seed)
    entries = tuple(entry(seq, chance) for seq in range(1, count + 1))
    return History(entries, sealed(entries, range(every, count + 1, every)))


def erase(entries: Sequence[Entry], seq: int) -> tuple[Entry, ...]:
    """Return *entries* with the values of one destroyed, and an entry behind them that ordered it."""
    held = entries[seq - 1]
    ordered = change(
        entry(len(entries) + 1, random.Random(seq)), action=ERASED_ACTION, entity_id=held.entity_id
    )
    ordered = change(ordered, leaf=leaf_of(ordered))
    gone = change(
        held,
        salt=b"",
        changes=msgspec.UNSET,
        commitment=commitment_of(held),
        order_id=ordered.audit_id,
    )
    return (*entries[: seq - 1], gone, *entries[seq:], ordered)


def again(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return *entries* numbered and hashed anew, as somebody does who hides what was done to them."""
    return tuple(
        change(item, seq=seq, leaf=leaf_of(item)) if item.seq != seq or leaf_of(item) != item.leaf else item
        for seq, item in enumerate(entries, 1)
    )


@dataclass(frozen=True, slots=True)
class Tampered:
    """A history after somebody was at it.

    Args:
        seq: the first number that is not what it was.
        kinds: what it may be called.
    """

    history: History
    seq: int
    kinds: frozenset[str]


Tamper = Callable[[History, random.Random], Tampered]
EDITS: Final[Sequence[Callable[[Entry], Entry]]] = (
    lambda item: change(item, actor=item.actor + "x"),
    lambda item: change(item, action="field_locked"),
    lambda item: change(item, audit_time=item.audit_time + dt.timedelta(microseconds=1)),
    lambda item: change(item, changes=changes("forged")),
    lambda item: change(item, entity_id=uuid.UUID(int=1)),
    lambda item: change(item, event_key=None),
    lambda item: change(item, connector=item.connector + "x"),
    lambda item: change(item, policy_version="8"),
    lambda item: change(item, salt=item.salt[::-1]),
    lambda item: change(item, audit_id=item.audit_id + 1),
    lambda item: change(item, leaf=item.leaf[::-1]),
)


def edited(found: History, chance: random.Random) -> Tampered:
    """Change one column of one entry, or its leaf."""
    seq = chance.randint(1, found.sealed)
    entries = list(found.entries)
    entries[seq - 1] = chance.choice(EDITS)(entries[seq - 1])
    return Tampered(History(tuple(entries), found.checkpoints), seq, frozenset({"edited"}))


def deleted(found: History, chance: random.Random) -> Tampered:
    """Take a run of entries away; their numbers are missed."""
    seq = chance.randint(1, found.sealed)
    until = min(len(found.entries), seq + chance.randint(1, 5))
    left = (
        (*found.entries[: seq - 1], *found.entries[until - 1 :]) if until > seq else found.entries[: seq - 1]
    )
    kinds = frozenset({"deleted", "truncated"})
    return Tampered(History(left, found.checkpoints), seq, kinds)


def reordered(found: History, chance: random.Random) -> Tampered:
    """Let two entries change places, with their numbers or without."""
    one, other = sorted(chance.sample(range(1, found.sealed + 1), 2))
    entries = list(found.entries)
    first, second = entries[one - 1], entries[other - 1]
    if chance.random() < 0.5:
        entries[one - 1], entries[other - 1] = second, first
        kinds = frozenset({"reordered", "deleted"})
    else:
        entries[one - 1] = change(second, seq=one, leaf=first.leaf)
        entries[other - 1] = change(first, seq=other, leaf=second.leaf)
        kinds = frozenset({"reordered"})
    return Tampered(History(tuple(entries), found.checkpoints), one, kinds)


def restamped(found: History, chance: random.Random) -> Tampered:
    """Edit, delete, put in or swap, then make numbers and hashes anew from there on."""
    seq = chance.randint(1, found.sealed - 1)
    entries = list(found.entries)
    match chance.randrange(4):
        case 0:
            entries[seq - 1] = change(entries[seq - 1], actor="nobody")
        case 1:
            entries.insert(seq - 1, change(entry(seq, chance), actor="nobody"))
        case 2:
            entries[seq - 1], entries[seq] = entries[seq], entries[seq - 1]
        case _:
            del entries[seq - 1]
    kinds = frozenset({"restamped", "truncated"})
    return Tampered(History(again(entries), found.checkpoints), seq, kinds)


def truncated(found: History, chance: random.Random) -> Tampered:
    """Take the end away."""
    seq = chance.randint(1, found.sealed)
    return Tampered(History(found.entries[: seq - 1], found.checkpoints), seq, frozenset({"truncated"}))


def forked(found: History, chance: random.Random) -> Tampered:
    """Write another history from some entry on, and sign it: with our key, stolen, beside the true checkpoints; or with
    another key, in their place.
    """
    seq = chance.randint(1, found.sealed)
    fresh = [
        change(made, leaf=leaf_of(made))
        for number in range(seq, len(found.entries) + 1)
        for made in [change(entry(number, chance), actor="nobody")]
    ]
    entries = (*found.entries[: seq - 1], *fresh)
    sizes = [item.size for item in found.checkpoints]
    stolen = chance.random() < 0.5
    chain = sealed(entries, sizes, OURS if stolen else THEIRS)
    checkpoints = (*found.checkpoints, *chain) if stolen else chain
    return Tampered(History(entries, checkpoints), seq, frozenset({"forked"}))


TAMPERINGS: Final[Sequence[Tamper]] = (edited, deleted, reordered, restamped, truncated, forked)
