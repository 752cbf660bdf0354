"""Settings of the identity service."""

from __future__ import annotations

from typing import Literal, Self

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
    pool_size_max: int = Field(10, ge=3, le=100)
    """Connections; each resolve or merge under way holds one, and one hears of changed weights."""
    pool_acquire_timeout_s: float = Field(10.0, gt=0, le=120)
    """Longest wait for a free connection."""
    statement_timeout_s: float = Field(30.0, gt=0, le=600)
    """Longest statement."""
    ingest_timeout_s: float = Field(10.0, gt=0, le=120)
    """One attempt to tell the event log of changes."""
    merge: Literal["auto", "review"] = "auto"
    """What becomes of two entities that the merge rule finds to be one: merged at once, or put before a person."""
    key_rows_max: int = Field(40, ge=8, le=1_000)
    """A key that more records have brings nobody together; 40 is what the identity research measured with."""
    candidates_max: int = Field(200, ge=10, le=2_000)
    """Records that one record is compared with; beyond it those that share strong keys, then most keys."""
    near_max: int = Field(400, ge=50, le=5_000)
    """Records whose groups one record may change."""
    entity_records_max: int = Field(50, ge=2, le=500)
    """Records of one group; a union beyond it is left to a person."""
    margin_bits: float = Field(3.0, ge=0, le=20)
    """By how much a record must match one of two entities that a person told apart better than the other; else a
    person is asked. 3 bits are odds of 8 to 1."""
    pairs_max: int = Field(5, ge=1, le=100)
    """Pairs to review that one record may add."""
    learn: Literal["off", "propose", "auto"] = "propose"
    """Whether weights are learnt by the clock: kept for a person to look at, or used where nothing speaks against it."""
    learn_interval_s: float = Field(86_400.0, ge=60, le=2_592_000)
    """How often each tenant's weights are learnt."""
    learn_records_max: int = Field(100_000, ge=100, le=200_000)
    """Records of a tenant that one run reads, a random sample where there are more; some 350 MB in its own process."""
    learn_answers_max: int = Field(2_000, ge=0, le=20_000)
    """People's newest answers that one run reads."""
    learn_pairs_min: int = Field(50, ge=10, le=10_000)
    """Pairs that share a strong key, below which a tenant's records teach nothing."""
    learn_moved_bits_max: float = Field(6.0, gt=0, le=64)
    """Weights of which a level moves further wait for a person."""
    learn_timeout_s: float = Field(600.0, gt=0, le=3_600)
    """Longest run of learning."""
    weights_refresh_s: float = Field(60.0, gt=0, le=3_600)
    """How late a change of weights may be heard of when no word of it comes."""
    weights_tenants_max: int = Field(16, ge=1, le=1_000)
    """Tenants whose learnt weights are kept in memory, some 5 MB each."""
    redo_batch_records: int = Field(20, ge=1, le=1_000)
    """Records that one transaction goes over again when the rules of normalisation have changed; live calls of the
    tenant wait as long."""
    redo_records_per_s: float = Field(500.0, gt=0, le=100_000)
    """Records a second that are gone over at the most."""
    redo_check_s: float = Field(60.0, gt=0, le=3_600)
    """Pause between two looks for records by older rules."""
    redo_lease_s: float = Field(60.0, ge=1, le=3_600)
    """After so long without a word from the process that goes over a tenant another one goes on."""
    stream_s: float = Field(600.0, gt=0, le=86_400)
    """Longest stream of a tenant's records, which are as of one moment: the database keeps what is changed meanwhile."""
    drain_s: float = Field(10.0, gt=0, le=120)
    """How long calls under way may take after the end was asked for."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.pool_size_min > self.pool_size_max:
            raise ValueError(
                "HEADWATER_IDENTITY_POOL_SIZE_MIN must not exceed HEADWATER_IDENTITY_POOL_SIZE_MAX"
            )
        if self.near_max < self.entity_records_max:
            raise ValueError(
                "HEADWATER_IDENTITY_NEAR_MAX must not be below HEADWATER_IDENTITY_ENTITY_RECORDS_MAX"
            )
        return self
