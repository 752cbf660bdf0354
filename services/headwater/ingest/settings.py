"""Settings of the ingest service."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from headwater.kernel.settings import ReplicatedSettings, named

PositiveInt = Annotated[int, Field(ge=1)]
PositiveS = Annotated[float, Field(gt=0)]


NO_ARCHIVE: Final = "none"
"""What HEADWATER_INGEST_ARCHIVE_DIR says when facts are to be thrown away."""


class IngestSettings(ReplicatedSettings):
    """What an operator may set; variables that only ingest reads begin with HEADWATER_INGEST_."""

    model_config = named("ingest")
    listens: ClassVar[tuple[str, ...]] = ("address", "http_address")

    address: str = "127.0.0.1:7401"
    """host:port to listen on; port 0 lets the system choose."""
    sync_address: str = Field("127.0.0.1:7403", alias="HEADWATER_SYNC_ADDRESS")
    """host:port of the sync service, asked for fates of events; empty: never asked."""

    buffer_rows: PositiveInt = 4_000
    """Events that may wait for their commit: four commits' worth, which keeps answers below 100 ms."""
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
    retry_after_s_max: PositiveS = 2.0
    """The longest pause that a caller is told when the buffer is full; it follows the measured rate."""
    deadline_required: bool = True
    """Whether recording calls that state no deadline are refused; false for tools that cannot state one."""
    deadline_default_s: PositiveS = 10.0
    """Of calls that state none, where they may."""
    deadline_max_s: PositiveS = 60.0
    """No call waits longer, whatever deadline it states."""
    stream_batches_ahead: Annotated[int, Field(ge=1, le=4_096)] = 256
    """Batches of one stream read and not yet acknowledged."""
    stream_rows_ahead: PositiveInt = 1_000
    """Events of such batches; a single batch may have more."""
    stream_bytes_ahead: PositiveInt = 4 * 1024 * 1024
    """Memory of such batches; a single batch may have more."""
    stream_batch_wait_s: PositiveS = 30.0
    """Longest wait for the commit of one batch of a stream."""
    policy_poll_s: PositiveS = 15.0
    """Longest time until another process's policy is seen when its notification is lost."""
    fate_timeout_s: PositiveS = 1.0
    """Longest wait for the sync service's answer."""
    pool_size_max: Annotated[int, Field(ge=5, le=200)] = 10
    """Connections of one process: one a flusher, three that listen, watch and announce, the rest for reading."""
    pool_acquire_timeout_s: PositiveS = 5.0
    """Longest wait for a free connection."""
    drain_s: PositiveS = 10.0
    """How long calls under way may take after SIGTERM."""

    keep_interval_s: PositiveS = 60.0
    """Pause between two looks at the log's days: open today's, seal what is over, drop what is old."""
    seal_rows: Annotated[int, Field(ge=100, le=100_000)] = 5_000
    """Keys moved to the permanent ledger in one transaction: under 0.2 s, for it holds readers back."""
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    """Days after which a day's facts are dropped from the log; 0: never. Keys are kept for ever."""
    archive_dir: str = ""
    """Where a day's facts are archived before they are dropped; none: they are thrown away."""
    archive_command: str = ""
    """Command to run with the path of each new archive; the day is dropped only if it exits 0."""
    archive_command_timeout_s: PositiveS = 3600.0
    """Longest run of that command."""
    readers: str = "sync"
    """Readers, by comma, that must have reported how far they have read before anything is dropped."""
    message_bytes_max: Annotated[int, Field(ge=64 * 1024, le=256 * 1024 * 1024)] = 16 * 1024 * 1024
    """Largest message received: a batch."""
    calls_max: PositiveInt = 4_096
    """Calls and streams under way at once in one process; the next one is told to come back."""
    request_s: PositiveS = 20.0
    """Longest time that a unary call may take to bring its request."""
    connections_max: PositiveInt = 4_096
    """Connections at once in one process; further ones are closed as they come."""
    streams_max: PositiveInt = 1_024
    """Calls at once on one connection; the client holds back further ones."""
    metadata_bytes_max: Annotated[int, Field(ge=1_024, le=1024 * 1024)] = 16 * 1024
    """Headers of one call."""
    handshake_s: PositiveS = 5.0
    """Longest time from a connection to the client's first frame."""
    ping_s: PositiveS = 30.0
    """A connection on which nothing came for so long is asked whether its peer lives."""
    ping_timeout_s: PositiveS = 10.0
    """And is closed when there is no answer for so long."""
    connection_idle_s: Annotated[float, Field(ge=0)] = 600.0
    """A connection without a call for so long is closed gently; 0: never."""
    connection_age_s: Annotated[float, Field(ge=0)] = 3_600.0
    """A connection so old is closed gently, so that clients spread over the processes again; 0: never."""
    connection_age_grace_s: PositiveS = 60.0
    """How long calls on a connection that grew too old may still take."""
    database_away_s: PositiveS = 5.0
    """After so long without the database, health checks are answered NOT_SERVING until it is back."""
    http_address: str = ""
    """host:port of the HTTP door (`headwater up` gives it one); empty: no door; port 0 lets the system choose."""
    http_body_bytes_max: PositiveInt = 8 * 1024 * 1024
    """Largest body of one HTTP call."""
    http_bodies_bytes_max: PositiveInt = 64 * 1024 * 1024
    """Memory that the bodies of all HTTP calls under way may take."""
    http_connections_max: PositiveInt = 256
    """Open HTTP connections; one more is answered 503."""
    http_head_timeout_s: PositiveS = 10.0
    """Longest wait for a request's headers."""
    http_body_timeout_s: PositiveS = 20.0
    """Longest wait for a request's body."""
    http_keep_alive_s: PositiveS = 15.0
    """How long an HTTP connection may be idle between two requests."""

    @property
    def reader_names(self) -> tuple[str, ...]:
        """Readers that must have reported."""
        return tuple(name.strip() for name in self.readers.split(",") if name.strip())

    @model_validator(mode="after")
    def _say_where_to(self) -> Self:
        if self.retention_days and not self.archive_dir:
            raise ValueError(
                "HEADWATER_INGEST_RETENTION_DAYS drops facts: set HEADWATER_INGEST_ARCHIVE_DIR to a directory, "
                "or to none to throw them away"
            )
        return self
