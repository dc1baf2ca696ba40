"""Where the service is and by which key: the arguments, or else ``DEFECTSYNTH_URL`` and ``DEFECTSYNTH_API_KEY``."""

import ipaddress
import os
import ssl
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

import httpx

DEFAULT_URL = "http://127.0.0.1:8000"
_CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Connection:
    """One service. The key is in no ``repr``."""

    url: str
    key: str | None = field(repr=False)
    timeout_seconds: float
    verify: ssl.SSLContext | bool

    @classmethod
    def of(
        cls, url: str | None, key: str | None, timeout_seconds: float, verify: ssl.SSLContext | bool
    ) -> "Connection":
        """What was given, then what the environment says. Raises ``ValueError`` for what is no http(s) URL."""
        url = (url or os.environ.get("DEFECTSYNTH_URL") or DEFAULT_URL).rstrip("/")
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"{url!r} is no URL: {error}") from error
        if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
            raise ValueError(f"{url!r} is not of the form http://host:port")
        return cls(url, key or os.environ.get("DEFECTSYNTH_API_KEY") or None, timeout_seconds, verify)

    @property
    def headers(self) -> dict[str, str]:
        """Of every request."""
        key = {"Authorization": f"Bearer {self.key}"} if self.key is not None else {}
        return {"User-Agent": f"defectsynth-client/{_version()}", "Accept": "application/json", **key}

    @property
    def trusts_environment(self) -> bool:
        """Whether proxies of the environment count: never for this very machine."""
        return not _is_loopback(httpx.URL(self.url).host)

    def timeout(self, read_seconds: float | None) -> httpx.Timeout:
        """Of one request."""
        return httpx.Timeout(self.timeout_seconds, connect=_CONNECT_SECONDS, read=read_seconds or self.timeout_seconds)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _version() -> str:
    try:
        return version("defectsynth-client")
    except PackageNotFoundError:  # imported from a source tree
        return "0"
