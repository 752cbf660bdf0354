"""The rules of the client under any interleaving: sends, acknowledgements, broken connections, restarts, stalls."""

from __future__ import annotations

import random

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headwater.client.backoff import Backoff
from headwater.client.batch import Batch
from headwater.client.conversation import Conversation, GiveUp, Resume
from headwater.client.gather import Gather
from headwater.client.outcomes import Outcomes
from headwater.client.retrying import Fault
from headwater.client.settings import ClientSettings, RecorderSettings
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import InvalidInput, Unavailable

_CLIENT = ClientSettings(
    window_batches=3, give_up_s=50.0, acknowledge_timeout_s=10.0, backoff=Backoff(0.1, 1.0)
)
_GATHER = RecorderSettings(
    linger_s=1.0, batch_events_max=4, batch_bytes_max=40, buffer_events_max=8, buffer_bytes_max=160
)
_AWAY = Fault(Unavailable("away"), passing=True)


class World(RuleBasedStateMachine):
    """A recorder's core, a line that loses what is on it, a service with a ledger."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.gather = Gather(_GATHER)
        self.line_up = False
        self.to_service: list[bytes] = []
        self.to_client: list[tuple[int, int]] = []
        self.ledger: dict[bytes, int] = {}
        self.sent: dict[int, bytes] = {}
        self.added: list[tuple[Batch, int]] = []
        self.settled: list[Batch] = []
        self.given_up: list[Batch] = []
        self.recorded_order: list[bytes] = []

    @initialize(seed=st.integers(0, 1_000))
    def begin(self, seed: int) -> None:
        """Open the conversation."""
        self.conversation = Conversation("acme", _CLIENT, random.Random(seed))

    @rule(size=st.integers(1, 60))
    def submit(self, size: int) -> None:
        """The program offers an event; a full buffer refuses it."""
        name = f"{len(self.added):06d}".encode()
        taken = self.gather.add(name + b"x" * size, None)
        full = self.gather.waiting_events > 0 and (
            self.gather.waiting_events >= _GATHER.buffer_events_max
            or self.gather.waiting_bytes + len(name) + size > _GATHER.buffer_bytes_max
        )
        if taken is None:
            assert full
            return
        batch, place, _ = taken
        assert batch.bodies[place] == name + b"x" * size
        self.added.append((batch, place))

    @rule(elapsed_s=st.floats(0.0, 3.0))
    def time_passes(self, elapsed_s: float) -> None:
        """Nothing else happens."""
        self.now += elapsed_s

    @rule()
    def flush(self) -> None:
        """What gathers is to leave."""
        self.gather.close_open()

    @precondition(lambda self: self.conversation.has_room)
    @rule()
    def feed(self) -> None:
        """A batch that is due goes to the conversation."""
        batch = self.gather.take(self.now)
        if batch is not None:
            number = self.conversation.send(batch, self.now)
            assert number == len(self.sent) + 1
            self.sent[number] = batch.message

    @precondition(lambda self: not self.line_up)
    @rule()
    def connect(self) -> None:
        """A new connection."""
        self.conversation.opened(self.now)
        self.line_up = True

    @precondition(lambda self: self.line_up)
    @rule()
    def write(self) -> None:
        """The next message goes onto the line."""
        message = self.conversation.next_message()
        if message is not None:
            self.to_service.append(message)

    @precondition(lambda self: self.to_service)
    @rule()
    def commit(self) -> None:
        """The service records a batch, idempotently, and answers."""
        message = self.to_service.pop(0)
        request = ingest_pb2.StreamEventsRequest.FromString(_readable(message))
        assert self.sent[request.batch_number] == message
        bodies = self._bodies(request.batch_number)
        for item in bodies:
            if item not in self.ledger:
                self.recorded_order.append(item)
            self.ledger[item] = self.ledger.get(item, 0) + 1
        self.to_client.append((request.batch_number, len(bodies)))

    @precondition(lambda self: self.line_up and self.to_client)
    @rule()
    def acknowledge(self) -> None:
        """An answer arrives."""
        number, count = self.to_client.pop(0)
        batch = self.conversation.acknowledged(number, count, self.now)
        assert batch.number == number
        assert not batch.done
        batch.settle(_outcomes(count))
        self.gather.release(batch)
        self.settled.append(batch)

    @precondition(lambda self: self.line_up)
    @rule(service_reads_on=st.booleans())
    def break_line(self, *, service_reads_on: bool) -> None:
        """The connection breaks; answers on it are lost, what the service has read it may still record."""
        self._lose_line(reads_on=service_reads_on)
        self._decide(_AWAY)

    @precondition(lambda self: self.line_up and self.conversation.stall_time is not None)
    @rule()
    def stall(self) -> None:
        """Nothing is acknowledged until the client loses patience."""
        assert self.conversation.stall_time is not None
        self.now = max(self.now, self.conversation.stall_time)
        self._lose_line(reads_on=False)
        self._decide(_AWAY)

    @precondition(lambda self: self.line_up and not self.to_client and not self.to_service)
    @rule()
    def refuse_first(self) -> None:
        """The service says that the first unanswered message is malformed as a whole."""
        before = self.conversation.pending_count
        self._lose_line(reads_on=False)
        self._decide(Fault(InvalidInput("malformed"), passing=False))
        assert self.conversation.pending_count == max(0, before - 1)

    @invariant()
    def bounds_are_kept(self) -> None:
        """No more in the window, in a batch or in the buffer than was said."""
        assert self.conversation.pending_count <= _CLIENT.window_batches
        assert self.gather.waiting_events <= _GATHER.buffer_events_max
        assert self.gather.waiting_bytes <= _GATHER.buffer_bytes_max or self.gather.waiting_events == 1
        waiting = sum(not batch.done for batch, _ in self.added)
        assert self.gather.waiting_events == waiting

    @invariant()
    def settled_once_and_recorded(self) -> None:
        """Each batch ends once; what is settled is in the ledger, in the order added."""
        assert len(set(map(id, self.settled + self.given_up))) == len(self.settled) + len(self.given_up)
        numbers = [batch.number for batch in self.settled]
        assert numbers == sorted(set(numbers))
        assert self.recorded_order == sorted(self.recorded_order)

    def teardown(self) -> None:
        """Let everything be well again: everything that was not given up is settled, and in the ledger."""
        if not hasattr(self, "conversation"):
            return
        if self.line_up:
            self._lose_line(reads_on=False)
        self.connect()
        self.gather.close_open()
        for _ in range(200):
            if self.conversation.has_room:
                self.feed()
            self.write()
            if self.to_service:
                self.commit()
            if self.to_client:
                self.acknowledge()
        assert all(batch.done for batch, _ in self.added)
        self.settled_once_and_recorded()
        settled = [item for number in (b.number for b in self.settled) for item in self._bodies(number)]
        assert all(self.ledger.get(item, 0) >= 1 for item in settled)
        assert self.gather.waiting_events == self.gather.waiting_bytes == 0
        assert self.gather.added == self.gather.released == len(self.added)

    def _lose_line(self, *, reads_on: bool) -> None:
        self.line_up = False
        self.to_client.clear()
        while reads_on and self.to_service:
            self.commit()
            self.to_client.clear()
        self.to_service.clear()

    def _decide(self, fault: Fault) -> None:
        decision = self.conversation.broken(fault, self.now)
        assert decision.after_s >= fault.least_s
        if isinstance(decision, Resume):
            return
        assert isinstance(decision, GiveUp)
        for batch in decision.batches:
            assert not batch.done
            batch.fail(fault.error)
            self.gather.release(batch)
            self.given_up.append(batch)

    def _bodies(self, number: int) -> list[bytes]:
        return _split(self.sent[number])


def _split(message: bytes) -> list[bytes]:
    """Cut the event bodies out of a message by their own wire format (they are no real events here)."""
    bodies, at = [], 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            _, at = _varint(message, at)
            continue
        length, at = _varint(message, at)
        if tag >> 3 == ingest_pb2.StreamEventsRequest.EVENTS_FIELD_NUMBER:
            bodies.append(message[at : at + length])
        at += length
    return bodies


def _readable(message: bytes) -> bytes:
    """Return the head of a message alone."""
    return message[: message.index(b"acme") + 4]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _outcomes(count: int) -> Outcomes:
    accepted = ingest_pb2.EventOutcome(disposition=ingest_pb2.DISPOSITION_ACCEPTED, event_key="k")
    return Outcomes([accepted] * count)


World.TestCase.settings = settings(max_examples=60, stateful_step_count=50)
TestWorld = World.TestCase
