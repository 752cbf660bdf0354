"""Settings of the sync service."""

from __future__ import annotations

from pydantic import Field

from headwater.kernel.settings import Address, ReplicatedSettings, named


class SyncSettings(ReplicatedSettings):
    """What an operator may set; variables that only sync reads begin with HEADWATER_SYNC_."""

    model_config = named("sync")

    address: Address = "127.0.0.1:7403"
    """Where the operations API listens."""
    processes: int = Field(1, ge=0, le=64)
    """Processes that share the port, the shards of the log and the accounts; 0: one for each core, at most 8."""
    identity_address: Address = Field("127.0.0.1:7402", alias="HEADWATER_IDENTITY_ADDRESS")
    """Where records are resolved."""
    identity_timeout_s: float = Field(15.0, gt=0, le=120)
    """Bound of one ResolveBatch call."""
    ingest_address: Address = Field("127.0.0.1:7401", alias="HEADWATER_INGEST_ADDRESS")
    """Where changes fetched from CRMs are recorded."""
    attempt_days: int = Field(90, ge=0, le=3_650)
    """UTC days for which attempts are kept; 0 for ever."""
    projection_days: int = Field(0, ge=0, le=3_650)
    """Days for which it is kept how each event ended; 0 for ever."""
    error_group_days: int = Field(90, ge=0, le=3_650)
    """Days for which a cause of failures is kept after its last one, once no delivery stands in it; 0 for ever."""
    schedule_runs_max: int = Field(16, ge=1, le=256)
    """Periodic jobs that run at once."""
    pool_size_max: int = Field(16, ge=4, le=100)
    """Connections: one listens, the projector needs two; turns of actors share what is left, tenant by tenant."""
    lease_ttl_s: float = Field(5.0, ge=1, le=120)
    """How long a shard or an account of a dead process stays idle; beats come four times as often."""
    idle_s: float = Field(30.0, gt=0, le=3600)
    """How long an account without work keeps its connections to the CRM."""
    account_starts_max: int = Field(8, ge=1, le=256)
    """Accounts that are opened at the same time."""
    batch_events: int = Field(500, ge=1, le=2000)
    """Events of one projection transaction, at most."""
    bulk_events: int = Field(200, ge=1, le=2000)
    """Bulk events (imports, backfills) of one projection transaction, at most."""
    bulk_turn_s: float = Field(0.025, ge=0.001, le=1)
    """About how long a turn of bulk work lasts while live events come: a live event waits for what is left of one."""
    bulk_turns: int = Field(1, ge=1, le=16)
    """Turns of bulk work side by side."""
    catch_up_s_max: float = Field(30.0, ge=0, le=600)
    """Longest time that deliveries give way to a log that is far behind; then they have as long. 0: never."""
    audit_dir: str = ""
    """Second place of the audit's checkpoints, best on another disk; empty: `audit` in the data directory; none: none."""
    audit_key: str = Field("", pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*)?$")
    """Key of the checkpoints, `env:NAME` of JSON with private_key; empty: audit-key.pem in the data directory, made at need."""
    audit_look_s: float = Field(1.0, ge=0.05, le=60)
    """Pause between two looks for audit entries without a number."""
    audit_batch_entries: int = Field(4_096, ge=64, le=65_536)
    """Audit entries that are numbered in one transaction, at most."""
    audit_checkpoint_entries: int = Field(10_000, ge=1, le=10_000_000)
    """Entries beyond the last checkpoint from which the next one is signed."""
    audit_checkpoint_s: float = Field(60.0, ge=0.1, le=86_400)
    """Age of the last checkpoint from which the next one is signed, when there are new entries."""
    vault_keys: str = ""
    """Keys of the vault: a file, or `env:NAME` of JSON, id to 32 bytes in base64; empty: vault-keys.json in the data directory."""
    gather_s: float = Field(0.03, ge=0, le=1)
    """Shortest time between the beginnings of two batches that are not full, so that events gather."""
