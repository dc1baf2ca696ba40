"""What can go wrong, as a client is told it: every error knows its HTTP status, a stable code and a remedy.

::

    ServiceError
    ├── InvalidRequest          422  the payload cannot be accepted as it is
    │   ├── NoAcceptableImages  422  every image of an upload was refused
    │   ├── ArchiveUnusable     422  a zip that cannot be read as a whole
    │   ├── GroupStraddles      422  one group in two splits
    │   ├── TooFewImages        422  a class cannot be adapted
    │   ├── UnknownBaseModel    422  a base model that is not registered
    │   ├── UrlRefused          422  a webhook's URL that nothing may be sent to
    │   │   └── HostUnresolved  422  its host has no address
    │   ├── BeyondLimit         422  more at once than a limit ever allows
    │   ├── InvalidCursor       422  a cursor that this list did not give out
    │   └── IdempotencyKeyReused 422 the key came with another request before
    ├── Unauthorized            401  no key, or a wrong one
    ├── Forbidden               403  the key may not do this
    ├── NotFound                404  unknown, or another tenant's
    │   ├── ArtifactMissing     404  the record names bytes that are gone
    │   │   └── ArtifactDamaged 404  the bytes are not those that the record names
    │   └── Gone                410  it was there, and was deleted
    ├── Conflict                409  the right request in the wrong state
    │   ├── StillCited          409  something else depends on it
    │   └── IdempotencyKeyInUse 409  a request with the same key is being answered
    ├── RequestTooLarge         413  more bytes, images or members than allowed
    ├── UnsupportedMedia        415  not the kind of body this route takes
    ├── HostUnknown             421  sent to a name that this service does not answer to
    ├── QueueFull               429  too many jobs are waiting
    ├── QuotaExceeded           429  the tenant or key has had its share
    ├── Unavailable             503  the database does not answer for now
    │   └── StorageUnavailable  503  the artefact store is away for a moment
    └── StorageFull             507  the disk has no room; nothing half written was left
"""

from collections.abc import Sequence
from typing import ClassVar

from service.contracts.datasets import RefusedImage


class ServiceError(Exception):
    """The root. ``detail`` says what happened, ``remedy`` what to do, ``field`` where in the request (or None)."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    code: str = "internal_error"
    remedy: str = "Try again; if it goes on, give the operator the request id."
    #: When to try again, where waiting helps.
    retry_after_seconds: float | None = None

    def __init__(
        self, detail: str, *, code: str | None = None, field: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.code = code or type(self).code
        self.remedy = remedy or type(self).remedy


class InvalidRequest(ServiceError):
    """The payload cannot be accepted as it is."""

    status = 422
    title = "Request cannot be accepted"
    code = "invalid_request"
    remedy = "Correct the named field and send the request again."


class NoAcceptableImages(InvalidRequest):
    """Every image of an upload was refused; ``refused`` says why, one by one."""

    title = "No acceptable image"
    code = "no_acceptable_images"
    remedy = "Look at 'refused' for the reason and remedy of each file."

    def __init__(self, detail: str, refused: Sequence[RefusedImage], *, field: str | None = "images") -> None:
        super().__init__(detail, field=field)
        self.refused = list(refused)


class ArchiveUnusable(InvalidRequest):
    """A zip that cannot be read as a whole."""

    title = "Archive unusable"
    code = "archive_unusable"
    remedy = "Send a plain zip with one folder a class: class/image.png or split/class/image.png."


class GroupStraddles(InvalidRequest):
    """One group's images are asked for in two splits."""

    title = "Group in two splits"
    code = "group_straddles_splits"
    remedy = "Give all images of the group the same split."


class TooFewImages(InvalidRequest):
    """A class has too few train images to be adapted."""

    title = "Too few images"
    code = "too_few_images"
    remedy = "Add images of the class to the train split."


class UnknownBaseModel(InvalidRequest):
    """The base model is not registered."""

    title = "Unknown base model"
    code = "unknown_base_model"
    remedy = "Choose a registered name from GET /v1/base-models."


class UrlRefused(InvalidRequest):
    """A webhook's URL that nothing may be sent to."""

    title = "URL refused"
    code = "url_refused"
    remedy = (
        "Name a public http(s) URL; or have the operator list the host, or its network, in DEFECTSYNTH_WEBHOOK_ALLOW."
    )


class HostUnresolved(UrlRefused):
    """A webhook's host has no address."""

    title = "Host without an address"
    code = "host_unresolved"
    remedy = "Check the URL's host, and that the machine of this service can resolve it."


class BeyondLimit(InvalidRequest):
    """More at once than a limit ever allows: waiting does not help. The detail names the operator's setting."""

    title = "Beyond a limit"
    code = "beyond_limit"
    remedy = "Ask for less at once, or ask the operator to raise the named limit."


