"""Settings of the identity service."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from headwater.kernel.settings import Address, ServiceSettings, named


class IdentitySettings(ServiceSettings):
    """What an operator may set; variables that only identity reads begin with HEADWATER_IDENTITY_."""

    model_config = named("identity")

    address: Address = "127.0.0.1:7402"
    """Where to listen; port 0 lets the system choose."""
    ingest_address: Address = Field("127.0.0.1:7401", alias="HEADWATER_INGEST_ADDRESS")
    """Where the event log is, for merges and splits."""
    pool_size_min: int = Field(1, ge=0, le=100)
    """Connections that are kept open."""
    pool_size_max: int = Field(10, ge=2, le=100)
    """Connections; each resolve or merge under way holds one."""
    pool_acquire_timeout_s: float = Field(10.0, gt=0, le=120)
    """Longest wait for a free connection."""
    statement_timeout_s: float = Field(30.0, gt=0, le=600)
    """Longest statement."""
    ingest_timeout_s: float = Field(10.0, gt=0, le=120)
    """One attempt to tell the event log of changes."""
    key_entities_max: int = Field(5, ge=1, le=100)
    """A key that more entities share joins nobody; 5 is what Segment's identity graph defaults to."""
    key_rows_max: int = Field(64, ge=8, le=10_000)
    """Records of one key that are read for a decision; more than `key_entities_max`."""
    drain_s: float = Field(10.0, gt=0, le=120)
    """How long calls under way may take after the end was asked for."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.pool_size_min > self.pool_size_max:
            raise ValueError(
                "HEADWATER_IDENTITY_POOL_SIZE_MIN must not exceed HEADWATER_IDENTITY_POOL_SIZE_MAX"
            )
        if self.key_rows_max <= self.key_entities_max:
            raise ValueError(
                "HEADWATER_IDENTITY_KEY_ROWS_MAX must exceed HEADWATER_IDENTITY_KEY_ENTITIES_MAX"
            )
        return self
