"""Makes the findings of a run smaller by sending what is left of them again; the service must still run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import grpc
from tests.fuzz.findings import Finding, smaller
from tests.fuzz.judging import Judge
from tests.fuzz.methods import SERVICES, Method, request_of

CALL_S: Final = 5.0
FINDINGS_MAX: Final = 20
"""Findings made smaller in one run; the rest are written as they are."""


async def make_smaller(address: str, found: Sequence[Finding], judge: Judge) -> list[Finding]:
    """Return the findings, each as short as it still fails; those that do not fail again stay as they are."""
    async with grpc.aio.insecure_channel(address) as channel:
        kept = [await _smaller(channel, item, judge) for item in found[:FINDINGS_MAX]]
    return [*kept, *found[FINDINGS_MAX:]]


async def _smaller(channel: grpc.aio.Channel, finding: Finding, judge: Judge) -> Finding:
    method = method_named(finding)

    async def fails(wire: bytes) -> bool:
        return _kind(await send(channel, method, wire, judge)) == _kind(finding.breach)

    if len(finding.wire) > 2 * 1024 * 1024 or not await fails(finding.wire):
        return finding
    return replace(finding, wire=await smaller(finding.wire, fails))


def method_named(finding: Finding) -> Method:
    """Return the method of a finding."""
    methods = {item.name: item for every in SERVICES.values() for item in every.values()}
    return methods[finding.method]


async def send(channel: grpc.aio.Channel, method: Method, wire: bytes, judge: Judge) -> str:
    """Send one request, or one message on a stream of its own, and return the breach; empty when all is well."""
    request = request_of(method, wire)
    kind: Any = channel.stream_stream if method.streaming else channel.unary_unary
    ask = kind(method.path, request_serializer=None, response_deserializer=method.response.FromString)
    try:
        answer = await (_ask_stream(ask, wire) if method.streaming else ask(wire, timeout=CALL_S))
    except grpc.aio.AioRpcError as error:
        breach = judge.missing(request, error.code())
        return breach or judge.failed(request, error.code(), error.details() or "")
    return judge.answered(request, answer)


async def _ask_stream(ask: Any, wire: bytes) -> Any:
    call = ask(iter([wire]), timeout=CALL_S)
    return await call.read()


def _kind(breach: str) -> str:
    return breach.partition(":")[0]
