"""Says whether an audit is what it was: entries against their leaves, the tree against signed checkpoints. Pure.

What each kind of finding means, and what shows it:

    edited     the content of an entry, its time included, does not give the leaf recorded when it was numbered; or its
               values are gone and no entry ordered that
    deleted    a number has no entry
    inserted   an entry stands among numbered ones and was never numbered
    reordered  an entry stands at a number that is not its own
    restamped  entries and leaves agree, but not with a signed root: hashes were made anew over changed entries. Which
               of the entries since the last checkpoint that agrees cannot be told: all of them stand in doubt
    truncated  entries end before the size that a checkpoint has signed
    forked     two histories were signed, a checkpoint is not bound to the one before, or none of the known keys made it
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from uuid import UUID

from msgspec import structs

from headwater.audit.blocks import Block
from headwater.audit.checkpoints import FIRST, Checkpoint, Keys, is_signed
from headwater.audit.entries import ERASED_ACTION, Entry, leaf_of
from headwater.audit.merkle import Tree

Kind = Literal["edited", "deleted", "inserted", "reordered", "restamped", "truncated", "forked"]
CHUNK_LEAVES: Final = 4_096
"""Leaves that are put into the tree at once."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong first.

    Args:
        seq: number of the first bad entry; of the first in doubt where a range is.
        until_seq: the last that is in doubt, where more than one is.
    """

    kind: Kind
    seq: int
    detail: str
    until_seq: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying came to.

    Args:
        entries: looked at; all of them, when nothing is wrong.
        sealed: of them under a signed checkpoint that agrees.
        erased: of them without their values, as an entry orders.
        unconfirmed: of them erased by an order that is not numbered yet.
    """

    entries: int
    sealed: int
    checkpoints: int
    erased: int
    unconfirmed: int
    root: bytes
    finding: Finding | None = None

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.finding is None


class _Bad(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.detail)
        self.finding = finding


def verify(
    entries: Callable[[], Iterable[Entry]],
    checkpoints: Iterable[Sequence[Checkpoint]],
    keys: Keys,
    blocks: Callable[[], Iterable[Entry | Block]] | None = None,
) -> Verdict:
    """Verify a tenant's audit from its first entry on.

    Args:
        entries: begins reading anew at every call, in the order in which they stand; called again only when
            something is wrong, to tell what.
        checkpoints: one series per place that was asked; the more places, the less can be forged.
        keys: the public keys that are trusted.
        blocks: the same entries, some of them checked already; read in place of *entries* the first time.
    """
    pass_over = _Pass()
    try:
        pass_over.seals = _one_chain(checkpoints, keys)
        pass_over.run((blocks or entries)())
    except _Bad as bad:
        return pass_over.verdict(_told(bad.finding, entries))
    return pass_over.verdict(None)


def _one_chain(places: Iterable[Sequence[Checkpoint]], keys: Keys) -> list[Checkpoint]:
    """Return the checkpoints of all places in order. Raises: _Bad, when they are not one chain under known keys."""
    found = {item.hash: item for place in places for item in place}
    if unknown := [item.size for item in found.values() if not is_signed(item, keys)]:
        detail = f"none of the {len(keys)} known keys has signed the checkpoint of {min(unknown)} entries"
        raise _Bad(Finding("forked", 1, detail, max(unknown)))
    ordered = sorted(found.values(), key=lambda item: (item.size, item.time))
    sizes = {FIRST: 0, **{item.hash: item.size for item in ordered}}
    sealed, before = 0, FIRST
    for item in ordered:
        if item.previous != before or item.size <= sealed:
            common = min(sizes.get(item.previous, sealed), sealed)
            detail = (
                f"the checkpoint of {item.size} entries, signed {item.time:%Y-%m-%dT%H:%M:%SZ}, is not bound to "
                f"that of {sealed} entries: another history was signed, or one between them is gone"
            )
            raise _Bad(Finding("forked", common + 1, detail, item.size))
        sealed, before = item.size, item.hash
    return ordered


