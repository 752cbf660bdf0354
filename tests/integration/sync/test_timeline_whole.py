"""Timelines through all services: recorded over ingest, merged and split by identity, asked over gRPC and by command."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.integration.sync.timelines import POLICY
from tests.integration.sync.whole import CALL_S, TENANT, doors, event, looking, syncing, until

from headwater.event.v1 import event_pb2
from headwater.identity.v1 import identity_pb2
from headwater.kernel.rpc import open_channel
from headwater.sync.v1 import timeline_pb2, timeline_pb2_grpc

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(40)]

ANN, BEN, EVE = "ann@firm.example", "ben@firm.example", "eve@other.example"
OPERATOR = event_pb2.Actor(type=event_pb2.ACTOR_TYPE_USER, id="operator-1")
REASON = "the same person"


def mail(number: int, *people: str) -> event_pb2.Event:
    """Return a message from the first of *people* to the others."""
    roles = ["from", *["to"] * (len(people) - 1)]
    told = [{"role": r, "address": p, "name": ""} for r, p in zip(roles, people, strict=True)]
    words: dict[str, Any] = {"kind": "email", "subject": f"=Message {number}", "message_id": f"m{number}"}
    when = f"2026-01-0{number}T12:00:00Z"
    return event("mail", "activity", f"m{number}", number, **words, time=when, participants=told)


async def command(port: int, folder: Path, *words: str) -> str:
    """Return what a command prints."""
    given = {**os.environ, "HEADWATER_SYNC_ADDRESS": f"127.0.0.1:{port}"}
    line = [sys.executable, "-m", "headwater.cli", *words, "--tenant", TENANT, "--data-dir", str(folder)]
    return (await anyio.run_process(line, env=given)).stdout.decode()


async def test_a_timeline_goes_with_merges_and_back_with_splits(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """An email that came while two people were merged is the right one's after the split; commands show and export it."""
    url = migrated_database_url
    async with doors(url) as world, looking(url) as tables:
        policy = event("headwater", "policy", TENANT, document=POLICY)
        await world.record([policy])
        form = event("form", "contact", "f1", email=ANN, form="demo")
        await world.record([mail(1, ANN, EVE), mail(2, BEN, EVE), form])
        async with (
            syncing(url, world.identity_address, ingest_address=world.ingest_address) as port,
            open_channel(f"127.0.0.1:{port}") as channel,
        ):
            stub: timeline_pb2_grpc.TimelineServiceAsyncStub = timeline_pb2_grpc.TimelineServiceStub(channel)

            async def subjects(address: str) -> list[str]:
                record = event_pb2.RecordRef(source="mail", object="contact", external_id=address)
                request = timeline_pb2.ListTimelineRequest(tenant_id=TENANT, record=record)
                page = await stub.ListTimeline(request, timeout=CALL_S)
                return [] if page.waiting_count else [item.message_id for item in page.entries]

            async def known() -> bool:
                count = await tables.fetchval("select count(*) from sync.association")
                return bool(count == 4)

            await until(known)
            homes = dict(
                await tables.fetch("select external_id, entity_id::text from sync.record where source = 'mail' and object = 'contact'")
            )  # fmt: skip
            merge = identity_pb2.MergeRequest(
                tenant_id=TENANT, actor=OPERATOR, merge_reason=REASON, winner_entity_id=homes[ANN], loser_entity_id=homes[BEN]
            )  # fmt: skip
            merged = await world.identity.Merge(merge, timeout=CALL_S)

            async def both() -> bool:
                return await subjects(ANN) == ["m2", "m1"]

            await until(both)
            await world.record([mail(3, BEN, EVE)])

            async def third() -> bool:
                return await subjects(ANN) == ["m3", "m2", "m1"]

            await until(third)
            split = identity_pb2.SplitRequest(tenant_id=TENANT, merge_id=merged.merge_id, actor=OPERATOR)
            await world.identity.Split(split, timeout=CALL_S)

            async def apart() -> bool:
                return await subjects(ANN) == ["m1"] and await subjects(BEN) == ["m3", "m2"]

            await until(apart)
            named = [
                row["to_entity_id"]
                for row in await tables.fetch(
                    "select one.to_entity_id::text from sync.entity_reference as one join sync.record as two"
                    " on two.tenant_id = one.tenant_id and two.entity_id = one.from_entity_id"
                    " where two.object = 'activity' and two.external_id = 'm3'"
                )
            ]
            assert set(named) == {homes[BEN], homes[EVE]}
            shown = await command(port, tmp_path, "timeline", f"mail/contact/{BEN}")
            assert "m3" in shown
            assert "participant" in shown
            file = tmp_path / "ben.csv"
            await command(port, tmp_path, "timeline", homes[BEN], "--export", str(file))
            with file.open(newline="") as lines:
                rows = list(csv.DictReader(lines))
            assert [row["subject"] for row in rows] == ["'=Message 3", "'=Message 2"]
            told = json.loads(await command(port, tmp_path, "attribution", f"mail/contact/{ANN}", "--json"))
            assert [
                (item["channel"], item["detail"], item["credits"]["linear"]) for item in told["touches"]
            ] == [("web form", "demo", 1.0)]
            again = json.loads(
                await command(port, tmp_path, "attribution", "recompute", "--dry-run", "--json")
            )
            assert (again["same"], again["missing"], again["differing"]) == (1, 0, 0)
