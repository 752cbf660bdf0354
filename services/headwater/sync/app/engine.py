"""The engine: what projects the log and what delivers to the CRMs."""

from __future__ import annotations

import random
from functools import partial
from typing import Final

import anyio

from headwater.sync.app.ground import Ground
from headwater.sync.app.shelves import Shelves
from headwater.sync.delivery.account import AccountParts
from headwater.sync.delivery.fairness import TenantTurns
from headwater.sync.delivery.host import DeliveryHost
from headwater.sync.metering import ProjectionMeter
from headwater.sync.projector.batch import BatchProjector
from headwater.sync.projector.echoes import Echoes
from headwater.sync.projector.host import ProjectorHost, ProjectorSettings
from headwater.sync.projector.moments import Moments
from headwater.sync.projector.parking import Parking
from headwater.sync.projector.suppressing import Suppressions
from headwater.sync.store.bulk import PostgresBulkJobs
from headwater.sync.store.delivery import PostgresDeliveries
from headwater.sync.store.echoes import PostgresHeldRecords
from headwater.sync.store.limits import PostgresLimits
from headwater.sync.store.moments import PostgresMoments
from headwater.sync.store.parked import PostgresParked
from headwater.sync.store.projection import PostgresProjections
from headwater.sync.store.suppressions import PostgresSuppressions
from headwater.sync.wakeup import Wakeup

CONNECTIONS_KEPT: Final = 4
"""Connections that turns of actors leave to others: the listener, the projector's two sides, heartbeat and operators."""


def projector_host(ground: Ground, bell: Wakeup) -> ProjectorHost:
    """Return what keeps this process's shards of the log projected.

    Args:
        bell: rung when the log has grown.
    """
    pool, settings, telemetry = ground.pool, ground.settings, ground.telemetry
    suppressions = Suppressions(PostgresSuppressions(pool, ground.suppression_keys))
    projector = BatchProjector(
        PostgresProjections(pool),
        ground.resolver,
        ground.policies,
        telemetry.spans,
        ground.clock,
        Echoes(PostgresHeldRecords(pool)),
        ProjectionMeter(telemetry.metrics),
        Moments(PostgresMoments(pool)),
        ground.log.scope,
        suppressions,
    )
    pace = ProjectorSettings(settings.batch_events, settings.bulk_events, gather_s=settings.gather_s)
    return ProjectorHost(
        ground.log,
        ground.leases,
        ground.membership,
        ground.policies,
        projector,
        bell,
        pace,
        ground.catch_up,
        ground.bulk_catch_up,
        ground.lulls,
        Parking(PostgresParked(pool), projector, suppressions),
    )


def delivery_host(ground: Ground, shelves: Shelves) -> DeliveryHost:
    """Return what keeps this process's share of the connector accounts running."""
    return DeliveryHost(
        partial(PostgresDeliveries, ground.pool),
        partial(PostgresLimits, ground.pool),
        ground.leases,
        ground.membership,
        ground.policies,
        _account_parts(ground, shelves),
        ground.accounts,
    )


def _account_parts(ground: Ground, shelves: Shelves) -> AccountParts:
    settings = ground.settings
    return AccountParts(
        ground.secrets,
        ground.telemetry.spans,
        ground.clock,
        random.Random,
        TenantTurns(max(1, settings.pool_size_max - CONNECTIONS_KEPT)),
        anyio.CapacityLimiter(settings.account_starts_max),
        ground.membership.may_work,
        idle_s=settings.idle_s,
        gives_way_s=ground.catch_up.left_s,
        comes_s=ground.bulk_catch_up.left_s,
        approvals=shelves.approvals,
        open_bulk=partial(PostgresBulkJobs, ground.pool),
        metrics=ground.telemetry.metrics,
        lulls=ground.lulls,
    )
