"""One load from beginning to end: tenants made ready, senders started, the course run, the log asked, results made."""

from __future__ import annotations

import datetime as dt
import os
import platform
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, Final

import anyio

from headwater.cli.loading.asked import Asked, Options
from headwater.cli.loading.shown import live
from headwater.cli.loading.target import Target, count_events, prepare_tenants
from headwater.cli.services import Services, open_services
from headwater.cli.session import Session
from headwater.kernel.clock import SystemClock
from headwater.load.campaign import Outcome, run_course
from headwater.load.fleet import start_fleet
from headwater.load.resources import Watch
from headwater.load.results import Verification, document, verify

_TOLD: Final = ("headwater", "grpcio", "protobuf")
_SETTLE_S: Final = 5.0
"""How long events that nobody was answered for may take to show in the log."""
_SETTLE_POLL_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Job:
    """A load to be run."""

    options: Options
    asked: Asked
    target: Target
    yes: bool


async def run_load(session: Session, job: Job) -> dict[str, Any]:
    """Run a load and return its results."""
    addresses = replace(session.addresses, ingest=job.target.address)
    tenants = job.asked.mixture.tenants
    started = SystemClock().now()
    async with open_services(addresses, security=session.security) as services:
        await prepare_tenants(session, services, tenants, yes=job.yes)
        before = await _counts(services, tenants) if job.options.verify else {}
        watch, outcome = await _send(session, job)
        verification = await _verified(services, outcome, before) if job.options.verify else None
    return document(
        outcome,
        watch,
        parameters=job.asked.parameters(job.options, tenants) | {"address": job.target.address},
        environment=_environment(started),
        p99_ms_bound=job.options.p99_ms,
        goals=job.asked.goals,
        verification=verification,
    )


async def _send(session: Session, job: Job) -> tuple[Watch, Outcome]:
    plan = job.asked.plan(job.options, job.target.address, secrets.token_hex(4))
    plan = replace(plan, security=session.security)
    async with start_fleet(plan, seed=job.options.seed) as fleet:
        watch = Watch({"load": fleet.pids, **job.target.processes, **job.asked.watch})
        with live(session.output.err) as follow:
            outcome = await run_course(fleet, job.asked.course, watch, follow)
    return watch, outcome


async def _counts(services: Services, tenants: Sequence[str]) -> dict[str, int]:
    return {tenant_id: await count_events(services, tenant_id) for tenant_id in tenants}


async def _verified(services: Services, outcome: Outcome, before: dict[str, int]) -> Verification:
    """Ask the log what it holds; where answers are missing, until it grows no more or the time is over."""
    found = verify(outcome.everything, before, await _counts(services, tuple(before)))
    with anyio.move_on_after(_SETTLE_S if found.uncertain else 0.0):
        while True:
            await anyio.sleep(_SETTLE_POLL_S)
            again = verify(outcome.everything, before, await _counts(services, tuple(before)))
            if again == found:
                break
            found = again
    return found


def _environment(started: dt.datetime) -> dict[str, Any]:
    """Return what the figures were seen on."""
    return {
        "started": f"{started:%Y-%m-%dT%H:%M:%SZ}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in _TOLD},
    }
