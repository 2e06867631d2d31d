"""The address that a request comes from, as far as it can be believed."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest

# What one customer of a provider has to choose from: with single addresses, each try could have another.
IPV6_PREFIX = 64


def client_address(request: HttpRequest) -> str | None:
    """The client's address, or the one of its network for IPv6; None where the server has none.

    Each proxy adds the address that asked it to `X-Forwarded-For`; what stands before those of the `TRUSTED_PROXIES` is the
    client's own claim.
    """
    own: str = request.META.get("REMOTE_ADDR", "")
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    proxies: int = settings.TRUSTED_PROXIES
    told = forwarded[-proxies] if 0 < proxies <= len(forwarded) else own
    return _normalised(told) or _normalised(own)


def _normalised(text: str) -> str | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((int(address), IPV6_PREFIX), strict=False).network_address)
    return str(address)
