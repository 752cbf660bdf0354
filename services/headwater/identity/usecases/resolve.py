"""Resolving batches of records. Owns the order lock, read, decide, write; must not know SQL or gRPC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from headwater.identity.domain.identifying import NOTHING, SHIPPED, Normaliser, combine, said_of
from headwater.identity.domain.merging import Actor
from headwater.identity.domain.records import RecordId, RecordRef, record_id_of
from headwater.identity.domain.resolving.plan import Batch, plan_batch
from headwater.identity.domain.resolving.values import (
    AutoMerge,
    Incoming,
    KnownRecord,
    Limits,
    Plan,
    Resolution,
    together,
)
from headwater.identity.domain.scoring.versions import name_of
from headwater.identity.domain.scoring.weights import Weights
from headwater.identity.ports import IdentityStore, Transaction, Wake
from headwater.identity.usecases.gathering import Gathering
from headwater.identity.usecases.metering import ResolveMeter
from headwater.identity.usecases.telling import Telling
from headwater.identity.weights_ports import WeightsSource
from headwater.kernel.ids import EventKey, TenantId

RECENT_MAX: Final = 65_536
"""Records that a process remembers to have resolved: about 10 MB."""
EXPECTED_MIN: Final = 0.5
"""Share of known records among those of late above which it is asked first whether a single one is: two messages more."""
CALL_WEIGHT: Final = 0.05
"""How much one call counts in that share: about the last twenty do."""
NEAR_RECORDS_MAX: Final = 20_000
"""Records that one batch groups anew at the most, however large it is."""
GATHERED_RECORDS_MAX: Final = 1_000
"""Records of several calls that are resolved together."""
PATIENCE_S: Final = 0.002
"""Longest wait for callers who were just answered: half the time that a batch of their records takes."""
ITSELF: Final = Actor(type=2, id="identity", display_name="Identity service")
"""Who merges what the merge rule allows; 2 is ACTOR_TYPE_SERVICE of the wire contract."""


@dataclass(frozen=True, slots=True)
class RecordToResolve:
    """A record with its raw attributes; match_only: never found an entity for it."""

    ref: RecordRef
    event_key: EventKey
    attributes: Mapping[str, str]
    match_only: bool = False


class Named(NamedTuple):
    """A record with its id, and the digest of what it says."""

    record_id: RecordId
    digest: int
    record: RecordToResolve


class Recent:
    """What this process has resolved of late: a guess at whether records are known already, never a fact."""

    def __init__(self, records_max: int = RECENT_MAX) -> None:
        self._records: dict[RecordId, None] = {}
        self._records_max = records_max
        self._share = 0.0

    def expects(self, records: Iterable[RecordId]) -> bool:
        """Say whether *records* are likely to be known: they were resolved here, or most of late were known."""
        return self._share > EXPECTED_MIN or all(record in self._records for record in records)

    def note(self, records: Iterable[RecordId], share: float) -> None:
        """Note *records* that are resolved now, and which share of them was known; the oldest make room."""
        self._share += (share - self._share) * CALL_WEIGHT
        self._records.update(dict.fromkeys(records))
        while len(self._records) > self._records_max:
            del self._records[next(iter(self._records))]


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves records to entities.

    Args:
        weights: taken once for a batch.
        rules: by which records are identified.
    """

    store: IdentityStore
    telling: Telling
    wake: Wake
    weights: WeightsSource
    limits: Limits
    rules: Normaliser = SHIPPED
    recent: Recent = field(default_factory=Recent)
    meter: ResolveMeter = field(default_factory=ResolveMeter)
    gathering: Gathering[Incoming, Resolution] = field(init=False)

    def __post_init__(self) -> None:
        """Gather the calls of each tenant."""
        gathering = Gathering(self.resolve_batch, GATHERED_RECORDS_MAX, PATIENCE_S)
        object.__setattr__(self, "gathering", gathering)

    async def resolve(
        self, tenant_id: TenantId, records: Sequence[RecordToResolve], timeout_s: float | None
    ) -> Sequence[Resolution]:
        """Assign each record to an entity, creating entities where none matches; idempotent.

        Args:
            records: in log order.
            timeout_s: what is left of the caller's deadline.

        Cancellation: nothing is written, unless the commit was under way; sending again is safe.
        """
        named = [self._named(tenant_id, one) for one in records]
        told = {one.record_id: one.digest if one.record.attributes else None for one in named}
        known: Mapping[RecordId, KnownRecord] = {}
        if len(told) > 1 or self.recent.expects(told):
            known = await self.store.list_known(tenant_id, told)
            if recalled := self._recall(known, named):
                self.meter.resolved(recalled)
                self.recent.note(told, 1.0)
                return recalled
        incoming = self._incoming(named, known)
        resolutions = await self.gathering.resolve(tenant_id, incoming, timeout_s)
        self.meter.resolved(resolutions)
        self.recent.note(told, sum(one.kind == "known" for one in resolutions) / len(resolutions))
        return resolutions

    async def resolve_batch(
        self, tenant_id: TenantId, incoming: Sequence[Incoming], timeout_s: float | None
    ) -> Sequence[Resolution]:
        """Resolve the records of one call or of several in one transaction."""
        weights = await self.weights.of(tenant_id)
        with self.meter.resolving():
            async with self.store.alone(tenant_id, timeout_s) as transaction:
                plan = await self.resolve_in(transaction, incoming, weights)
        if plan.merges:
            self.wake.notify()
        return [replace(one, revision=plan.revision) for one in plan.resolutions]

    async def resolve_in(
        self,
        transaction: Transaction,
        incoming: Sequence[Incoming],
        weights: Mapping[str, Weights],
        *,
        again: bool = False,
    ) -> Plan:
        """Resolve records in a transaction under way.

        Args:
            weights: taken before it began, which may need a connection of its own.
            again: they are known and say nothing new; they are compared and grouped anew, as they stand.
        """
        plan = await self._decide(transaction, incoming, weights, again=again)
        plan.version = self.rules.version
        await transaction.write(plan, self.telling.clock.now())
        for one in plan.merges:
            await self._merge(transaction, one)
        return plan

    async def _decide(
        self,
        transaction: Transaction,
        incoming: Sequence[Incoming],
        weights: Mapping[str, Weights],
        *,
        again: bool,
    ) -> Plan:
        incoming, same = await self._unchanged(transaction, incoming)
        ids = list(dict.fromkeys(one.record_id for one in incoming if one.record_id not in same))
        keys = list({key for record in incoming for key in record.identified.keys})
        looked = await transaction.look_up(ids, keys)
        if same:
            looked = replace(looked, known={**looked.known, **same})
        batch = Batch(incoming, looked, weights, self.limits, again=again)
        near_max = min(NEAR_RECORDS_MAX, self.limits.near_max * max(1, len(batch.fresh)))
        near = [await transaction.load_near(one, near_max, keys=batch.needs_keys) for one in batch.wanted()]
        plan = plan_batch(batch, together(near), self.telling.new_id)
        plan.renamed = [
            (one.record_id, one.ref.external_id)
            for one in incoming
            if one.identified.keys
            and (held := looked.known.get(one.record_id)) is not None
            and not held.identified.keys
        ]
        return plan

    async def _merge(self, transaction: Transaction, one: AutoMerge) -> None:
        merge = self.telling.merge(one.object, one.winner_id, one.loser_id, len(one.moved))
        change = self.telling.change("merged", merge, one.moved, ITSELF)
        by = f" by {name_of(one.weights)}" if one.weights else ""
        await transaction.write_merge(merge, ITSELF, f"{one.rule}: {one.bits:.1f} bits{by}", change)

    async def _unchanged(
        self, transaction: Transaction, incoming: Sequence[Incoming]
    ) -> tuple[Sequence[Incoming], Mapping[RecordId, KnownRecord]]:
        """Return a batch, and those of its records that say what they said last, as they stand.

        What only seemed to, or comes beside something else that it says, is identified.
        """
        if all(one.unread is None for one in incoming):
            return incoming, {}
        others = {one.record_id for one in incoming if one.unread is None}
        told = {one.record_id: one.digest for one in incoming if one.record_id not in others}
        known = await transaction.list_known(told)
        same = {one: held for one, held in known.items() if held.digest == told[one]}
        read = [one if one.unread is None or one.record_id in same else self._read(one) for one in incoming]
        return read, same

    def _read(self, record: Incoming) -> Incoming:
        """Return a record that was thought to say nothing new as one that may."""
        attributes = record.unread or {}
        identified = self.rules.identify(record.ref.object, attributes)
        said = said_of(record.ref.object, attributes)
        return replace(record, identified=identified, said=said, unread=None)

    def _recall(
        self, known: Mapping[RecordId, KnownRecord], named: Sequence[Named]
    ) -> Sequence[Resolution] | None:
        """Return the answers when all records are resolved and say nothing new, so that nothing is locked.

        The answers are as of one moment, as if the batch had had its lock just then.
        """
        if any(one.record_id not in known or self._is_news(known[one.record_id], one) for one in named):
            return None
        found = (known[one.record_id] for one in named)
        return [
            Resolution(one.entity_id, "known", group_id=one.group_id, revision=one.revision) for one in found
        ]

    def _is_news(self, known: KnownRecord, one: Named) -> bool:
        if known.digest == one.digest or not one.record.attributes:
            return False
        if (
            known.identified is NOTHING
        ):  # its parts were left out: another record's digest is what it said last
            return True
        told = self.rules.identify(one.record.ref.object, one.record.attributes)
        return combine(known.identified, told) is not known.identified

    def _named(self, tenant_id: TenantId, record: RecordToResolve) -> Named:
        digest = self.rules.digest_of(record.ref.object, record.attributes)
        return Named(record_id_of(tenant_id, record.ref), digest, record)

    def _incoming(self, named: Sequence[Named], known: Mapping[RecordId, KnownRecord]) -> Sequence[Incoming]:
        """Return the records of a call, identified where they seem to say something new."""
        found = []
        for record_id, digest, record in named:
            ref, key, attributes = record.ref, record.event_key, record.attributes
            held = known.get(record_id)
            if held is not None and held.digest == digest:
                one = Incoming(record_id, ref, key, NOTHING, record.match_only, digest, unread=attributes)
            else:
                identified, said = (
                    self.rules.identify(ref.object, attributes),
                    said_of(ref.object, attributes),
                )
                one = Incoming(record_id, ref, key, identified, record.match_only, digest, said)
            found.append(one)
        return found