@dataclass(slots=True)
class _Pass:
    """One pass over all entries."""

    seals: list[Checkpoint] = field(default_factory=list)
    tree: Tree = field(default_factory=Tree)
    leaves: list[bytes] = field(default_factory=list)
    sealed: int = 0
    erased: int = 0
    agreed: int = 0
    audit_id_max: int = 0
    number: int = 0
    _bound: int = 0
    _bounds: Iterator[int] = field(default_factory=lambda: iter(()))
    waiting: dict[UUID | None, list[Entry]] = field(default_factory=dict)

    def run(self, entries: Iterable[Entry | Block]) -> None:
        """Look at every entry and root. Raises: _Bad."""
        self._bounds = iter([*(item.size for item in self.seals), 0])
        self._bound = next(self._bounds)
        leaves = self.leaves
        for entry in entries:
            if isinstance(entry, Block):
                self._take(entry)
                continue
            self.number += 1
            number, leaf = self.number, entry.leaf
            if entry.seq != number or entry.missing or entry.stray or leaf_of(entry) != leaf:
                self._flush()
                raise _Bad(_bad_entry(entry, number))
            if entry.commitment or entry.action == ERASED_ACTION:
                self._erasing(entry)
            self.audit_id_max = max(self.audit_id_max, entry.audit_id)
            leaves.append(leaf)
            if number == self._bound:
                self._seal(number)
            elif len(leaves) == CHUNK_LEAVES:
                self._flush()
        self._flush()
        if self._bound:
            detail = f"numbers from {self.number + 1} on are gone; what stands behind {self.sealed} is under no root any more"
            raise _Bad(Finding("truncated", self.sealed + 1, detail, self.seals[-1].size))
        self._orders()

    def _take(self, block: Block) -> None:
        """Take entries that were checked already."""
        if block.first_seq != self.number + 1:
            raise _Bad(_bad_entry(Entry(block.first_seq, 0), self.number + 1))
        self.audit_id_max = max(self.audit_id_max, block.audit_id_max)
        leaves, place = block.leaves, 0
        while place < len(leaves):
            until = len(leaves) if not self._bound else min(len(leaves), place + self._bound - self.number)
            self.leaves += leaves[place:until]
            self.number += until - place
            place = until
            if self.number == self._bound:
                self._seal(self.number)
        self._flush()

    def _flush(self) -> None:
        self.tree.append(self.leaves)
        self.leaves.clear()

    def _seal(self, number: int) -> None:
        self._flush()
        seal = self.seals[self.agreed]
        if self.tree.root() != seal.root:
            detail = (
                f"entries and their hashes agree with each other, but not with the root signed over {number}"
            )
            raise _Bad(Finding("restamped", self.sealed + 1, detail, number))
        self.sealed, self.agreed = number, self.agreed + 1
        self._bound = next(self._bounds)

    def _erasing(self, entry: Entry) -> None:
        if entry.action == ERASED_ACTION:
            self.erased += len(self.waiting.pop(entry.entity_id, ()))
        elif entry.commitment:
            self.waiting.setdefault(entry.entity_id, []).append(entry)

    def _orders(self) -> None:
        """Make sure that every erasure was ordered, or that its order is still to be numbered."""
        unordered = [
            entry for held in self.waiting.values() for entry in held if entry.order_id <= self.audit_id_max
        ]
        if unordered:
            first = min(unordered, key=lambda entry: entry.seq)
            raise _Bad(Finding("edited", first.seq, "its values are gone, and no later entry ordered that"))

    def verdict(self, finding: Finding | None) -> Verdict:
        """Return what was found."""
        waiting = sum(map(len, self.waiting.values())) if finding is None else 0
        return Verdict(
            self.tree.size, self.sealed, self.agreed, self.erased, waiting, self.tree.root(), finding
        )


def _bad_entry(entry: Entry, number: int) -> Finding:
    if entry.stray:
        return Finding("inserted", number, f"audit id {entry.audit_id} was never numbered; later ones were")
    if entry.missing:
        return Finding("deleted", number, f"audit id {entry.audit_id} was numbered and is not there")
    if entry.seq > number:
        return Finding("deleted", number, f"{entry.seq - number} numbers have no entry", entry.seq - 1)
    if entry.seq < number:
        return Finding("reordered", number, f"number {entry.seq} stands where {number} belongs")
    return Finding("edited", number, f"the content of audit id {entry.audit_id} does not give its leaf")


def _told(finding: Finding, entries: Callable[[], Iterable[Entry]]) -> Finding:
    """Tell an entry that was moved from one that was edited or deleted: it is the entry of another number."""
    if finding.kind == "deleted":
        for place, entry in enumerate(entries(), 1):
            if entry.seq == finding.seq and place > finding.seq:
                return Finding("reordered", finding.seq, f"number {entry.seq} stands at {place}")
    if finding.kind == "edited":
        moved = next((one for one in entries() if one.seq == finding.seq), None)
        if moved is not None and not moved.missing:
            for entry in entries():
                if entry.seq != finding.seq and _is_of(moved, entry):
                    return Finding("reordered", finding.seq, f"it is the entry of number {entry.seq}")
    return finding


def _is_of(moved: Entry, place: Entry) -> bool:
    """Say whether *moved* is the entry that got the leaf of *place*, its salt having come along or not."""
    if leaf_of(moved) == place.leaf:
        return True
    return not moved.commitment and leaf_of(structs.replace(moved, salt=place.salt)) == place.leaf
