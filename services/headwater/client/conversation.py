"""One stream of batches, however many connections it takes: window, numbers, acknowledgements, resuming, giving up.

Pure: told of sends, connections, answers and faults with the time at which they happened; tells what to write and
what to do about a fault. Must not change what is sent: a batch that is sent again is the same bytes, so the ledger
answers it with the same keys.

A connection is opened and everything unacknowledged is written from the first; acknowledgements come in the order
written, and anything else is a broken contract. Nothing is settled twice: only the head of the window can be.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from headwater.client.batch import Batch
from headwater.client.errors import ContractBroken
from headwater.client.retrying import Fault
from headwater.client.settings import ClientSettings
from headwater.client.wire import stream_request
from headwater.kernel.errors import InvalidInput, Unauthenticated


@dataclass(frozen=True, slots=True)
class Resume:
    """Open another connection after the pause."""

    after_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """*batches* are not sent again by us; those after them, if any, are."""

    batches: tuple[Batch, ...]
    after_s: float = 0.0


class Conversation:
    """Batches from `send` to `acknowledged`."""

    def __init__(self, tenant_id: str, settings: ClientSettings, chance: random.Random) -> None:
        self._tenant_id = tenant_id
        self._settings = settings
        self._chance = chance
        self._pending: deque[Batch] = deque()
        self._written = 0
        self._number = 0
        self._failures = 0
        self._hopeful_since = 0.0
        self._quiet_since = 0.0
        self._believed = False
        """Something was acknowledged on this connection: its credential was good."""

    @property
    def pending_count(self) -> int:
        """Batches not yet acknowledged."""
        return len(self._pending)

    @property
    def has_room(self) -> bool:
        """Whether `send` may be called."""
        return len(self._pending) < self._settings.window_batches

    @property
    def all_written(self) -> bool:
        """Whether this connection has seen everything."""
        return self._written == len(self._pending)

    def send(self, batch: Batch, now: float) -> int:
        """Take a batch and return its number; only while `has_room`."""
        if not self.has_room:
            raise RuntimeError(f"the window of {self._settings.window_batches} batches is full")
        if not self._pending:
            self._hopeful_since = self._quiet_since = now
        self._number += 1
        batch.number = self._number
        batch.message = stream_request(self._number, self._tenant_id, batch.bodies)
        self._pending.append(batch)
        return self._number

    def opened(self, now: float) -> None:
        """Note a new connection: everything unacknowledged is to be written on it."""
        self._written = 0
        self._believed = False
        self._quiet_since = now

    def next_message(self) -> bytes | None:
        """Return the next bytes to write on this connection, once each; None when there are none for now.

        After a fault the first goes alone until it is acknowledged: a service in trouble gets little, and its
        verdict is not lost (grpc.aio reports INTERNAL instead where another write meets a call that has ended).
        """
        if self._written == len(self._pending) or (self._failures and self._written):
            return None
        self._written += 1
        return self._pending[self._written - 1].message

    def acknowledged(self, number: int, outcomes_count: int, now: float) -> Batch:
        """Return the batch that is settled now.

        Raises:
            ContractBroken: another number than the one due, or not one outcome per event.
        """
        due = self._pending[0] if self._written else None
        if due is None or number != due.number:
            expected = f"{due.number} is due" if due else "none is due"
            raise ContractBroken(f"batch {number} was acknowledged where {expected}")
        if outcomes_count != due.count:
            raise ContractBroken(
                f"batch {number}: {due.count} events sent, {outcomes_count} outcomes received"
            )
        self._pending.popleft()
        self._written -= 1
        self._believed = True
        self._failures = 0
        self._hopeful_since = self._quiet_since = now
        return due

    @property
    def stall_time(self) -> float | None:
        """When a connection without an answer is as good as broken; None while nothing waits."""
        return self._quiet_since + self._settings.acknowledge_timeout_s if self._pending else None

    def broken(self, fault: Fault, now: float) -> Resume | GiveUp:
        """Decide what a lost connection means: resume after a pause, or give up what cannot be helped.

        A credential that was good and is not any more was renewed, or taken back: the next connection, which brings the
        one of then, tells which.
        """
        renewed = self._believed and isinstance(fault.error, Unauthenticated)
        self._believed = False
        self._written = 0
        self._failures += 1
        pause_s = self._settings.backoff.pause_s(self._failures, self._chance, least_s=fault.least_s)
        if isinstance(
            fault.error, InvalidInput
        ):  # all before it is answered: it speaks of the first that is not
            return GiveUp(self._drop(1, now), pause_s)
        if not (fault.passing or renewed) or now + pause_s > self._hopeful_since + self._settings.give_up_s:
            return GiveUp(self._drop(len(self._pending), now), pause_s)
        return Resume(pause_s)

    def drop_all(self, now: float) -> tuple[Batch, ...]:
        """Give up everything, because the program does."""
        return self._drop(len(self._pending), now)

    def _drop(self, count: int, now: float) -> tuple[Batch, ...]:
        self._hopeful_since = now
        return tuple(self._pending.popleft() for _ in range(min(count, len(self._pending))))
