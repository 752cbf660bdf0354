"""Sender processes against the real service, held to its log."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.ingest.world import Client, service

from headwater.cli.loading.target import load_policy_text
from headwater.ingest.v1 import ingest_pb2
from headwater.load.campaign import Course, Live, Outcome, run_course
from headwater.load.fleet import start_fleet
from headwater.load.plan import Plan
from headwater.load.resources import Watch
from headwater.load.results import verify
from headwater.load.supply import Mixture

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(90)]


async def _logged(client: Client) -> int:
    status = await client.stub.GetIngestStatus(ingest_pb2.GetIngestStatusRequest(tenant_id="acme"))
    return sum(item.count for item in status.counts)


async def _run(url: str, course: Course, mixture: dict[str, Any], **plan: Any) -> tuple[Outcome, Watch, int]:
    async with service(url, policy=load_policy_text()) as client:
        before = await _logged(client)
        given = Plan(f"127.0.0.1:{client.port}", "run00001", Mixture(tenants=("acme",), **mixture), **plan)
        seen: list[Live] = []
        async with start_fleet(given, seed=1) as fleet:
            watch = Watch({"load": fleet.pids})
            outcome = await run_course(fleet, course, watch, seen.append)
        assert {item.phase for item in seen} >= {"run"} or outcome.probes
        return outcome, watch, await _logged(client) - before


async def test_what_processes_sent_together_is_in_the_log_once(migrated_database_url: str) -> None:
    """Two processes, duplicates, invalid records, traces: each outcome is the one due, the log grew by the new ones."""
    mixture = {"batch": 20, "duplicates": 0.2, "invalid": 0.05, "sampled": 0.1}
    outcome, watch, grown = await _run(
        migrated_database_url,
        Course("closed", 1.5, warm_up_s=0.5),
        mixture,
        processes=2,
        lanes=2,
        channels=2,
        verify=True,
    )
    assert verify(outcome.everything, {"acme": 0}, {"acme": grown}).passed
    assert grown == outcome.everything.counts["fresh_recorded"] > 100
    assert outcome.everything.counts["quarantined"] > 0
    assert outcome.everything.counts["duplicate"] > 0
    assert outcome.measured[0].total().counts["events"] < outcome.everything.counts["events"]
    assert watch.samples["load"][-1].cpu_s > 0


@pytest.mark.parametrize("shape", ["unary", "batch", "stream"])
async def test_an_open_loop_sends_what_its_schedule_says(shape: str, migrated_database_url: str) -> None:
    """Two processes share a rate; neither more nor fewer events are sent than are due."""
    course = Course("rate", 1.5, rate=40.0)
    mixture = {"shape": shape, "batch": 1 if shape == "unary" else 2}
    outcome, _, grown = await _run(migrated_database_url, course, mixture, processes=2, lanes=2, verify=True)
    assert grown == outcome.everything.counts["events"] == pytest.approx(60, abs=4)
    assert not outcome.everything.errors


async def test_what_was_due_and_not_sent_is_told(migrated_database_url: str) -> None:
    """A rate far beyond the service and the calls' deadline: acknowledged, unknown and unsent are the schedule."""
    course = Course("rate", 0.5, rate=400_000.0)
    outcome, _, _ = await _run(
        migrated_database_url, course, {"batch": 100}, lanes=1, channels=1, timeout_s=0.5
    )
    counts = outcome.everything.counts
    assert counts["unsent"] > 0
    assert counts["events"] + counts["unknown"] + counts["shed"] + counts["unsent"] == 200_000
