"""Asks the name service once, and hands out addresses that were all checked.

Owns the resolution of hosts that others name. Whoever connects must connect to what it returned: a second look-up
could be answered otherwise (DNS rebinding).
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio

from headwater.kernel.errors import HeadwaterError
from headwater.kernel.net.reach import PUBLIC, Address, Reach, read_address, why_not

ADDRESSES_MAX: Final = 16
"""Addresses of one name that are looked at; a name with more is refused."""
RESOLVE_S_MAX: Final = 5.0
"""Seconds for one look-up; a resolver that is up answers in well under one."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, as text; raises OSError when there is none."""


class AddressRefused(HeadwaterError):
    """A host leads, among others, to an address that must not be called."""

    default_reason = "ADDRESS_REFUSED"


class NameUnknown(HeadwaterError):
    """A host has no address, or nobody answered in time."""

    default_reason = "NAME_UNKNOWN"


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses that this machine's resolver knows, in its order of preference."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def checked_addresses(
    host: str, port: int, reach: Reach = PUBLIC, *, resolve: Resolve = system_resolve
) -> tuple[Address, ...]:
    """Return the addresses of *host*, all of which may be called; asked once.

    One bad address refuses the host: who mixes public and private answers is not to be trusted with either.

    Raises:
        AddressRefused: one of them must not be called.
        NameUnknown: there is none, or no answer within `RESOLVE_S_MAX`.
    """
    try:
        with anyio.fail_after(RESOLVE_S_MAX):
            texts = await resolve(host, port)
    except (OSError, UnicodeError) as error:  # a timeout is an OSError, too
        raise NameUnknown(f"{host} has no address: {str(error) or 'no answer in time'}") from error
    if not texts:
        raise NameUnknown(f"{host} has no address")
    if len(texts) > ADDRESSES_MAX:
        raise AddressRefused(f"{host} has {len(texts)} addresses, at most {ADDRESSES_MAX} are looked at")
    addresses = tuple(read_address(text) for text in texts)
    for address in addresses:
        if why := why_not(address, reach):
            raise AddressRefused(f"{host} must not be called: {why}")
    return addresses
