"""What planning reads and what it comes to: values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.tiers import Tier
from headwater.identity.domain.identifying import Identified
from headwater.identity.domain.normalising import NORMALISATION_VERSION
from headwater.identity.domain.records import GroupId, RecordId, RecordRef
from headwater.kernel.ids import EntityId, EventKey

ResolutionKind = Literal["known", "matched", "created", "unmatched"]
Question = Literal["merge", "split"]
Pair = tuple[RecordId, RecordId]
"""Two records, lower id first."""


def pair_of(one: RecordId, other: RecordId) -> Pair:
    """Return two records as a pair."""
    return (one, other) if one < other else (other, one)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one resolve.

    Args:
        rules: when groups of records become one.
        key_rows_max: a key that more records have brings nobody together.
        candidates_max: records that one record is compared with; those that share strong keys first.
        near_max: records that one batch groups anew, for each of its records at the most.
        pairs_max: pairs to review that one record may add.
        auto_merge: whether what may be one in a CRM is merged at once, or a person is asked.
    """

    rules: Rules = field(default_factory=Rules)
    key_rows_max: int = 40
    candidates_max: int = 200
    near_max: int = 400
    pairs_max: int = 5
    auto_merge: bool = True


@dataclass(frozen=True, slots=True)
class Incoming:
    """A record to resolve.

    Args:
        match_only: leave it unplaced when nothing matches.
        digest: hash of the attributes it comes with. said: these attributes as they are kept.
        unread: these attributes, of a record that seems to say what it said last: it is not identified for that.
    """

    record_id: RecordId
    ref: RecordRef
    event_key: EventKey
    identified: Identified
    match_only: bool = False
    digest: int = 0
    said: str = ""
    unread: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class KnownRecord:
    """A record that was resolved before, as it stands now.

    Args:
        identified: nothing where it was only asked whether it says what it said last, and it does.
        digest: of the attributes put on top last.
        revision: as of which change of the tenant.
    """

    entity_id: EntityId
    group_id: GroupId
    identified: Identified
    digest: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A key that says less than others.

    Args:
        value: what identifies nobody; only of keys that can turn generic.
    """

    value: str = ""
    generic: bool = False
    crowded: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """What a batch meets.

    Args:
        known: those of its records that were resolved before.
        holders: records that have a key, by its hash, of the batch's keys and those of its known records.
        found: stored parts of every holder.
        uses: of the same keys, those that say less. generic: values of the holders that identify nobody.
        revision: the tenant's last merge or split before it.
    """

    known: Mapping[RecordId, KnownRecord] = field(default_factory=dict)
    holders: Mapping[int, Sequence[RecordId]] = field(default_factory=dict)
    found: Mapping[RecordId, bytes] = field(default_factory=dict)
    uses: Mapping[int, KeyUse] = field(default_factory=dict)
    generic: frozenset[str] = frozenset()
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A record of a neighbourhood; keys only where they were asked for."""

    ref: RecordRef
    entity_id: EntityId
    group_id: GroupId
    parts: bytes
    keys: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Near:
    """The records whose groups may change, as they stand.

    Args:
        ages: place in time of each of their entities.
        edges: bits of compared pairs; some reach out of the neighbourhood.
        generic: values among theirs that identify nobody; crowded: keys that bring nobody together.
        apart: records whose entities a person told apart.
        whole: whether all that is linked was read.
        edge_weights: version of the weights that a pair was scored with, of those not scored with the shipped ones.
    """

    records: Mapping[RecordId, Standing] = field(default_factory=dict)
    ages: Mapping[EntityId, int] = field(default_factory=dict)
    edges: Mapping[Pair, float] = field(default_factory=dict)
    generic: frozenset[str] = frozenset()
    crowded: frozenset[int] = frozenset()
    apart: frozenset[Pair] = frozenset()
    whole: bool = True
    edge_weights: Mapping[Pair, int] = field(default_factory=dict)


