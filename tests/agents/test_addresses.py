"""Which addresses are public: every block that is not, in every wrapping that reaches one that is not."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.tools.addresses import is_public


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "93.184.216.34",
        "2606:4700:4700::1111",
        "2a00:1450:4001::200e",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ],
)
def test_the_public_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


INNER_V4 = {
    "loopback": "127.0.0.1",
    "all of loopback": "127.255.255.254",
    "unspecified": "0.0.0.0",
    "this network": "0.1.2.3",
    "private 10": "10.0.0.1",
    "private 172": "172.31.255.255",
    "private 192": "192.168.1.1",
    "carrier NAT": "100.64.0.1",
    "Alibaba's metadata": "100.100.100.200",
    "link-local": "169.254.0.1",
    "metadata of clouds": "169.254.169.254",
    "Azure's own": "168.63.129.16",
    "protocol assignments": "192.0.0.10",
    "Oracle's metadata": "192.0.0.192",
    "documentation": "203.0.113.7",
    "benchmarks": "198.18.0.1",
    "6to4 relays": "192.88.99.1",
    "multicast": "224.0.0.1",
    "global multicast": "232.1.2.3",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
}


@pytest.mark.parametrize("address", INNER_V4.values(), ids=INNER_V4)
@pytest.mark.parametrize("prefix", ["", "::ffff:", "64:ff9b::", "::"], ids=["plain", "mapped", "NAT64", "compatible"])
def test_an_inner_address_is_refused_in_every_wrapping(prefix: str, address: str) -> None:
    assert not is_public(ip_address(prefix + address))


@pytest.mark.parametrize("address", INNER_V4.values(), ids=INNER_V4)
def test_a_tunnel_to_an_inner_address_is_refused(address: str) -> None:
    v4 = int(IPv4Address(address))
    assert not is_public(IPv6Address(0x2002 << 112 | v4 << 80 | 1)), "6to4"
    assert not is_public(IPv6Address(0x2001_0000_4136_E378 << 64 | (~v4 & 0xFFFF_FFFF))), "Teredo"
    assert not is_public(IPv6Address(0x2A00_1450_4001_0001 << 64 | 0x0000_5EFE << 32 | v4)), "ISATAP"
    assert not is_public(IPv6Address(0x0064_FF9B_0001 << 80 | v4)), "local NAT64"


@pytest.mark.parametrize(
    "address",
    [
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700:4700::1111%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "3fff::1",
        "100::1",
        "2001:10::1",
        "5f00::1",
        "4000::1",
        "::ffff:0:808:808",
    ],
)
def test_inner_and_special_ipv6_addresses_are_refused(address: str) -> None:
    assert not is_public(ip_address(address))


@given(st.ip_addresses())
def test_what_python_does_not_call_global_is_never_public(address: IPv4Address | IPv6Address) -> None:
    if is_public(address):
        inner = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
        assert inner.is_global or address in ip_network("64:ff9b::/96")
        assert not address.is_multicast
        assert not address.is_loopback
