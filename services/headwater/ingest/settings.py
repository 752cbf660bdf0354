"""Settings of the ingest service: read once from the environment, frozen, every fault reported at once."""

from __future__ import annotations

import logging
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from headwater.kernel.errors import StartRefused
from headwater.kernel.pg.dsn import masked

PositiveInt = Annotated[int, Field(ge=1)]
PositiveS = Annotated[float, Field(gt=0)]


class IngestSettings(BaseSettings):
    """Everything that can be set. Variables that only ingest reads begin with HEADWATER_INGEST_."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_prefix="HEADWATER_INGEST_", populate_by_name=True
    )

    address: str = "127.0.0.1:7401"
    """host:port to listen on; port 0 lets the system choose."""
    database_url: str = Field(validation_alias="HEADWATER_DATABASE_URL")
    """postgresql:// URL of the database, with ingest's schema migrated."""
    sync_address: str = Field(default="127.0.0.1:7403", validation_alias="HEADWATER_SYNC_ADDRESS")
    """host:port of the sync service, asked for fates of events; empty: never asked."""
    log_level: str = Field(default="info", validation_alias="HEADWATER_LOG_LEVEL")
    otlp_endpoint: str = Field(default="", validation_alias="HEADWATER_OTLP_ENDPOINT")
    """http://host:port of an OTLP/gRPC receiver; empty: no spans, unless OTEL_* says otherwise."""
    trace_sample_ratio: float = Field(
        default=0.01, ge=0, le=1, validation_alias="HEADWATER_TRACE_SAMPLE_RATIO"
    )
    durability_override: bool = Field(default=False, validation_alias="HEADWATER_DURABILITY_OVERRIDE")
    """Start although the database may lose acknowledged events: for throw-away data."""

    buffer_rows: PositiveInt = 20_000
    """Events that may wait for their commit: a quarter of a second's worth at full speed."""
    buffer_bytes: PositiveInt = 64 * 1024 * 1024
    """Memory that may wait for its commit."""
    flushers: Annotated[int, Field(ge=1, le=16)] = 2
    """Commits under way at once: one gathers while the other waits for the disk."""
    batch_rows_max: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """Events in one commit; more only makes the wait longer."""
    batch_events_max: Annotated[int, Field(ge=1, le=1_000)] = 1_000
    """Events in one call or message (wire contract: 1000)."""
    flush_retry_s: PositiveS = 30.0
    """How long a commit is tried while the database is away."""
    backoff_s_max: PositiveS = 1.0
    """Longest pause between two tries."""
    retry_after_s: PositiveS = 0.25
    """What a caller is told when the buffer is full."""
    deadline_default_s: PositiveS = 10.0
    """Of calls that state none."""
    stream_batches_ahead: Annotated[int, Field(ge=1, le=256)] = 8
    """Batches of one stream read and not yet acknowledged."""
    stream_batch_wait_s: PositiveS = 30.0
    """Longest wait for the commit of one batch of a stream."""
    policy_poll_s: PositiveS = 15.0
    """Longest time until another process's policy is seen when its notification is lost."""
    fate_timeout_s: PositiveS = 1.0
    """Longest wait for the sync service's answer."""
    pool_size_max: Annotated[int, Field(ge=3, le=200)] = 10
    """Connections: one a flusher, one that listens, the rest for reading and releases."""
    pool_acquire_timeout_s: PositiveS = 5.0
    """Longest wait for a free connection."""
    database_start_timeout_s: PositiveS = 30.0
    """How long to wait at start for a database that is coming up."""
    drain_s: PositiveS = 10.0
    """How long calls under way may take after SIGTERM."""
    reflection: bool = False
    """Answer reflection calls; off in production."""

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in logging.getLevelNamesMapping():
            raise ValueError("must be debug, info, warning, error or critical")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgres_url(cls, value: str) -> str:
        if not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("must be a URL that begins with postgresql://")
        return value

    def printable(self) -> dict[str, str | int | float | bool]:
        """Return the settings as they may be logged: without the database's password."""
        return {**self.model_dump(), "database_url": masked(self.database_url)}


def read_settings() -> IngestSettings:
    """Read the environment.

    Raises:
        StartRefused: naming every variable that is wrong, the value seen and the rule.
    """
    try:
        return IngestSettings()
    except ValidationError as error:
        faults = "; ".join(_fault(item) for item in error.errors())
        raise StartRefused(f"settings: {faults}", reason="SETTINGS_FAULTY") from error


def _fault(item: object) -> str:
    assert isinstance(item, dict)  # noqa: S101 - pydantic's ErrorDetails is a TypedDict
    name = str(item["loc"][0])
    variable = name if name.startswith("HEADWATER_") else f"HEADWATER_INGEST_{name.upper()}"
    seen = "" if item["type"] == "missing" or "DATABASE_URL" in variable else f" (value: {item['input']!r})"
    return f"{variable}: {item['msg']}{seen}"
