"""A scan of a tenant: its records as a table, what the scan found as pairs, and what is done about them.

The table stands beside the results: a scan that was stopped goes on with the records that it began with.
"""

from __future__ import annotations

import csv
import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import grpc
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from headwater.cli.bits import record_name
from headwater.cli.output import Output
from headwater.cli.scanning import run_scan
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.who import read_who
from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2 as pb
from headwater.kernel.errors import PreconditionFailed
from headwater.kernel.rpc.received import from_rpc_error

RECORD: Final = "headwater_record"
"""The column that names the record, as people type it."""
STREAM_TIMEOUT_S: Final = 3_600.0
"""Longest stream that is waited for."""
PAIRS_MAX: Final = 200
"""Pairs of one request."""
_OPEN: Final = frozenset({pb.PROPOSAL_OUTCOME_PROPOSED, pb.PROPOSAL_OUTCOME_ASKED})
"""Pairs of two entities that nobody told apart."""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Survey:
    """How a tenant is scanned.

    Args:
        arguments: for the scan, but for its file.
        propose: put the findings before a person. merge: merge what the merge rule allows, with *yes*.
    """

    object_name: str
    into: Path
    arguments: Sequence[str]
    propose: bool = False
    merge: bool = False
    yes: bool = False

    @property
    def table(self) -> Path:
        """Where the tenant's records stand."""
        return self.into / "tenant.csv"


async def survey(session: Session, services: Services, how: Survey) -> Mapping[str, Any]:
    """Scan a tenant and do what was asked for; return the scan's figures with what became of its findings."""
    if not how.table.exists() or not (how.into / "scratch").exists():
        await _copy(session, services, how)
    words = [
        str(how.table),
        "--into",
        str(how.into),
        "--object",
        how.object_name,
        "--id-column",
        RECORD,
        "--as-service",
    ]
    report = await anyio.to_thread.run_sync(run_scan, [*words, *how.arguments], session.output.err)
    mergeable = list(_parts(how.into / "clusters.csv"))
    sure = [(part[0], other) for part in mergeable for other in part[1:]]
    doubtful = list(_doubts(how.into / "review.csv"))
    ask = how.propose and not how.merge
    outcomes = await _propose(session, services, [*sure, *doubtful], validate_only=not ask)
    found = Counter(outcomes.values())
    merged = 0
    if how.merge and how.yes:
        merged = await _merge(session, services, [pair for pair in sure if outcomes[pair] in _OPEN])
    return {
        **report,
        "dry_run": not (ask or (how.merge and how.yes)),
        "safe_to_merge": sum(outcomes[pair] in _OPEN for pair in sure),
        "proposals": {
            pb.ProposalOutcome.Name(outcome).removeprefix("PROPOSAL_OUTCOME_").lower(): count
            for outcome, count in sorted(found.items())
        },
        "merged": merged,
    }


async def _copy(session: Session, services: Services, how: Survey) -> None:
    """Write the tenant's records down as one table."""
    await anyio.Path(how.into).mkdir(parents=True, exist_ok=True)
    request = pb.StreamRecordsRequest(tenant_id=session.tenant_id, object=how.object_name)
    counted = await services.ask(
        services.identity.GetIdentityStatus, pb.GetIdentityStatusRequest(tenant_id=session.tenant_id)
    )
    total = sum(one.records for one in counted.counts if one.object == how.object_name)
    spool = Spool(how.into / "tenant.jsonl")
    with _bar(session.output) as bar:
        task = bar.add_task("fetching", total=total)
        try:
            async for page in services.identity.StreamRecords(request, timeout=STREAM_TIMEOUT_S):
                spool.add(page.records)
                bar.advance(task, len(page.records))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        finally:
            spool.close()
    spool.write(how.table)


class Spool:
    """Records on their way into a table: their fields are known only when all have come."""

    def __init__(self, path: Path) -> None:
        self._path, self._fields = path, dict[str, None]()
        self._file = path.open("w", encoding="utf-8")

    def add(self, records: Iterable[pb.StreamedRecord]) -> None:
        """Take records."""
        for one in records:
            told = dict(one.attributes)
            self._fields.update(dict.fromkeys(told))
            self._file.write(json.dumps({RECORD: record_name(one.record), **told}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def write(self, table: Path) -> None:
        """Write all as a table that is there in full or not at all."""
        half = table.with_suffix(".half")
        with (
            self._path.open(encoding="utf-8") as lines,
            half.open("w", encoding="utf-8", newline="") as file,
        ):
            rows = csv.DictWriter(file, [RECORD, *sorted(self._fields)], restval="")
            rows.writeheader()
            rows.writerows(json.loads(line) for line in lines)
        half.replace(table)
        self._path.unlink()


def _parts(clusters: Path) -> Iterator[list[str]]:
    """Yield the records that may be one in a CRM, of each part of two or more."""
    parts: dict[str, list[str]] = defaultdict(list)
    with clusters.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            parts[row["merge_id"]].append(row["record_id"])
    yield from (sorted(part) for part in parts.values() if part[1:])


def _doubts(review: Path) -> Iterator[Pair]:
    with review.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["record_id"], row["other_id"]


async def _propose(
    session: Session, services: Services, pairs: Sequence[Pair], *, validate_only: bool
) -> Mapping[Pair, pb.ProposalOutcome.ValueType]:
    """Put pairs before a person, or ask what would become of them."""
    listed = list(dict.fromkeys(pairs))
    found: dict[Pair, pb.ProposalOutcome.ValueType] = {}
    with _bar(session.output) as bar:
        task = bar.add_task("looking at" if validate_only else "proposing", total=len(listed))
        for start in range(0, len(listed), PAIRS_MAX):
            batch = listed[start : start + PAIRS_MAX]
            request = pb.ProposeMergesRequest(
                tenant_id=session.tenant_id,
                pairs=[
                    pb.ProposedPair(left_record=_ref(one), right_record=_ref(other)) for one, other in batch
                ],
                validate_only=validate_only,
            )
            outcomes = (await services.ask(services.identity.ProposeMerges, request)).outcomes
            found.update(zip(batch, outcomes, strict=True))
            bar.advance(task, len(batch))
    return found


async def _merge(session: Session, services: Services, pairs: Sequence[Pair]) -> int:
    """Merge the entities of pairs, each into the one with more records; return how many were."""
    merged = 0
    with _bar(session.output) as bar:
        for one, other in bar.track(pairs, description="merging"):
            ours, theirs = await _entity(session, services, one), await _entity(session, services, other)
            if ours.entity_id == theirs.entity_id:
                continue
            winner, loser = sorted(
                (ours, theirs), key=lambda entity: (-len(entity.members), entity.entity_id)
            )
            request = pb.MergeRequest(
                tenant_id=session.tenant_id,
                winner_entity_id=winner.entity_id,
                loser_entity_id=loser.entity_id,
                actor=session.actor,
                merge_reason="found by a scan of the tenant",
                request_id=str(uuid.uuid4()),
            )
            try:
                await services.ask(services.identity.Merge, request)
            except PreconditionFailed as error:
                session.output.say(f"{one} and {other} were not merged: {error.message}")
            else:
                merged += 1
    return merged


async def _entity(session: Session, services: Services, record: str) -> pb.Entity:
    request = pb.GetEntityRequest(tenant_id=session.tenant_id, record=_ref(record))
    return (await services.ask(services.identity.GetEntity, request)).entity


def _ref(record: str) -> event_pb2.RecordRef:
    _, found = read_who(record)
    return found or event_pb2.RecordRef()


def _bar(output: Output) -> Progress:
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=output.err, disable=output.as_json or not output.err.is_terminal)
