"""API keys: what a key may do, and whose it is."""

from dataclasses import dataclass
from enum import StrEnum

from service.contracts.ids import KeyId, TenantId


class Scope(StrEnum):
    """``read``: look; ``write``: also upload, submit, cancel and delete; ``admin``: all of it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


#: What a key of each scope may do.
IMPLIED: dict[Scope, frozenset[Scope]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.WRITE: frozenset({Scope.READ, Scope.WRITE}),
    Scope.ADMIN: frozenset(Scope),
}


@dataclass(frozen=True)
class Principal:
    """Who sends a request; ``key_id`` is None where no key is asked for. ``key_name``: what the operator calls it."""

    tenant_id: TenantId
    key_id: KeyId | None
    scopes: frozenset[Scope]
    key_name: str | None = None

    @property
    def called(self) -> str:
        """How people know who it was."""
        return self.key_name or self.tenant_id

    def may(self, scope: Scope) -> bool:
        """Whether one of its scopes allows ``scope``."""
        return any(scope in IMPLIED[one] for one in self.scopes)
