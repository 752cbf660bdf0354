"""A sender that never gives up and writes down what it was told: `sender '<Errand as JSON>'`.

Sends its events by one road, a fifth of them again; after a broken call or stream it sends again what was not
answered. Each answer goes to its journal on disk, which is the truth that `ledger` holds the table against.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import anyio
import grpc
import uvloop
from tests.load.ingest.driver import OPTIONS, SERVICE
from tests.load.ingest.facts import Messages
from tests.load.ingest.ledger import ANSWER, VERSIONS

from headwater.client import Accepted, Acknowledged, ClientSettings, Duplicate, IngestClient
from headwater.ingest.v1 import ingest_pb2

CALL_S: Final = 5.0
STREAM_S: Final = 600.0
SILENCE_S: Final = 10.0
"""A stream that acknowledges nothing for so long is opened anew."""
PAUSE_S: Final = (0.02, 0.2)
WINDOW: Final = 8
CALLS: Final = 4
"""Batches of one sender under way at once by unary calls."""
AGAIN: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
"""Codes of a call that broke under us; everything is safe to send again."""


Road = Literal["stream", "batch", "client"]
"""Raw stream, raw unary batches, or the product's own client."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What one sender sends.

    Args:
        distinct: number of different events.
        repeats: share of what is sent that was sent before.
        moment_ns: time of every event, fixed so that a repeat is the same event.
    """

    address: str
    run: str
    road: Road
    distinct: int
    batch: int
    repeats: float
    moment_ns: int
    seed: int
    journal: str

    def command_argument(self) -> str:
        """Return the errand as the sender takes it."""
        return json.dumps(asdict(self))


class Sender:
    """What the roads share: what to send next, and the journal."""

    def __init__(self, errand: Errand) -> None:
        self.errand = errand
        self.messages = Messages(errand.run, VERSIONS)
        self.chance = random.Random(errand.seed)
        self.broken: Counter[str] = Counter()
        self._journal = os.open(errand.journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def batches(self) -> Iterator[list[int]]:
        """Yield the numbers of each batch: new ones, and among them some that were sent before."""
        errand, following = self.errand, 0
        while following < errand.distinct:
            batch: list[int] = []
            while len(batch) < errand.batch and following < errand.distinct:
                if following and self.chance.random() < errand.repeats:
                    batch.append(self.chance.randrange(following))
                else:
                    batch.append(following)
                    following += 1
            yield batch

    def note(self, numbers: Sequence[int], dispositions: Sequence[int]) -> None:
        """Write down answers."""
        pairs = zip(numbers, dispositions, strict=True)
        os.write(self._journal, b"".join([ANSWER.pack(number, kind) for number, kind in pairs]))

    async def failed(self, error: grpc.aio.AioRpcError) -> None:
        """Count a broken call and pause; raise what no sender can mend."""
        self.broken[error.code().name] += 1
        if error.code() not in AGAIN:
            raise error
        await anyio.sleep(self.chance.uniform(*PAUSE_S))


async def _by_batches(sender: Sender) -> None:
    batches = sender.batches()
    async with grpc.aio.insecure_channel(sender.errand.address, options=OPTIONS) as channel:
        call: Any = channel.unary_unary(SERVICE + "BatchRecordEvents")

        async def work() -> None:
            for numbers in batches:
                request = sender.messages.request(numbers, sender.errand.moment_ns, sampled=False)
                while True:
                    try:
                        raw = await call(request, timeout=CALL_S)
                    except grpc.aio.AioRpcError as error:
                        await sender.failed(error)
                    else:
                        break
                answer = ingest_pb2.BatchRecordEventsResponse.FromString(raw)
                sender.note(numbers, [one.disposition for one in answer.outcomes])

        async with anyio.create_task_group() as tasks:
            for _ in range(CALLS):
                tasks.start_soon(work)


class _Conversation:
    """The raw stream with resume: what is not acknowledged is sent again, first, on the next stream."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._fresh = enumerate(sender.batches(), start=1)
        self._pending: deque[tuple[int, list[int]]] = deque()
        self._exhausted = False

    async def run(self) -> None:
        """Talk until everything is acknowledged."""
        while not (self._exhausted and not self._pending):
            async with grpc.aio.insecure_channel(self._sender.errand.address, options=OPTIONS) as channel:
                try:
                    await self._talk(channel.stream_stream(SERVICE + "StreamEvents")(timeout=STREAM_S))
                except grpc.aio.AioRpcError as error:
                    await self._sender.failed(error)
                except TimeoutError:
                    self._sender.broken["SILENCE"] += 1

    async def _talk(self, call: Any) -> None:
        for number, numbers in self._pending:
            await call.write(self._message(number, numbers))
        while True:
            while len(self._pending) < WINDOW and (new := next(self._fresh, None)) is not None:
                self._pending.append(new)
                await call.write(self._message(*new))
            if not self._pending:
                self._exhausted = True
                await call.done_writing()
                return
            with anyio.fail_after(SILENCE_S):
                raw = await call.read()
            if raw is grpc.aio.EOF:
                await self._ended(call)
                return
            answer = ingest_pb2.StreamEventsResponse.FromString(raw)
            number, numbers = self._pending.popleft()
            if answer.batch_number != number:
                raise AssertionError(f"batch {answer.batch_number} is acknowledged, {number} was next")
            self._sender.note(numbers, [one.disposition for one in answer.outcomes])

    async def _ended(self, call: Any) -> None:
        """Count a stream that the service ended."""
        self._sender.broken[(await call.code()).name] += 1
        await anyio.sleep(self._sender.chance.uniform(*PAUSE_S))

    def _message(self, number: int, numbers: Sequence[int]) -> bytes:
        moment_ns = self._sender.errand.moment_ns
        return self._sender.messages.message(number, numbers, moment_ns, sampled=False)


async def _by_client(sender: Sender) -> None:
    """Send by the product's own client, whose business the unknown is here."""
    pending: dict[int, list[int]] = {}
    kinds = {Accepted: ingest_pb2.DISPOSITION_ACCEPTED, Duplicate: ingest_pb2.DISPOSITION_DUPLICATE}

    def acknowledged(batch: Acknowledged) -> None:
        numbers = pending.pop(batch.batch_number)
        refused = ingest_pb2.DISPOSITION_REFUSED
        sender.note(numbers, [kinds.get(type(one), refused) for one in batch.outcomes])

    errand = sender.errand
    settings = ClientSettings(acknowledge_timeout_s=SILENCE_S, window_batches=WINDOW)
    async with (
        IngestClient(errand.address, "bench", settings=settings, chance=sender.chance) as client,
        client.stream(acknowledged) as stream,
    ):
        for numbers in sender.batches():
            packed = sender.messages.request(numbers, errand.moment_ns, sampled=False)
            events = list(ingest_pb2.BatchRecordEventsRequest.FromString(packed).events)
            pending[await stream.send(events)] = numbers


async def send(errand: Errand) -> None:
    """Run the errand, and say what broke on the way."""
    sender = Sender(errand)
    if errand.road == "stream":
        await _Conversation(sender).run()
    else:
        await {"batch": _by_batches, "client": _by_client}[errand.road](sender)
    sys.stdout.write(json.dumps({"run": errand.run, "broken": sender.broken}) + "\n")


if __name__ == "__main__":
    uvloop.run(send(Errand(**json.loads(sys.argv[1]))))