def together(found: Sequence[Near]) -> Near:
    """Return neighbourhoods that have no record in common as one."""
    if len(found) == 1:
        return found[0]
    return Near(
        {record: stands for one in found for record, stands in one.records.items()},
        {entity: age for one in found for entity, age in one.ages.items()},
        {pair: bits for one in found for pair, bits in one.edges.items()},
        frozenset().union(*(one.generic for one in found)),
        frozenset().union(*(one.crowded for one in found)),
        frozenset().union(*(one.apart for one in found)),
        whole=all(one.whole for one in found),
        edge_weights={pair: version for one in found for pair, version in one.edge_weights.items()},
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which neighbourhood decides a batch.

    Args:
        seeds: records whose links lead to it. turned: those of which a value or a key has become common.
        bits_min: from which an edge links; more are read than are grouped together where it is low.
    """

    seeds: frozenset[RecordId]
    turned: frozenset[RecordId]
    bits_min: float = Rules().bits_min

    @property
    def size(self) -> int:
        """How many records to begin with."""
        return len(self.seeds) + len(self.turned)


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which entity a record belongs to, and why; none when it stays unplaced.

    Args:
        group_id: of the records linked to it. tier: what its best match allows; none for a known record.
        bits: for that match; 0 where there is none.
        revision: the tenant's last merge or split that the answer surely knows of; 0 before the first.
    """

    entity_id: EntityId | None
    kind: ResolutionKind
    rule: str = ""
    matched: RecordRef | None = None
    group_id: GroupId | None = None
    tier: Tier | None = None
    bits: float = 0.0
    revision: int = 0


UNMATCHED = Resolution(None, "unmatched")


@dataclass(frozen=True, slots=True)
class NewMember:
    """A record resolved for the first time."""

    record: Incoming
    entity_id: EntityId
    group_id: GroupId
    rule: str


@dataclass(frozen=True, slots=True)
class NewCandidate:
    """Two records of two entities to be reviewed; or of one, where later evidence tells them apart.

    Args:
        weights: version by which the bits were worked out.
    """

    record_id: RecordId
    entity_id: EntityId
    other_record_id: RecordId
    other_entity_id: EntityId
    object: str
    rule: str
    blocked_by: str
    bits: float
    question: Question = "merge"
    weights: int = 0


@dataclass(frozen=True, slots=True)
class AutoMerge:
    """Two entities that are one by the merge rule; moved: the records of the loser; weights: version of the bits."""

    winner_id: EntityId
    loser_id: EntityId
    object: str
    rule: str
    bits: float
    moved: tuple[RecordRef, ...]
    weights: int = 0


@dataclass(slots=True)
class Plan:
    """What a batch comes to: answers in the order of the records, rows to write."""

    resolutions: list[Resolution] = field(default_factory=list)
    founders: list[tuple[EntityId, str]] = field(default_factory=list)
    """New entities: id and object."""
    members: list[NewMember] = field(default_factory=list)
    known: list[Incoming] = field(default_factory=list)
    """Known records that say something new."""
    renamed: list[tuple[RecordId, str]] = field(default_factory=list)
    """Known records of which nothing was kept, erased ones, with their external ids: they are told anew."""
    moved: list[tuple[RecordId, GroupId]] = field(default_factory=list)
    keys: list[tuple[int, RecordId]] = field(default_factory=list)
    """Keys that known records gain; new members are found by all of theirs but those barred."""
    barred: list[int] = field(default_factory=list)
    """Keys that bring nobody together."""
    edges: list[tuple[Pair, float, int]] = field(default_factory=list)
    """Pairs with their bits, and the version of the weights by which those were worked out."""
    gone: list[Pair] = field(default_factory=list)
    """Pairs whose edge says nothing any more."""
    uses: list[tuple[int, KeyUse]] = field(default_factory=list)
    held: list[tuple[int, EntityId]] = field(default_factory=list)
    """Exclusive keys, and who holds each unless somebody does already."""
    candidates: list[NewCandidate] = field(default_factory=list)
    merges: list[AutoMerge] = field(default_factory=list)
    said: list[tuple[RecordId, str]] = field(default_factory=list)
    """What records say that are new or say something new, as they said it."""
    version: int = NORMALISATION_VERSION
    """Of the rules by which members and known records are identified."""
    revision: int = 0
    """The tenant's last merge or split before it."""

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return any(
            (
                self.founders,
                self.members,
                self.known,
                self.moved,
                self.edges,
                self.gone,
                self.uses,
                self.candidates,
            )
        )
