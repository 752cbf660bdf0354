"""A host is asked for once, and every address of it is checked."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from headwater.kernel.net import AddressRefused, NameUnknown, checked_addresses
from headwater.kernel.net.resolving import ADDRESSES_MAX, Resolve

pytestmark = pytest.mark.anyio


def answering(*addresses: str) -> Resolve:
    """Return a resolver that always says *addresses*."""

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return resolve


async def test_public_addresses_are_handed_out_in_order() -> None:
    """What the resolver prefers comes first."""
    found = await checked_addresses("a.example", 443, resolve=answering("2606:4700::1", "8.8.8.8"))
    assert [str(one) for one in found] == ["2606:4700::1", "8.8.8.8"]


async def test_one_bad_address_refuses_the_host() -> None:
    """Mixed answers are how a rebinding begins."""
    with pytest.raises(AddressRefused, match="loopback"):
        await checked_addresses("a.example", 443, resolve=answering("8.8.8.8", "127.0.0.1"))


async def test_a_zone_does_not_hide_a_link_local_address() -> None:
    """`fe80::1%eth0` is fe80::1."""
    with pytest.raises(AddressRefused):
        await checked_addresses("a.example", 443, resolve=answering("fe80::1%eth0"))


async def test_a_name_with_too_many_addresses_is_refused() -> None:
    """What is looked at is bounded."""
    many = [f"8.8.4.{number}" for number in range(ADDRESSES_MAX + 1)]
    with pytest.raises(AddressRefused, match="at most"):
        await checked_addresses("a.example", 443, resolve=answering(*many))


async def test_a_name_without_address_is_unknown() -> None:
    """An empty answer and a failure read alike."""

    async def failing(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    for resolve in (answering(), failing):
        with pytest.raises(NameUnknown):
            await checked_addresses("a.example", 443, resolve=resolve)


async def test_the_systems_resolver_knows_loopback() -> None:
    """An address stands for itself, in every spelling that the system takes."""
    with pytest.raises(AddressRefused):
        await checked_addresses("127.0.0.1", 443)
