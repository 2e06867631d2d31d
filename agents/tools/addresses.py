"""Which network addresses belong to the public internet, and so may be visited on a stranger's behalf."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

# Not marked special everywhere that Python looks, and never a public site: the relays of 6to4 (RFC 7526), what RFC 9780
# and others reserve within 192.0.0.0/24, and the address at which Azure answers its own virtual machines.
_SPECIAL_V4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))

# Public IPv6 sites have addresses out of this block alone (RFC 4291).
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Within it: IETF protocols with Teredo (RFC 2928, 4380), documentation (RFC 3849, 9637), 6to4 (RFC 3056).
_SPECIAL_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16")))
_NAT64 = IPv6Network("64:ff9b::/96")
_V4_MAPPED = IPv6Network("::ffff:0:0/96")
# The upper half of the interface identifiers with which ISATAP embeds an IPv4 address (RFC 5214).
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet: global, unicast, and not a wrapping of one that is not.

    An IPv4 address within an IPv6 one is judged itself where it is what gets connected to in the end (IPv4-mapped and
    NAT64 addresses); the addresses of tunnels that no public site uses (6to4, Teredo, ISATAP) are refused as they are.
    """
    if isinstance(address, IPv4Address):
        return (
            address.is_global
            and not (address.is_multicast or address.is_reserved or address.is_loopback or address.is_link_local)
            and not any(address in network for network in _SPECIAL_V4)
        )
    if address.scope_id is not None:
        return False
    if address in _V4_MAPPED or address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return (
        address in _GLOBAL_UNICAST
        and address.is_global
        and not any(address in network for network in _SPECIAL_V6)
        and (int(address) >> 32) & 0xFFFF_FFFF not in _ISATAP
    )
