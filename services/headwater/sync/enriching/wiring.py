"""Puts the enrichment of this process together from stores that `app` has picked."""

from __future__ import annotations

import os
from collections.abc import Callable

from headwater.kernel.clock import Clock
from headwater.kernel.telemetry import Telemetry
from headwater.sync.domain.leasing import Lease
from headwater.sync.enriching.host import EnrichmentHost, HostParts
from headwater.sync.enriching.ports import EnrichmentStore, ValueLog
from headwater.sync.enriching.provider import ProviderParts
from headwater.sync.membership import Membership
from headwater.sync.ports import Leases, LimitBooks, Policies
from headwater.sync.secrets import EnvironmentSecrets


def enrichment_host(
    store: EnrichmentStore,
    log: ValueLog,
    leases: Leases,
    membership: Membership,
    policies: Policies,
    books: Callable[[str, str, Lease], LimitBooks],
    telemetry: Telemetry,
    clock: Clock,
) -> EnrichmentHost:
    """Return the enrichment of this process."""
    providers = ProviderParts(
        EnvironmentSecrets(os.environ), telemetry.spans, clock, books, membership.may_work
    )
    return EnrichmentHost(HostParts(store, log, leases, membership, policies, providers, clock))
