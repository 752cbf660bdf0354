"""Carries a conversation over gRPC: opens connections, writes, listens, watches for stalls. Decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import anyio
import grpc

from headwater.client.batch import Batch
from headwater.client.conversation import Conversation, Resume
from headwater.client.errors import ContractBroken
from headwater.client.outcomes import Outcomes
from headwater.client.retrying import Fault, stream_fault
from headwater.client.waking import Change
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import HeadwaterError, Unavailable

if TYPE_CHECKING:  # generic in the stubs only
    Call = grpc.aio.StreamStreamCall[bytes, ingest_pb2.StreamEventsResponse]
else:
    Call = grpc.aio.StreamStreamCall

STREAM_METHOD = "/headwater.ingest.v1.IngestService/StreamEvents"


class Pump:
    """Runs one conversation.

    Args:
        open_call: begins a call of StreamEvents.
        settled: told of each batch once it is acknowledged, in order; must not block.
        given_up: told of batches that are not sent again, and why; may raise to end the pump.
    """

    def __init__(
        self,
        open_call: Callable[[], Call],
        conversation: Conversation,
        settled: Callable[[Batch], None],
        given_up: Callable[[Sequence[Batch], HeadwaterError], None],
    ) -> None:
        self.change = Change()
        self._open_call = open_call
        self._conversation = conversation
        self._settled = settled
        self._given_up = given_up
        self._closing = False

    def send(self, batch: Batch) -> int:
        """Hand a batch to the conversation and return its number; only while it has room."""
        number = self._conversation.send(batch, anyio.current_time())
        self.change.notify()
        return number

    def close(self) -> None:
        """Let `run` return when nothing is pending."""
        self._closing = True
        self.change.notify()

    async def run(self) -> None:
        """Keep the conversation going until closed and done; connects when there is something to send.

        Cancellation: what is pending may be recorded or not.
        """
        conversation = self._conversation
        while True:
            while not conversation.pending_count and not self._closing:
                await self.change.wait()
            if not conversation.pending_count:
                return
            fault = await self._converse()
            if fault is None:
                continue
            decision = conversation.broken(fault, anyio.current_time())
            if not isinstance(decision, Resume):
                self._given_up(decision.batches, fault.error)
                self.change.notify()
            await self._pause(decision.after_s)

    async def _pause(self, pause_s: float) -> None:
        """Wait that long, or until there is nothing left to wait for."""
        with anyio.move_on_after(pause_s):
            while self._conversation.pending_count or not self._closing:
                await self.change.wait()

    async def _converse(self) -> Fault | None:
        """Talk over one connection until it ends; None when it ended with nothing pending."""
        self._conversation.opened(anyio.current_time())
        stall: list[Fault] = []
        call = self._open_call()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write, call)
                tasks.start_soon(self._watch, call, stall)
                fault = await self._listen(call, stall)
                tasks.cancel_scope.cancel()
        finally:
            call.cancel()
        return fault

    async def _write(self, call: Call) -> None:
        try:
            while True:
                message = self._conversation.next_message()
                if message is not None:
                    await call.write(message)
                elif self._closing and self._conversation.all_written:
                    await call.done_writing()
                    return
                else:
                    await self.change.wait()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the call is over: the listener knows why
        except asyncio.CancelledError:
            if not call.cancelled():
                raise
            # a call that is cancelled raises this in its writer, with no scope of ours behind it

    async def _listen(self, call: Call, stall: Sequence[Fault]) -> Fault | None:
        try:
            async for answer in call:
                self._settle(answer)
        except grpc.aio.AioRpcError as error:
            return stream_fault(error)
        except ContractBroken as error:
            return Fault(error, passing=False)
        except asyncio.CancelledError:
            if not stall:
                raise
            return stall[0]  # the watch cancelled the call, no scope of ours did
        if not self._conversation.pending_count:
            return None
        return Fault(Unavailable("the stream ended early", reason="STREAM_ENDED"), passing=True)

    def _settle(self, answer: ingest_pb2.StreamEventsResponse) -> None:
        now = anyio.current_time()
        batch = self._conversation.acknowledged(answer.batch_number, len(answer.outcomes), now)
        batch.settle(Outcomes(answer.outcomes))
        self._settled(batch)
        self.change.notify()

    async def _watch(self, call: Call, stall: list[Fault]) -> None:
        """End a call on which nothing was acknowledged for too long though something waits."""
        while True:
            stall_time = self._conversation.stall_time
            if stall_time is None:
                await self.change.wait()
            elif anyio.current_time() < stall_time:
                await anyio.sleep_until(stall_time)
            else:
                error = Unavailable("nothing was acknowledged for too long", reason="STALLED")
                stall.append(Fault(error, passing=True))
                call.cancel()
                return
