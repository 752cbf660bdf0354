"""How patient a client is, and how its recorder gathers. Every bound has its name here."""

from __future__ import annotations

from dataclasses import dataclass, field

from headwater.client.backoff import Backoff
from headwater.client.wire import BATCH_EVENTS_MAX
from headwater.kernel.security.calling import ChannelSecurity


@dataclass(frozen=True, slots=True)
class RetryAllowance:
    """How much a client may add to the load of a service in trouble.

    Args:
        share: of the calls made, how many may be made again on account of them.
        reserve: tries again that a client may make at once, before it has made any call.
        per_s: tries again each second that are always allowed.
    """

    share: float = 0.2
    reserve: float = 50.0
    per_s: float = 10.0

    def __post_init__(self) -> None:
        if not (self.share >= 0 and self.reserve >= 1 and self.per_s > 0):
            raise ValueError(f"share at least 0, reserve at least 1, per_s above 0: {self}")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How patient a client is."""

    call_timeout_s: float = 30.0
    """Deadline of one unary call; the service refuses calls without one."""
    give_up_s: float = 60.0
    """How long events are tried again while nothing is acknowledged."""
    window_batches: int = 4
    """Batches of a stream that may wait for their acknowledgement."""
    acknowledge_timeout_s: float = 30.0
    """A stream on which nothing was acknowledged for so long is broken."""
    backoff: Backoff = field(default_factory=Backoff)
    retries: RetryAllowance = field(default_factory=RetryAllowance)
    security: ChannelSecurity = field(default_factory=ChannelSecurity)
    """TLS and credential; `ChannelSecurity.from_environment(os.environ)` reads them from HEADWATER_TLS_* and HEADWATER_TOKEN."""

    def __post_init__(self) -> None:
        positive = (self.call_timeout_s, self.give_up_s, self.acknowledge_timeout_s, self.window_batches)
        if not all(value > 0 for value in positive):
            raise ValueError(f"timeouts and the window must be above 0: {self}")


@dataclass(frozen=True, slots=True)
class RecorderSettings:
    """How a recorder gathers events into batches.

    Args:
        linger_s: longest wait of an event for others to share its batch.
        batch_events_max: a batch of so many leaves at once; 1..1000.
        batch_bytes_max: a batch of so many bytes leaves at once.
        buffer_events_max: events not yet settled, gathered and in flight; then `submit` waits.
        buffer_bytes_max: the same in bytes.
    """

    linger_s: float = 0.003
    batch_events_max: int = 500
    batch_bytes_max: int = 1024 * 1024
    buffer_events_max: int = 5_000
    buffer_bytes_max: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        if not 1 <= self.batch_events_max <= min(BATCH_EVENTS_MAX, self.buffer_events_max):
            raise ValueError(f"batch_events_max must be 1..{BATCH_EVENTS_MAX} and fit the buffer: {self}")
        if self.linger_s < 0 or not 1 <= self.batch_bytes_max <= self.buffer_bytes_max:
            raise ValueError(f"linger_s at least 0, batch_bytes_max 1..buffer_bytes_max: {self}")
