"""Which addresses are this machine's own. Pure."""

from __future__ import annotations

import ipaddress


def host_of(address: str) -> str:
    """Return the host of host:port, without the brackets of IPv6."""
    return address.rpartition(":")[0].strip("[]")


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches *host*: loopback addresses and `localhost`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
