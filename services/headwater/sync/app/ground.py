"""What every part of the process stands on: its database, its place among the others, policies, the services it calls."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from headwater.kernel.clock import Clock
from headwater.kernel.pg.pool import Pool
from headwater.kernel.rpc import open_channel
from headwater.kernel.service import open_database
from headwater.kernel.telemetry import Telemetry
from headwater.kernel.telemetry.rpc import client_tracing
from headwater.sync.auditing.wiring import data_dir_of
from headwater.sync.catchup import CatchUp
from headwater.sync.delivery.accounts import RunningAccounts
from headwater.sync.lulls import Lulls
from headwater.sync.membership import Membership
from headwater.sync.projector.policies import LogPolicies
from headwater.sync.remote.identity import IdentityResolver
from headwater.sync.remote.ingest import IngestLog
from headwater.sync.secrets import EnvironmentSecrets
from headwater.sync.settings import SyncSettings
from headwater.sync.store.leases import PostgresLeases
from headwater.sync.store.projection import PostgresLog
from headwater.sync.store.suppression_keys import PostgresSuppressionKeys
from headwater.sync.store.vault import PostgresSafe
from headwater.sync.vault.rings import ring_of
from headwater.sync.vault.secrets import AccountSecrets
from headwater.sync.vault.vault import Vault

SERVICE: Final = "sync"


@dataclass(frozen=True, slots=True)
class Ground:
    """Open while the process runs.

    Args:
        accounts: connector accounts that this process holds, as they come and go.
        catch_up: tells how far the projector is behind, so that deliveries give way.
        bulk_catch_up: tells the same of bulk events, so that bulk jobs wait for them.
        lulls: when bulk work has its turns.
    """

    settings: SyncSettings
    telemetry: Telemetry
    clock: Clock
    pool: Pool
    leases: PostgresLeases
    membership: Membership
    log: PostgresLog
    policies: LogPolicies
    resolver: IdentityResolver
    ingest: IngestLog
    secrets: AccountSecrets
    suppression_keys: PostgresSuppressionKeys
    accounts: RunningAccounts
    catch_up: CatchUp
    bulk_catch_up: CatchUp
    lulls: Lulls


@asynccontextmanager
async def open_ground(settings: SyncSettings, telemetry: Telemetry, clock: Clock) -> AsyncIterator[Ground]:
    """Open the database and the channels while the block runs; the policies are read."""
    async with (
        await open_database(
            SERVICE, settings, size_min=2, size_max=settings.pool_size_max, session_reset=False
        ) as pool,
        open_channel(
            settings.identity_address, client_tracing(telemetry.tracer), security=settings.calling
        ) as identity,
    ):
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        leases, log = PostgresLeases(pool, holder, settings.lease_ttl_s), PostgresLog(pool)
        policies = LogPolicies(log)
        await policies.refresh()
        ring = ring_of(settings.vault_keys, data_dir_of(os.environ), os.environ)
        vault = Vault(PostgresSafe(pool), ring)
        yield Ground(
            settings,
            telemetry,
            clock,
            pool,
            leases,
            Membership(leases),
            log,
            policies,
            IdentityResolver(identity, settings.identity_timeout_s),
            IngestLog(settings.ingest_address, settings.calling),
            AccountSecrets(EnvironmentSecrets(os.environ), vault, holder),
            PostgresSuppressionKeys(pool, vault),
            RunningAccounts(),
            CatchUp(clock, settings.catch_up_s_max),
            CatchUp(clock, settings.catch_up_s_max),
            Lulls(settings.bulk_turn_s, settings.bulk_turns),
        )
