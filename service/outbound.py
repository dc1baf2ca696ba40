"""Where this service may send requests of its own: the URLs of webhooks, which clients name.

A plant's receivers live at private addresses, and so does everything that must not be reached through this service
(databases, a cloud's metadata, this service's own loopback). So what is not public is denied unless the operator lists
it, a name's every address is judged, and whoever sends connects to an address that was judged, never to the name.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

from service.errors import HostUnresolved, UrlRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: The addresses of a host, for a port, in the order in which to try them; raises ``OSError``.
Resolve = Callable[[str, int], Sequence[str]]

#: Below it listens what speaks other protocols (mail, shells, directories).
FIRST_UNPRIVILEGED_PORT = 1024
_DEFAULT_PORTS = {"http": 80, "https": 443}
_VISIBLE = re.compile(r"[!-\[\]-~]+")  # ASCII without blanks, control characters and the backslash
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
#: What some version of the library calls global: ways into other addresses (6to4, Teredo), and documentation.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(one) for one in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")
)


@dataclass(frozen=True)
class Target:
    """A URL in its checked parts. ``host`` is lower case, without brackets; ``path`` has the query with it."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What belongs into the ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def url_at(self, address: Address) -> str:
        """The URL with an address in the place of the name."""
        host = f"[{address}]" if address.version == 6 else str(address)
        return f"{self.scheme}://{host}:{self.port}{self.path}"


@dataclass(frozen=True)
class AllowList:
    """Hosts and networks that may be reached though they are not public.

    A listed name covers private, shared and loopback addresses. Link-local ones, where clouds keep their metadata, and
    those of no single host must be listed as networks, whatever a name resolves to.
    """

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``qa.plant.local,10.20.0.0/16``. Raises ``ValueError`` with the entry at fault."""
        hosts, networks = set(), []
        for entry in filter(None, (one.strip().lower().removesuffix(".") for one in text.split(","))):
            if re.fullmatch(r"[0-9.]+(/.*)?|.*[:/].*", entry):
                networks.append(_network(entry))
            elif _NAME.fullmatch(entry):
                hosts.add(entry)
            else:
                raise ValueError(f"{entry!r} is neither a host name nor a network such as 10.20.0.0/16")
        return cls(frozenset(hosts), tuple(networks))

    def admits(self, host: str, address: Address) -> bool:
        """Whether a request to ``host`` may connect to ``address``."""
        address = unmapped(address)
        if is_public(address) or any(address in network for network in self.networks):
            return True
        return host in self.hosts and not _is_nobodys(address)


def _network(entry: str) -> Network:
    try:
        return ipaddress.ip_network(entry)
    except ValueError as error:
        raise ValueError(f"{entry!r} is not a network: {error}") from error


def unmapped(address: Address) -> Address:
    """The IPv4 address that an IPv4-mapped IPv6 address stands for; any other as it is."""
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address


def is_public(address: Address) -> bool:
    """Whether it is a global unicast address: one host of the public network, and no way into another one."""
    if address.version == 6 and address not in _GLOBAL_UNICAST:  # IPv4-mapped and -compatible, NAT64, private, ...
        return False
    return address.is_global and not address.is_multicast and not any(address in network for network in _NOT_PUBLIC)


def _is_nobodys(address: Address) -> bool:
    return address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved


def parse_url(url: str) -> Target:
    """The parts of a URL that may be sent to, as far as its text tells. Raises ``UrlRefused``."""
    if not _VISIBLE.fullmatch(url):
        raise _refused("the URL holds blanks, backslashes or characters beyond ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refused(f"the URL cannot be read: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise _refused("the URL is neither http:// nor https://")
    if "@" in parts.netloc:
        raise _refused("the URL carries credentials; the signature tells who sends")
    if "#" in url:
        raise _refused("the URL has a fragment, which is never sent")
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    if port < FIRST_UNPRIVILEGED_PORT and port not in _DEFAULT_PORTS.values():
        raise _refused(f"port {port} is refused: use 80, 443, or 1024 and above")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, _host(parts), port, path)


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError as error:
            raise _refused("the URL's host is no IPv6 address") from error
        if address.scope_id is not None:
            raise _refused("the URL's host names a network interface")
        return str(address)
    if not _NAME.fullmatch(host.removesuffix(".")):
        raise _refused("the URL's host is no host name (write an international one as xn--...)")
    return host.removesuffix(".")


def judged_addresses(target: Target, allow: AllowList, resolve: Resolve) -> list[Address]:
    """The addresses to connect to: the host is resolved once, and one address that is not admitted refuses them all.

    Raises ``UrlRefused`` and, where the name has no address, ``HostUnresolved``. Neither says which address it was:
    whoever names a host here must not learn the plant's addresses.
    """
    try:
        found = [ipaddress.ip_address(one) for one in resolve(target.host, target.port)]
    except (OSError, UnicodeError, ValueError) as error:
        raise HostUnresolved(f"the host {target.host!r} has no address", field="url") from error
    if not found:
        raise HostUnresolved(f"the host {target.host!r} has no address", field="url")
    if not all(allow.admits(target.host, address) for address in found):
        raise _refused(f"the host {target.host!r} is at an address that is not public and that no operator has listed")
    return [unmapped(address) for address in found]


def resolve_by_system(host: str, port: int) -> list[str]:
    """What the system's resolver says. Raises ``OSError``."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _refused(detail: str) -> UrlRefused:
    return UrlRefused(detail, field="url")
