"""Asking a service: one that is away is asked again for as long as the asker is patient."""

from __future__ import annotations

from typing import Any, cast

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from headwater.cli.addresses import Addresses
from headwater.cli.services import Services
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import HeadwaterError, Unavailable

pytestmark = pytest.mark.anyio

NOBODY = cast("Any", None)
REQUEST = ingest_pb2.GetIngestStatusRequest(tenant_id="acme")


class Away:
    """A method that fails a few times before it answers."""

    def __init__(self, failures: int, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self.calls = 0
        self._failures = failures
        self._code = code

    async def __call__(self, request: object, *, timeout: float) -> str:  # noqa: ASYNC109 - the stub's own word
        del request, timeout
        self.calls += 1
        if self.calls <= self._failures:
            raise AioRpcError(self._code, Metadata(), Metadata())
        return "here"


def services(patience_s: float) -> Services:
    """Return services of which no stub is used."""
    addresses = Addresses("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "http://127.0.0.1:4")
    return Services(addresses, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, patience_s)


async def test_a_service_that_comes_back_is_waited_for() -> None:
    """Two failures, then the answer."""
    method = Away(2)
    assert await services(5.0).ask(method, REQUEST) == "here"
    assert method.calls == 3


async def test_an_ordinary_command_is_told_at_once() -> None:
    """Without patience the first failure is the answer."""
    method = Away(1)
    with pytest.raises(Unavailable):
        await services(0.0).ask(method, REQUEST)
    assert method.calls == 1


async def test_a_refusal_is_not_asked_again() -> None:
    """Patience is for services that are away, not for what they say."""
    method = Away(1, grpc.StatusCode.INVALID_ARGUMENT)
    with pytest.raises(HeadwaterError):
        await services(5.0).ask(method, REQUEST)
    assert method.calls == 1
