"""Sends requests to addresses that others have named: resolved once, checked, and connected to as checked."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

TIMEOUT_SECONDS = 15.0
# Ranges that embed other addresses, possibly private ones, or that are not for a single receiver.
_LEADING_ELSEWHERE: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "::/96",  # IPv4-compatible (RFC 4291)
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # NAT64 of an inner network (RFC 8215)
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "192.88.99.0/24",  # relays of 6to4
        "fec0::/10",  # site-local, withdrawn and still routed in places
        "224.0.0.0/4",  # multicast
        "ff00::/8",
    )
)


class Undeliverable(Exception):
    """An attempt failed; `status_code` is the answer, if there was one."""

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


@dataclass(frozen=True)
class Destination:
    """Where a request goes."""

    url: httpx.URL
    addresses: tuple[str, ...] = ()
    """IP addresses that were found and checked, in the resolver's order; empty: whatever the name resolves to."""


def is_public(address: str) -> bool:
    """Return whether an IP address is public and does not embed another one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return ip.is_global and not any(ip in network for network in _LEADING_ELSEWHERE if network.version == ip.version)


def public_destination(address: str) -> Destination:
    """Resolve an address and refuse private ones: others must not reach what only this host can reach.

    Raises:
        Undeliverable: the name cannot be resolved, or leads inside.
    """
    url = httpx.URL(address)
    try:
        answers = socket.getaddrinfo(
            url.host, url.port or (443 if url.scheme == "https" else 80), type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise Undeliverable(f"{url.host} cannot be resolved: {error}") from error
    found = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
    inner = next((one for one in found if not is_public(one)), None)
    if inner is not None:
        raise Undeliverable(f"{url.host} is an inner address ({inner}); set TFBISECT_INNER_ADDRESSES=true to allow it")
    return Destination(url, found)


def post(destination: Destination, body: bytes, headers: Mapping[str, str]) -> int:
    """Send JSON and return the status; redirects are not followed, they could lead inside.

    Raises:
        Undeliverable: the other side refused it.
        httpx.HTTPError: it cannot be reached.
    """
    content = {"Content-Type": "application/json", "User-Agent": "tfbisect", **headers}
    answer = _first_that_connects(destination, destination.addresses or (None,), body, content)
    if not answer.is_success:
        raise Undeliverable(f"responded {answer.status_code} {answer.reason_phrase}", answer.status_code)
    return answer.status_code


def _first_that_connects(
    destination: Destination, addresses: Sequence[str | None], body: bytes, headers: Mapping[str, str]
) -> httpx.Response:
    """Send to the first address that accepts a connection."""
    *others, last = addresses
    for address in others:
        try:
            return _sent(destination.url, address, body, headers)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
    return _sent(destination.url, last, body, headers)


def _sent(url: httpx.URL, address: str | None, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    """Send to an IP address under the name of the URL, which the certificate is checked against too.

    A name that is looked up a second time may stand for another address by then.
    """
    if address is None:
        return httpx.post(url, content=body, headers=dict(headers), timeout=TIMEOUT_SECONDS)
    with httpx.Client(timeout=TIMEOUT_SECONDS) as client:
        named = {**headers, "Host": url.netloc.decode("ascii")}
        return client.post(
            url.copy_with(host=address),
            content=body,
            headers=named,
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
