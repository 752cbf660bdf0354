"""Which addresses a URL that others name may lead to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kernel.net.reach import PUBLIC, Reach, UrlRefused, check_url, reach_of, why_not

HOME = reach_of(["127.0.0.0/8", "::1/128", "10.1.0.0/16"])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.0.0.0", "10.0.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",  # noqa: S104
        "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255",
        "192.0.2.7", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2001::1", "2001:db8::1",
        "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "4000::1", "100::1", "3fff::1",
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused(address: str) -> None:
    """Loopback, private, carrier, link-local, metadata and reserved ranges, in every dress of IPv6."""
    assert why_not(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_what_is_public_is_reached(address: str) -> None:
    """Public addresses pass, also those that carry one."""
    assert why_not(ip_address(address)) == ""


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_the_one_it_carries(address: IPv4Address) -> None:
    """No dress of IPv6 opens what the plain address closes."""
    closed = bool(why_not(address))
    for prefix in ("::ffff:0:0", "64:ff9b::", "::ffff:0:0:0"):
        dressed = IPv6Address(int(IPv6Address(prefix)) | int(address))
        assert bool(why_not(dressed)) == closed


@given(st.ip_addresses())
def test_everything_reached_is_global_for_the_standard_library_too(
    address: IPv4Address | IPv6Address,
) -> None:
    """A second opinion: what we let pass, Python's own tables call global or carry something global."""
    if not why_not(address):
        carried = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
        assert address.is_global or carried is not None or str(address).startswith("64:ff9b::")


def test_an_allow_list_opens_its_networks_and_no_others() -> None:
    """Loopback where it is named; the neighbour network stays closed."""
    assert why_not(ip_address("127.0.0.1"), HOME) == ""
    assert why_not(ip_address("::ffff:10.1.2.3"), HOME) == ""
    assert "private" in why_not(ip_address("10.2.0.1"), HOME)


def test_no_allow_list_opens_a_clouds_credentials() -> None:
    """Metadata addresses stay closed even where everything is allowed."""
    everything = reach_of(["0.0.0.0/0", "::/0"])
    for text in ("169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "100.100.100.200"):
        assert "credentials" in why_not(ip_address(text), everything)


def test_without_tls_only_the_allow_list_is_called() -> None:
    """A plain way to a public address is refused."""
    plain = Reach(HOME.networks, plain=True)
    assert why_not(ip_address("127.0.0.1"), plain) == ""
    assert "without TLS" in why_not(ip_address("8.8.8.8"), plain)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "https://", "https://user:pw@example.org/", "https://a b/",
        "https://0177.0.0.1/", "https://2130706433/", "https://0x7f.1/", "https://127.1/", "https://127.0.0.01/",
        "https://0x7f000001./", "https://example.org/#x", "https://example.org:99999/", "https://example.org\\@evil/",
        "https://example.org/" + "x" * 2048, "https://example.org:0/",
    ],
)  # fmt: skip
def test_a_url_that_misleads_is_refused(url: str) -> None:
    """Plain http, users, odd spellings of addresses, fragments, ports that are none."""
    with pytest.raises(UrlRefused):
        check_url(url, PUBLIC)


@pytest.mark.parametrize(
    "url", ["https://example.org", "https://8.8.8.8:8443/x?y=z", "https://[2606:4700::1]/"]
)
def test_a_plain_url_passes(url: str) -> None:
    """Names, addresses spelled as usual, ports, queries."""
    check_url(url)


def test_http_passes_where_an_allow_list_is() -> None:
    """Whether the address lies in it is seen to when it is resolved."""
    check_url("http://127.0.0.1:8080/hook", HOME)


def test_an_allow_list_must_hold_networks() -> None:
    """A name is not a network."""
    with pytest.raises(UrlRefused, match="networks"):
        reach_of(["localhost"])
