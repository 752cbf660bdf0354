"""Random merges, splits and corrections, undone again in a random order: the tables are as before, byte for byte.

What is compared is every row that the tenant has in the service's schema but for the ledger of what was done, which
only grows. What stays by design:
- What somebody split is told apart (ledger), and off the list of candidates for good.
- Candidates that came up meanwhile stay on the list; whether they are open is read from where their records are.
- A group that was parted and found again may have another id: groups are compared by their first record.
- A record's digest is of what was put on top of it last, not of what it says: it is left out.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
from tests.identity_histories.calls import Merge, Merged, Refused, Restored, Split
from tests.identity_histories.corrections import VARIANTS, Subject, make_subjects
from tests.identity_histories.people import OBJECT, SOURCE
from tests.identity_histories.services import CALL_S, InProcess

from headwater.identity.domain.records import RecordRef
from headwater.identity.usecases.resolve import RecordToResolve
from headwater.kernel.ids import EventKey, TenantId

if TYPE_CHECKING:  # the name exists for type checkers only
    from headwater.kernel.pg.pool import Connection

LEDGER: Final = ("merge", "merge_member", "change", "told_apart", "former_group", "evidence")
"""Tables that tell what was done; nothing of them is ever undone."""
STEPS: Final = (2, 9)
WRITE_DUMP: Final = """
SELECT string_agg(
    format('SELECT %L AS name, to_jsonb(t) AS line FROM identity.%I AS t WHERE t.tenant_id = $1', relname, relname),
    ' UNION ALL ' ORDER BY relname
)
FROM pg_class
INNER JOIN pg_attribute ON attrelid = pg_class.oid AND attname = 'tenant_id'
WHERE relnamespace = 'identity'::regnamespace AND relkind = 'r' AND relname <> ALL($1::text[])"""

Pair = frozenset[str]
Dump = Mapping[str, Sequence[bytes]]
"""The rows of each table, sorted."""


class NotRestored(AssertionError):
    """After everything was undone a row is not as it was."""


@dataclass(slots=True)
class _Done:
    """What is to be undone, and the pairs that were split."""

    standing: list[str] = field(default_factory=list)
    pairs: dict[str, Pair] = field(default_factory=dict)
    corrected: dict[str, Subject] = field(default_factory=dict)
    split: set[Pair] = field(default_factory=set)


@dataclass(slots=True)
class Count:
    """How much was done and undone."""

    sequences: int = 0
    merges: int = 0
    refused: int = 0
    splits: int = 0
    corrections: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return it as one line."""
        return (
            f"{self.sequences:,} sequences: {self.merges:,} merges ({self.refused:,} refused), "
            f"{self.splits:,} splits, {self.corrections:,} corrections, {len(self.failures)} not restored, "
            f"{self.seconds:.0f} s"
        )