class InvalidCursor(InvalidRequest):
    """A cursor that this list did not give out."""

    title = "Invalid cursor"
    code = "invalid_cursor"
    remedy = "Use 'next_cursor' of the page before as it is, or leave the cursor out."


class IdempotencyKeyReused(InvalidRequest):
    """The key came with another request before."""

    title = "Idempotency-Key reused"
    code = "idempotency_key_reused"
    remedy = "Send a new Idempotency-Key with each new request, and the same one only with the same request."


class Unauthorized(ServiceError):
    """No key, or a wrong one."""

    status = 401
    title = "Not authorised"
    code = "unauthorized"
    remedy = "Send 'Authorization: Bearer <key>' or 'X-API-Key: <key>'."


class Forbidden(ServiceError):
    """The key may not do this."""

    status = 403
    title = "Scope missing"
    code = "scope_missing"
    remedy = "Use a key with the named scope: `defectsynth keys create NAME --scope write`."


class NotFound(ServiceError):
    """Unknown, or another tenant's: the two look the same."""

    status = 404
    title = "Not found"
    code = "not_found"
    remedy = "Check the id; lists show what exists."


class ArtifactMissing(NotFound):
    """The record names bytes that are not in the store."""

    title = "Stored bytes missing"
    code = "artifact_missing"
    remedy = "Restore the artefact folder from its backup, or make the resource again."


class ArtifactDamaged(ArtifactMissing):
    """The stored bytes are not those that the record names."""

    title = "Stored bytes damaged"
    code = "artifact_damaged"


class Gone(NotFound):
    """It was there, and was deleted: the detail says when and why."""

    status = 410
    title = "Deleted"
    code = "gone"
    remedy = "It cannot be brought back; make it again."


class Conflict(ServiceError):
    """The right request in the wrong state."""

    status = 409
    title = "Conflict with the present state"
    code = "conflict"
    remedy = "Look at the resource's state, then decide."


class StillCited(Conflict):
    """Something else depends on it."""

    title = "Still in use"
    code = "still_cited"
    remedy = "Delete what cites it first."


class IdempotencyKeyInUse(Conflict):
    """A request with the same key is being answered."""

    title = "Still being answered"
    code = "idempotency_key_in_use"
    remedy = "Wait for a second and send the same request again: it gets the first one's answer."
    retry_after_seconds = 1.0


class RequestTooLarge(ServiceError):
    """More bytes, images or members than allowed."""

    status = 413
    title = "Request too large"
    code = "request_too_large"
    remedy = "Send it in smaller parts, or ask the operator to raise the named limit."


class UnsupportedMedia(ServiceError):
    """Not the kind of body that this route takes."""

    status = 415
    title = "Unsupported kind of body"
    code = "unsupported_media"
    remedy = "Send multipart/form-data with 'images' files or one 'archive' zip."


class HostUnknown(ServiceError):
    """Sent to a name that this service does not answer to."""

    status = 421
    title = "Another host's request"
    code = "host_unknown"
    remedy = (
        "Use the address that the service listens on, such as 127.0.0.1; or have the operator list the name in "
        "DEFECTSYNTH_ALLOWED_HOSTS."
    )


class QueueFull(ServiceError):
    """Too many jobs are waiting."""

    status = 429
    title = "Queue full"
    code = "queue_full"
    remedy = "Wait until jobs have finished, or cancel some."
    retry_after_seconds = 10.0


class QuotaExceeded(ServiceError):
    """The tenant or key has had its share; ``setting`` is the operator's limit."""

    status = 429
    title = "Quota exceeded"
    code = "quota_exceeded"

    def __init__(self, detail: str, setting: str, retry_after_seconds: float) -> None:
        super().__init__(f"{detail} ({setting})", remedy="Wait as long as Retry-After says, or ask the operator.")
        self.retry_after_seconds = max(1.0, retry_after_seconds)


class Unavailable(ServiceError):
    """Something that the service needs does not answer for now."""

    status = 503
    title = "Not available for now"
    code = "unavailable"
    remedy = "Send the request again in some seconds; GET /health/ready says what is missing."
    retry_after_seconds = 2.0


class StorageUnavailable(Unavailable):
    """The artefact store does not answer, or refuses."""

    title = "Storage unavailable"
    code = "storage_unavailable"
    remedy = "Try again in a while; if it goes on, the operator's log says why (`defectsynth doctor` looks, too)."
    retry_after_seconds = 10.0


class StorageFull(ServiceError):
    """The disk has no room; nothing half written was left."""

    status = 507
    title = "Storage full"
    code = "storage_full"
    remedy = "Free space on the disk that holds DEFECTSYNTH_DATA_DIR, then try again."
