"""Settings of the sync service."""

from __future__ import annotations

from pydantic import Field

from headwater.kernel.settings import Address, ServiceSettings


class SyncSettings(ServiceSettings):
    """What an operator may set; each field's alias is its environment variable."""

    address: Address = Field("127.0.0.1:7403", alias="HEADWATER_SYNC_ADDRESS")
    """Where the operations API listens."""
    identity_address: Address = Field("127.0.0.1:7402", alias="HEADWATER_IDENTITY_ADDRESS")
    """Where records are resolved."""
    identity_timeout_s: float = Field(15.0, gt=0, le=120, alias="HEADWATER_SYNC_IDENTITY_TIMEOUT_S")
    """Bound of one ResolveBatch call."""
    pool_size_max: int = Field(16, ge=4, le=100, alias="HEADWATER_SYNC_POOL_SIZE_MAX")
    """Connections: one listens, the projector needs one, each actor one at a time."""
    lease_ttl_s: float = Field(5.0, ge=1, le=120, alias="HEADWATER_SYNC_LEASE_TTL_S")
    """How long a shard or an account of a dead process stays idle."""
    batch_events: int = Field(500, ge=1, le=2000, alias="HEADWATER_SYNC_BATCH_EVENTS")
    """Events of one projection transaction, at most."""
