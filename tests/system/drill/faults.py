"""The faults of a drill: how each is brought about in a running Headwater, how it is healed, whom it must alarm."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio
import asyncpg
from tests.system.drill.feeding import Feed
from tests.system.tenant import Tenant
from tests.system.world import World

USED: Final = "select max(calls) from sync.quota where tenant_id = $1 and connector = 'salesforce'"
LOCK_S_MAX: Final = 60.0
"""No lock outlives this, whatever becomes of the drill."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where faults happen."""

    world: World
    tenant: Tenant
    feed: Feed


Inject = Callable[[Scene], Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Args:
        alerts: what it must raise, as `Told.shown`; nothing else may be told.
        inject: a context manager: the fault lasts as long as its block.
    """

    name: str
    what: str
    alerts: frozenset[str]
    inject: Inject


@contextmanager
def _stopped(scene: Scene, service: str) -> Iterator[None]:
    pid = scene.world.children[service].pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _locked(scene: Scene, table: str, mode: str) -> Iterator[None]:
    """Hold a lock that others wait for, from a session of one's own, as a careless operator's would."""
    held, release = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(scene.world.database_url, timeout=20)
        try:
            async with connection.transaction():
                await connection.execute(f"lock table {table} in {mode} mode")
                held.set()
                await anyio.to_thread.run_sync(release.wait, LOCK_S_MAX)
        finally:
            await connection.close()

    thread = threading.Thread(target=anyio.run, args=(hold,), daemon=True)
    thread.start()
    assert held.wait(20), f"no lock on {table}"
    try:
        yield
    finally:
        release.set()
        thread.join(20)


@contextmanager
def _slow_commits(scene: Scene) -> Iterator[None]:
    """Keep ingest from writing for two seconds, again and again."""
    over = threading.Event()

    def again() -> None:
        while not over.is_set():
            with _locked(scene, "ingest.event", "exclusive"):
                over.wait(2.0)
            over.wait(0.7)

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(20)


@contextmanager
def _armed(scene: Scene, vendor: str, **fault: object) -> Iterator[None]:
    scene.tenant.arm(vendor, fault)
    try:
        yield
    finally:
        scene.tenant.arm(vendor)


@contextmanager
def _without_console(scene: Scene) -> Iterator[None]:
    scene.world.kill("console")
    try:
        yield
    finally:
        scene.world.restart("console")


@contextmanager
def _others_use_the_quota(scene: Scene) -> Iterator[None]:
    """Lower what the vendor allows for the day, so that two thirds of it are used, however much we use meanwhile."""
    over = threading.Event()

    def again() -> None:
        while not over.is_set():
            used = scene.world.fetch(USED, scene.tenant.id)[0][0]
            _allow(scene, round(used * 1.5))
            over.wait(0.5)

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(20)
        _allow(scene, 1_000_000)


def _allow(scene: Scene, calls: int) -> None:
    place = f"/_sandbox/salesforce/{scene.tenant.id}/options"
    scene.world.http.put(place, json={"calls_daily_max": calls}).raise_for_status()


def _fault(name: str, what: str, alerts: str, inject: Inject) -> Fault:
    return Fault(name, what, frozenset(alerts.split()), inject)


FAULTS: Final[tuple[Fault, ...]] = (
    _fault(
        "identity-hangs", "the identity process stands still (SIGSTOP)", "HeadwaterProcessDown",
        lambda scene: _stopped(scene, "identity"),
    ),
    _fault(
        "crm-down", "HubSpot answers every call with 503", "HeadwaterBreakerOpen(hubspot)",
        lambda scene: _armed(scene, "hubspot", kind="error_5xx", status=503),
    ),
    _fault(
        "crm-slow", "Salesforce takes 2.6 s for each call", "HeadwaterLatencyHigh(salesforce)",
        lambda scene: _armed(scene, "salesforce", kind="latency_ms", value_ms=2_600),
    ),
    _fault(
        "crm-asks-to-wait", "HubSpot answers one call with 429 and Retry-After: 14", "HeadwaterBacklogOld(hubspot)",
        lambda scene: _armed(scene, "hubspot", kind="storm_429", count=1, retry_after_s=14),
    ),
    _fault(
        "bad-producer", "a third of the events lacks what the contract requires", "HeadwaterQuarantineHigh",
        lambda scene: scene.feed.with_bad(contract=True),
    ),
    _fault(
        "slow-commits", "the log's table is locked for two seconds at a time", "HeadwaterAckSlow", _slow_commits
    ),
    _fault(
        "projector-stuck", "a lock keeps the projector from writing", "HeadwaterLogLag",
        lambda scene: _locked(scene, "sync.projection", "exclusive"),
    ),
    _fault(
        "audit-stuck", "a lock keeps the audit from being numbered", "HeadwaterAuditNumberingBehind",
        lambda scene: _locked(scene, "sync.audit_head", "exclusive"),
    ),
    _fault(
        "no-heartbeat", "a lock keeps sync's heartbeat from its table", "HeadwaterHeartbeatStale",
        lambda scene: _locked(scene, "sync.process", "exclusive"),
    ),
    _fault(
        "telemetry-down", "the receiver of spans is killed", "HeadwaterSpansLost", _without_console
    ),
    _fault(
        "quota", "others use the account: two thirds of the day's calls are gone", "HeadwaterQuotaHigh(salesforce)",
        _others_use_the_quota,
    ),
    _fault(
        "silence", "no producer sends anything in hours with traffic",
        "HeadwaterNothingSynced(hubspot) HeadwaterNothingSynced(salesforce)", lambda scene: scene.feed.silent(),
    ),
    _fault(
        "bad-values", "Salesforce refuses a value of one record in fifty", "HeadwaterFailuresHigh(salesforce)",
        lambda scene: scene.feed.with_bad(contract=False),
    ),
)  # fmt: skip