@dataclass(slots=True)
class Undoer:
    """One tenant on which sequences are done and undone, one after another."""

    service: InProcess
    connection: Connection
    tenant: str
    seed: int
    count: Count

    async def run(self, sequences: int) -> None:
        """Do and undo.

        Raises:
            NotRestored: names seed and sequence, the rows that are there too much and those that are missing.
        """
        chance = random.Random(self.seed)
        subjects = make_subjects(self.seed)
        entities = await self._introduce(subjects, chance)
        statement = await self.connection.fetchval(WRITE_DUMP, list(LEDGER))
        before = await self._dump(statement)
        for number in range(sequences):
            done = _Done()
            for _ in range(chance.randint(*STEPS)):
                await self._step(done, subjects, entities, chance)
            await self._undo(done, chance)
            after = await self._dump(statement)
            expected = with_pairs_closed(before, after, done.split)
            if after != expected:
                raise NotRestored(f"seed {self.seed}, sequence {number}: {difference(expected, after)}")
            before = after
            self.count.sequences += 1

    async def _introduce(self, subjects: Sequence[Subject], chance: random.Random) -> Sequence[str]:
        """Let every record say all that it will ever say; return the entities."""
        homes = await self._tell([(one, 0) for one in subjects])
        for variant in (*chance.sample(range(1, VARIANTS), VARIANTS - 1), 0):
            await self._tell([(one, variant) for one in chance.sample(subjects, len(subjects))])
        return list(dict.fromkeys(homes))

    async def _tell(self, said: Sequence[tuple[Subject, int]]) -> Sequence[str]:
        batch = [
            RecordToResolve(
                RecordRef(SOURCE, OBJECT, one.name),
                EventKey(uuid.uuid5(uuid.NAMESPACE_OID, f"{one.name} {variant}")),
                one.variants[variant],
            )
            for one, variant in said
        ]
        found = await self.service.replica.resolver.resolve(TenantId(self.tenant), batch, CALL_S)
        return [str(one.entity_id) for one in found]

    async def _step(
        self, done: _Done, subjects: Sequence[Subject], entities: Sequence[str], chance: random.Random
    ) -> None:
        kind = chance.random()
        if kind < 0.5:
            await self._merge(done, *chance.sample(entities, 2))
        elif kind < 0.7 and done.standing:
            await self._split(done, chance.choice(done.standing))
        else:
            subject = chance.choice(subjects)
            await self._tell([(subject, chance.randrange(1, VARIANTS))])
            done.corrected[subject.name] = subject
            self.count.corrections += 1

    async def _merge(self, done: _Done, winner: str, loser: str) -> None:
        answer = await self.service.answer(self.tenant, Merge(winner, loser))
        assert isinstance(answer, Merged | Refused)
        if isinstance(answer, Refused):
            self.count.refused += 1
        elif answer.merge not in done.standing:
            done.standing.append(answer.merge)
            done.pairs[answer.merge] = frozenset((winner, loser))
            self.count.merges += 1

    async def _split(self, done: _Done, merge: str) -> None:
        assert isinstance(await self.service.answer(self.tenant, Split(merge)), Restored)
        done.standing.remove(merge)
        done.split.add(done.pairs[merge])
        self.count.splits += 1

    async def _undo(self, done: _Done, chance: random.Random) -> None:
        """Split what still stands and correct back what was corrected, in a random order."""
        todo: list[str | Subject] = [*done.standing, *done.corrected.values()]
        chance.shuffle(todo)
        for one in todo:
            if isinstance(one, Subject):
                await self._tell([(one, 0)])
            else:
                await self._split(done, one)

    async def _dump(self, statement: str) -> Dump:
        tables: dict[str, list[bytes]] = {}
        for name, line in await self.connection.fetch(statement, self.tenant):
            tables.setdefault(name, []).append(line.encode())
        tables["member"] = with_groups_named(tables.get("member", ()))
        return {name: sorted(lines) for name, lines in tables.items()}


def with_groups_named(members: Sequence[bytes]) -> list[bytes]:
    """Return records with each group named by its first record, and without what is no part of their state."""
    rows = [msgspec.json.decode(line) for line in members]
    first: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: row["record_id"]):
        first.setdefault(row["group_id"], row["record_id"])
    for row in rows:
        row["group_id"] = first[row["group_id"]]
        del row["digest"]
    return [msgspec.json.encode(row, order="sorted") for row in rows]


def with_pairs_closed(before: Dump, after: Dump, split: set[Pair]) -> Dump:
    """Return what is expected: all as before, but that candidates of pairs that were split are closed, and some are new."""
    closed = {_tie(line): line for line in after.get("merge_candidate", ())}
    lines = []
    for line in before.get("merge_candidate", ()):
        row = msgspec.json.decode(line)
        now = msgspec.json.decode(closed.get(_tie(line), line))
        if _pair(line) in split and row["close_time"] is None and now["close_time"] is not None:
            lines.append(closed[_tie(line)] if {**row, "close_time": now["close_time"]} == now else line)
        else:
            lines.append(line)
    listed = {_tie(line) for line in before.get("merge_candidate", ())}
    lines += [line for tie, line in closed.items() if tie not in listed]
    return {**before, "merge_candidate": sorted(lines)} if lines else before


def _tie(line: bytes) -> tuple[Pair, Pair]:
    row = msgspec.json.decode(line)
    return _pair(line), frozenset((row["record_id"], row["other_record_id"]))


def _pair(line: bytes) -> Pair:
    row = msgspec.json.decode(line)
    return frozenset((row["low_id"], row["high_id"]))


def difference(expected: Dump, found: Dump) -> str:
    """Name the rows that are missing and those that are too much."""
    parts = []
    for name in sorted({*expected, *found}):
        before, after = set(expected.get(name, ())), set(found.get(name, ()))
        parts += [f"{name} lacks {line.decode()}" for line in sorted(before - after)]
        parts += [f"{name} has {line.decode()}" for line in sorted(after - before)]
    return "\n".join(parts) or "a row is there twice"
