"""Which addresses somebody else's URL may lead to. Pure.

Server-side request forgery is a URL that makes us call ourselves or our neighbours. So an address is refused unless it
is public; private ones are reached only where an allow-list names their network, and addresses that give away a
machine's credentials never. An address inside another (IPv4 in IPv6) is judged as what it leads to.

Source: IANA IPv4 and IPv6 special-purpose address registries; RFC 6890, 6052 (NAT64), 3056 (6to4), 4380 (Teredo).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final
from urllib.parse import urlsplit

from headwater.kernel.errors import InvalidInput

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_V4: Final[tuple[tuple[str, str], ...]] = (
    ("0.0.0.0/8", "this host"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "carrier NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.31.196.0/24", "AS112"),
    ("192.52.193.0/24", "AMT"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("192.175.48.0/24", "AS112"),
    ("198.18.0.0/15", "benchmarks"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
)
_V6: Final[tuple[tuple[str, str], ...]] = (
    ("::/128", "this host"),
    ("::1/128", "loopback"),
    ("64:ff9b:1::/48", "local NAT64"),
    ("100::/64", "discard"),
    ("2001::/23", "protocol assignments"),
    ("2001:db8::/32", "documentation"),
    ("3fff::/20", "documentation"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
_SPECIAL: Final[tuple[tuple[Network, str], ...]] = tuple(
    (ip_network(text), why) for text, why in (*_V4, *_V6)
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
"""All that is assigned for public use; the rest of IPv6 leads nowhere good."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_TRANSLATED: Final = IPv6Network("::ffff:0:0:0/96")
_METADATA: Final[tuple[Network, ...]] = tuple(
    ip_network(text)
    for text in (
        "169.254.0.0/16",  # AWS, Azure, Google and others: 169.254.169.254 and its neighbours
        "fd00:ec2::/32",  # AWS over IPv6
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure's host, a public number
        "192.0.0.192/32",  # Oracle
    )
)
"""Where clouds hand out credentials; no allow-list opens these."""

_NUMERIC_LABEL: Final = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)")
_DOTTED: Final = re.compile(r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}")
URL_CHARS_MAX: Final = 2048


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a URL may lead besides the public internet.

    Args:
        networks: private networks that are allowed, by whoever answers for this machine's neighbours.
        plain: whether the way is not encrypted; then only *networks* are reached, nothing public.
    """

    networks: tuple[Network, ...] = ()
    plain: bool = False


PUBLIC: Final = Reach()
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""How a URL says that it means this machine."""
LOOPBACK_NETWORKS: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class UrlRefused(InvalidInput):
    """A URL is not one that may be called."""

    default_reason = "URL_REFUSED"


def reach_of(networks: Iterable[str], *, plain: bool = False) -> Reach:
    """Return the reach that an allow-list of networks (`127.0.0.0/8`) means.

    Raises:
        UrlRefused: one is no network.
    """
    try:
        return Reach(tuple(ip_network(text) for text in networks), plain)
    except ValueError as error:
        raise UrlRefused(f"the allow-list must hold networks as 127.0.0.0/8: {error}") from error


def reach_named(url: str) -> Reach:
    """Return where a URL may lead that says itself whether it means this machine: only there, or anywhere public.

    Raises:
        UrlRefused: it is no URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UrlRefused(f"the URL cannot be read: {error}") from error
    here = LOOPBACK_NETWORKS if (parts.hostname or "").lower() in LOOPBACK else ()
    return Reach(here, plain=parts.scheme == "http")


def check_url(url: str, reach: Reach = PUBLIC) -> None:
    """Refuse a URL that must not be called whatever its name resolves to.

    Raises:
        UrlRefused: not https (http only with an allow-list), with a user in it, or a host spelled to mislead.
    """
    parts = urlsplit(url)
    faults = {
        "is longer than 2048 characters": len(url) > URL_CHARS_MAX,
        "has no host": not parts.hostname,
        "must begin with https://": parts.scheme not in {"https", "http"},
        "must begin with https://; http is for networks of the allow-list": (
            parts.scheme == "http" and not reach.networks
        ),
        "must not hold a user or password": "@" in parts.netloc,
        "must not hold a fragment": bool(parts.fragment),
        "must not hold control characters or spaces": not url.isprintable() or " " in url or "\\" in url,
        "must spell an address as 192.0.2.1: other spellings hide where they lead": _misleads(
            parts.hostname or ""
        ),
        "has a port that is none": not _port_ok(url),
    }
    for fault, found in faults.items():
        if found:
            raise UrlRefused(f"the URL {fault}")


def why_not(address: Address, reach: Reach = PUBLIC) -> str:
    """Return why *address* must not be called, in a few words; "" when it may be."""
    for one in _meant(address):
        if any(one in network for network in _METADATA if network.version == one.version):
            return f"{address} is where a cloud hands out credentials"
        if any(one in network for network in reach.networks if network.version == one.version):
            continue
        if reach.plain:
            return f"{address} is outside of the allow-list, and without TLS nothing else is called"
        for network, why in _SPECIAL:
            if network.version == one.version and one in network:
                return f"{address} is not public ({why})"
        if isinstance(one, IPv6Address) and one not in _GLOBAL_V6:
            return f"{address} is not public (unassigned)"
    return ""


def read_address(text: str) -> Address:
    """Return the address that a resolver answered; a zone (`%eth0`) is cut off: such addresses are link-local."""
    return ip_address(text.partition("%")[0])


def _meant(address: Address) -> tuple[Address, ...]:
    """Return every address that calling *address* may end at: itself, or what it carries."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64 or address in _TRANSLATED or (address in _COMPATIBLE and int(address) > 1):
        return (low,)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    return (address,)


def _misleads(host: str) -> bool:
    """Tell whether a host is a number spelled otherwise than as four decimals: octal, hex, short or one big number."""
    last = host.rstrip(".").rpartition(".")[2]
    return ":" not in host and bool(_NUMERIC_LABEL.fullmatch(last)) and not _DOTTED.fullmatch(host)


def _port_ok(url: str) -> bool:
    try:
        port = urlsplit(url).port
    except ValueError:
        return False
    return port is None or port > 0
