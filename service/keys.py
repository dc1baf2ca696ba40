"""API keys: made, known again, revoked.

A key is ``dsk_<prefix>_<secret>`` with 256 random bits in its secret. Kept are the prefix, by which it is found, and
HMAC-SHA-256 of the whole key under the server's secret: who reads the database can neither use a key nor test guesses.
A key that was found good is remembered for `REMEMBERED_SECONDS`, so that a poll costs no query; a revocation takes
effect within that time in every process.
"""

import hashlib
import hmac
import os
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from service.contracts.ids import DEFAULT_TENANT, KeyId, TenantId, new_id
from service.contracts.keys import Principal, Scope
from service.errors import StorageFull, Unauthorized
from service.logs import get_logger
from service.settings import Settings
from service.store import keys
from service.store.database import Database
from service.store.tables import ApiKeyRow

REMEMBERED_SECONDS = 10.0
_MAX_REMEMBERED = 1024
_FORM = re.compile(r"^dsk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}$")
_log = get_logger()


def mint(
    database: Database,
    secret: bytes,
    *,
    tenant_id: TenantId,
    name: str,
    scopes: list[Scope],
    now: datetime,
    expires_at: datetime | None,
) -> tuple[str, ApiKeyRow]:
    """A new key and its row. The key itself is not kept anywhere."""
    prefix = secrets.token_hex(6)
    key = f"dsk_{prefix}_{secrets.token_urlsafe(32)}"
    with database.transaction() as session:
        row = keys.insert(
            session, KeyId(new_id("key")), tenant_id, name, prefix, digest_of(key, secret), scopes, now, expires_at
        )
    return key, row


def digest_of(key: str, secret: bytes) -> str:
    """HMAC-SHA-256 in hexadecimal."""
    return hmac.new(secret, key.encode(), hashlib.sha256).hexdigest()


def server_secret(settings: Settings) -> bytes:
    """``DEFECTSYNTH_KEY_SECRET``, or 256 bits made once and kept in the data folder, readable by its owner alone.

    Every API process must have the same: give it where they do not share the folder.
    """
    if settings.key_secret is not None:
        return settings.key_secret.get_secret_value().encode()
    path = settings.data_dir / "key-secret"
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    if not path.exists():
        made.touch(mode=0o600)
        made.write_text(secrets.token_hex(32), encoding="ascii")
        try:  # Whoever links first has made it; a secret that was there is never replaced.
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return path.read_bytes()


class KeyRing:
    """Knows keys again, for one process. ``authenticate`` blocks; ``remembered`` does not."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._admin_key = settings.admin_key
        self._secret = server_secret(settings) if settings.demands_keys else b""
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._remembered: OrderedDict[str, tuple[float, Principal]] = OrderedDict()

    def remembered(self, key: str) -> Principal | None:
        """Who sent a key that was found good a moment ago."""
        good_until, principal = self._remembered.get(_name(key), (0.0, None))
        return principal if self._monotonic() < good_until else None

    def authenticate(self, key: str) -> Principal:
        """Whose key it is. Raises ``Unauthorized``; says why only to who has the whole key."""
        if self._admin_key is not None and hmac.compare_digest(
            key.encode(), self._admin_key.get_secret_value().encode()
        ):
            return self._remember(key, Principal(DEFAULT_TENANT, KeyId("admin"), frozenset({Scope.ADMIN}), "admin"))
        row = self._found(key)
        now = self._clock()
        if row.revoked_at is not None:
            raise Unauthorized("the key was revoked")
        if row.expires_at is not None and row.expires_at <= now:
            raise Unauthorized("the key has expired")
        self._note_use(KeyId(row.id), now)
        scopes = frozenset(Scope(one) for one in row.scopes)
        return self._remember(key, Principal(TenantId(row.tenant_id), KeyId(row.id), scopes, row.name))

    def _found(self, key: str) -> ApiKeyRow:
        matched = _FORM.match(key)
        digest = digest_of(key, self._secret)
        row = None
        if matched is not None:
            with self._database.reading() as session:
                row = keys.by_prefix(session, matched[1])
        if row is None or not hmac.compare_digest(row.digest, digest):
            raise Unauthorized("the key is not valid")
        return row

    def _remember(self, key: str, principal: Principal) -> Principal:
        self._remembered[_name(key)] = (self._monotonic() + REMEMBERED_SECONDS, principal)
        while len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return principal

    def _note_use(self, key_id: KeyId, now: datetime) -> None:
        try:
            with self._database.transaction() as session:
                keys.note_use(session, key_id, now)
        except StorageFull:  # A full disk must not shut readers out.
            _log.warning("keys.use_unnoted", key_id=key_id)


def _name(key: str) -> str:
    """What a key is remembered by: its digest, for a dump of the process should not show keys."""
    return hashlib.sha256(key.encode()).hexdigest()
